import { assert } from '../core/errors.ts';
import type { Counter, Gauge, Histogram, Labels, MetricDefinition, Metrics } from '../ports/metrics.ts';
import { checkDefinition, checkLabels, checkValue, maximumSeries, type MetricKind } from './metric-family.ts';

interface Series {
  readonly labels: Labels;
  /** A counter's sum, a gauge's last value, a histogram's sum. */
  value: number;
  /** Calls so far: a histogram's number of observations. */
  count: number;
}

interface Family {
  readonly kind: MetricKind;
  readonly labels: readonly string[];
  readonly series: Map<string, Series>;
}

/** Keeps numbers in memory, for tests. */
export class MemoryMetrics implements Metrics {
  readonly #families = new Map<string, Family>();
  readonly #refreshers = new Set<() => void>();

  counter(definition: MetricDefinition): Counter {
    const family = this.#familyOf(definition, 'counter');
    return {
      add: (by = 1, labels = {}) => {
        checkValue(definition, by, 0);
        const series = seriesOf(family, definition, labels);
        series.value += by;
        series.count += 1;
      },
    };
  }

  gauge(definition: MetricDefinition): Gauge {
    const family = this.#familyOf(definition, 'gauge');
    return {
      set: (value, labels = {}) => {
        checkValue(definition, value, -Infinity);
        const series = seriesOf(family, definition, labels);
        series.value = value;
        series.count += 1;
      },
    };
  }

  histogram(definition: MetricDefinition & { readonly buckets: readonly number[] }): Histogram {
    const family = this.#familyOf(definition, 'histogram');
    return {
      observe: (value, labels = {}) => {
        checkValue(definition, value, -Infinity);
        const series = seriesOf(family, definition, labels);
        series.value += value;
        series.count += 1;
      },
    };
  }

  beforeRead(refresh: () => void): () => void {
    this.#refreshers.add(refresh);
    return () => this.#refreshers.delete(refresh);
  }

  /**
   * The sum over all series of a metric that have these labels: of a counter's increments, a gauge's last values, a
   * histogram's observations. 0 for a metric that nobody has used.
   */
  value(name: string, labels: Labels = {}): number {
    return this.#matching(name, labels).reduce((sum, series) => sum + series.value, 0);
  }

  /** How many calls there were, over all series with these labels: a histogram's number of observations. */
  count(name: string, labels: Labels = {}): number {
    return this.#matching(name, labels).reduce((sum, series) => sum + series.count, 0);
  }

  /** The names of all metrics that were asked for, without prefix. */
  get names(): readonly string[] {
    this.#refresh();
    return [...this.#families.keys()];
  }

  #refresh(): void {
    for (const refresh of this.#refreshers) refresh();
  }

  #matching(name: string, labels: Labels): readonly Series[] {
    this.#refresh();
    const series = [...(this.#families.get(name)?.series.values() ?? [])];
    return series.filter((one) => Object.entries(labels).every(([label, value]) => one.labels[label] === value));
  }

  #familyOf(definition: MetricDefinition, kind: MetricKind): Family {
    const known = this.#families.get(definition.name);
    checkDefinition(definition, kind, known);
    if (known !== undefined) return known;
    const family: Family = { kind, labels: definition.labels ?? [], series: new Map() };
    this.#families.set(definition.name, family);
    return family;
  }
}

function seriesOf(family: Family, definition: MetricDefinition, labels: Labels): Series {
  checkLabels(definition, labels);
  const key = (definition.labels ?? []).map((label) => labels[label]).join('\u0000');
  const known = family.series.get(key);
  if (known !== undefined) return known;
  const series: Series = { labels: { ...labels }, value: 0, count: 0 };
  assert(family.series.size < maximumSeries, () => `metric ${definition.name} has more than ${maximumSeries} series`);
  family.series.set(key, series);
  return series;
}
