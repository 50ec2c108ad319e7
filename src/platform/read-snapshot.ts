import { count, listOf, membersOf, text, wordOf, type Shape } from '../core/shape.ts';
import type { MetricSnapshot } from './metric-family.ts';

const legalName = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const name: Shape = (value) => (typeof value === 'string' && legalName.test(value) ? null : ' must be a metric name');
const finite: Shape = (value) => (Number.isFinite(value) ? null : ' must be a number');
const amount: Shape = (value) => (Number.isFinite(value) && Number(value) >= 0 ? null : ' must be a number from 0');
const labels: Shape = (labeled) => {
  const isLabels =
    typeof labeled === 'object' &&
    labeled !== null &&
    Object.entries(labeled).every(([label, value]) => legalName.test(label) && typeof value === 'string');
  return isLabels ? null : ' must be labels';
};
const histogram = membersOf({
  labels,
  count,
  sum: finite,
  buckets: listOf(membersOf({ upTo: finite, count })),
});
const shapes: Readonly<Record<MetricSnapshot['kind'], Shape>> = {
  counter: familyOf(membersOf({ labels, value: amount })),
  gauge: familyOf(membersOf({ labels, value: finite })),
  histogram: familyOf(histogram),
};

/**
 * The metrics among what another process has sent. What is none is left out: a process of another version, or one that is broken,
 * must not break a scrape.
 */
export function readSnapshot(families: readonly unknown[]): readonly MetricSnapshot[] {
  return families.filter(isFamily);
}

function isFamily(value: unknown): value is MetricSnapshot {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false;
  const { kind } = value;
  if (kind !== 'counter' && kind !== 'gauge' && kind !== 'histogram') return false;
  return shapes[kind](value) === null;
}

function familyOf(series: Shape): Shape {
  return membersOf({ name, help: text, kind: wordOf(['counter', 'gauge', 'histogram']), series: listOf(series) });
}
