import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { loadBounds, type PlacementMember } from '../../../src/cluster/load-bounds.ts';
import { placeShards } from '../../../src/cluster/placement.ts';
import { hash32 } from '../../../src/core/hash.ts';
import type { NodeId, ShardId } from '../../../src/core/ids.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { aMember, members } from './cluster-builders.ts';

const capacities = fc.integer({ min: 1, max: 16 });
const clusters = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 40 });
const weighted = clusters.chain((names) =>
  fc
    .array(capacities, { minLength: names.length, maxLength: names.length })
    .map((all) => names.map((name, index) => aMember(name, { capacity: all[index] ?? 1 }))),
);
const shardCounts = fc.integer({ min: 1, max: 512 });

function loadsOf(placement: ReadonlyMap<ShardId, NodeId>): ReadonlyMap<NodeId, number> {
  const loads = new Map<NodeId, number>();
  for (const nodeId of placement.values()) loads.set(nodeId, (loads.get(nodeId) ?? 0) + 1);
  return loads;
}

function movesBetween(before: ReadonlyMap<ShardId, NodeId>, after: ReadonlyMap<ShardId, NodeId>): number {
  return [...before].filter(([shard, nodeId]) => after.get(shard) !== nodeId).length;
}

/** Nodes named at random, as hosts and containers are. */
function randomMembers(random: SeededRandom, count: number): readonly PlacementMember[] {
  return Array.from({ length: count }, (_, index) => aMember(`node-${Math.floor(random.next() * 1e9)}-${index}`));
}

/** Moves beyond the share of the node that joins, as a part of all shards: of many clusters, ascending. */
function excessMoves(shardCount: number, nodesAfter: number, trials: number): readonly number[] {
  const random = new SeededRandom(shardCount * 1_000 + nodesAfter);
  return Array.from({ length: trials }, () => {
    const after = randomMembers(random, nodesAfter);
    const moves = movesBetween(
      placeShards({ members: after.slice(1), shardCount }),
      placeShards({ members: after, shardCount }),
    );
    return (moves - shardCount / nodesAfter) / shardCount;
  }).toSorted((left, right) => left - right);
}

describe('placeShards', () => {
  it('R-WRK-2: gives every shard an owner as soon as one node is there, and keeps every load within 10 % of its share', () => {
    fc.assert(
      fc.property(weighted, shardCounts, (cluster, shardCount) => {
        const placement = placeShards({ members: cluster, shardCount });
        expect([...placement.keys()]).toEqual(Array.from({ length: shardCount }, (_, shard) => shard));
        const loads = loadsOf(placement);
        const total = cluster.reduce((sum, { capacity }) => sum + capacity, 0);
        for (const { nodeId, capacity } of cluster) {
          const load = loads.get(nodeId) ?? 0;
          // load ≤ ⌈1.1 × share⌉ and load ≥ ⌊0.9 × share⌋, in whole numbers.
          expect((load - 1) * 100 * total).toBeLessThan(110 * shardCount * capacity);
          expect((load + 1) * 100 * total).toBeGreaterThan(90 * shardCount * capacity);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('R-LOCK-1: is equal for any order of the members, so that all nodes agree on every owner', () => {
    fc.assert(
      fc.property(
        weighted.chain((cluster) =>
          fc.tuple(fc.constant(cluster), fc.shuffledSubarray(cluster, { minLength: cluster.length })),
        ),
        shardCounts,
        ([cluster, shuffled], shardCount) => {
          expect([...placeShards({ members: shuffled, shardCount })]).toEqual([
            ...placeShards({ members: cluster, shardCount }),
          ]);
        },
      ),
    );
  });

  it('is equal for any order also of nodes whose names have one hash, and balanced between them', () => {
    const twins = members('node-522789', 'x', 'node-739192');
    expect(hash32('node-522789')).toBe(hash32('node-739192'));
    const placement = placeShards({ members: twins, shardCount: 60 });
    expect([...placeShards({ members: twins.toReversed(), shardCount: 60 })]).toEqual([...placement]);
    for (const load of loadsOf(placement).values()) expect(Math.abs(load - 20)).toBeLessThanOrEqual(2);
  });

  it('never changes for the same members: nodes of two releases must agree', () => {
    const placement = placeShards({
      members: [aMember('a'), aMember('b'), aMember('c', { capacity: 2 })],
      shardCount: 16,
    });
    expect([...placement.values()].join('')).toBe('ccbcbacbabccccac');
  });

  it('gives draining and cordoned nodes nothing, and nobody anything when there is no other', () => {
    const cluster = [aMember('a'), aMember('b', { draining: true }), aMember('c', { cordoned: true })];
    expect(new Set(placeShards({ members: cluster, shardCount: 32 }).values())).toEqual(new Set(['a']));
    expect(placeShards({ members: cluster.slice(1), shardCount: 32 }).size).toBe(0);
    expect(placeShards({ members: [], shardCount: 32 }).size).toBe(0);
  });

  it('gives a shard that its node declines to the least loaded one that does not, and moves no other', () => {
    const plain = placeShards({ members: members('a', 'b', 'c'), shardCount: 32 });
    const declines = [...plain].flatMap(([shard, nodeId]) => (nodeId === 'a' ? [shard] : [])).slice(0, 3);
    const cluster = [aMember('a', { declines }), ...members('b', 'c')];
    const redirected = placeShards({ members: cluster, shardCount: 32 });
    expect(redirected).toEqual(placeShards({ members: cluster.toReversed(), shardCount: 32 }));
    for (const [shard, nodeId] of redirected) {
      if (declines.includes(shard)) expect(nodeId).not.toBe('a');
      else expect(nodeId).toBe(plain.get(shard));
    }
  });

  it('leaves a shard that every node declines where it was', () => {
    const plain = placeShards({ members: members('a', 'b'), shardCount: 8 });
    const declines = [3 as ShardId];
    const cluster = [aMember('a', { declines }), aMember('b', { declines })];
    expect(placeShards({ members: cluster, shardCount: 8 })).toEqual(plain);
  });

  it('gives a node that starts again the shards that it had', () => {
    const before = placeShards({ members: members('a', 'b', 'c'), shardCount: 64 });
    const restarted = [aMember('a'), aMember('b', { incarnation: 'b-2' }), aMember('c')];
    expect(placeShards({ members: restarted, shardCount: 64 })).toEqual(before);
  });

  it('a join or a leave moves at most K/n and 10 % of the shards, from 128 shards and 8 a node on', () => {
    const cases = fc
      .integer({ min: 128, max: 768 })
      .chain((shardCount) =>
        fc.tuple(
          fc.constant(shardCount),
          fc.integer({ min: 2, max: Math.min(32, Math.floor(shardCount / 8)) }),
          fc.nat(),
        ),
      );
    fc.assert(
      fc.property(cases, ([shardCount, nodesAfter, seed]) => {
        const after = randomMembers(new SeededRandom(seed), nodesAfter);
        const moves = movesBetween(
          placeShards({ members: after.slice(1), shardCount }),
          placeShards({ members: after, shardCount }),
        );
        // Moves are counted alike in both directions: what a join moves there, the leave moves back.
        expect(moves).toBeLessThanOrEqual(shardCount / nodesAfter + shardCount / 10);
      }),
      { numRuns: 150 },
    );
  });

  it.each([
    { shardCount: 16, nodesAfter: 2, meanPercent: 1, highPercent: 7 },
    { shardCount: 16, nodesAfter: 4, meanPercent: 4, highPercent: 19 },
    { shardCount: 64, nodesAfter: 3, meanPercent: 2, highPercent: 9 },
    { shardCount: 64, nodesAfter: 9, meanPercent: 4.5, highPercent: 11 },
    { shardCount: 64, nodesAfter: 17, meanPercent: 4.5, highPercent: 12 },
    { shardCount: 256, nodesAfter: 9, meanPercent: 2, highPercent: 5 },
    { shardCount: 1_024, nodesAfter: 9, meanPercent: 1, highPercent: 3 },
  ])(
    '$shardCount shards, join of node $nodesAfter: beyond its share move $meanPercent % in the mean, $highPercent % in 99 of 100',
    ({ shardCount, nodesAfter, meanPercent, highPercent }) => {
      const trials = shardCount > 500 ? 40 : 200;
      const excess = excessMoves(shardCount, nodesAfter, trials);
      expect((excess.reduce((sum, part) => sum + part, 0) / trials) * 100).toBeLessThan(meanPercent);
      expect((excess[Math.floor(trials * 0.99) - 1] ?? 1) * 100).toBeLessThan(highPercent);
    },
  );

  it('what a node gives up on a join goes to the new node, but for few', () => {
    const shardCount = 1_024;
    const before = placeShards({ members: members('a', 'b', 'c', 'd'), shardCount });
    const after = placeShards({ members: members('a', 'b', 'c', 'd', 'e'), shardCount });
    const moved = [...before].filter(([shard, nodeId]) => after.get(shard) !== nodeId);
    const elsewhere = moved.filter(([shard]) => after.get(shard) !== 'e');
    expect(elsewhere.length).toBeLessThan(shardCount * 0.03);
  });

  it('places 4,096 shards on 64 nodes at once', () => {
    const cluster = Array.from({ length: 64 }, (_, index) => aMember(`node-${index}`));
    const loads = loadsOf(placeShards({ members: cluster, shardCount: 4_096 }));
    expect(Math.max(...loads.values())).toBeLessThanOrEqual(71);
    expect(Math.min(...loads.values())).toBeGreaterThanOrEqual(57);
  });

  it.each([
    { cluster: members('a', 'b', 'a'), shardCount: 4, message: 'node a is given twice' },
    { cluster: [aMember('a', { capacity: 0 })], shardCount: 4, message: 'capacity 0 of node a' },
    { cluster: [aMember('a', { capacity: 0.5 })], shardCount: 4, message: 'capacity 0.5 of node a' },
    { cluster: members('a'), shardCount: 0, message: 'shard count 0 is not an integer' },
    { cluster: members('a'), shardCount: 2 ** 21, message: 'shard count 2097152 is not an integer' },
  ])('throws InvariantViolation when $message', ({ cluster, shardCount, message }) => {
    expect(() => placeShards({ members: cluster, shardCount })).toThrow(message);
  });
});

describe('pins', () => {
  /** A cluster, how many shards it has, and pins: some to nodes that are there, some to ones that are not. */
  const pinned = fc
    .tuple(weighted, shardCounts)
    .chain(([cluster, shardCount]) =>
      fc.tuple(
        fc.constant(cluster),
        fc.constant(shardCount),
        fc.array(
          fc.tuple(
            fc.integer({ min: 0, max: shardCount + 2 }),
            fc.oneof(
              { weight: 5, arbitrary: fc.constantFrom(...cluster) },
              { weight: 1, arbitrary: fc.constant(aMember('?')) },
            ),
          ),
          { maxLength: Math.min(shardCount, 60) },
        ),
      ),
    )
    .map(([cluster, shardCount, list]) => ({
      cluster,
      shardCount,
      pins: new Map(list.map(([shard, { nodeId }]) => [shard as ShardId, nodeId])),
    }));

  it('R-WRK-2: are honored when their nodes are there, leave no shard without an owner, and load the rest within its bounds', () => {
    fc.assert(
      fc.property(pinned, ({ cluster, shardCount, pins }) => {
        const placement = placeShards({ members: cluster, shardCount, pins });
        expect([...placement.keys()]).toEqual(Array.from({ length: shardCount }, (_, shard) => shard));
        const names = new Set(cluster.map(({ nodeId }) => nodeId));
        for (const [shard, nodeId] of pins) {
          if (shard < shardCount && names.has(nodeId)) expect(placement.get(shard)).toBe(nodeId);
        }
        const loads = loadsOf(placement);
        const bounds = loadBounds({ members: cluster, shardCount, pins });
        for (const { nodeId } of cluster) {
          const { least, most } = bounds.get(nodeId) ?? { least: Number.NaN, most: Number.NaN };
          expect(loads.get(nodeId) ?? 0).toBeGreaterThanOrEqual(least);
          expect(loads.get(nodeId) ?? 0).toBeLessThanOrEqual(most);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('keep every load within 10 % of what the capacities give it, but of nodes to which more is pinned, whose load is just that', () => {
    fc.assert(
      fc.property(pinned, ({ cluster, shardCount, pins }) => {
        const bounds = loadBounds({ members: cluster, shardCount, pins });
        const pinCounts = loadsOf(new Map([...pins].filter(([shard]) => shard < shardCount)));
        const over = cluster.filter(({ nodeId }) => {
          const { least, most, share } = bounds.get(nodeId) ?? { least: 0, most: 0, share: 0 };
          return least === most && share === pinCounts.get(nodeId);
        });
        const shared = cluster.filter((member) => !over.includes(member));
        const left = shardCount - over.reduce((sum, { nodeId }) => sum + (pinCounts.get(nodeId) ?? 0), 0);
        const capacity = shared.reduce((sum, member) => sum + member.capacity, 0);
        for (const member of shared) {
          const { share, most } = bounds.get(member.nodeId) ?? { share: Number.NaN, most: Number.NaN };
          expect(share).toBeCloseTo((left * member.capacity) / capacity, 9);
          expect(pinCounts.get(member.nodeId) ?? 0).toBeLessThanOrEqual(share + 1e-9);
          expect(most).toBeLessThan(1.1 * share + 1 + 1e-9);
        }
        // What is pinned beyond its share takes from all the others alike.
        const highest = shared.length === 0 ? 0 : left / capacity;
        for (const { nodeId, capacity: own } of over) {
          expect((pinCounts.get(nodeId) ?? 0) / own).toBeGreaterThanOrEqual(highest - 1e-9);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('R-LOCK-1: are equal for any order of members and pins, so that all nodes agree on every owner', () => {
    fc.assert(
      fc.property(pinned, fc.nat(), ({ cluster, shardCount, pins }, turn) => {
        const turned = [
          ...cluster.slice(turn % cluster.length),
          ...cluster.slice(0, turn % cluster.length),
        ].toReversed();
        const reversed = new Map([...pins].toReversed());
        expect([...placeShards({ members: turned, shardCount, pins: reversed })]).toEqual([
          ...placeShards({ members: cluster, shardCount, pins }),
        ]);
      }),
    );
  });

  it.each([
    { shardCount: 16, nodes: 3, meanMoves: 1.9, mostMoves: 4 },
    { shardCount: 64, nodes: 4, meanMoves: 1.9, mostMoves: 4 },
    { shardCount: 64, nodes: 17, meanMoves: 2.6, mostMoves: 6 },
    { shardCount: 256, nodes: 8, meanMoves: 1.9, mostMoves: 6 },
    { shardCount: 1_024, nodes: 9, meanMoves: 1.4, mostMoves: 4 },
  ])(
    '$nodes nodes, $shardCount shards: one pin moves less than $meanMoves shards in the mean, and at most $mostMoves',
    (scene) => {
      const { shardCount, nodes, meanMoves, mostMoves } = scene;
      const random = new SeededRandom(shardCount);
      const trials = shardCount > 500 ? 40 : 200;
      const moves = Array.from({ length: trials }, () => {
        const cluster = randomMembers(random, nodes);
        const plain = placeShards({ members: cluster, shardCount });
        const shard = Math.floor(random.next() * shardCount) as ShardId;
        const others = cluster.filter(({ nodeId }) => nodeId !== plain.get(shard));
        const target = others[Math.floor(random.next() * others.length)]?.nodeId ?? ('' as NodeId);
        return movesBetween(plain, placeShards({ members: cluster, shardCount, pins: new Map([[shard, target]]) }));
      });
      expect(moves.reduce((sum, count) => sum + count, 0) / trials).toBeLessThan(meanMoves);
      expect(Math.max(...moves)).toBeLessThanOrEqual(mostMoves);
      expect(Math.min(...moves)).toBe(1);
    },
  );

  it('to where a shard is already move nothing', () => {
    const plain = placeShards({ members: members('a', 'b', 'c'), shardCount: 48 });
    for (const [shard, nodeId] of plain) {
      const pins = new Map([[shard, nodeId]]);
      expect(movesBetween(plain, placeShards({ members: members('a', 'b', 'c'), shardCount: 48, pins }))).toBe(0);
    }
  });

  it('of every shard to one node leave the others nothing', () => {
    const pins = new Map(Array.from({ length: 12 }, (_, shard) => [shard as ShardId, 'b' as NodeId]));
    const placement = placeShards({ members: members('a', 'b', 'c'), shardCount: 12, pins });
    expect(new Set(placement.values())).toEqual(new Set(['b']));
  });

  it.each([
    ['is draining', aMember('b', { draining: true })],
    ['is cordoned', aMember('b', { cordoned: true })],
    ['declines that shard', aMember('b', { declines: [3 as ShardId] })],
  ])('to a node that %s fall to normal placement', (_what, target) => {
    const cluster = [aMember('a'), target, aMember('c')];
    const pins = new Map([[3 as ShardId, 'b' as NodeId]]);
    const placement = placeShards({ members: cluster, shardCount: 12, pins });
    expect(placement).toEqual(placeShards({ members: cluster, shardCount: 12 }));
    expect(placement.get(3 as ShardId)).not.toBe('b');
  });
});

describe('loadBounds', () => {
  it('are exact where the share is a whole number: 1.1 × 10 is 11', () => {
    expect(loadBounds({ members: members('a', 'b'), shardCount: 20 }).get('a' as NodeId)).toEqual({
      share: 10,
      least: 9,
      most: 11,
    });
  });

  it('follow the capacity', () => {
    const bounds = loadBounds({ members: [aMember('a'), aMember('b', { capacity: 3 })], shardCount: 16 });
    expect(bounds.get('a' as NodeId)).toEqual({ share: 4, least: 3, most: 5 });
    expect(bounds.get('b' as NodeId)).toEqual({ share: 12, least: 10, most: 14 });
  });
});
