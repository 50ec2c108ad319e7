import { readWholeJournal } from '../../src/checking/whole-journal.ts';
import type { Sequence, ShardId } from '../../src/core/ids.ts';
import type { Journal, JournalEntry } from '../../src/ports/journal.ts';
import { tapJournal } from './port-taps.ts';

/** A journal that keeps what is trimmed of it, so that all of it can be checked. */
export class TrimmedJournal {
  /** The journal as processes use it. */
  readonly keeping: Journal;
  readonly #inner: Journal;
  readonly #trimmed = new Map<Sequence, JournalEntry>();

  constructor(inner: Journal) {
    this.#inner = inner;
    this.keeping = {
      ...tapJournal(inner, (_call, make) => make()),
      trim: async (shard: ShardId, through: Sequence) => {
        for await (const entry of inner.read({ shard, after: 0 as Sequence, through })) {
          this.#trimmed.set(entry.sequence, entry);
        }
        await inner.trim(shard, through);
      },
    };
  }

  /** All of it in order, from the first message on. */
  async entries(shardCount: number): Promise<readonly JournalEntry[]> {
    const entries = new Map(this.#trimmed);
    for (const entry of await readWholeJournal(this.#inner, shardCount)) entries.set(entry.sequence, entry);
    return [...entries.values()].toSorted((left, right) => left.sequence - right.sequence);
  }
}
