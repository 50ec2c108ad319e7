import { EngineError, invalidArgument } from '../../core/errors.ts';
import type { JsonValue } from '../../core/json.ts';
import type { TaskStatus } from '../../core/task-view.ts';
import type { RouteDeps } from '../admin-deps.ts';
import {
  bulkActions,
  bulkPaceDefaults,
  failureCount,
  maximumSelection,
  type BulkAction,
  type BulkRun,
} from '../bulk/bulk-run.ts';
import type { TaskFilter } from '../../ports/task-index.ts';
import { route, type Route, type RouteRequest } from '../route.ts';
import {
  anyJson,
  flag,
  integer,
  listOf,
  nullable,
  number,
  object,
  oneOf,
  optional,
  text,
  type Schema,
} from '../schema.ts';
import { commandIdField, countField, instantField, reasonField } from '../schemas/fields.ts';
import { indexedTaskAnswer, taskFilterFields } from '../schemas/tasks.ts';
import { isEmptyFilter, taskFilterOf } from '../task-filter.ts';

/** More tasks than this are taken only when their number is confirmed. */
export const confirmationCount = 10_000;
const sampleSize = 20;
const maximumRuns = 1_000;
const tag = 'bulk';

const bulkIdField = commandIdField;
const one = { bulkId: bulkIdField } as const;

const runAnswer = object({
  bulkId: text({ most: 128 }),
  action: oneOf(bulkActions),
  filter: anyJson('the filter, with the moment of the start as its latest submit'),
  reason: nullable(text({ least: 0, most: 2_000 })),
  by: text({ most: 256 }),
  createdAt: instantField,
  phase: oneOf(['selecting', 'firstBatch', 'watching', 'rest', 'settling', 'ended']),
  isPaused: flag(),
  end: nullable(oneOf(['completed', 'stopped', 'aborted'])),
  pace: object({
    firstBatch: countField,
    watchMs: countField,
    ratePerSecond: countField,
    stopAtFailurePercent: number(0, 100),
  }),
  selected: countField,
  sent: countField,
  done: countField,
  skipped: countField,
  failed: countField,
  failedAgain: countField,
  failures: listOf(
    object({ taskId: text({ most: 128 }), code: text({ most: 64 }), message: text({ least: 0, most: 10_000 }) }),
    1_000,
  ),
});

const startAnswer = object({
  isDryRun: flag(),
  count: countField,
  sample: listOf(indexedTaskAnswer, sampleSize),
  run: nullable(runAnswer),
}) satisfies Schema<unknown>;

const startBody = object({
  action: oneOf(bulkActions),
  filter: object(taskFilterFields),
  all: optional(flag('must be true when the filter is empty')),
  reason: optional(reasonField),
  dryRun: optional(flag('only count, and show some')),
  confirmCount: optional(
    integer(0, maximumSelection, `the count that the dry run told; needed over ${confirmationCount}`),
  ),
  bulkId: optional(bulkIdField),
  firstBatch: optional(integer(1, 1_000)),
  watchMs: optional(integer(0, 3_600_000)),
  ratePerSecond: optional(integer(1, 1_000)),
  stopAtFailurePercent: optional(number(0, 100)),
});

/** Actions on many tasks by filter: try dry, start, look, hold, end. */
export function bulkRoutes(deps: Pick<RouteDeps, 'bulk' | 'index' | 'clock' | 'random'>): readonly Route[] {
  const { bulk } = deps;
  return [
    route({
      method: 'POST',
      path: '/api/bulk',
      role: 'operator',
      tag,
      summary: 'Do something to all tasks of a filter; with dryRun only tell how many they are',
      body: startBody,
      answer: startAnswer,
      audit: ({ body, idempotencyKey }) => ({
        action: body.dryRun === true ? `bulk.${body.action}.dry-run` : `bulk.${body.action}`,
        target: JSON.stringify(body.filter).slice(0, 1_000),
        reason: body.reason,
        commandId: body.bulkId ?? idempotencyKey,
      }),
      handler: (request) => start(deps, request),
    }),
    route({
      method: 'GET',
      path: '/api/bulk',
      role: 'viewer',
      tag,
      summary: 'The bulk actions, the newest first',
      answer: object({ runs: listOf(runAnswer, maximumRuns) }),
      handler: async () => ({ runs: bulk.list().map(showRun) }),
    }),
    route({
      method: 'GET',
      path: '/api/bulk/:bulkId',
      role: 'viewer',
      tag,
      summary: 'How far a bulk action is',
      params: one,
      answer: runAnswer,
      handler: async ({ params }) => showRun(bulk.get(params.bulkId)),
    }),
    ...(['pause', 'resume', 'abort'] as const).map((name) =>
      route({
        method: 'POST',
        path: `/api/bulk/:bulkId/${name}`,
        role: 'operator',
        tag,
        summary: { pause: 'Hold a bulk action', resume: 'Let a held bulk action go on', abort: 'End a bulk action' }[
          name
        ],
        params: one,
        body: object({ reason: optional(reasonField) }),
        answer: runAnswer,
        audit: ({ params, body }) => ({ action: `bulk.${name}`, target: params.bulkId, reason: body.reason }),
        handler: async ({ params, noteChange }) => {
          const run = showRun(await bulk[name](params.bulkId));
          noteChange({ after: { phase: run.phase, isPaused: run.isPaused, sent: run.sent } });
          return run;
        },
      }),
    ),
  ];
}

type StartBody = ReturnType<(typeof startBody)['read']>;

async function start(
  { bulk, index, clock, random }: Pick<RouteDeps, 'bulk' | 'index' | 'clock' | 'random'>,
  { body, idempotencyKey, principal, noteChange, setStatus }: RouteRequest<unknown, unknown, StartBody>,
): Promise<ReturnType<(typeof startAnswer)['read']>> {
  const { action, dryRun = false, reason } = body;
  const given = taskFilterOf(body.filter);
  if (isEmptyFilter(given) && body.all !== true) {
    throw invalidArgument({
      field: 'filter',
      message: 'an empty filter means every task: say so with all: true',
      limit: 'a filter, or all: true',
    });
  }
  const filter = fitting(action, given);
  const id =
    body.bulkId ??
    (idempotencyKey === undefined ? random.id() : commandIdField.read(idempotencyKey, 'Idempotency-Key'));
  const count = await index.count(filter);
  const { tasks: sample } = await index.list({ filter, sortBy: 'taskId', descending: false, limit: sampleSize });
  if (dryRun) return { isDryRun: true, count, sample, run: null };
  checkCount(count, body.confirmCount);
  const run = await bulk.start({
    id,
    action,
    filter,
    reason: reason ?? null,
    by: principal.name,
    createdAt: clock.now(),
    pace: {
      firstBatch: body.firstBatch ?? bulkPaceDefaults.firstBatch,
      watchMs: body.watchMs ?? bulkPaceDefaults.watchMs,
      ratePerSecond: body.ratePerSecond ?? bulkPaceDefaults.ratePerSecond,
      stopAtFailurePercent: body.stopAtFailurePercent ?? bulkPaceDefaults.stopAtFailurePercent,
    },
  });
  noteChange({ after: { bulkId: run.id, count } });
  setStatus(202);
  return { isDryRun: false, count, sample, run: showRun(run) };
}

/** The statuses in which an action can do anything: the others would only be refused, one by one. */
const fittingStatuses: { readonly [Action in BulkAction]: readonly TaskStatus[] } = {
  redrive: ['deadLettered', 'unknown'],
  resume: ['held', 'queued', 'running', 'backingOff', 'unknown'],
  pause: ['queued', 'running', 'backingOff', 'unknown'],
  cancel: ['queued', 'running', 'backingOff', 'held', 'unknown', 'deadLettered'],
};

function fitting(action: BulkAction, filter: TaskFilter): TaskFilter {
  const fit = fittingStatuses[action];
  const { statuses } = filter;
  return { ...filter, statuses: statuses === undefined ? fit : statuses.filter((status) => fit.includes(status)) };
}

function checkCount(count: number, confirmed: number | undefined): void {
  if (count > maximumSelection) {
    throw invalidArgument({
      field: 'filter',
      message: 'the filter means too many tasks',
      limit: `${maximumSelection}`,
      got: count,
    });
  }
  if (count <= confirmationCount || (confirmed !== undefined && count <= confirmed * 1.1)) return;
  throw new EngineError('CONFIRMATION_REQUIRED', `the filter means ${count} tasks`, {
    field: 'confirmCount',
    limit: `${confirmationCount} without a confirmation`,
    got: confirmed,
    hint: `send confirmCount: ${count}`,
  });
}

/** A run as it is told to callers. */
export function showRun(run: BulkRun): ReturnType<(typeof runAnswer)['read']> {
  const { id, action, filter, reason, by, createdAt, phase, isPaused, end, pace } = run;
  return {
    bulkId: id,
    action,
    filter: filter as unknown as JsonValue,
    reason,
    by,
    createdAt,
    phase,
    isPaused,
    end,
    pace,
    selected: run.selectedCount,
    sent: run.sentCount,
    done: run.doneCount,
    skipped: run.skippedCount,
    failed: run.failedCount,
    failedAgain: failureCount(run) - run.failedCount,
    failures: run.failures,
  };
}
