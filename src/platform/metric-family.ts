import { assert } from '../core/errors.ts';
import type { Labels, MetricDefinition } from '../ports/metrics.ts';

/** What a metric measures. */
export type MetricKind = 'counter' | 'gauge' | 'histogram';

/** One metric with its values at one moment, as plain JSON, so that a process can hand it to another. */
export interface MetricSnapshot {
  /** With its prefix. */
  readonly name: string;
  readonly help: string;
  readonly kind: MetricKind;
  readonly series: readonly MetricSeries[];
}

/** The values under one set of labels. */
export type MetricSeries =
  | { readonly labels: Labels; readonly value: number }
  | {
      readonly labels: Labels;
      readonly count: number;
      readonly sum: number;
      /** Observations up to and including each bound, ascending; without the bound of infinity, which is `count`. */
      readonly buckets: readonly { readonly upTo: number; readonly count: number }[];
    };

/** What a name stands for already. */
export interface TakenMetric {
  readonly kind: MetricKind;
  readonly labels: readonly string[];
}

/** Refuses, as a bug, a name that is taken by another kind or with other labels, or one that Prometheus does not allow. */
export function checkDefinition(definition: MetricDefinition, kind: MetricKind, taken: TakenMetric | undefined): void {
  const { name, labels = [] } = definition;
  assert(/^[a-z][a-z0-9_]*$/.test(name), () => `metric name: expected a–z 0–9 _, got ${name}`);
  if (taken !== undefined) {
    assert(taken.kind === kind, () => `metric ${name} is a ${taken.kind}, asked for as a ${kind}`);
    assert(taken.labels.join() === labels.join(), () => `metric ${name} has the labels ${taken.labels.join()}`);
  }
  const isCounterName = name.endsWith('_total');
  assert(isCounterName === (kind === 'counter'), () => `metric ${name}: counters, and only they, end in _total`);
  const badLabel = labels.find((label) => !/^[a-z][a-z0-9_]*$/.test(label));
  assert(badLabel === undefined, () => `metric ${name}: label ${badLabel} is not allowed`);
}

/** Refuses, as a bug, a label that the definition does not name, and a missing one. */
export function checkLabels(definition: MetricDefinition, labels: Labels): void {
  const known = definition.labels ?? [];
  const unknown = Object.keys(labels).find((label) => !known.includes(label));
  assert(unknown === undefined, () => `metric ${definition.name} has no label ${unknown}`);
  const missing = known.find((label) => labels[label] === undefined);
  assert(missing === undefined, () => `metric ${definition.name}: label ${missing} is missing`);
}

/** Refuses, as a bug, a value that would spoil a sum. */
export function checkValue(definition: MetricDefinition, value: number, least: number): void {
  assert(Number.isFinite(value) && value >= least, () => `metric ${definition.name}: ${value} is not a value for it`);
}

/**
 * Series of one metric that are kept apart. User-made names (pipelines, stages, ports) could be more: what is over it goes to series
 * whose user-made names are {@link otherName}, so that a metric stays bounded and its sum right.
 */
export const maximumSeries = 2_000;
/** Stands for every user-made name beyond {@link maximumSeries}. */
export const otherName = 'other';

/** Labels whose values come from users; all others take words of this code. */
const userLabels: ReadonlySet<string> = new Set(['pipeline', 'stage', 'port']);

/** The labels under which a series beyond {@link maximumSeries} is counted. */
export function foldLabels(labels: Labels): Labels {
  return Object.fromEntries(
    Object.entries(labels).map(([label, value]) => [label, userLabels.has(label) ? otherName : value]),
  );
}
