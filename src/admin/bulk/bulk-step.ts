import { unreachable, type ErrorCode } from '../../core/errors.ts';
import type { TaskId } from '../../core/ids.ts';
import {
  chunkSize,
  failurePercent,
  isWatched,
  maximumFailures,
  maximumSelection,
  type BulkFailure,
  type BulkRun,
} from './bulk-run.ts';

/** What a run does next. Each is safe to be done again, for a crash may come between it and its note. */
export type BulkStep =
  /** Write down the next page of the selection as chunk `chunk`. */
  | { readonly kind: 'select'; readonly cursor: string | null; readonly chunk: number; readonly limit: number }
  /** Command the tasks from `from` on, `count` of them, and take `paceMs` at least for it. */
  | { readonly kind: 'send'; readonly from: number; readonly count: number; readonly paceMs: number }
  /** Look what has become of the tasks of these chunks, after `delayMs`. */
  | { readonly kind: 'look'; readonly chunks: readonly number[]; readonly delayMs: number }
  /** Nothing until somebody asks. */
  | { readonly kind: 'rest' };

/** What came of a step. */
export type BulkStepResult =
  | { readonly kind: 'selected'; readonly count: number; readonly next: string | null }
  | { readonly kind: 'sent'; readonly outcomes: readonly CommandOutcome[] }
  | { readonly kind: 'looked'; readonly chunks: readonly LookedChunk[]; readonly delayMs: number };

/** What one task answered. */
export type CommandOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'skipped' }
  | { readonly kind: 'failed'; readonly taskId: TaskId; readonly code: ErrorCode; readonly message: string };

/** How the tasks of a chunk stand. */
export interface LookedChunk {
  readonly chunk: number;
  readonly failedAgain: number;
  /** Tasks that neither have ended nor failed again. */
  readonly openCount: number;
}

/** Batches a second: a slow rate goes out evenly, and a crash repeats little. */
const batchesPerSecond = 4;
/** Time between two looks. */
export const lookIntervalMs = 1_000;

/** What the run does next. Pure. */
export function nextBulkStep(run: BulkRun): BulkStep {
  if (run.isPaused || run.phase === 'ended') return { kind: 'rest' };
  switch (run.phase) {
    case 'selecting': {
      const chunk = Math.floor(run.selectedCount / chunkSize);
      return { kind: 'select', cursor: run.cursor, chunk, limit: chunkSize };
    }
    case 'firstBatch':
      return sendStep(run, Math.min(run.pace.firstBatch, run.selectedCount) - run.sentCount);
    case 'rest':
      // Every chunk's end is a moment to look what became of it: a run over a hundred thousand must notice early.
      return run.sentCount % chunkSize === 0 && needsLook(run)
        ? { kind: 'look', chunks: [sentChunks(run) - 1], delayMs: 0 }
        : sendStep(run, Math.min(run.selectedCount - run.sentCount, chunkSize - (run.sentCount % chunkSize)));
    case 'watching':
    case 'settling':
      return { kind: 'look', chunks: chunksToWatch(run), delayMs: lookIntervalMs };
    default:
      return unreachable(run.phase);
  }
}

/** The run after a step. Pure. */
export function afterBulkStep(run: BulkRun, result: BulkStepResult): BulkRun {
  switch (result.kind) {
    case 'selected':
      return afterSelected(run, result);
    case 'sent':
      return afterSent(run, result.outcomes);
    case 'looked':
      return afterLooked(run, result);
    default:
      return unreachable(result);
  }
}

function sendStep(run: BulkRun, left: number): BulkStep {
  const { ratePerSecond } = run.pace;
  const count = Math.max(1, Math.min(left, Math.ceil(ratePerSecond / batchesPerSecond)));
  return { kind: 'send', from: run.sentCount, count, paceMs: Math.ceil((count / ratePerSecond) * 1_000) };
}

function sentChunks({ sentCount }: BulkRun): number {
  return Math.ceil(sentCount / chunkSize);
}

function needsLook(run: BulkRun): boolean {
  return isWatched(run.action) && run.sentCount > run.lookedAtCount;
}

function chunksToWatch(run: BulkRun): readonly number[] {
  const last = sentChunks(run) - 1;
  // What was sent long ago has been looked at; the last two may still be on their way.
  return [last - 1, last].filter((chunk) => chunk >= 0);
}

function afterSelected(
  run: BulkRun,
  { count, next }: { readonly count: number; readonly next: string | null },
): BulkRun {
  const selectedCount = run.selectedCount + count;
  const selected = { ...run, selectedCount, cursor: next };
  if (next !== null && selectedCount < maximumSelection) return selected;
  if (selectedCount === 0) return ended(selected, 'completed');
  return { ...selected, cursor: null, phase: 'firstBatch' };
}

function afterSent(run: BulkRun, outcomes: readonly CommandOutcome[]): BulkRun {
  const failed = outcomes.filter(
    (outcome): outcome is CommandOutcome & { kind: 'failed' } => outcome.kind === 'failed',
  );
  const failures = failed.map(({ taskId, code, message }): BulkFailure => ({ taskId, code, message }));
  const sent: BulkRun = {
    ...run,
    sentCount: run.sentCount + outcomes.length,
    doneCount: run.doneCount + outcomes.filter(({ kind }) => kind === 'done').length,
    skippedCount: run.skippedCount + outcomes.filter(({ kind }) => kind === 'skipped').length,
    failedCount: run.failedCount + failed.length,
    failures: [...run.failures, ...failures].slice(0, maximumFailures),
  };
  const isFirst = run.phase === 'firstBatch';
  const isOver = sent.sentCount >= sent.selectedCount;
  if (isFirst && sent.sentCount < Math.min(run.pace.firstBatch, run.selectedCount)) return sent;
  // One that fails in the first batch decides as much as its share: ten are looked at so that a thousand need not be.
  if (isTooMuch(sent)) return ended(sent, 'stopped');
  if (!isFirst && !isOver) return sent;
  if (!isWatched(run.action)) return isOver ? ended(sent, 'completed') : { ...sent, phase: 'rest' };
  return { ...sent, phase: isOver ? 'settling' : 'watching', watchLeftMs: run.pace.watchMs };
}

function afterLooked(
  run: BulkRun,
  { chunks, delayMs }: { readonly chunks: readonly LookedChunk[]; readonly delayMs: number },
): BulkRun {
  const failedAgain = [...run.failedAgain];
  for (const { chunk, failedAgain: count } of chunks) {
    while (failedAgain.length < chunk) failedAgain.push(0);
    failedAgain[chunk] = count;
  }
  const looked: BulkRun = { ...run, failedAgain, watchLeftMs: Math.max(0, run.watchLeftMs - delayMs) };
  if (isTooMuch(looked)) return ended(looked, 'stopped');
  if (run.phase === 'rest') return { ...looked, lookedAtCount: run.sentCount };
  const isSettled = chunks.every(({ openCount }) => openCount === 0);
  if (!isSettled && looked.watchLeftMs > 0) return looked;
  if (run.phase === 'settling') return ended(looked, 'completed');
  return { ...looked, phase: 'rest', lookedAtCount: run.sentCount };
}

function isTooMuch(run: BulkRun): boolean {
  return failurePercent(run) > run.pace.stopAtFailurePercent;
}

function ended(run: BulkRun, end: NonNullable<BulkRun['end']>): BulkRun {
  return { ...run, phase: 'ended', end, watchLeftMs: 0 };
}
