import {
  collectDefaultMetrics,
  Counter as PrometheusCounter,
  Gauge as PrometheusGauge,
  Histogram as PrometheusHistogram,
  Registry,
} from 'prom-client';

import type { Counter, Gauge, Histogram, Labels, MetricDefinition, Metrics } from '../ports/metrics.ts';
import {
  checkDefinition,
  checkLabels,
  checkValue,
  type MetricKind,
  type MetricSeries,
  type MetricSnapshot,
} from './metric-family.ts';

/** Options of {@link PrometheusMetrics}. */
export interface PrometheusMetricsOptions {
  /** Before every name; `cabinet_` when left out. */
  readonly prefix?: string;
  /** Labels of every series of this process, for example its slot. */
  readonly labels?: Labels;
  /** Also collect Node's own numbers: processor, memory, event-loop lag, garbage collection. Off when left out. */
  readonly processMetrics?: boolean;
}

/** The engine's numbers in a registry of their own, for a Prometheus scrape. */
export class PrometheusMetrics implements Metrics {
  /** Media type of {@link text}. */
  readonly contentType: string;
  readonly #registry = new Registry();
  readonly #prefix: string;
  readonly #families = new Map<string, { readonly kind: MetricKind; readonly handle: Counter | Gauge | Histogram }>();

  constructor(options: PrometheusMetricsOptions = {}) {
    this.#prefix = options.prefix ?? 'cabinet_';
    this.contentType = this.#registry.contentType;
    if (options.labels !== undefined) this.#registry.setDefaultLabels({ ...options.labels });
    if (options.processMetrics === true) collectDefaultMetrics({ register: this.#registry, prefix: this.#prefix });
  }

  counter(definition: MetricDefinition): Counter {
    return this.#handleOf(definition, 'counter', (settings): Counter => {
      const pending = new PendingSeries(definition);
      void new PrometheusCounter({
        ...settings,
        collect() {
          for (const { labels, value } of pending.take()) this.inc({ ...labels }, value);
        },
      });
      return {
        add: (by = 1, labels = noLabels) => {
          checkValue(definition, by, 0);
          pending.of(labels).value += by;
        },
      };
    });
  }

  gauge(definition: MetricDefinition): Gauge {
    return this.#handleOf(definition, 'gauge', (settings): Gauge => {
      const pending = new PendingSeries(definition);
      void new PrometheusGauge({
        ...settings,
        collect() {
          for (const { labels, value } of pending.take()) this.set({ ...labels }, value);
        },
      });
      return {
        set: (value, labels = noLabels) => {
          checkValue(definition, value, -Infinity);
          pending.of(labels).value = value;
        },
      };
    });
  }

  histogram(definition: MetricDefinition & { readonly buckets: readonly number[] }): Histogram {
    return this.#handleOf(definition, 'histogram', (settings): Histogram => {
      const histogram = new PrometheusHistogram({ ...settings, buckets: [...definition.buckets] });
      return {
        observe: (value, labels = {}) => {
          checkValue(definition, value, -Infinity);
          checkLabels(definition, labels);
          histogram.observe(labels, value);
        },
      };
    });
  }

  /** All metrics in the text format of Prometheus. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** All metrics as plain JSON, for another process to merge and to serve. */
  async snapshot(): Promise<readonly MetricSnapshot[]> {
    const families = (await this.#registry.getMetricsAsJSON()) as unknown as readonly RegistryFamily[];
    return families.flatMap((family) => {
      const { type } = family;
      if (type !== 'counter' && type !== 'gauge' && type !== 'histogram') return [];
      const series = type === 'histogram' ? readHistogram(family) : family.values.map(readSeries);
      return [{ name: family.name, help: family.help, kind: type, series }];
    });
  }

  #handleOf<Handle extends Counter | Gauge | Histogram>(
    definition: MetricDefinition,
    kind: MetricKind,
    make: (settings: { name: string; help: string; labelNames: string[]; registers: Registry[] }) => Handle,
  ): Handle {
    const known = this.#families.get(definition.name);
    checkDefinition(definition, kind, known?.kind);
    if (known !== undefined) return known.handle as Handle;
    const handle = make({
      name: `${this.#prefix}${definition.name}`,
      help: definition.help,
      labelNames: [...(definition.labels ?? [])],
      registers: [this.#registry],
    });
    this.#families.set(definition.name, { kind, handle });
    return handle;
  }
}

const noLabels: Labels = Object.freeze({});

/**
 * What was counted since the last scrape, by label values. The hot path adds a number here; prom-client, which makes an object and
 * a hash of each call, hears of it only when somebody reads.
 */
class PendingSeries {
  readonly #definition: MetricDefinition;
  readonly #byKey = new Map<string, { readonly labels: Labels; value: number; isNew: boolean }>();

  constructor(definition: MetricDefinition) {
    this.#definition = definition;
  }

  /** The entry of those label values; the caller changes its value. */
  of(labels: Labels): { value: number } {
    let key = '';
    for (const name of this.#definition.labels ?? []) key += `${labels[name]}\u0000`;
    let entry = this.#byKey.get(key);
    if (entry === undefined) {
      checkLabels(this.#definition, labels);
      entry = { labels: { ...labels }, value: 0, isNew: true };
      this.#byKey.set(key, entry);
    }
    entry.isNew = true;
    return entry;
  }

  /** What is new since the last call; counters start again at 0. */
  *take(): Iterable<{ readonly labels: Labels; readonly value: number }> {
    for (const entry of this.#byKey.values()) {
      if (!entry.isNew) continue;
      const { labels, value } = entry;
      entry.isNew = false;
      entry.value = 0;
      yield { labels, value };
    }
  }
}

/** A metric as the registry gives it as JSON. */
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
