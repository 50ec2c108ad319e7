import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { EngineError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import { withCluster } from './cluster.ts';
import type { CliContext } from './context.ts';
import { formatSpan } from './duration.ts';
import {
  addClusterOptions,
  addExamples,
  addOutputOptions,
  type ClusterOptions,
  type OutputOptions,
} from './options.ts';
import { formatFields } from './table.ts';
import { showView, type View } from './view.ts';

/** Longest single wait of the client; a longer one is several. */
const maximumWaitMs = 600_000;

/** `cabinet task wait`. */
export function addTaskWait(parent: Command, context: CliContext): void {
  const command = parent
    .command('wait <task-id>')
    .description('wait until a task has ended; exit 0 when it completed, 4 when it failed, 5 when --timeout is over')
    .action(async (taskId: string, options: ClusterOptions & OutputOptions) => {
      await withCluster(context, options, async ({ client }) => {
        // A result is asked by pipeline, which the task itself names best.
        const { pipeline } = await client.get(taskId);
        const request = { pipeline, taskId, timeoutMs: options.timeout };
        showView(context, options.output, await waitForResult(context, client, request));
      });
    });
  addOutputOptions(addClusterOptions(command));
  addExamples(command, 'cabinet task wait card-42 --timeout 5m', 'cabinet task wait card-42 --json | jq .outputs');
}

/**
 * The results of a task, once it has completed. Waits without end when there is no timeout.
 *
 * @throws TaskFailedError `TASK_FAILED`; EngineError `DEADLINE_EXCEEDED`, `TASK_NOT_FOUND`
 */
export async function waitForResult(
  context: CliContext,
  client: Client,
  request: { readonly pipeline: string; readonly taskId: string; readonly timeoutMs: number | undefined },
): Promise<View> {
  const { pipeline, taskId } = request;
  const { clock } = context;
  const startedAt = clock.monotonicMs();
  const deadlineAt = startedAt + (request.timeoutMs ?? Number.POSITIVE_INFINITY);
  for (;;) {
    const remainingMs = Math.max(1, Math.ceil(deadlineAt - clock.monotonicMs()));
    try {
      const outputs = await client.result(pipeline, taskId, { timeoutMs: Math.min(remainingMs, maximumWaitMs) });
      return resultView(taskId, outputs, clock.monotonicMs() - startedAt);
    } catch (error) {
      const isWaitOver = error instanceof EngineError && error.code === 'DEADLINE_EXCEEDED';
      if (!isWaitOver || clock.monotonicMs() >= deadlineAt) throw error;
    }
  }
}

function resultView(taskId: string, outputs: Readonly<Record<string, JsonValue>>, waitedMs: number): View {
  const document = { taskId, status: 'completed', outputs };
  return {
    document,
    items: [document],
    text: ({ paint }) => {
      const fields = Object.entries(outputs).map(([stage, value]) => [stage, JSON.stringify(value)] as const);
      const head = `${taskId} ${paint('good', 'completed')} ${paint('dim', `(waited ${formatSpan(waitedMs)})`)}`;
      return fields.length === 0 ? head : `${head}\n${formatFields(fields, paint)}`;
    },
  };
}
