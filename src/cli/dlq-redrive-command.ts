import type { Command } from 'commander';
import type { DeadLetterFilter, TaskView } from '../client.ts';
import { auditRedrive } from '../client/audited-commands.ts';
import type { RedriveOutcome } from '../client/dead-letter-client.ts';
import { readDeadLetters } from '../client/read-dead-letters.ts';
import type { JsonValue } from '../core/json.ts';
import { usageError } from './cli-error.ts';
import { withCluster } from './cluster.ts';
import type { CliContext } from './context.ts';
import {
  addDeadLetterFilter,
  deadLetterFilterOf,
  isFiltering,
  type DeadLetterFilterOptions,
} from './dead-letter-options.ts';
import { addExamples, integerParser } from './options.ts';
import {
  addControlOptions,
  controlTasks,
  expectedSeqOption,
  showOutcomes,
  type ControlCommandOptions,
  type ControlOutcome,
} from './task-control-commands.ts';
import { taskTable } from './task-text.ts';
import { showView } from './view.ts';

interface DlqRedriveOptions extends ControlCommandOptions, DeadLetterFilterOptions {
  readonly all?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly max: number;
}

/** Most dead letters that one call redrives. */
const maximumRedriven = 100_000;

/** `cabinet dlq redrive`. */
export function addDlqRedrive(parent: Command, context: CliContext): void {
  const command = addDeadLetterFilter(parent.command('redrive [task-ids...]'))
    .description('send dead letters back to work, by id or by filter; finished stages are kept')
    .option('--all', 'every dead letter')
    .option('--max <count>', 'at most so many', integerParser({ least: 1, most: maximumRedriven }), maximumRedriven)
    .option('--dry-run', 'only count and show them')
    .option('-y, --yes', 'do not refuse to redrive more than one; implied where CI is set')
    .addOption(expectedSeqOption())
    .action(async (taskIds: readonly string[], options: DlqRedriveOptions) => {
      const filter = deadLetterFilterOf(options);
      checkRedriveOptions(taskIds, filter, options);
      if (taskIds.length === 0) await redriveMatching(context, filter, options);
      else {
        await controlTasks(context, options, { name: 'redrive', taskIds }, (client, id, control) =>
          client.redrive(id, control),
        );
      }
    });
  addControlOptions(command);
  addExamples(
    command,
    'cabinet dlq redrive card-42 --reason "the shop is back"',
    'cabinet dlq redrive --pipeline card --code HTTP_503 --dry-run',
    'cabinet dlq redrive --fingerprint 8d1f0c55b0a3e1f2 --yes',
  );
}

/** @throws EngineError `INVALID_ARGUMENT` unless it is clear which dead letters are meant */
export function checkRedriveOptions(
  taskIds: readonly string[],
  filter: DeadLetterFilter,
  options: Pick<DlqRedriveOptions, 'all' | 'dryRun' | 'expectedSeq'>,
): void {
  const ways = [taskIds.length > 0, isFiltering(filter), options.all === true].filter(Boolean).length;
  if (ways === 0) {
    throw usageError('nothing says which dead letters are meant', 'give task ids, a filter such as --code, or --all');
  }
  if (ways > 1) throw usageError('task ids, a filter and --all exclude each other', 'give one of them');
  if (taskIds.length > 0 && options.dryRun === true) {
    throw usageError('--dry-run is for a filter', 'see a task by `cabinet task get`');
  }
  if (taskIds.length === 0 && options.expectedSeq !== undefined) {
    throw usageError('--expected-seq is for one task', 'a redrive by filter names what it has seen of each by itself');
  }
}

/** Whether many may be changed without a word more. */
export function isConfirmed(options: { readonly yes?: boolean | undefined }, ci: string | undefined): boolean {
  return options.yes === true || (ci !== undefined && ci !== '' && ci !== 'false' && ci !== '0');
}

async function redriveMatching(
  context: CliContext,
  filter: DeadLetterFilter,
  options: DlqRedriveOptions,
): Promise<void> {
  await withCluster(context, options, async ({ client, deadlineMs, audit }) => {
    const { tasks, hasMore } = await readDeadLetters(client, filter, { maximum: options.max, deadlineMs });
    const count = `${tasks.length}${hasMore ? ' (and more, over --max)' : ''}`;
    if (options.dryRun === true) {
      showMatches(context, options, tasks, count);
      return;
    }
    context.terminal.note(`${count} dead letters match`);
    if (tasks.length > 1 && !isConfirmed(options, context.environment['CI'])) {
      throw usageError(
        `this would redrive ${count} tasks`,
        'repeat it with --yes, or look first with --dry-run',
        'yes',
      );
    }
    if (tasks.length > 0) {
      const { by, reason, timeout } = options;
      const target = isFiltering(filter) ? filter : ({ all: true } as const);
      const parameters = { filter: { ...filter } as JsonValue, count: tasks.length };
      const outcomes = await auditRedrive(audit, { by, reason, parameters }, () =>
        client.deadLetters.redrive(target, { maximum: tasks.length, by, reason, deadlineMs: timeout }),
      );
      showOutcomes(context, options, outcomes.map(outcomeOf));
    } else showView(context, options.output, { document: [], items: [], text: () => '' });
  });
}

function outcomeOf(outcome: RedriveOutcome): ControlOutcome {
  return outcome.kind === 'error'
    ? { taskId: outcome.taskId, error: outcome.error }
    : { taskId: outcome.taskId, state: outcome.state, repeated: false };
}

function showMatches(context: CliContext, options: DlqRedriveOptions, tasks: readonly TaskView[], count: string): void {
  const taskIds = tasks.map((task) => task.taskId);
  showView(context, options.output, {
    document: { dryRun: true, count: tasks.length, taskIds },
    items: taskIds.map((taskId) => ({ dryRun: true, taskId })),
    text: (drawing) => taskTable(tasks, context.clock.now(), drawing),
    notes: [`${count} dead letters match; nothing was changed`],
  });
}
