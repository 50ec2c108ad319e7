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

/** What a histogram that only grows got since it was `before`. */
export function histogramSince(now: HistogramValue, before: HistogramValue): HistogramValue {
  const known = new Map(before.buckets.map(({ upTo, count }) => [upTo, count]));
  return {
    count: now.count - before.count,
    sum: now.sum - before.sum,
    buckets: now.buckets.map(({ upTo, count }) => ({ upTo, count: count - (known.get(upTo) ?? 0) })),
  };
}

/**
 * The value below which that share of a histogram lies, within its bucket by proportion, as Prometheus has it; null of an empty one.
 * Above the highest bound, the highest bound: nothing more is known of it.
 */
export function quantileOf({ count, buckets }: HistogramValue, share: number): number | null {
  if (count <= 0) return null;
  const rank = share * count;
  let lower = 0;
  let below = 0;
  for (const { upTo, count: upToCount } of buckets) {
    if (upToCount >= rank) {
      if (upTo === Number.POSITIVE_INFINITY) return lower;
      return upToCount === below ? upTo : lower + ((upTo - lower) * (rank - below)) / (upToCount - below);
    }
    lower = upTo;
    below = upToCount;
  }
  return lower;
}
