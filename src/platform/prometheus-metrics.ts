import { collectDefaultMetrics, Registry } from 'prom-client';

import type { Counter, Gauge, Histogram, Labels, MetricDefinition, Metrics } from '../ports/metrics.ts';
import { expositionContentType, writeExposition } from './exposition.ts';
import {
  checkDefinition,
  checkLabels,
  checkValue,
  foldLabels,
  maximumSeries,
  type MetricKind,
  type MetricSeries,
  type MetricSnapshot,
} from './metric-family.ts';
import { readRegistry } from './registry-snapshot.ts';

/** Options of {@link PrometheusMetrics}. */
export interface PrometheusMetricsOptions {
  /** Before every name; `cabinet_` when left out. */
  readonly prefix?: string;
  /** Labels of every series of this process, for example its slot. */
  readonly labels?: Labels;
  /** Also collect Node's own numbers: processor, memory, event-loop lag, garbage collection. Off when left out. */
  readonly processMetrics?: boolean;
}

/** The engine's numbers in this process, for a Prometheus scrape. A number is added to an entry found by its labels, and no more. */
export class PrometheusMetrics implements Metrics {
  /** Media type of {@link text}. */
  readonly contentType = expositionContentType;
  readonly #prefix: string;
  readonly #labels: Labels;
  readonly #families = new Map<string, Family>();
  readonly #refreshers = new Set<() => void>();
  /** Node's own numbers; null when nobody asked for them. */
  readonly #registry: Registry | null;

  constructor(options: PrometheusMetricsOptions = {}) {
    this.#prefix = options.prefix ?? 'cabinet_';
    this.#labels = { ...options.labels };
    this.#registry = options.processMetrics === true ? new Registry() : null;
    if (this.#registry !== null) collectDefaultMetrics({ register: this.#registry, prefix: this.#prefix });
  }

  counter(definition: MetricDefinition): Counter {
    const family = this.#familyOf(definition, 'counter', noBuckets);
    return {
      add: (by = 1, labels = noLabels) => {
        checkValue(definition, by, 0);
        family.of(labels).sum += by;
      },
    };
  }

  gauge(definition: MetricDefinition): Gauge {
    const family = this.#familyOf(definition, 'gauge', noBuckets);
    return {
      set: (value, labels = noLabels) => {
        checkValue(definition, value, -Infinity);
        family.of(labels).sum = value;
      },
    };
  }

  histogram(definition: MetricDefinition & { readonly buckets: readonly number[] }): Histogram {
    const family = this.#familyOf(definition, 'histogram', definition.buckets);
    return {
      observe: (value, labels = noLabels) => {
        checkValue(definition, value, -Infinity);
        const entry = family.of(labels);
        entry.sum += value;
        entry.count += 1;
        const { buckets } = family;
        let index = 0;
        while (index < buckets.length && value > (buckets[index] ?? Infinity)) index += 1;
        entry.counts[index] = (entry.counts[index] ?? 0) + 1;
      },
    };
  }

  beforeRead(refresh: () => void): () => void {
    this.#refreshers.add(refresh);
    return () => this.#refreshers.delete(refresh);
  }

  /** All metrics in the text format of Prometheus. */
  async text(): Promise<string> {
    return writeExposition(await this.snapshot());
  }

  /** All metrics as plain JSON, for another process to merge and to serve. */
  async snapshot(): Promise<readonly MetricSnapshot[]> {
    for (const refresh of this.#refreshers) refresh();
    const own = [...this.#families.values()].map((family) => family.snapshot(this.#prefix, this.#labels));
    return this.#registry === null ? own : [...own, ...(await readRegistry(this.#registry, this.#labels))];
  }

  #familyOf(definition: MetricDefinition, kind: MetricKind, buckets: readonly number[]): Family {
    const known = this.#families.get(definition.name);
    checkDefinition(definition, kind, known);
    if (known !== undefined) return known;
    const family = new Family(definition, kind, buckets);
    // A metric without labels shows 0 from the start, so that its first increment is an increase.
    if ((definition.labels ?? []).length === 0) family.of(noLabels);
    this.#families.set(definition.name, family);
    return family;
  }
}

const noLabels: Labels = Object.freeze({});
const noBuckets: readonly number[] = [];

interface Entry {
  readonly labels: Labels;
  /** A counter's sum, a gauge's value, a histogram's sum. */
  sum: number;
  /** A histogram's observations. */
  count: number;
  /** A histogram's observations by bucket, not cumulative; the last is over all bounds. */
  readonly counts: number[];
}

/** By the value of one label: the entries, when it is the last label, else what follows it. */
type Branch = Map<string, Branch | Entry>;

class Family {
  readonly kind: MetricKind;
  readonly buckets: readonly number[];
  readonly #definition: MetricDefinition;
  readonly labels: readonly string[];
  readonly #entries: Entry[] = [];
  /** The entry that has no labels, or the tree of the entries by the value of each label in turn. */
  readonly #tree: Branch = new Map();
  #single: Entry | null = null;

  constructor(definition: MetricDefinition, kind: MetricKind, buckets: readonly number[]) {
    this.kind = kind;
    this.buckets = buckets;
    this.#definition = definition;
    this.labels = definition.labels ?? [];
  }

  /** The entry of those label values; the caller changes it. */
  of(labels: Labels): Entry {
    return this.#find(labels) ?? this.#add(labels);
  }

  #find(labels: Labels): Entry | undefined {
    // By one look-up a label, not by a key that is put together: this is asked several times for every record.
    let found: Branch | Entry | undefined = this.labels.length === 0 ? (this.#single ?? undefined) : this.#tree;
    for (let index = 0; index < this.labels.length && found !== undefined; index += 1) {
      found = (found as Branch).get(labels[this.labels[index] as string] as string);
    }
    return found as Entry | undefined;
  }

  snapshot(prefix: string, shared: Labels): MetricSnapshot {
    const { name, help } = this.#definition;
    const series = this.#entries.map((entry): MetricSeries => {
      const labels = { ...entry.labels, ...shared };
      if (this.kind !== 'histogram') return { labels, value: entry.sum };
      let upTo = 0;
      const buckets = this.buckets.map((bound, index) => {
        upTo += entry.counts[index] ?? 0;
        return { upTo: bound, count: upTo };
      });
      return { labels, count: entry.count, sum: entry.sum, buckets };
    });
    return { name: `${prefix}${name}`, help, kind: this.kind, series };
  }

  #add(labels: Labels): Entry {
    checkLabels(this.#definition, labels);
    if (this.#entries.length < maximumSeries) return this.#put({ ...labels });
    const folded = foldLabels(labels);
    return this.#find(folded) ?? this.#put(folded);
  }

  #put(labels: Labels): Entry {
    const counts = Array.from<number>({ length: this.kind === 'histogram' ? this.buckets.length + 1 : 0 }).fill(0);
    const entry: Entry = { labels, sum: 0, count: 0, counts };
    this.#entries.push(entry);
    if (this.labels.length === 0) {
      this.#single = entry;
      return entry;
    }
    let branch = this.#tree;
    for (const name of this.labels.slice(0, -1)) {
      const value = labels[name] as string;
      const next = (branch.get(value) as Branch | undefined) ?? new Map();
      branch.set(value, next);
      branch = next;
    }
    branch.set(labels[this.labels.at(-1) as string] as string, entry);
    return entry;
  }
}
