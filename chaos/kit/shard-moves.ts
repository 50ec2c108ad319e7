import { decodeCommit } from '../../src/core/commit-codec.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';

/** A change of membership, by the wall clock. */
export interface MembershipChange {
  readonly at: number;
}

/** What one change moved. */
export interface Moves {
  /** Shards that were taken after it and before the next one. */
  readonly moved: number;
  /** How often the shard that moved most was taken. */
  readonly most: number;
}

/** What each change of membership moved, by the claims in the journal. Pure. */
export function movesOfChanges(
  entries: readonly JournalEntry[],
  changes: readonly MembershipChange[],
): readonly Moves[] {
  return changes.map(({ at }, index) => {
    const until = changes[index + 1]?.at ?? Number.POSITIVE_INFINITY;
    const taken = new Map<number, number>();
    for (const { shard, storedAt, body } of entries) {
      if (storedAt < at || storedAt >= until || decodeCommit(body).owner === undefined) continue;
      taken.set(shard, (taken.get(shard) ?? 0) + 1);
    }
    return { moved: taken.size, most: Math.max(0, ...taken.values()) };
  });
}
