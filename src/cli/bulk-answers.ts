import type { showRun } from '../admin/routes/bulk.ts';
import { count, flag, instant, listOf, membersOf, name, nullable, number, text } from '../core/shape.ts';
import type { ApiAccess } from './api-connection.ts';

/** A bulk action as the admin API tells of it. */
export type BulkView = ReturnType<typeof showRun>;

/** What the admin API answers to a start, or to a dry one. */
export interface BulkStarted {
  readonly isDryRun: boolean;
  readonly count: number;
  readonly sample: readonly { readonly taskId: string; readonly status: string; readonly stage: string | null }[];
  /** Null of a dry run. */
  readonly run: BulkView | null;
}

const viewShape = membersOf({
  bulkId: name,
  action: name,
  filter: membersOf({}),
  reason: nullable(text),
  by: name,
  createdAt: instant,
  phase: name,
  isPaused: flag,
  end: nullable(name),
  pace: membersOf({ firstBatch: count, watchMs: count, ratePerSecond: number, stopAtFailurePercent: number }),
  selected: count,
  sent: count,
  done: count,
  skipped: count,
  failed: count,
  failedAgain: count,
  failures: listOf(membersOf({ taskId: name, code: name, message: text })),
});

/** What an answer to a start must be like. */
export const bulkStartedShape = membersOf({
  isDryRun: flag,
  count,
  sample: listOf(membersOf({ taskId: name, status: name, stage: nullable(text) })),
  run: nullable(viewShape),
});

const listShape = membersOf({ runs: listOf(viewShape) });

/** The bulk actions, the newest first. @throws EngineError as `ApiAccess.ask` */
export async function readBulkRuns(api: ApiAccess): Promise<readonly BulkView[]> {
  const { runs } = await api.ask<{ readonly runs: readonly BulkView[] }>({
    method: 'GET',
    path: '/api/bulk',
    shape: listShape,
  });
  return runs;
}

/** One of them. @throws EngineError as `ApiAccess.ask`; `NOT_FOUND` */
export function readBulkRun(api: ApiAccess, bulkId: string): Promise<BulkView> {
  return api.ask({ method: 'GET', path: `/api/bulk/${bulkId}`, shape: viewShape });
}

/** What is told to a bulk action. @throws EngineError as `ApiAccess.ask`; `NOT_FOUND`, `NOT_ALLOWED` when it has ended */
export function orderBulkRun(
  api: ApiAccess,
  bulkId: string,
  order: 'pause' | 'resume' | 'abort',
  reason: string | undefined,
): Promise<BulkView> {
  return api.ask({
    method: 'POST',
    path: `/api/bulk/${bulkId}/${order}`,
    body: reason === undefined ? {} : { reason },
    shape: viewShape,
  });
}

/** Where a bulk action stands, in one word. */
export function stateOf({ phase, isPaused, end }: Pick<BulkView, 'phase' | 'isPaused' | 'end'>): string {
  if (phase === 'ended') return end ?? 'ended';
  return isPaused ? 'paused' : phase;
}
