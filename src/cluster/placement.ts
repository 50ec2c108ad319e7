import FlatQueue from 'flatqueue';

import { assert } from '../core/errors.ts';
import { hash32 } from '../core/hash.ts';
import type { NodeId, ShardId } from '../core/ids.ts';
import {
  countsOf,
  eligible,
  honoredPins,
  loadBounds,
  maximumPlacedShards,
  type LoadBounds,
  type PlacementInput,
  type PlacementMember,
} from './load-bounds.ts';

/**
 * Which node should own each shard: consistent hashing with bounded load. Pure, equal on all nodes and for any order of members.
 *
 * A pinned shard goes to its node when that may take it; if not, it is placed as any other, so that none is without an owner. What
 * is pinned counts to the node's load, and the other shards are balanced around it.
 *
 * Draining and cordoned members get nothing; without any other the map is empty. A shard that its node declines goes to the least
 * loaded one that does not, if there is one. But for that every load is within {@link loadBounds}. A node
 * that comes or goes moves about its own share; see the tests for how much more the bounds cost.
 *
 * How: each node has its own random order of the shards, and goes down it, faster with more capacity. The best offer in the whole
 * cluster is taken next, until a shard has an owner; so the result is the stable matching of shards and nodes. A node at its
 * upper bound stops, and seats above the lower bounds are only as many as leave the lower bounds to the others.
 *
 * @see "Weighted Distributed Hash Tables", Schindelhauer and Schomaker, 2005: a node of weight w offers at an exponential time
 *   of rate w. Here the k-th of a node's offers is drawn around its expected time, 1/K + … + 1/(K−k), and not freely: a node's
 *   offers are spread evenly, so that loads differ less before any bound is needed.
 * @see "Consistent Hashing with Bounded Loads", Mirrokni, Thorup and Zadimoghaddam, 2016, for the bound of (1 + ε) × share
 */
export function placeShards(input: PlacementInput): ReadonlyMap<ShardId, NodeId> {
  const { shardCount } = input;
  const bounds = loadBounds(input);
  const bidders = eligible(input.members).map((member) => new Bidder(member, boundsOf(bounds, member), shardCount));
  if (bidders.length === 0) return new Map();

  const timesOfOffers = expectedTimes(shardCount);
  const owners = new Map(honoredPins(input));
  const pinCounts = countsOf(owners);
  for (const bidder of bidders) bidder.load = pinCounts.get(bidder.nodeId) ?? 0;
  // Seats that may be given beyond the lower bounds. At 0 whoever has reached its own lower bound takes no more.
  let spareSeats = shardCount - bidders.reduce((sum, bidder) => sum + bidder.bounds.least, 0);
  const queue = new FlatQueue();
  for (const [index, bidder] of bidders.entries()) queue.push(index, bidder.nextOfferAt(timesOfOffers));

  while (owners.size < shardCount) {
    const index = queue.pop();
    // Cannot be: were every node at a bound, the bounds' sums would not enclose the shard count.
    assert(index !== undefined, () => `placement: ${shardCount - owners.size} shards are left over`);
    const bidder = bidders[index] as Bidder;
    const isSpare = bidder.load >= bidder.bounds.least;
    if (isSpare && (spareSeats === 0 || bidder.load === bidder.bounds.most)) continue;
    if (!owners.has(bidder.nextShard)) {
      owners.set(bidder.nextShard, bidder.nodeId);
      bidder.load += 1;
      if (isSpare) spareSeats -= 1;
    }
    if (bidder.advance(owners)) queue.push(index, bidder.nextOfferAt(timesOfOffers));
  }
  redirectDeclined(owners, eligible(input.members));
  return new Map([...owners].toSorted(([left], [right]) => left - right));
}

/** Moves declined shards, in order of shard, so that all nodes do it alike. */
function redirectDeclined(owners: Map<ShardId, NodeId>, takers: readonly PlacementMember[]): void {
  const declined = new Map(takers.map(({ nodeId, declines = [] }) => [nodeId, new Set(declines)]));
  if ([...declined.values()].every(({ size }) => size === 0)) return;
  const loads = new Map(countsOf(owners));
  for (const [shard, nodeId] of [...owners].toSorted(([left], [right]) => left - right)) {
    if (declined.get(nodeId)?.has(shard) !== true) continue;
    const others = takers.filter((taker) => declined.get(taker.nodeId)?.has(shard) !== true);
    const loadOf = (taker: PlacementMember): number => (loads.get(taker.nodeId) ?? 0) / taker.capacity;
    const [least] = others.toSorted((left, right) => loadOf(left) - loadOf(right));
    if (least === undefined) continue;
    owners.set(shard, least.nodeId);
    loads.set(nodeId, (loads.get(nodeId) ?? 0) - 1);
    loads.set(least.nodeId, (loads.get(least.nodeId) ?? 0) + 1);
  }
}

/** One node, going down its own order of the shards. */
class Bidder {
  readonly nodeId: NodeId;
  readonly bounds: LoadBounds;
  load = 0;
  readonly #capacity: number;
  /** Hash and shard of each shard in one number, in the node's order: 32 + 20 bits fit a double, and the shard breaks ties. */
  readonly #order: Float64Array;
  #next = 0;

  constructor(member: PlacementMember, bounds: LoadBounds, shardCount: number) {
    this.nodeId = member.nodeId;
    this.bounds = bounds;
    this.#capacity = member.capacity;
    const seed = hash32(member.nodeId);
    this.#order = new Float64Array(shardCount);
    for (let shard = 0; shard < shardCount; shard += 1) {
      this.#order[shard] = pairHash(seed, shard) * maximumPlacedShards + shard;
    }
    this.#order.sort();
  }

  get nextShard(): ShardId {
    return ((this.#order[this.#next] as number) % maximumPlacedShards) as ShardId;
  }

  /** When it offers for its next shard; what counts is only the order of all nodes' times. */
  nextOfferAt(expected: Float64Array): number {
    const within = mix32(Math.floor((this.#order[this.#next] as number) / maximumPlacedShards) ^ 0x5bd1e995) / 2 ** 32;
    const gap = 1 / (expected.length - this.#next);
    return ((expected[this.#next] as number) - within * gap) / this.#capacity;
  }

  /** Goes on to the next shard that has no owner. False when there is none. */
  advance(owners: ReadonlyMap<ShardId, NodeId>): boolean {
    do this.#next += 1;
    while (this.#next < this.#order.length && owners.has(this.nextShard));
    return this.#next < this.#order.length;
  }
}

/** Expected times of the first, second … of `count` exponential events: sums of divisions, which every machine computes alike. */
function expectedTimes(count: number): Float64Array {
  let sum = 0;
  return Float64Array.from({ length: count }, (_, index) => (sum += 1 / (count - index)));
}

function boundsOf(bounds: ReadonlyMap<NodeId, LoadBounds>, { nodeId }: PlacementMember): LoadBounds {
  return bounds.get(nodeId) as LoadBounds;
}

// A change of these hashes moves shards while nodes of two releases run side by side; no task changes its shard.

function pairHash(seed: number, shard: number): number {
  return mix32(Math.imul(seed ^ mix32(shard + 0x9e3779b9), 0x01000193) + shard);
}

/** @see MurmurHash3's `fmix32`, by Austin Appleby */
function mix32(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
