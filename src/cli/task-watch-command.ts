import type { Command } from 'commander';
import type { PipelineEvent } from '../client.ts';
import { EngineError } from '../core/errors.ts';
import { withCluster } from './cluster.ts';
import type { CliContext } from './context.ts';
import { eventLine } from './history-text.ts';
import {
  addClusterOptions,
  addExamples,
  addOutputOptions,
  type ClusterOptions,
  type OutputOptions,
} from './options.ts';

interface TaskWatchOptions extends ClusterOptions, OutputOptions {
  readonly after?: string;
  readonly pastDeadLetter?: boolean;
}

/** `cabinet task watch`. */
export function addTaskWatch(parent: Command, context: CliContext): void {
  const command = parent
    .command('watch <task-id>')
    .description("print a task's events as they happen, until it has ended; json and jsonl give one CloudEvent a line")
    .option('--after <event-id>', 'go on after this event')
    .option('--past-dead-letter', 'do not end with a dead letter: a redrive may follow')
    .action(async (taskId: string, options: TaskWatchOptions) => {
      await withCluster(context, options, async ({ client }) => {
        // The feed of a task that was never submitted would wait for it without end.
        await client.get(taskId);
        await printEvents(context, options, (signal) =>
          client.watch(taskId, { after: options.after, endOnDeadLetter: options.pastDeadLetter !== true, signal }),
        );
      });
    });
  addOutputOptions(addClusterOptions(command));
  addExamples(command, 'cabinet task watch card-42', 'cabinet task watch card-42 -o jsonl --timeout 1m');
}

async function printEvents(
  context: CliContext,
  options: TaskWatchOptions,
  follow: (signal: AbortSignal) => AsyncIterable<PipelineEvent>,
): Promise<void> {
  const { terminal, clock } = context;
  const stopping = new AbortController();
  const { timeout } = options;
  const timer = timeout === undefined ? undefined : clock.setTimer(timeout, () => stopping.abort());
  try {
    for await (const event of follow(stopping.signal)) {
      if (options.output === 'table') terminal.print(eventLine(event, terminal.paint));
      else terminal.printJson(event);
    }
  } finally {
    timer?.cancel();
  }
  if (!stopping.signal.aborted) return;
  throw new EngineError('DEADLINE_EXCEEDED', `the task has not ended within ${timeout} ms`, {
    field: 'timeout',
    limit: `${timeout} ms`,
    hint: 'the task goes on; watch again',
  });
}
