/** A histogram of one or more processes: observations up to each bound. */
export interface HistogramValue {
  readonly count: number;
  readonly sum: number;
  /** Observations up to and including each bound, ascending. */
  readonly buckets: readonly { readonly upTo: number; readonly count: number }[];
}

/**
 * Two histograms as one, also of processes whose bounds differ, as those of two versions may: at a bound that one of them does not
 * have it gives what it has up to its next lower bound. Never too much, and it never falls.
 */
export function sumHistograms(left: HistogramValue, right: HistogramValue): HistogramValue {
  const bounds = new Set([...left.buckets, ...right.buckets].map(({ upTo }) => upTo));
  const buckets = [...bounds]
    .toSorted((one, other) => one - other)
    .map((upTo) => ({ upTo, count: countUpTo(left, upTo) + countUpTo(right, upTo) }));
  return { count: left.count + right.count, sum: left.sum + right.sum, buckets };
}

function countUpTo({ buckets }: HistogramValue, bound: number): number {
  let count = 0;
  for (const bucket of buckets) {
    if (bucket.upTo > bound) break;
    ({ count } = bucket);
  }
  return count;
}
