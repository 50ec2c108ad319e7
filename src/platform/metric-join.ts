import { metricCatalog, type MetricJoinRule } from '../ports/metric-catalog.ts';
import type { Labels } from '../ports/metrics.ts';
import { writeExposition } from './exposition.ts';
import { sumHistograms, type HistogramValue } from '../core/histogram.ts';
import { foldLabels, maximumSeries, type MetricKind, type MetricSeries, type MetricSnapshot } from './metric-family.ts';
import { readSnapshot } from './read-snapshot.ts';

/** Options of {@link MetricJoin}. */
export interface MetricJoinOptions {
  /** Before every name; `cabinet_` when left out. */
  readonly prefix?: string;
  /** Slots that have values of their own; snapshots of further ones are dropped. 256 when left out. */
  readonly maximumSlots?: number;
}

/** A counter's sum or a gauge's value, or a histogram. */
type Value = number | HistogramValue;

/** One series of one process. */
interface SlotSeries {
  readonly family: Family;
  readonly key: string;
  value: Value;
}

interface Slot {
  /** Which life of the slot is up; of a dead slot, which was the last. */
  incarnation: number;
  isUp: boolean;
  /** When its last snapshot came, by the clock of {@link MetricJoin.render}; null before the first. */
  snapshotAtMs: number | null;
  series: Map<string, SlotSeries>;
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly kind: MetricKind;
  readonly rule: MetricJoinRule;
  /** Label values of each series that was ever seen, by key. */
  readonly labels: Map<string, Labels>;
  /** What the dead have counted, by key. Nothing for a gauge, which ends with its process. */
  readonly base: Map<string, Value>;
}

/**
 * The numbers of several processes as one scrape. Each process of a supervisor fills a slot and sends its snapshots; a scrape reads
 * the last ones and waits for nobody.
 *
 * A sum never goes back: what a process had counted when it died stays, under the successor of its slot. So a frozen process keeps
 * its last values, and their age is shown; a dead one keeps its counters and loses its gauges. Slots are numbered from 0 and used
 * again, so the number of series is bounded.
 */
export class MetricJoin {
  readonly #prefix: string;
  readonly #maximumSlots: number;
  readonly #rules: ReadonlyMap<string, MetricJoinRule>;
  readonly #slots = new Map<number, Slot>();
  readonly #families = new Map<string, Family>();

  constructor(options: MetricJoinOptions = {}) {
    this.#prefix = options.prefix ?? 'cabinet_';
    this.#maximumSlots = options.maximumSlots ?? 256;
    this.#rules = new Map(Object.values(metricCatalog).map(({ name, join }) => [`${this.#prefix}${name}`, join]));
  }

  /**
   * The process of a slot has told its numbers.
   *
   * @param incarnation - grows with every start in the slot; a message of an earlier life is late and changes nothing
   * @param snapshot - what `PrometheusMetrics.snapshot` gave there; what cannot be read of it is left out
   * @param atMs - when it came, by the monotonic clock
   */
  update(slot: number, incarnation: number, snapshot: readonly unknown[], atMs: number): void {
    const current = this.#slotOf(slot, incarnation);
    if (current?.incarnation !== incarnation || !current.isUp) return;
    current.snapshotAtMs = atMs;
    this.#take(current, snapshot);
  }

  /** A process of the slot has started; it has told nothing yet. What its predecessor had counted stays. */
  started(slot: number, incarnation: number): void {
    this.#slotOf(slot, incarnation);
  }

  /** The process of the slot has ended. @param finalSnapshot - its last words, when it had some */
  ended(slot: number, incarnation: number, finalSnapshot?: readonly unknown[]): void {
    const current = this.#slotOf(slot, incarnation);
    if (current?.incarnation !== incarnation || !current.isUp) return;
    if (finalSnapshot !== undefined) this.#take(current, finalSnapshot);
    this.#bury(current);
  }

  /**
   * All metrics in the text format of Prometheus.
   *
   * @param nowMs - by the clock of {@link update}
   * @param own - the numbers of the supervisor's own process, joined as those of one more
   */
  render(nowMs: number, own: readonly MetricSnapshot[] = []): string {
    return writeExposition(this.snapshot(nowMs, own));
  }

  /** The same as data, in the order of names. */
  snapshot(nowMs: number, own: readonly MetricSnapshot[] = []): readonly MetricSnapshot[] {
    const total = new Map<string, Map<string, Value>>();
    for (const family of this.#families.values()) total.set(family.name, new Map(family.base));
    for (const slot of this.#slots.values()) {
      for (const { family, key, value } of slot.series.values()) addTo(total, family, key, value);
    }
    for (const { family, key, value } of this.#read(own)) addTo(total, family, key, value);
    const families = [...this.#families.values()].map((family): MetricSnapshot => {
      const values = [...(total.get(family.name) ?? [])];
      const series = values.map(([key, value]) => toSeries(family.labels.get(key) ?? {}, value));
      return { name: family.name, help: family.help, kind: family.kind, series };
    });
    // A supervisor may know more of its processes than what they have told.
    const workers = this.#workers(nowMs).filter(({ name }) => !this.#families.has(name));
    return [...families, ...workers].toSorted((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** The slot as of that incarnation or a later one; null when there are too many. */
  #slotOf(number: number, incarnation: number): Slot | null {
    const known = this.#slots.get(number);
    if (known === undefined) {
      if (this.#slots.size >= this.#maximumSlots) return null;
      const slot: Slot = { incarnation, isUp: true, snapshotAtMs: null, series: new Map() };
      this.#slots.set(number, slot);
      return slot;
    }
    if (incarnation > known.incarnation) {
      // Its end was not told, or is yet to be.
      if (known.isUp) this.#bury(known);
      known.incarnation = incarnation;
      known.isUp = true;
      known.snapshotAtMs = null;
    }
    return known;
  }

  #take(slot: Slot, snapshot: readonly unknown[]): void {
    const before = slot.series;
    slot.series = new Map();
    for (const { family, key, value } of this.#read(readSnapshot(snapshot))) {
      const id = `${family.name}\u0000${key}`;
      const known = slot.series.get(id);
      // Several series of one process come together where user-made names are too many.
      if (known === undefined) slot.series.set(id, { family, key, value });
      else known.value = joined(family, known.value, value);
    }
    for (const [id, old] of before) {
      if (old.family.kind === 'gauge') continue;
      const now = slot.series.get(id);
      // Within one life a counter cannot fall: this snapshot was overtaken by a later one, or has lost a series.
      if (now === undefined) slot.series.set(id, old);
      else now.value = highest(old.value, now.value);
    }
  }

  #bury(slot: Slot): void {
    slot.isUp = false;
    for (const { family, key, value } of slot.series.values()) {
      if (family.kind === 'gauge') continue;
      const base = family.base.get(key);
      family.base.set(key, base === undefined ? value : joined(family, base, value));
    }
    slot.series = new Map();
  }

  *#read(snapshot: readonly MetricSnapshot[]): Iterable<SlotSeries> {
    for (const { name, help, kind, series } of snapshot) {
      const family = this.#familyOf(name, help, kind);
      // A process of another version may hold the name to be of another kind: one name has one kind in a scrape.
      if (family.kind !== kind) continue;
      for (const one of series) {
        const key = admit(family, one.labels);
        yield { family, key, value: 'value' in one ? one.value : one };
      }
    }
  }

  #familyOf(name: string, help: string, kind: MetricKind): Family {
    const known = this.#families.get(name);
    if (known !== undefined) return known;
    const rule = kind === 'gauge' ? (this.#rules.get(name) ?? ruleOf(name)) : 'sum';
    const family: Family = { name, help, kind, rule, labels: new Map(), base: new Map() };
    this.#families.set(name, family);
    return family;
  }

  #workers(nowMs: number): readonly MetricSnapshot[] {
    const slots = [...this.#slots].toSorted(([left], [right]) => left - right);
    const up = slots.map(([number, { isUp }]) => ({ labels: { slot: String(number) }, value: Number(isUp) }));
    const ages = slots.flatMap(([number, { isUp, snapshotAtMs }]) =>
      isUp && snapshotAtMs !== null
        ? [{ labels: { slot: String(number) }, value: Math.max(0, nowMs - snapshotAtMs) / 1_000 }]
        : [],
    );
    const { workerUp, snapshotAge } = metricCatalog;
    return [
      { name: `${this.#prefix}${workerUp.name}`, help: workerUp.help, kind: 'gauge', series: up },
      { name: `${this.#prefix}${snapshotAge.name}`, help: snapshotAge.help, kind: 'gauge', series: ages },
    ];
  }
}

/** Node's own gauges and the user's: delays and instants by the worst, descriptions by the newest, all else by the sum. */
function ruleOf(name: string): MetricJoinRule {
  if (name.endsWith('_info')) return 'last';
  return /(_seconds|_ratio)$/.test(name) ? 'max' : 'sum';
}

/** The key under which a series is kept: its own, or that of the folded labels when there are too many. */
function admit(family: Family, labels: Labels): string {
  const key = keyOf(labels);
  if (family.labels.has(key)) return key;
  const isFull = family.labels.size >= maximumSeries;
  const kept = isFull ? foldLabels(labels) : labels;
  const keptKey = isFull ? keyOf(kept) : key;
  family.labels.set(keptKey, kept);
  return keptKey;
}

function keyOf(labels: Labels): string {
  let key = '';
  for (const name of Object.keys(labels).toSorted()) key += `${name}\u0000${labels[name]}\u0000`;
  return key;
}

function addTo(total: Map<string, Map<string, Value>>, family: Family, key: string, value: Value): void {
  const series = total.get(family.name) ?? new Map<string, Value>();
  total.set(family.name, series);
  const known = series.get(key);
  series.set(key, known === undefined ? value : joined(family, known, value));
}

function joined(family: Family, left: Value, right: Value): Value {
  if (typeof left !== 'number' && typeof right !== 'number') return sumHistograms(left, right);
  if (typeof left !== 'number' || typeof right !== 'number') return left;
  if (family.rule === 'last') return right;
  return family.rule === 'max' ? Math.max(left, right) : left + right;
}

function highest(left: Value, right: Value): Value {
  if (typeof left !== 'number' && typeof right !== 'number') return left.count > right.count ? left : right;
  return typeof left === 'number' && typeof right === 'number' ? Math.max(left, right) : right;
}

function toSeries(labels: Labels, value: Value): MetricSeries {
  if (typeof value === 'number') return { labels, value };
  const { count, sum, buckets } = value;
  return { labels, count, sum, buckets };
}
