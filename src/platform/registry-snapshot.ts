import type { Registry } from 'prom-client';

import type { Labels } from '../ports/metrics.ts';
import type { MetricSeries, MetricSnapshot } from './metric-family.ts';

/** A metric as prom-client's registry gives it as JSON. */
interface RegistryFamily {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly {
    readonly labels: Readonly<Record<string, string | number>>;
    readonly value: number;
    /** Of a histogram's parts: the name with `_bucket`, `_sum` or `_count`. */
    readonly metricName?: string;
  }[];
}

/**
 * What a registry of prom-client has collected, each series with the `shared` labels. Summaries are left out, for they cannot be
 * joined, and so are its three gauges that are named as counters: what they sum up is there by type.
 */
export async function readRegistry(registry: Registry, shared: Labels): Promise<readonly MetricSnapshot[]> {
  const families = (await registry.getMetricsAsJSON()) as unknown as readonly RegistryFamily[];
  return families.flatMap((family) => {
    const { type, name, help } = family;
    if (type !== 'counter' && type !== 'gauge' && type !== 'histogram') return [];
    if (type === 'gauge' && name.endsWith('_total')) return [];
    const series = type === 'histogram' ? readHistogram(family) : family.values.map(readSeries);
    return [
      { name, help, kind: type, series: series.map((one) => ({ ...one, labels: { ...one.labels, ...shared } })) },
    ];
  });
}

function readSeries(value: RegistryFamily['values'][number]): MetricSeries {
  return { labels: textLabels(value.labels), value: value.value };
}

function readHistogram(family: RegistryFamily): readonly MetricSeries[] {
  const series = new Map<
    string,
    { labels: Labels; count: number; sum: number; buckets: { upTo: number; count: number }[] }
  >();
  for (const { labels: allLabels, metricName, value } of family.values) {
    const { le, ...labels } = allLabels;
    const key = JSON.stringify(labels);
    const one = series.get(key) ?? { labels: textLabels(labels), count: 0, sum: 0, buckets: [] };
    series.set(key, one);
    if (metricName?.endsWith('_sum') === true) one.sum = value;
    else if (metricName?.endsWith('_count') === true) one.count = value;
    else if (le !== undefined && le !== '+Inf') one.buckets.push({ upTo: Number(le), count: value });
  }
  return [...series.values()];
}

function textLabels(labels: Readonly<Record<string, string | number>>): Labels {
  return Object.fromEntries(Object.entries(labels).map(([label, value]) => [label, String(value)]));
}
