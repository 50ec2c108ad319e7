import type { IndexedTask } from '../api/types.ts';

/** Tasks that ended in one piece of time. */
export interface EndedBucket {
  /** The middle of it. */
  readonly at: number;
  readonly endedPerSecond: number;
  /** From submit to end; null when none ended. */
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly p99Ms: number | null;
}

/** The value at that share of a sorted list, the nearest rank; null of an empty one. */
export function rankOf(sorted: readonly number[], share: number): number | null {
  if (sorted.length === 0) return null;
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? null;
}

/** How long tasks took, from submit to end, shortest first. */
export function latenciesOf(tasks: readonly IndexedTask[]): readonly number[] {
  return tasks
    .flatMap(({ submittedAt, endedAt }) => (endedAt === null ? [] : [Math.max(0, endedAt - submittedAt)]))
    .toSorted((one, other) => one - other);
}

/**
 * Ended tasks by pieces of time of `bucketMs`, the newest last. A list that was cut off says nothing of the time before its oldest
 * task: those pieces are left out.
 */
export function endedBuckets(
  tasks: readonly IndexedTask[],
  options: { readonly now: number; readonly bucketMs: number; readonly count: number; readonly isCutOff: boolean },
): readonly EndedBucket[] {
  const { now, bucketMs, count, isCutOff } = options;
  const end = Math.ceil(now / bucketMs) * bucketMs;
  const oldest = tasks.reduce((least, { endedAt }) => Math.min(least, endedAt ?? least), Number.POSITIVE_INFINITY);
  return Array.from({ length: count }, (_, index) => end - (count - index) * bucketMs).flatMap((from) => {
    if (isCutOff && from < oldest) return [];
    const own = tasks.filter(({ endedAt }) => endedAt !== null && endedAt >= from && endedAt < from + bucketMs);
    const sorted = latenciesOf(own);
    // The piece that is not over yet is measured by what is over of it.
    const spanMs = Math.max(1_000, Math.min(bucketMs, now - from));
    return [
      {
        at: from + bucketMs / 2,
        endedPerSecond: (1_000 * own.length) / spanMs,
        p50Ms: rankOf(sorted, 0.5),
        p95Ms: rankOf(sorted, 0.95),
        p99Ms: rankOf(sorted, 0.99),
      },
    ];
  });
}
