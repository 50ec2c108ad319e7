import type { HistoryEvent } from '../../src/checking/history-events.ts';
import type { History, HistoryBounds, HistoryEntry, HistoryPart } from '../../src/checking/history.ts';
import type { Epoch, NodeId, Sequence, ShardId } from '../../src/core/ids.ts';
import type { Commit, TaskRecord } from '../../src/core/records.ts';

/** Writes the history of one shard by hand: each commit follows the one before, as an owner makes them. */
export class HistoryWriter {
  readonly #entries: HistoryEntry[] = [];
  readonly #events: HistoryEvent[] = [];
  #epoch = 0;
  #batch = 0;
  #at = 0;

  /** The next owner's first message. */
  claim(): this {
    this.#epoch += 1;
    this.#batch = 0;
    const epoch = this.#epoch as Epoch;
    const owner = { epoch, node: `n-${epoch}` as NodeId, incarnation: `i-${epoch}` };
    return this.#write([], { owner });
  }

  /** One commit of each record, stored when it was decided. */
  commit(...records: readonly TaskRecord[]): this {
    for (const record of records) {
      this.#at = Math.max(this.#at, record.at);
      this.#write([record], {});
    }
    return this;
  }

  event(...events: readonly HistoryEvent[]): this {
    this.#events.push(...events);
    return this;
  }

  /** The sequence of the last message. */
  get last(): Sequence {
    return this.#entries.length as Sequence;
  }

  history(parts: readonly HistoryPart[] = [], bounds: HistoryBounds = {}): History {
    return {
      format: 1,
      namespace: 'cabinet',
      shardCount: 1,
      bounds,
      parts: ['journal', ...parts],
      isHealed: false,
      endedAt: this.#at,
      entries: [...this.#entries],
      events: [...this.#events],
    };
  }

  #write(records: readonly TaskRecord[], extra: Partial<Commit>): this {
    this.#batch += 1;
    const sequence = (this.#entries.length + 1) as Sequence;
    this.#entries.push({
      shard: 0 as ShardId,
      sequence,
      previous: (sequence - 1) as Sequence,
      storedAt: this.#at,
      commit: { format: 1, epoch: this.#epoch as Epoch, batch: this.#batch, at: this.#at, ...extra, records },
    });
    return this;
  }
}

/** A history with some of its entries changed, dropped (null) or followed by others. */
export function mapEntries(
  history: History,
  change: (entry: HistoryEntry, index: number) => HistoryEntry | readonly HistoryEntry[] | null,
): History {
  return {
    ...history,
    entries: history.entries.flatMap((entry, index) => change(entry, index) ?? []),
  };
}

/** A history with some of its events changed, dropped (null) or followed by others. */
export function mapEvents(
  history: History,
  change: (event: HistoryEvent, index: number) => HistoryEvent | readonly HistoryEvent[] | null,
): History {
  return { ...history, events: history.events.flatMap((event, index) => change(event, index) ?? []) };
}

/** A history with one record changed: the one that is found. @throws Error when none is */
export function changeRecord(
  history: History,
  find: (record: TaskRecord) => boolean,
  change: (record: TaskRecord) => TaskRecord,
): History {
  let isDone = false;
  const changed = mapEntries(history, (entry) => {
    if (isDone || entry.commit === null || !entry.commit.records.some(find)) return entry;
    isDone = true;
    let isChanged = false;
    const records = entry.commit.records.map((record) => {
      if (isChanged || !find(record)) return record;
      isChanged = true;
      return change(record);
    });
    return { ...entry, commit: { ...entry.commit, records } };
  });
  if (!isDone) throw new Error('the history has no such record');
  return changed;
}

/** A history with one event changed, dropped or followed by others: the first that is found. @throws Error when none is */
export function changeEvent<Type extends HistoryEvent['type']>(
  history: History,
  type: Type,
  find: (event: Extract<HistoryEvent, { type: Type }>) => boolean,
  change: (event: Extract<HistoryEvent, { type: Type }>) => HistoryEvent | readonly HistoryEvent[] | null,
): History {
  let isDone = false;
  const changed = mapEvents(history, (event) => {
    if (isDone || event.type !== type) return event;
    const own = event as Extract<HistoryEvent, { type: Type }>;
    if (!find(own)) return event;
    isDone = true;
    return change(own);
  });
  if (!isDone) throw new Error(`the history has no such ${type}`);
  return changed;
}

/** A history of fewer parts: what is not named was not recorded. */
export function onlyParts(history: History, ...parts: readonly HistoryPart[]): History {
  return { ...history, parts, isHealed: false };
}
