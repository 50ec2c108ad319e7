import { histogramSince, quantileOf, sumHistograms, type HistogramValue } from '../core/histogram.ts';
import type { Labels } from '../ports/metrics.ts';
import { metricCatalog } from '../ports/metric-catalog.ts';
import type { MetricSnapshot } from './metric-family.ts';

/** Times of a window. Null: nothing was observed in it. */
export interface Quantiles {
  readonly count: number;
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly p99Ms: number | null;
}

/** A stage in the window; only one that ended in it is told. */
export interface StageLatency extends Quantiles {
  readonly pipeline: string;
  readonly stage: string;
  /** Of `count`, those whose driver did not succeed. */
  readonly failedCount: number;
}

/** How long things have taken of late. */
export interface Latencies {
  /** Time that the numbers cover; 0 before there were two looks. */
  readonly windowMs: number;
  readonly commit: Quantiles;
  /** By pipeline, then stage. */
  readonly stages: readonly StageLatency[];
}

/** Longest time that the numbers of a {@link LatencyWindow} cover. */
export const maximumWindowMs = 60_000;
/** Least time between two looks that are kept, so that a busy reader does not make the window small. */
const leastStepMs = 1_000;

interface Look {
  readonly atMs: number;
  readonly commit: HistogramValue;
  readonly stages: ReadonlyMap<string, StageValue>;
}

interface StageValue {
  readonly pipeline: string;
  readonly stage: string;
  readonly all: HistogramValue;
  readonly succeededCount: number;
}

const empty: HistogramValue = { count: 0, sum: 0, buckets: [] };
const succeeded = 'completed';

/**
 * Latencies of the last minute, from histograms that only grow: the difference of two looks at them. A quantile lies within its
 * bucket by proportion, as Prometheus has it.
 */
export class LatencyWindow {
  readonly #prefix: string;
  readonly #looks: Look[] = [];

  /** @param prefix - before every metric's name; `cabinet_` when left out */
  constructor(prefix = 'cabinet_') {
    this.#prefix = prefix;
  }

  /** Takes a look, and tells what lies between it and the oldest one of the window. @param atMs - by a monotonic clock */
  take(snapshot: readonly MetricSnapshot[], atMs: number): Latencies {
    const now = this.#read(snapshot, atMs);
    const looks = this.#looks;
    while (looks.length > 1 && atMs - (looks[1]?.atMs ?? atMs) >= maximumWindowMs) looks.shift();
    const [first] = looks;
    const last = looks.at(-1);
    if (last === undefined || atMs - last.atMs >= leastStepMs) looks.push(now);
    const before = first ?? now;
    return {
      windowMs: atMs - before.atMs,
      commit: quantilesOf(histogramSince(now.commit, before.commit)),
      stages: [...now.stages]
        .map(([key, value]) => stageLatency(value, before.stages.get(key)))
        .filter(({ count }) => count > 0)
        .toSorted((one, other) => compareText(one.pipeline, other.pipeline) || compareText(one.stage, other.stage)),
    };
  }

  #read(snapshot: readonly MetricSnapshot[], atMs: number): Look {
    const stages = new Map<string, StageValue>();
    for (const { labels, value } of this.#histogram(snapshot, metricCatalog.stageSeconds.name)) {
      const { pipeline = '', stage = '', outcome } = labels;
      const key = `${pipeline}\u0000${stage}`;
      const known = stages.get(key);
      stages.set(key, {
        pipeline,
        stage,
        all: sumHistograms(known?.all ?? empty, value),
        succeededCount: (known?.succeededCount ?? 0) + (outcome === succeeded ? value.count : 0),
      });
    }
    const [commit] = this.#histogram(snapshot, metricCatalog.commitSeconds.name);
    return { atMs, commit: commit?.value ?? empty, stages };
  }

  #histogram(
    snapshot: readonly MetricSnapshot[],
    name: string,
  ): readonly { readonly labels: Labels; readonly value: HistogramValue }[] {
    const family = snapshot.find((one) => one.name === `${this.#prefix}${name}`);
    return (family?.series ?? []).flatMap((series) =>
      'buckets' in series ? [{ labels: series.labels, value: series }] : [],
    );
  }
}

function stageLatency(now: StageValue, before: StageValue | undefined): StageLatency {
  const quantiles = quantilesOf(histogramSince(now.all, before?.all ?? empty));
  const succeededCount = now.succeededCount - (before?.succeededCount ?? 0);
  return {
    pipeline: now.pipeline,
    stage: now.stage,
    ...quantiles,
    failedCount: Math.max(0, quantiles.count - succeededCount),
  };
}

function quantilesOf(histogram: HistogramValue): Quantiles {
  return {
    count: histogram.count,
    p50Ms: quantileMs(histogram, 0.5),
    p95Ms: quantileMs(histogram, 0.95),
    p99Ms: quantileMs(histogram, 0.99),
  };
}

function quantileMs(histogram: HistogramValue, share: number): number | null {
  const seconds = quantileOf(histogram, share);
  return seconds === null ? null : 1_000 * seconds;
}

function compareText(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
