import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { planAssignment, type AssignmentInput, type AssignmentPlan } from '../../../src/cluster/assignment-plan.ts';
import { memberKey, type MemberIdentity } from '../../../src/cluster/membership.ts';
import { describePlan } from '../../../src/cluster/plan-text.ts';
import type { ClusterPicture } from '../../../src/cluster/shard-standing.ts';
import type { Epoch, NodeId, ShardId } from '../../../src/core/ids.ts';
import type { ShardLock } from '../../../src/ports/leases.ts';
import { aLock, aMember, desiredOf, members, shards } from './cluster-builders.ts';

function planFor(
  self: string | MemberIdentity,
  picture: Partial<ClusterPicture> & Pick<ClusterPicture, 'desired' | 'locks'>,
  more: Partial<AssignmentInput> = {},
): AssignmentPlan {
  const identity = typeof self === 'string' ? aMember(self) : self;
  return planAssignment({
    members: members('a', 'b', 'c'),
    down: new Set(),
    self: identity,
    serving: ownedBy(identity, picture.locks),
    inFlight: shards(),
    setAside: shards(),
    maxMoves: 2,
    ...picture,
    ...more,
  });
}

function ownedBy(self: MemberIdentity, locks: readonly ShardLock[]): ReadonlySet<ShardId> {
  return new Set(
    locks.filter(({ owner }) => owner !== null && memberKey(owner) === memberKey(self)).map(({ shard }) => shard),
  );
}

function shardsOf(list: readonly { readonly shard: ShardId }[]): readonly number[] {
  return list.map(({ shard }) => shard);
}

describe('planAssignment', () => {
  it('takes what it should own and nobody does, also where no lock was ever written', () => {
    const plan = planFor('a', { desired: desiredOf('a', 'a', 'b'), locks: [aLock(0, null, { epoch: 7 as Epoch })] });
    expect(plan).toEqual({
      acquire: [
        { shard: 0, from: null, why: 'free', epoch: 7, revision: 100 },
        { shard: 1, from: null, why: 'free', epoch: 0, revision: 0 },
      ],
      release: [],
      waiting: [],
    });
  });

  it('does nothing when every shard is where it should be', () => {
    const desired = desiredOf('a', 'b');
    const locks = [aLock(0, 'a'), aLock(1, 'b')];
    for (const self of ['a', 'b', 'c']) {
      expect(planFor(self, { desired, locks })).toEqual({ acquire: [], release: [], waiting: [] });
    }
  });

  it('R-LOCK-1: never takes a shard that a live node owns, but waits for its release', () => {
    const plan = planFor('b', { desired: desiredOf('b'), locks: [aLock(0, 'a')] });
    expect(plan).toEqual({ acquire: [], release: [], waiting: [{ shard: 0, for: 'release', node: 'a' }] });
  });

  it('R-WRK-2: takes over from an owner that left, that started again, or that is found down while its lease still runs', () => {
    const desired = desiredOf('b', 'b', 'b');
    const locks = [
      aLock(0, 'z'),
      aLock(1, 'c', { owner: { nodeId: 'c' as NodeId, incarnation: 'c-0' } }),
      aLock(2, 'a'),
    ];
    const plan = planFor('b', { desired, locks, down: new Set([memberKey(aMember('a'))]) });
    expect(plan.acquire.map(({ shard, from, why }) => ({ shard, from, why }))).toEqual([
      { shard: 0, from: 'z', why: 'ownerGone' },
      { shard: 1, from: 'c', why: 'ownerRestarted' },
      { shard: 2, from: 'a', why: 'ownerDown' },
    ]);
  });

  it('takes back what an earlier life of itself owned', () => {
    const self = aMember('a', { incarnation: 'a-2' });
    const plan = planFor(self, { desired: desiredOf('a'), locks: [aLock(0, 'a')], members: [self, aMember('b')] });
    expect(plan.acquire).toEqual([{ shard: 0, from: 'a', why: 'ownerRestarted', epoch: 1, revision: 100 }]);
  });

  it('takes anew a shard whose lock it holds and that it does not serve', () => {
    const picture = { desired: desiredOf('a', 'a'), locks: [aLock(0, 'a'), aLock(1, 'a')] };
    const plan = planFor('a', picture, { serving: shards(1) });
    expect(plan.acquire).toEqual([{ shard: 0, from: 'a', why: 'notServed', epoch: 1, revision: 100 }]);
  });

  it('has no limit on takeovers, puts them before free shards, and lets no move limit hold them up', () => {
    const desired = desiredOf('b', 'b', 'b', 'b');
    const locks = [aLock(0, null), aLock(1, 'z'), aLock(2, 'z'), aLock(3, 'z')];
    expect(shardsOf(planFor('b', { desired, locks }, { maxMoves: 0 }).acquire)).toEqual([1, 2, 3, 0]);
  });

  it('hands over what another live node should own, at most as many as the limit', () => {
    const picture = { desired: desiredOf('b', 'c', 'b'), locks: [aLock(0, 'a'), aLock(1, 'a'), aLock(2, 'a')] };
    expect(planFor('a', picture)).toEqual({
      acquire: [],
      release: [
        { shard: 0, to: 'b', why: 'rebalance', epoch: 1, revision: 100 },
        { shard: 1, to: 'c', why: 'rebalance', epoch: 1, revision: 101 },
      ],
      waiting: [{ shard: 2, for: 'turn', node: 'b' }],
    });
    expect(planFor('a', picture, { maxMoves: 0 }).release).toEqual([]);
  });

  it('R-LOCK-1: keeps the limit over all nodes that see the same: together they release no more than it', () => {
    const picture = {
      desired: desiredOf('b', 'c', 'a', 'a'),
      locks: [aLock(0, 'a'), aLock(1, 'b'), aLock(2, 'b'), aLock(3, 'c')],
    };
    const released = ['a', 'b', 'c'].flatMap((self) => shardsOf(planFor(self, picture).release));
    expect(released).toEqual([0, 1]);
  });

  it('counts what is in flight, and what was released and not yet taken, against the limit', () => {
    const picture = { desired: desiredOf('b', 'c', 'b'), locks: [aLock(0, null), aLock(1, 'a'), aLock(2, 'a')] };
    expect(shardsOf(planFor('a', picture).release)).toEqual([1]);
    expect(planFor('a', picture, { inFlight: shards(1) })).toEqual({
      acquire: [],
      release: [],
      waiting: [{ shard: 2, for: 'turn', node: 'b' }],
    });
  });

  it('counts no shard that was never owned as moving: a new cluster is not held up by itself', () => {
    const picture = { desired: desiredOf('c', 'c', 'b'), locks: [aLock(2, 'a')] };
    expect(shardsOf(planFor('a', picture, { maxMoves: 1 }).release)).toEqual([2]);
  });

  it('neither moves nor counts what was set aside, so that one stuck handover does not stop the others', () => {
    const picture = { desired: desiredOf('b', 'b'), locks: [aLock(0, 'a'), aLock(1, 'a')] };
    const plan = planFor('a', picture, { maxMoves: 1, inFlight: shards(0), setAside: shards(0) });
    expect(shardsOf(plan.release)).toEqual([1]);
    const stuckFree = { desired: desiredOf('c', 'b'), locks: [aLock(0, null), aLock(1, 'a')] };
    expect(planFor('a', stuckFree, { maxMoves: 1 }).release).toEqual([]);
    expect(shardsOf(planFor('a', stuckFree, { maxMoves: 1, setAside: shards(0) }).release)).toEqual([1]);
  });

  it('keeps what should go to a node that is not there or is down: somebody must serve it', () => {
    const gone = planFor('a', { desired: desiredOf('z'), locks: [aLock(0, 'a')] });
    const down = planFor('a', {
      desired: desiredOf('b'),
      locks: [aLock(0, 'a')],
      down: new Set([memberKey(aMember('b'))]),
    });
    for (const plan of [gone, down]) expect(plan).toEqual({ acquire: [], release: [], waiting: [] });
  });

  it('keeps all of a cordoned node, and hands over all of a draining one', () => {
    const picture = { desired: desiredOf('b'), locks: [aLock(0, 'a')] };
    const cordoned = [aMember('a', { cordoned: true }), aMember('b')];
    expect(planFor('a', { ...picture, members: cordoned }).release).toEqual([]);
    const draining = [aMember('a', { draining: true, cordoned: true }), aMember('b')];
    expect(planFor('a', { ...picture, members: draining }).release).toMatchObject([
      { shard: 0, to: 'b', why: 'draining' },
    ]);
  });

  it('R-LOCK-2: plans nothing for a node that is not in its own view, is down in it, or is there in another life', () => {
    const picture = { desired: desiredOf('a', 'b'), locks: [aLock(0, null), aLock(1, 'a')] };
    const nothing = { acquire: [], release: [], waiting: [] };
    expect(planFor('a', { ...picture, members: members('b') })).toEqual(nothing);
    expect(planFor('a', { ...picture, down: new Set([memberKey(aMember('a'))]) })).toEqual(nothing);
    expect(planFor(aMember('a', { incarnation: 'a-0' }), picture)).toEqual(nothing);
  });

  it('throws InvariantViolation for a limit that is not a whole number', () => {
    for (const maxMoves of [-1, 0.5, Number.NaN]) {
      expect(() => planFor('a', { desired: desiredOf('a'), locks: [] }, { maxMoves })).toThrow('maxMoves');
    }
  });

  it('R-LOCK-1: for any picture no shard is in two lists or two nodes’ plans, and the nodes keep the limit together', () => {
    const names = ['a', 'b', 'c', 'd'];
    const owner = fc.option(fc.constantFrom(...names, 'z'), { nil: null });
    const pictures = fc.record({
      rows: fc.array(fc.tuple(fc.constantFrom(...names), owner), { minLength: 1, maxLength: 24 }),
      live: fc.subarray(names, { minLength: 1 }),
      down: fc.subarray(names),
      maxMoves: fc.integer({ min: 0, max: 5 }),
    });
    fc.assert(
      fc.property(pictures, ({ rows, live, down, maxMoves }) => {
        const picture = {
          desired: desiredOf(...rows.map(([desired]) => desired)),
          locks: rows.map(([, holder], shard) => aLock(shard, holder)),
          members: members(...live),
          down: new Set(down.map((name) => memberKey(aMember(name)))),
        };
        const plans = live.map((self) => planFor(self, picture, { maxMoves }));
        const planned = plans.flatMap(({ acquire, release }) => [...acquire, ...release].map(({ shard }) => shard));
        expect(new Set(planned).size).toBe(planned.length);
        for (const { acquire, release, waiting } of plans) {
          const all = [...shardsOf(acquire), ...shardsOf(release), ...shardsOf(waiting)];
          expect(new Set(all).size).toBe(all.length);
        }
        expect(plans.flatMap(({ release }) => release).length).toBeLessThanOrEqual(maxMoves);
        const isUp = (name: string): boolean => live.includes(name) && !down.includes(name);
        for (const [shard, [desired, holder]] of rows.entries()) {
          const isTaken = plans.some(({ acquire }) => shardsOf(acquire).includes(shard));
          expect(isTaken).toBe(isUp(desired) && (holder === null || !isUp(holder)));
        }
      }),
    );
  });
});

describe('describePlan', () => {
  it('says of each shard what happens to it and why', () => {
    const picture = {
      desired: desiredOf('a', 'a', 'b', 'b', 'a', 'a', 'a'),
      locks: [
        aLock(1, 'z'),
        aLock(2, 'a'),
        aLock(3, 'a'),
        aLock(4, 'b'),
        aLock(5, 'c', { owner: { nodeId: 'c' as NodeId, incarnation: 'c-0' } }),
        aLock(6, 'a'),
      ],
    };
    expect(describePlan(planFor('a', picture, { serving: shards(2, 3), maxMoves: 1 }))).toEqual([
      'acquire shard 1: z has left (epoch 1 so far)',
      'acquire shard 5: c started again (epoch 1 so far)',
      'acquire shard 6: its lock is held here, but it is not open (epoch 1 so far)',
      'acquire shard 0: nobody owns it (epoch 0 so far)',
      'release shard 2 to b: placement',
      'keep shard 3 for now: it goes to b when fewer shards move',
      'wait for shard 4: b still owns it',
    ]);
  });

  it('tells of a drain and of a node that is down, and says so when there is nothing to do', () => {
    const draining = [aMember('a', { draining: true }), aMember('b')];
    const drain = planFor('a', { desired: desiredOf('b'), locks: [aLock(0, 'a')], members: draining });
    expect(describePlan(drain)).toEqual(['release shard 0 to b: this node drains']);
    const down = new Set([memberKey(aMember('b'))]);
    const takeover = planFor('a', { desired: desiredOf('a'), locks: [aLock(0, 'b')], down });
    expect(describePlan(takeover)).toEqual(['acquire shard 0: b is down (epoch 1 so far)']);
    expect(describePlan(planFor('a', { desired: desiredOf('a'), locks: [aLock(0, 'a')] }))).toEqual(['nothing to do']);
  });
});
