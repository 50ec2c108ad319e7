import type { Sequence, ShardId } from '../core/ids.ts';
import type { JournalEntry } from '../ports/journal.ts';

/**
 * Notices what a reader has missed. Each shard is trimmed on its own, so the stream's first sequence tells little: a shard
 * at rest keeps its old last message, and holes lie behind it. But each entry names the shard's entry before it.
 */
export class ShardChain {
  readonly #after: Sequence | null;
  readonly #lastOf = new Map<ShardId, Sequence>();

  /** @param after - all up to here was read before; null: the reader takes the journal as it finds it */
  constructor(after: Sequence | null) {
    this.#after = after;
  }

  /** Takes the next entry; gives the sequence of the last entry that was missed before it, or null when none was. */
  follow(entry: JournalEntry): Sequence | null {
    const known = this.#lastOf.get(entry.shard) ?? this.#after;
    this.#lastOf.set(entry.shard, entry.sequence);
    if (known === null || entry.previous === undefined || entry.previous <= known) return null;
    return entry.previous;
  }
}
