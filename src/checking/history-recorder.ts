import type { JournalEntry } from '../ports/journal.ts';
import type { HistoryEvent } from './history-events.ts';
import {
  historyEntry,
  type History,
  type HistoryBounds,
  type HistoryEntry,
  type HistoryPart,
  type ReplicaContent,
} from './history.ts';

/** Most events that a recorder keeps when nothing else is said: some hundred megabytes of memory. */
export const defaultMaximumEvents = 1_000_000;

/** What a {@link HistoryRecorder} is made with. */
export interface HistoryRecorderOptions {
  readonly namespace: string;
  readonly shardCount: number;
  /** The parts that this recorder sees wholly; `journal` is added by {@link HistoryRecorder.finish}. */
  readonly parts: readonly Exclude<HistoryPart, 'journal' | 'replicas'>[];
  readonly bounds?: HistoryBounds;
  readonly maximumEvents?: number;
}

/** Puts a run's {@link History} together. It keeps what it is given, in that order, and asks nothing. */
export class HistoryRecorder {
  readonly #options: HistoryRecorderOptions;
  readonly #events: HistoryEvent[] = [];
  #dropped = 0;

  constructor(options: HistoryRecorderOptions) {
    this.#options = options;
  }

  /** Events that were over the cap. A history with any has no part whole but its journal. */
  get dropped(): number {
    return this.#dropped;
  }

  record(event: HistoryEvent): void {
    if (this.#events.length < (this.#options.maximumEvents ?? defaultMaximumEvents)) this.#events.push(event);
    else this.#dropped += 1;
  }

  /** Records what has begun and may never end; `complete` puts what it came to in its place. */
  open(begun: HistoryEvent): { complete(ended: HistoryEvent): void } {
    const index = this.#events.length;
    this.record(begun);
    const isKept = this.#events.length > index;
    return { complete: (ended) => (isKept ? void (this.#events[index] = ended) : undefined) };
  }

  /**
   * The history so far, with the journal that was read back.
   *
   * @param end - `entries`: the whole journal, in any order; `isHealed`: faults were over and the work had its time
   */
  finish(end: {
    readonly entries: readonly JournalEntry[];
    readonly endedAt: number;
    readonly isHealed: boolean;
    readonly replicas?: readonly ReplicaContent[];
  }): History {
    const { namespace, shardCount, bounds, parts } = this.#options;
    const { endedAt, isHealed, replicas } = end;
    const entries: HistoryEntry[] = end.entries
      .map((entry) => historyEntry(entry))
      .toSorted((left, right) => left.sequence - right.sequence);
    return {
      format: 1,
      namespace,
      shardCount,
      bounds: bounds ?? {},
      parts: [
        'journal',
        ...(this.#dropped > 0 ? [] : parts),
        ...(replicas === undefined ? [] : (['replicas'] as const)),
      ],
      isHealed,
      endedAt,
      entries,
      events: [...this.#events],
      ...(replicas === undefined ? {} : { replicas }),
    };
  }
}
