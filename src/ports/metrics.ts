/** Label values of one metric. Task ids are never labels. */
export type Labels = Readonly<Record<string, string>>;

/** A number that only grows. */
export interface Counter {
  /** @param by - ≥ 0, 1 when left out */
  add(by?: number, labels?: Labels): void;
}

/** A number that goes up and down. */
export interface Gauge {
  set(value: number, labels?: Labels): void;
}

/** A distribution. Seconds, bytes or counts, as the name's unit says. */
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

/** A metric's name (without prefix), help and labels. Counters end in `_total`, others in their unit. */
export interface MetricDefinition {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

/** Where the engine's numbers go. The same name gives the same metric. */
export interface Metrics {
  counter(definition: MetricDefinition): Counter;
  gauge(definition: MetricDefinition): Gauge;
  /** @param buckets - upper bounds, ascending */
  histogram(definition: MetricDefinition & { readonly buckets: readonly number[] }): Histogram;
  /**
   * Calls `refresh` before values are read, until the returned function is called: it sets gauges that are counted off a state
   * somewhere, so that nothing is paid for them between two scrapes.
   */
  beforeRead(refresh: () => void): () => void;
}
