import { Argument, type Command } from 'commander';
import { bulkActions, bulkPaceDefaults, maximumSelection, type BulkAction } from '../admin/bulk/bulk-run.ts';
import { EngineError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import { SystemRandom } from '../platform/system-random.ts';
import { addApiOptions, openApi, type ApiAccess, type ApiOptions } from './api-connection.ts';
import { bulkStartedShape, type BulkStarted } from './bulk-answers.ts';
import { parseBulkId, viewOf } from './bulk-run-commands.ts';
import { exitCodeOfRun, waitForBulk } from './bulk-wait.ts';
import { usageError } from './cli-error.ts';
import type { CliContext } from './context.ts';
import { isConfirmed } from './dlq-redrive-command.ts';
import { durationFormat } from './duration.ts';
import {
  addExamples,
  addOutputOptions,
  durationParser,
  integerParser,
  parseReason,
  percentParser,
  type OutputOptions,
} from './options.ts';
import { formatTable } from './table.ts';
import { addTaskFilter, taskFilterOf, type TaskFilterOptions } from './task-filter-options.ts';
import { showView } from './view.ts';

interface BulkStartOptions extends ApiOptions, OutputOptions, TaskFilterOptions {
  readonly all?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly confirmCount?: number;
  readonly bulkId?: string;
  readonly reason?: string;
  readonly firstBatch: number;
  /** Milliseconds. */
  readonly watchFirst?: number;
  readonly rate: number;
  readonly stopAt: number;
  readonly wait?: boolean;
}

/** `cabinet bulk start`. */
export function addBulkStart(parent: Command, context: CliContext): void {
  const { firstBatch, watchMs, ratePerSecond, stopAtFailurePercent } = bulkPaceDefaults;
  const command = parent
    .command('start')
    .description(
      'do something to all tasks of a filter: a first few, watched, then the rest at a rate, stopped when too many fail',
    )
    .addArgument(new Argument('<action>', 'what is done to each').choices(bulkActions))
    .action((action: BulkAction, options: BulkStartOptions) => start(context, action, options));
  addTaskFilter(command)
    .option('--all', 'every task, where no filter is given')
    .option('--dry-run', 'only count them, and show some')
    .option('-y, --yes', 'do not refuse to change more than one; implied where CI is set')
    .option(
      '--confirm-count <count>',
      'the count that --dry-run told; asked for when they are very many',
      integerParser({ least: 0, most: maximumSelection }),
    )
    .option('--first-batch <count>', 'so many first', integerParser({ least: 1, most: 1_000 }), firstBatch)
    .option(
      '--watch-first <duration>',
      `watch them so long at most, where they go back to work: ${durationFormat} (default: ${watchMs / 1_000}s)`,
      durationParser({ least: 0, most: 3_600_000 }),
    )
    .option('--rate <count>', 'then so many a second', integerParser({ least: 1, most: 1_000 }), ratePerSecond)
    .option('--stop-at <percent>', 'end it when more of a hundred than this fail', percentParser, stopAtFailurePercent)
    .option('--bulk-id <id>', 'name of this action: a repeat with it begins no second one', parseBulkId)
    .option('--wait', 'wait until it has ended; exit 1 when some failed')
    .option('--reason <text>', 'why; kept in the journal of each task and in the audit log', parseReason);
  addOutputOptions(addApiOptions(command));
  addExamples(
    command,
    'cabinet bulk start redrive --pipeline card --class retryable --dry-run',
    'cabinet bulk start redrive --pipeline card --first-batch 20 --rate 10 --stop-at 5 --wait --yes',
    'cabinet bulk start cancel --submitted-before 30d --status held --reason "too old" --yes',
  );
}

async function start(context: CliContext, action: BulkAction, options: BulkStartOptions): Promise<void> {
  const filter = taskFilterOf(options, context.clock.now());
  const isAll = Object.keys(filter).length === 0;
  if (isAll && options.all !== true) {
    throw usageError('nothing says which tasks are meant', 'give a filter such as --pipeline, or --all');
  }
  if (!isAll && options.all === true) throw usageError('a filter and --all exclude each other', 'give one of them');
  if (options.dryRun === true && options.wait === true) {
    throw usageError('--wait is for what is begun, and --dry-run begins nothing', 'give one of them');
  }
  const api = await openApi(context, options);
  const asked = {
    action,
    filter,
    ...(isAll ? { all: true } : {}),
    ...(options.reason === undefined ? {} : { reason: options.reason }),
  };
  const dry = await post(api, { ...asked, dryRun: true });
  // A repeat of a start by its name finds the tasks changed, and is to be answered with the action that changed them.
  if (options.dryRun === true || (dry.count === 0 && options.bulkId === undefined)) {
    showCount(context, options, action, dry);
    return;
  }
  if (dry.count > 1 && !isConfirmed(options, context.environment['CI'])) {
    throw usageError(
      `this would ${action} ${dry.count} tasks`,
      'repeat it with --yes, or look first with --dry-run',
      'yes',
    );
  }
  await begin(context, api, asked, options);
}

async function begin(
  context: CliContext,
  api: ApiAccess,
  asked: Readonly<Record<string, JsonValue>>,
  options: BulkStartOptions,
): Promise<void> {
  const bulkId = options.bulkId ?? new SystemRandom().id();
  const { confirmCount, firstBatch, watchFirst, rate, stopAt, output } = options;
  const { run } = await post(api, {
    ...asked,
    bulkId,
    firstBatch,
    watchMs: watchFirst ?? bulkPaceDefaults.watchMs,
    ratePerSecond: rate,
    stopAtFailurePercent: stopAt,
    ...(confirmCount === undefined ? {} : { confirmCount }),
  });
  if (run === null) throw new EngineError('INTERNAL', 'a start was answered as a dry run');
  if (options.wait !== true) {
    showView(context, output, {
      ...viewOf(run),
      notes: [
        `it goes on by itself: \`cabinet bulk show ${bulkId} --watch\`, and \`cabinet bulk abort ${bulkId}\` ends it`,
      ],
    });
    return;
  }
  const onInterrupt = (): void => {
    context.terminal.note(`bulk action ${bulkId} goes on; \`cabinet bulk abort ${bulkId}\` ends it`);
  };
  context.interrupted.addEventListener('abort', onInterrupt, { once: true });
  const ended = await waitForBulk(context, api, { bulkId, timeoutMs: undefined, tells: output === 'table' });
  context.interrupted.removeEventListener('abort', onInterrupt);
  showView(context, output, viewOf(ended));
  context.exitCode = exitCodeOfRun(ended);
}

async function post(api: ApiAccess, body: Readonly<Record<string, JsonValue>>): Promise<BulkStarted> {
  try {
    return await api.ask<BulkStarted>({ method: 'POST', path: '/api/bulk', body, shape: bulkStartedShape });
  } catch (error) {
    if (!(error instanceof EngineError && error.code === 'CONFIRMATION_REQUIRED')) throw error;
    const { code, message, limit, got } = error;
    throw new EngineError(code, message, {
      field: 'confirmCount',
      limit,
      got,
      hint: 'repeat it with --confirm-count and that number',
      cause: error,
    });
  }
}

function showCount(
  context: CliContext,
  { output, dryRun }: BulkStartOptions,
  action: BulkAction,
  { count, sample }: BulkStarted,
): void {
  const tasks = sample.map(({ taskId, status, stage }) => ({ taskId, status, stage }));
  const isMore = count > sample.length;
  showView(context, output, {
    document: { dryRun: dryRun === true, action, count, sample: tasks, run: null },
    items: [{ dryRun: dryRun === true, action, count }],
    text: ({ paint, width }) =>
      tasks.length === 0
        ? paint('dim', 'no tasks')
        : formatTable(
            [
              { title: 'TASK', value: ({ taskId }) => taskId },
              { title: 'STATUS', value: ({ status }) => status },
              { title: 'STAGE', value: ({ stage }) => stage ?? '–' },
            ],
            tasks,
            { paint, width },
          ),
    notes: [
      count === 0
        ? `no task that ${action} can do anything to matches; nothing was changed`
        : `${count} ${count === 1 ? 'task matches' : 'tasks match'}${isMore ? `, ${sample.length} are shown` : ''}; nothing was changed`,
    ],
  });
}
