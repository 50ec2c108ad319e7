import { assert } from '../core/errors.ts';
import type { NodeId, ShardId } from '../core/ids.ts';
import type { Member } from './membership.ts';

/** What placement asks of a member. The incarnation is not in it: a node that restarts gets its shards back. */
export type PlacementMember = Pick<Member, 'nodeId' | 'capacity' | 'draining' | 'cordoned' | 'declines'>;

/** Shards that are to be at a named node, whenever it may take them. */
export type Pins = ReadonlyMap<ShardId, NodeId>;

/** What is placed on whom. */
export interface PlacementInput {
  readonly members: readonly PlacementMember[];
  readonly shardCount: number;
  /** None when left out. */
  readonly pins?: Pins | undefined;
}

/** Least and most shards that placement gives a node. */
export interface LoadBounds {
  /**
   * The exact share: shards × capacity ÷ the capacity of all. A node to which more is pinned has that, and the others share what
   * it leaves.
   */
  readonly share: number;
  /** ⌊0.9 × share⌋, or as many as are pinned to it when that is more */
  readonly least: number;
  /** ⌈1.1 × share⌉, or as many as are pinned to it when the share is less than they */
  readonly most: number;
}

/** Percent that a node's load may lie from its share, before rounding away from it to a whole shard. */
export const imbalancePercent = 10;
/** Most shards that can be placed. */
export const maximumPlacedShards = 2 ** 20;

const noPins: Pins = new Map();

/** The bounds of each member that may own shards. The loads of {@link placeShards} never leave them. */
export function loadBounds(input: PlacementInput): ReadonlyMap<NodeId, LoadBounds> {
  const { members, shardCount } = input;
  const isCount = Number.isInteger(shardCount) && shardCount >= 1 && shardCount <= maximumPlacedShards;
  assert(isCount, () => `placement: shard count ${shardCount} is not an integer from 1 to ${maximumPlacedShards}`);
  const takers = eligible(members);
  const pinCounts = countsOf(honoredPins(input));
  const loads = takers.map((member) => ({ member, pins: pinCounts.get(member.nodeId) ?? 0 }));
  // Water filling: nodes to which more is pinned than their share have just that, and what they leave is the others' to share.
  let open = loads;
  let shards = shardCount;
  let total = takers.reduce((sum, { capacity }) => sum + capacity, 0);
  for (;;) {
    const isOver = ({ member, pins }: (typeof loads)[number]): boolean => pins * total > shards * member.capacity;
    const over = open.filter((load) => isOver(load));
    if (over.length === 0) break;
    open = open.filter((load) => !isOver(load));
    for (const { member, pins } of over) {
      shards -= pins;
      total -= member.capacity;
    }
  }
  const sharing = new Set(open.map(({ member }) => member.nodeId));
  return new Map(
    loads.map(({ member: { nodeId, capacity }, pins }) => {
      if (!sharing.has(nodeId)) return [nodeId, { share: pins, least: pins, most: pins }];
      // In whole numbers up to the one division, so that 1.1 × 10 is 11 and not a little more.
      const hundredfold = 100 * total;
      const least = Math.floor((shards * capacity * (100 - imbalancePercent)) / hundredfold);
      const most = Math.ceil((shards * capacity * (100 + imbalancePercent)) / hundredfold);
      return [nodeId, { share: (shards * capacity) / total, least: Math.max(least, pins), most }];
    }),
  );
}

/** The pins whose nodes may take their shards, in order of shard: what counts is only who is up, as all nodes see alike. */
export function honoredPins({ members, shardCount, pins = noPins }: PlacementInput): Pins {
  const takers = new Map(members.filter((member) => mayTake(member)).map((member) => [member.nodeId, member]));
  const honored = [...pins].filter(([shard, nodeId]) => {
    const taker = takers.get(nodeId);
    return shard < shardCount && taker !== undefined && taker.declines?.includes(shard) !== true;
  });
  return new Map(honored.toSorted(([left], [right]) => left - right));
}

/** Members that may own shards, in order of node id, so that equal offers too are taken in one order everywhere. */
export function eligible(members: readonly PlacementMember[]): readonly PlacementMember[] {
  const sorted = members.toSorted((left, right) => (left.nodeId < right.nodeId ? -1 : 1));
  for (const [index, { nodeId, capacity }] of sorted.entries()) {
    assert(nodeId !== sorted[index + 1]?.nodeId, () => `placement: node ${nodeId} is given twice`);
    const isCapacity = Number.isInteger(capacity) && capacity >= 1 && capacity <= maximumPlacedShards;
    assert(isCapacity, () => `placement: capacity ${capacity} of node ${nodeId} is not a whole number from 1`);
  }
  return sorted.filter((member) => mayTake(member));
}

function mayTake({ draining, cordoned }: PlacementMember): boolean {
  return !draining && !cordoned;
}

/** How many of the shards each node has. */
export function countsOf(owners: ReadonlyMap<ShardId, NodeId>): ReadonlyMap<NodeId, number> {
  const counts = new Map<NodeId, number>();
  for (const owner of owners.values()) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return counts;
}
