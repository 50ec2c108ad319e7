import { histogramSince, type HistogramValue } from '../../../src/core/histogram.ts';
import { histogramOf, type MetricSample } from './metrics-text.ts';

/** The numbers of one moment. */
export interface MetricLook {
  readonly at: number;
  readonly samples: readonly MetricSample[];
}

/** Longest time that is looked back over. */
export const metricWindowMs = 60_000;

/** The looks with a new one; those that are too old for a window go, but for the one that it begins at. */
export function withLook(looks: readonly MetricLook[], look: MetricLook): readonly MetricLook[] {
  const all = [...looks, look];
  const start = all.findLastIndex(({ at }) => look.at - at >= metricWindowMs);
  return start <= 0 ? all : all.slice(start);
}

/** What a histogram got in the time that the looks cover. */
export interface RecentHistogram extends HistogramValue {
  /** Null before there were two looks. */
  readonly perSecond: number | null;
}

/**
 * The part of a histogram that came in between the first and the last look. The sums of a node that has gone are kept by the server, so
 * that none goes back.
 */
export function recentHistogram(
  looks: readonly MetricLook[],
  name: string,
  labels: Readonly<Record<string, string>>,
): RecentHistogram {
  const [first, last] = [looks[0], looks.at(-1)];
  const now = histogramOf(last?.samples ?? [], name, labels);
  const before = histogramOf(first?.samples ?? [], name, labels);
  const since = histogramSince(now, before);
  const count = Math.max(0, since.count);
  const spanMs = (last?.at ?? 0) - (first?.at ?? 0);
  return {
    ...since,
    count,
    perSecond: spanMs === 0 ? null : (1_000 * count) / spanMs,
  };
}
