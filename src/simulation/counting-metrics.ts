import type { Counter, Gauge, Histogram, MetricDefinition, Metrics } from '../ports/metrics.ts';

const noGauge: Gauge = { set: () => {} };
const noHistogram: Histogram = { observe: () => {} };

/** Counters alone, over all nodes: by name, and by name and label values. The rest costs a simulation time and tells it nothing. */
export class CountingMetrics implements Metrics {
  readonly counts = new Map<string, number>();

  counter({ name }: MetricDefinition): Counter {
    const { counts } = this;
    return {
      add: (by = 1, labels) => {
        counts.set(name, (counts.get(name) ?? 0) + by);
        if (labels === undefined) return;
        const labeled = `${name}:${Object.values(labels).join(':')}`;
        counts.set(labeled, (counts.get(labeled) ?? 0) + by);
      },
    };
  }

  gauge(): Gauge {
    return noGauge;
  }

  histogram(): Histogram {
    return noHistogram;
  }

  beforeRead(): () => void {
    return () => {};
  }

  /** A counter's sum; with `:value` behind the name, that of one label value. */
  count(name: string): number {
    return this.counts.get(name) ?? 0;
  }
}
