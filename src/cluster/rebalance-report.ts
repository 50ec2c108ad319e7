import type { NodeId, ShardId } from '../core/ids.ts';
import { memberKey, type Member } from './membership.ts';
import { loadBounds } from './load-bounds.ts';
import { shardStandings, type ClusterPicture, type ShardStanding, type StandingKind } from './shard-standing.ts';

/** One shard of `cluster status`. */
export interface ShardRow {
  readonly shard: ShardId;
  readonly from: NodeId | null;
  readonly to: NodeId | null;
  readonly epoch: number;
  readonly kind: StandingKind;
  /** The node that an operator wants it at; null when it goes where placement likes. */
  readonly pinnedTo: NodeId | null;
  readonly why: string;
}

/** One node of `cluster status`. */
export interface NodeRow {
  readonly nodeId: NodeId;
  readonly status: 'up' | 'down' | 'draining' | 'cordoned';
  readonly capacity: number;
  /** Shards that it owns now, and that it should own. */
  readonly owned: number;
  readonly desired: number;
  /** Its exact share and the bounds that placement keeps; null when it may own nothing new. */
  readonly share: number | null;
  readonly least: number | null;
  readonly most: number | null;
}

/** What `cluster status` and `rebalance --dry-run` show. */
export interface RebalanceReport {
  readonly nodes: readonly NodeRow[];
  readonly shards: readonly ShardRow[];
  /** Shards that will change their owner in good order, be taken over from a dead one, or be taken for being free. */
  readonly moves: number;
  readonly takeovers: number;
  readonly free: number;
  readonly isBalanced: boolean;
}

/** The whole cluster as tables. Pure. */
export function rebalanceReport(picture: ClusterPicture): RebalanceReport {
  const standings = shardStandings(picture);
  const count = (kind: StandingKind): number => standings.filter((standing) => standing.kind === kind).length;
  return {
    nodes: nodeRows(picture, standings),
    shards: standings.map((standing) => shardRow(standing, picture.pins?.get(standing.shard) ?? null)),
    moves: count('misplaced'),
    takeovers: count('orphaned'),
    free: count('free'),
    isBalanced: standings.every(({ kind }) => kind === 'settled'),
  };
}

/** The rows that `rebalance --dry-run` shows: shards that go from one node to another, or to a first one. */
export function movingShards(report: Pick<RebalanceReport, 'shards'>): readonly ShardRow[] {
  return report.shards.filter(({ kind }) => kind === 'misplaced' || kind === 'orphaned' || kind === 'free');
}

function shardRow(standing: ShardStanding, pinnedTo: NodeId | null): ShardRow {
  const { shard, owner, desired, epoch, kind } = standing;
  return { shard, from: owner?.nodeId ?? null, to: desired, epoch, kind, pinnedTo, why: reasonOf(standing, pinnedTo) };
}

function reasonOf(standing: ShardStanding, pinnedTo: NodeId | null): string {
  if (pinnedTo === null) return unpinnedReasonOf(standing);
  if (pinnedTo !== standing.desired)
    return `${unpinnedReasonOf(standing)}; pinned to ${pinnedTo}, which may not take it`;
  if (standing.kind === 'settled' || standing.kind === 'misplaced') return `pinned to ${pinnedTo}`;
  return `${unpinnedReasonOf(standing)}; pinned to ${pinnedTo}`;
}

function unpinnedReasonOf({ kind, owner, desired, epoch, loss }: ShardStanding): string {
  const from = owner?.nodeId ?? 'nobody';
  if (kind === 'settled') return 'where it should be';
  if (kind === 'kept') return `${from} is cordoned and keeps it`;
  if (kind === 'stranded') return desired === null ? 'no node may take it' : `${desired} is not up`;
  if (kind === 'misplaced') return `placement gives it to ${desired}`;
  if (kind === 'free') return epoch === 0 ? 'never owned' : 'released, not yet taken';
  if (loss === 'ownerDown') return `${from} is down`;
  return loss === 'ownerRestarted' ? `${from} started again` : `${from} has left`;
}

function nodeRows(picture: ClusterPicture, standings: readonly ShardStanding[]): readonly NodeRow[] {
  const up = picture.members.filter((member) => !picture.down.has(memberKey(member)));
  const bounds =
    picture.desired.size === 0
      ? null
      : loadBounds({ members: up, shardCount: picture.desired.size, pins: picture.pins });
  return picture.members.map((member) => {
    const { nodeId, capacity } = member;
    const bound = bounds?.get(nodeId);
    return {
      nodeId,
      status: statusOf(member, picture.down),
      capacity,
      owned: standings.filter(({ owner }) => owner !== null && memberKey(owner) === memberKey(member)).length,
      desired: standings.filter(({ desired }) => desired === nodeId).length,
      share: bound?.share ?? null,
      least: bound?.least ?? null,
      most: bound?.most ?? null,
    };
  });
}

function statusOf(member: Member, down: ReadonlySet<string>): NodeRow['status'] {
  if (down.has(memberKey(member))) return 'down';
  if (member.draining) return 'draining';
  return member.cordoned ? 'cordoned' : 'up';
}
