import { type Command, Option } from 'commander';
import type { Client, Controlled, ControlOptions } from '../client.ts';
import { auditTaskCommand } from '../client/audited-commands.ts';
import type { EngineError } from '../core/errors.ts';
import type { TaskCommandName } from '../core/task-view.ts';
import { errorLine, toCliError, usageError } from './cli-error.ts';
import { withCluster } from './cluster.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import {
  addClusterOptions,
  addExamples,
  addNoteOptions,
  addOutputOptions,
  integerParser,
  type ClusterOptions,
  type OutputOptions,
} from './options.ts';
import { formatTable } from './table.ts';
import { showView } from './view.ts';

/** Options of a command to tasks. */
export interface ControlCommandOptions extends ClusterOptions, OutputOptions {
  readonly by?: string;
  readonly reason?: string;
  readonly commandId?: string;
  readonly expectedSeq?: number;
}

/** What became of a command to one of several tasks. */
export type ControlOutcome = Controlled | { readonly taskId: string; readonly error: EngineError };

const descriptions = {
  pause: 'hold tasks before their next start; a running stage finishes first',
  resume: 'let held tasks go on',
  cancel: 'end tasks; what a running driver returns is dropped',
  redrive: 'send dead letters, or tasks whose outcome is unknown, back to work',
} as const satisfies Partial<Record<TaskCommandName, string>>;

/** `cabinet task pause`, `resume`, `cancel` and `redrive`. */
export function addTaskControls(parent: Command, context: CliContext): void {
  for (const [name, description] of Object.entries(descriptions)) {
    const verb = name as keyof typeof descriptions;
    const command = parent
      .command(`${verb} <task-ids...>`)
      .description(description)
      .option('--command-id <id>', 'name of this command: a repeat with it has no further effect')
      .addOption(expectedSeqOption())
      .action(async (taskIds: readonly string[], options: ControlCommandOptions) => {
        await controlTasks(context, options, { name: verb, taskIds }, (client, taskId, control) =>
          client[verb](taskId, control),
        );
      });
    addControlOptions(command);
    addExamples(command, `cabinet task ${verb} card-42 --reason "asked by support"`);
  }
}

/** The option of every command to one task by which it is refused when the task has changed. */
export function expectedSeqOption(): Option {
  return new Option(
    '--expected-seq <count>',
    'only if the task has so many records, as `task get` shows; a redrive or resolve without it looks first',
  ).argParser(integerParser({ least: 1, most: Number.MAX_SAFE_INTEGER }));
}

/** Adds what every command has that changes tasks. */
export function addControlOptions(command: Command): Command {
  return addOutputOptions(addClusterOptions(addNoteOptions(command)));
}

/**
 * Commands each of the tasks and shows what became of it. A single one's refusal is thrown; of several, each refusal is
 * told, and the exit code is 1.
 */
export async function controlTasks(
  context: CliContext,
  options: ControlCommandOptions,
  asked: { readonly name: TaskCommandName; readonly taskIds: readonly string[] },
  control: (client: Client, taskId: string, options: ControlOptions) => Promise<Controlled>,
): Promise<void> {
  const { by, reason, commandId } = options;
  const { name, taskIds } = asked;
  if (options.expectedSeq !== undefined && taskIds.length > 1) {
    throw usageError('--expected-seq is for one task', 'command the tasks one by one');
  }
  await withCluster(context, options, async ({ client, deadlineMs, audit }) => {
    const outcomes = await Promise.all(
      taskIds.map(async (taskId): Promise<ControlOutcome> => {
        try {
          return await auditTaskCommand(audit, { name, taskId, by, reason, commandId }, async () => {
            const expectedSeq = options.expectedSeq ?? (await seenSeq(client, name, taskId, deadlineMs));
            return control(client, taskId, { by, reason, commandId, expectedSeq, deadlineMs });
          });
        } catch (error) {
          if (taskIds.length === 1) throw error;
          return { taskId, error: toCliError(error) };
        }
      }),
    );
    // One task asked for by its id is one document.
    if (taskIds.length === 1) showAs(context, options, outcomes, ([document]) => document);
    else showOutcomes(context, options, outcomes);
  });
}

/**
 * What the task is at now, for a command that sends work back: where it is delayed or doubled on its way, it must not meet a later
 * failure that nobody has seen.
 */
async function seenSeq(
  client: Client,
  name: TaskCommandName,
  taskId: string,
  deadlineMs: number,
): Promise<number | undefined> {
  if (name !== 'redrive' && name !== 'resolve') return undefined;
  return (await client.get(taskId, { deadlineMs })).seq;
}

/** Shows what became of commands to tasks, in JSON as a list; refusals set the exit code 1. */
export function showOutcomes(context: CliContext, options: OutputOptions, outcomes: readonly ControlOutcome[]): void {
  showAs(context, options, outcomes, (documents) => documents);
}

function showAs(
  context: CliContext,
  options: OutputOptions,
  outcomes: readonly ControlOutcome[],
  documentOf: (documents: readonly unknown[]) => unknown,
): void {
  const done = outcomes.flatMap((outcome) => ('error' in outcome ? [] : [outcome]));
  const documents = outcomes.map((outcome) =>
    'error' in outcome ? { taskId: outcome.taskId, error: outcome.error.toReport() } : outcome,
  );
  showView(context, options.output, {
    document: documentOf(documents),
    items: documents,
    text: ({ paint, width }) =>
      done.length === 0
        ? ''
        : formatTable(
            [
              { title: 'TASK', value: ({ taskId }) => taskId },
              { title: 'STATE', value: ({ state }) => state },
              { title: '', value: ({ repeated }) => (repeated ? 'had taken effect before' : '') },
            ],
            done,
            { paint, width },
          ),
  });
  for (const outcome of outcomes) {
    if (!('error' in outcome)) continue;
    context.terminal.note(`${outcome.taskId}: ${errorLine(outcome.error)}`);
    context.exitCode = exitCodes.failed;
  }
}
