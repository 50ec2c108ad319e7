import { decodeCommit } from '../core/commit-codec.ts';
import { EngineError } from '../core/errors.ts';
import type { Epoch, NodeId, Sequence, ShardId } from '../core/ids.ts';
import type { Journal } from '../ports/journal.ts';
import type { LeaseStore, ShardLock } from '../ports/leases.ts';
import type { SnapshotStore } from '../ports/snapshots.ts';

/** Who wants a shard. */
export interface Claimant {
  readonly nodeId: NodeId;
  readonly incarnation: string;
}

/** A shard that was taken: the lock is written, the claim in the journal is the next step. */
export interface TakenShard {
  readonly epoch: Epoch;
  /** The lock's revision, for its release. */
  readonly revision: number;
  /** The journal's last sequence for the shard. */
  readonly lastSequence: Sequence;
  /** Whether its owner before was lost, or lost the shard: its lock was never given back. */
  readonly isAfterLoss: boolean;
}

/** What came of trying to take a shard. */
export type Takeover =
  | { readonly kind: 'taken'; readonly taken: TakenShard }
  /** Another node that is alive owns it. */
  | { readonly kind: 'held'; readonly by: NodeId }
  /** Somebody was faster. */
  | { readonly kind: 'lost' };

/**
 * Whether a claimant may try for a lock. Pure. A lease decides only who tries: the journal's fence keeps the loser from writing.
 *
 * @param live - the lives of nodes whose leases have not run out and that are not held to be down
 */
export function mayTake(lock: ShardLock, claimant: Claimant, live: readonly Claimant[]): boolean {
  const { owner } = lock;
  if (owner === null) return true;
  // A new process of the same node: the one before it is gone, or must go.
  if (owner.nodeId === claimant.nodeId) return true;
  return !live.some((lease) => lease.nodeId === owner.nodeId && lease.incarnation === owner.incarnation);
}

/**
 * Tries to take the lock of a shard by compare-and-set, with an epoch above every one that lock or journal knows.
 *
 * A journal that ends before the shard's checkpoint was lost or set back: it is refused before anything is written, for with every
 * claim it would grow, and look whole at last.
 *
 * @param plannedRevision - what the plan saw of the lock; another one means that somebody was faster
 * @throws EngineError `LOG_REGRESSED`, `UNAVAILABLE`, `RECORD_CORRUPT`
 */
export async function takeShard(
  deps: {
    readonly leases: LeaseStore;
    readonly journal: Journal;
    readonly snapshots: Pick<SnapshotStore, 'checkpoint'>;
  },
  shard: ShardId,
  claimant: Claimant,
  live: readonly Claimant[],
  plannedRevision?: number,
): Promise<Takeover> {
  const lock = await deps.leases.readShard(shard);
  if (plannedRevision !== undefined && lock.revision !== plannedRevision) return { kind: 'lost' };
  if (!mayTake(lock, claimant, live)) return { kind: 'held', by: lock.owner?.nodeId ?? claimant.nodeId };
  // First the checkpoint: an owner that still writes may move both meanwhile, and the journal is always ahead.
  const checkpoint = await deps.snapshots.checkpoint(shard);
  const last = await deps.journal.readLast(shard);
  checkReach(shard, checkpoint?.sequence ?? 0, last?.sequence ?? 0);
  // The lock's bucket may be younger than the journal, after a restore from a backup: the journal's epoch counts too.
  const journalEpoch = last === null ? 0 : decodeCommit(last.body).epoch;
  const epoch = (Math.max(lock.epoch, journalEpoch) + 1) as Epoch;
  const outcome = await deps.leases.writeShard({ shard, owner: claimant, epoch }, lock.revision);
  if (outcome.kind === 'lost') return { kind: 'lost' };
  return {
    kind: 'taken',
    taken: {
      epoch,
      revision: outcome.revision,
      lastSequence: last?.sequence ?? (0 as Sequence),
      isAfterLoss: lock.owner !== null,
    },
  };
}

function checkReach(shard: ShardId, checkpointed: number, last: number): void {
  if (checkpointed <= last) return;
  throw new EngineError(
    'LOG_REGRESSED',
    `shard ${shard}: its checkpoint is at ${checkpointed}, but the journal ends at ${last}`,
    {
      limit: `${checkpointed} or later`,
      got: `${last}`,
      hint: 'the journal was lost or set back: restore it from a copy that is as new as the snapshots, or remove both',
    },
  );
}

/** Gives a shard's lock back, so that the next owner need not wait. Harmless when it was taken meanwhile. */
export async function releaseShard(
  leases: LeaseStore,
  shard: ShardId,
  taken: Pick<TakenShard, 'epoch' | 'revision'>,
): Promise<void> {
  await leases.writeShard({ shard, owner: null, epoch: taken.epoch }, taken.revision);
}
