import type { Epoch, NodeId, ShardId } from '../core/ids.ts';
import type { ShardLock } from '../ports/leases.ts';
import type { Pins } from './load-bounds.ts';
import { memberKey, type Member, type MemberIdentity } from './membership.ts';

/** What one node sees of the cluster when it plans. Any part of it may be stale: the locks' compare-and-set decides. */
export interface ClusterPicture {
  /** Who should own each shard: of `placeShards` over the members that are not down. */
  readonly desired: ReadonlyMap<ShardId, NodeId>;
  /** The locks that exist; a shard without one was never taken. */
  readonly locks: readonly ShardLock[];
  /** The members of the view. */
  readonly members: readonly Member[];
  /** `memberKey` of members that the failure detector holds to be down, though their leases still run. */
  readonly down: ReadonlySet<string>;
  /** Shards that an operator wants at a node; none when left out. */
  readonly pins?: Pins | undefined;
}

/**
 * Where a shard stands between who owns it and who should.
 *
 * - `settled`: its owner is the one that should own it.
 * - `misplaced`: a live owner should hand it to another live node.
 * - `kept`: a cordoned owner keeps what it has, but for what an operator pins to another node.
 * - `stranded`: a live owner has it, and the node that should own it is not there.
 * - `free`: nobody owns it.
 * - `orphaned`: its owner is gone for good.
 */
export type StandingKind = 'settled' | 'misplaced' | 'kept' | 'stranded' | 'free' | 'orphaned';

/** Why an owner is held to be gone: found down, left the view, or started again as another incarnation. */
export type OwnerLoss = 'ownerDown' | 'ownerGone' | 'ownerRestarted';

/** One shard's standing, with what the lock says. */
export interface ShardStanding {
  readonly shard: ShardId;
  readonly kind: StandingKind;
  readonly owner: MemberIdentity | null;
  /** Null when no node is to own it. */
  readonly desired: NodeId | null;
  readonly epoch: Epoch;
  readonly revision: number;
  /** Only of an orphaned shard. */
  readonly loss: OwnerLoss | null;
}

/** The standing of every shard that has a lock or should have an owner, in order of shard. Pure. */
export function shardStandings(picture: ClusterPicture): readonly ShardStanding[] {
  const lookup = new MemberLookup(picture);
  const locks = new Map(picture.locks.map((lock) => [lock.shard, lock]));
  const shards = [...new Set([...locks.keys(), ...picture.desired.keys()])].toSorted((left, right) => left - right);
  return shards.map((shard) => {
    const desired = picture.desired.get(shard) ?? null;
    const { owner, epoch, revision } = locks.get(shard) ?? { owner: null, epoch: 0 as Epoch, revision: 0 };
    const loss = owner === null ? null : lookup.lossOf(owner);
    const isPinned = desired !== null && picture.pins?.get(shard) === desired;
    return { shard, kind: kindOf(lookup, { owner, desired, loss, isPinned }), owner, desired, epoch, revision, loss };
  });
}

function kindOf(
  lookup: MemberLookup,
  {
    owner,
    desired,
    loss,
    isPinned,
  }: Pick<ShardStanding, 'owner' | 'desired' | 'loss'> & { readonly isPinned: boolean },
): StandingKind {
  if (owner === null) return 'free';
  if (loss !== null) return 'orphaned';
  if (owner.nodeId === desired) return 'settled';
  if (lookup.keepsWhatItHas(owner) && !isPinned) return 'kept';
  return desired !== null && lookup.isUp(desired) ? 'misplaced' : 'stranded';
}

/** Answers about nodes from a picture. */
class MemberLookup {
  readonly #members: ReadonlyMap<NodeId, Member>;
  readonly #down: ReadonlySet<string>;

  constructor({ members, down }: Pick<ClusterPicture, 'members' | 'down'>) {
    this.#members = new Map(members.map((member) => [member.nodeId, member]));
    this.#down = down;
  }

  lossOf(owner: MemberIdentity): OwnerLoss | null {
    const member = this.#members.get(owner.nodeId);
    if (member === undefined) return 'ownerGone';
    if (member.incarnation !== owner.incarnation) return 'ownerRestarted';
    return this.#down.has(memberKey(owner)) ? 'ownerDown' : null;
  }

  isUp(nodeId: NodeId): boolean {
    const member = this.#members.get(nodeId);
    return member !== undefined && !this.#down.has(memberKey(member));
  }

  keepsWhatItHas(owner: MemberIdentity): boolean {
    const member = this.#members.get(owner.nodeId);
    return member !== undefined && member.cordoned && !member.draining;
  }
}
