import { assert } from '../core/errors.ts';
import type { Epoch, NodeId, ShardId } from '../core/ids.ts';
import { memberKey, type MemberIdentity } from './membership.ts';
import { shardStandings, type ClusterPicture, type OwnerLoss, type ShardStanding } from './shard-standing.ts';

/** What one node plans from: what it sees of the cluster, and what it does itself. */
export interface AssignmentInput extends ClusterPicture {
  readonly self: MemberIdentity;
  /** Shards that this node serves, opens or hands over at this moment. */
  readonly serving: ReadonlySet<ShardId>;
  /** Shards that are being handed over, of this node and of others where it is known. */
  readonly inFlight: ReadonlySet<ShardId>;
  /** Shards whose handover did not come to an end: not moved for now, and not in the way of others. */
  readonly setAside: ReadonlySet<ShardId>;
  /** Handovers that may be under way in the whole cluster. Takeovers of dead owners' shards have no limit. */
  readonly maxMoves: number;
}

/** A lock to take by compare-and-set. */
export interface PlannedAcquire {
  readonly shard: ShardId;
  /** The owner that is gone, or null. */
  readonly from: NodeId | null;
  readonly why: OwnerLoss | 'free' | 'notServed';
  /** What the plan saw of the lock: the taker's epoch is higher, and another revision means that somebody was faster. */
  readonly epoch: Epoch;
  readonly revision: number;
}

/** A shard to hand over: stop admitting, drain, release. One whose lock is held but that is not served has only its lock to release. */
export interface PlannedRelease {
  readonly shard: ShardId;
  readonly to: NodeId;
  readonly why: 'rebalance' | 'draining';
  /** What the plan saw of the lock, for its release by compare-and-set where the shard is not served. */
  readonly epoch: Epoch;
  readonly revision: number;
}

/** A shard that this node should get or give, and must wait for. */
export interface WaitingShard {
  readonly shard: ShardId;
  /** `release`: a live node still has it. `turn`: this node will hand it over when fewer others move. */
  readonly for: 'release' | 'turn';
  /** The other node. */
  readonly node: NodeId;
}

/** What one node does next. No shard is in two of the lists. */
export interface AssignmentPlan {
  /** Takeovers of dead owners' shards first. */
  readonly acquire: readonly PlannedAcquire[];
  readonly release: readonly PlannedRelease[];
  readonly waiting: readonly WaitingShard[];
}

/**
 * One node's part in bringing ownership to where it should be. Pure.
 *
 * It takes what it should own as soon as nobody has it. It hands over what another live node should own, in an order that all
 * nodes share: the first `maxMoves` misplaced shards of the cluster may move, whoever owns them, so that nodes that see the same
 * keep the limit together without a coordinator. A released shard that its next owner has not yet taken is still moving.
 *
 * A node that is not a member of its own view, or is down in it, plans nothing: what it sees is stale, or it has no lease.
 */
export function planAssignment(input: AssignmentInput): AssignmentPlan {
  const { self, members, down, maxMoves } = input;
  assert(Number.isInteger(maxMoves) && maxMoves >= 0, () => `assignment: maxMoves ${maxMoves} is not a whole number`);
  const own = members.find((member) => memberKey(member) === memberKey(self));
  if (own === undefined || down.has(memberKey(self))) return { acquire: [], release: [], waiting: [] };

  const standings = shardStandings(input);
  const turn = shardsWhoseTurnItIs(standings, input);
  const acquire: PlannedAcquire[] = [];
  const release: PlannedRelease[] = [];
  const waiting: WaitingShard[] = [];
  for (const standing of standings) {
    const { shard, kind, owner, desired } = standing;
    const isOwn = owner !== null && memberKey(owner) === memberKey(self);
    const isForSelf = desired === self.nodeId;
    const why = isForSelf ? reasonToAcquire(standing, isOwn, input.serving) : null;
    if (why !== null) {
      acquire.push({ shard, from: owner?.nodeId ?? null, why, epoch: standing.epoch, revision: standing.revision });
    } else if (isForSelf && !isOwn && owner !== null) {
      waiting.push({ shard, for: 'release', node: owner.nodeId });
    } else if (isOwn && kind === 'misplaced' && desired !== null && !input.inFlight.has(shard)) {
      const { epoch, revision } = standing;
      const reason = own.draining ? 'draining' : 'rebalance';
      if (turn.has(shard)) release.push({ shard, to: desired, why: reason, epoch, revision });
      else waiting.push({ shard, for: 'turn', node: desired });
    }
  }
  // Nobody serves an orphaned shard: its tasks wait, and its place in the lists is before shards that were never lost.
  return { acquire: acquire.toSorted((left, right) => rankOf(left) - rankOf(right)), release, waiting };
}

function reasonToAcquire(
  standing: ShardStanding,
  isOwn: boolean,
  serving: ReadonlySet<ShardId>,
): PlannedAcquire['why'] | null {
  if (standing.kind === 'free') return 'free';
  if (standing.kind === 'orphaned') return standing.loss;
  // The lock was taken, and the shard could not be opened or was lost since: it is taken anew, under a higher epoch.
  return isOwn && !serving.has(standing.shard) ? 'notServed' : null;
}

/** Misplaced shards that may start to move, of all nodes: the first ones, as many as are left of the limit. */
function shardsWhoseTurnItIs(standings: readonly ShardStanding[], input: AssignmentInput): ReadonlySet<ShardId> {
  const { inFlight, setAside, maxMoves } = input;
  const isMoving = ({ shard, kind, epoch, desired }: ShardStanding): boolean =>
    !setAside.has(shard) && (inFlight.has(shard) || (kind === 'free' && epoch > 0 && desired !== null));
  const left = Math.max(0, maxMoves - standings.filter((standing) => isMoving(standing)).length);
  const candidates = standings.filter(
    (standing) => standing.kind === 'misplaced' && !setAside.has(standing.shard) && !inFlight.has(standing.shard),
  );
  return new Set(candidates.slice(0, left).map(({ shard }) => shard));
}

function rankOf({ why }: PlannedAcquire): number {
  return why === 'free' ? 1 : 0;
}
