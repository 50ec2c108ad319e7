import { MemoryMetrics } from '../../src/platform/memory-metrics.ts';
import type { MetricSeries } from '../../src/platform/metric-family.ts';
import { PrometheusMetrics } from '../../src/platform/prometheus-metrics.ts';
import type { Labels } from '../../src/ports/metrics.ts';
import { describeMetrics } from './metrics.contract.ts';

describeMetrics('MemoryMetrics', () => {
  const metrics = new MemoryMetrics();
  return {
    metrics,
    value: (name, labels) => Promise.resolve(metrics.value(name, labels)),
    count: (name, labels) => Promise.resolve(metrics.count(name, labels)),
  };
});

describeMetrics('PrometheusMetrics', () => {
  const metrics = new PrometheusMetrics();
  const find = async (name: string, labels: Labels = {}): Promise<MetricSeries> => {
    const family = (await metrics.snapshot()).find((candidate) => candidate.name === `cabinet_${name}`);
    const series = family?.series.find((one) =>
      Object.entries(labels).every(([label, value]) => one.labels[label] === value),
    );
    if (series === undefined) throw new Error(`no series of ${name}`);
    return series;
  };
  return {
    metrics,
    value: async (name, labels) => {
      const series = await find(name, labels);
      return 'value' in series ? series.value : series.sum;
    },
    count: async (name, labels) => {
      const series = await find(name, labels);
      if (!('count' in series)) throw new Error(`${name} is not a histogram`);
      return series.count;
    },
  };
});
