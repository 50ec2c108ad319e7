import { decodeCommit } from '../core/commit-codec.ts';
import type { Epoch, Sequence } from '../core/ids.ts';
import type { OwnerChange } from '../core/records.ts';
import type { JournalEntry } from '../ports/journal.ts';

/** Who an append is: no other append of any owner has the same. */
export interface AppendIdentity {
  readonly epoch: Epoch;
  readonly batch: number;
  /** The last sequence that the owner knew when it appended. */
  readonly expectedLast: Sequence;
  /** Of a claim: epoch and batch alone do not name it, for an epoch is given out twice when the bucket with the locks is lost. */
  readonly owner?: Pick<OwnerChange, 'node' | 'incarnation'> | undefined;
}

/** What the journal's last message says of an append that met a conflict (DESIGN §5.3). */
export type ConflictResolution =
  /** An earlier try of this very append was stored: effects may go out. */
  | { readonly kind: 'committed'; readonly sequence: Sequence }
  /** Another owner has written, a newer one, or the one whose claim of this very epoch came first: this one stops. */
  | { readonly kind: 'fenced'; readonly epoch: Epoch }
  /** An earlier owner has written since this one read: only its first append, the claim, can meet that. */
  | { readonly kind: 'outrun'; readonly sequence: Sequence }
  /** The last message is the one that was expected: the answer was out of date, so append again. */
  | { readonly kind: 'again' }
  /** The journal lacks what was acknowledged, or holds what nobody may have written. Nothing may be built on it. */
  | { readonly kind: 'broken'; readonly detail: string };

/**
 * Reads the fate of a conflicting append off the shard's last message, as the stream's leader has it. Pure.
 */
export function resolveConflict(append: AppendIdentity, last: JournalEntry | null): ConflictResolution {
  if (last === null) {
    if (append.expectedLast === 0) return { kind: 'again' };
    return { kind: 'broken', detail: `the journal is empty, but sequence ${append.expectedLast} was acknowledged` };
  }
  if (last.sequence === append.expectedLast) return { kind: 'again' };
  if (last.sequence < append.expectedLast) {
    return {
      kind: 'broken',
      detail: `the journal ends at ${last.sequence}, but ${append.expectedLast} was acknowledged`,
    };
  }
  const commit = decodeCommit(last.body);
  if (commit.epoch > append.epoch) return { kind: 'fenced', epoch: commit.epoch };
  if (commit.epoch < append.epoch) return { kind: 'outrun', sequence: last.sequence };
  if (append.owner !== undefined && !isSameOwner(append.owner, commit.owner)) {
    return { kind: 'fenced', epoch: commit.epoch };
  }
  if (commit.epoch === append.epoch && commit.batch === append.batch)
    return { kind: 'committed', sequence: last.sequence };
  return {
    kind: 'broken',
    detail: `epoch ${commit.epoch} batch ${commit.batch} stands at ${last.sequence}, where batch ${append.batch} was due`,
  };
}

function isSameOwner(owner: NonNullable<AppendIdentity['owner']>, other: OwnerChange | undefined): boolean {
  return owner.node === other?.node && owner.incarnation === other.incarnation;
}
