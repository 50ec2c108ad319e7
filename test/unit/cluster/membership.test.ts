import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  emptyView,
  maximumRemoved,
  memberKey,
  membersFingerprint,
  nextView,
  type MembershipView,
  type ObservedLease,
} from '../../../src/cluster/membership.ts';
import { placeShards } from '../../../src/cluster/placement.ts';
import { aLease, aMember, members } from './cluster-builders.ts';

const names = ['a', 'b', 'c', 'd'];

function viewOf(...lists: readonly (readonly ObservedLease[])[]): MembershipView {
  return lists.reduce((view, leases) => nextView(view, { leases }), emptyView);
}

describe('nextView', () => {
  it('numbers each change, and lists the members in order of node id', () => {
    const view = viewOf([aLease('b')], [aLease('b'), aLease('a')], [aLease('a')], [aLease('a')]);
    expect(view.number).toBe(3);
    expect(view.members).toEqual(members('a'));
    expect(viewOf([aLease('b'), aLease('a')]).members).toEqual(members('a', 'b'));
  });

  it('is the same object when nothing changed, whatever the order of the list', () => {
    const view = viewOf([aLease('a'), aLease('b')]);
    expect(nextView(view, { leases: [aLease('b'), aLease('a')] })).toBe(view);
  });

  it('takes what a lease does not tell as one unit of capacity and not cordoned', () => {
    const odd = [undefined, 0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY];
    for (const capacity of odd) {
      expect(viewOf([aLease('a', { capacity })]).members).toEqual([aMember('a', { capacity: 1, cordoned: false })]);
    }
    expect(viewOf([aLease('a', { capacity: 4, cordoned: true, draining: true })]).members).toEqual([
      aMember('a', { capacity: 4, cordoned: true, draining: true }),
    ]);
  });

  it('R-FAIL-1: takes no more capacity than can be: one lease that says more must not keep all nodes from placing', () => {
    const { members: seen } = viewOf([aLease('a', { capacity: 2 ** 40 }), aLease('b')]);
    expect(seen).toEqual([aMember('a', { capacity: 1_024 }), aMember('b')]);
    expect(placeShards({ members: seen, shardCount: 16 }).size).toBe(16);
  });

  it('sees a change of capacity, of draining and of the cordon as a new view', () => {
    const view = viewOf([aLease('a')]);
    for (const change of [{ capacity: 2 }, { draining: true }, { cordoned: true }]) {
      const next = nextView(view, { leases: [aLease('a', change)] });
      expect(next.number).toBe(view.number + 1);
      expect(next.removed).toEqual([]);
    }
  });

  it('R-WRK-2: takes a node that restarts for another member, and the one before it as gone for good', () => {
    const view = viewOf([aLease('a')], [aLease('a', { incarnation: 'a-2' })]);
    expect(view.members).toEqual([aMember('a', { incarnation: 'a-2' })]);
    expect(view.removed).toEqual(['a/a-1']);
  });

  it('prefers the life that it did not know when a list shows two of one node', () => {
    const before = viewOf([aLease('a')]);
    const both = [aLease('a'), aLease('a', { incarnation: 'a-2' })];
    for (const leases of [both, both.toReversed()]) {
      expect(nextView(before, { leases }).members).toEqual([aMember('a', { incarnation: 'a-2' })]);
    }
    const unknown = [aLease('b', { startedAt: 9 }), aLease('b', { incarnation: 'b-0', startedAt: 10 })];
    expect(viewOf(unknown).members).toEqual([aMember('b', { incarnation: 'b-0' })]);
  });

  it('R-LOCK-2: never brings a removed incarnation back from a stale list', () => {
    const view = viewOf([aLease('a'), aLease('b')], [aLease('b')], [aLease('b')]);
    const stale = nextView(view, { leases: [aLease('a'), aLease('b')] });
    expect(stale).toBe(view);
  });

  it('removes nobody for being absent from a list that shows a removed incarnation', () => {
    const view = viewOf([aLease('a')], [aLease('b')], [aLease('b')]);
    for (let time = 0; time < 3; time += 1) expect(nextView(view, { leases: [aLease('a')] })).toBe(view);
    const more = nextView(view, { leases: [aLease('a'), aLease('c')] });
    expect(more.members).toEqual(members('b', 'c'));
  });

  it('removes a member only when two lists without a position in a row do not show it', () => {
    const view = viewOf([aLease('a'), aLease('b')], [aLease('b')]);
    expect(view.members).toEqual(members('a', 'b'));
    expect(view.number).toBe(1);
    expect(nextView(view, { leases: [aLease('b')] })).toMatchObject({ number: 2, removed: ['a/a-1'], missing: [] });
    const back = nextView(view, { leases: [aLease('a'), aLease('b')] });
    expect(nextView(back, { leases: [aLease('b')] }).members).toEqual(members('a', 'b'));
  });

  it('ignores a list of a lower position than one before, and trusts one of a higher to be newer', () => {
    const view = nextView(nextView(emptyView, { leases: [aLease('a')], revision: 5 }), {
      leases: [aLease('b')],
      revision: 9,
    });
    expect(nextView(view, { leases: [aLease('a'), aLease('c')], revision: 8 })).toBe(view);
    const newer = nextView(view, { leases: [aLease('a'), aLease('c')], revision: 10 });
    expect(newer.members).toEqual(members('c'));
    expect(nextView(newer, { leases: [aLease('c')], revision: 12 })).toEqual({ ...newer, revision: 12 });
  });

  it('remembers a bounded number of removed incarnations', () => {
    let view = emptyView;
    for (let life = 0; life < maximumRemoved + 10; life += 1) {
      view = nextView(view, { leases: [aLease('a', { incarnation: `a-${life}` })] });
    }
    expect(view.removed).toHaveLength(maximumRemoved);
    expect(view.removed.at(-1)).toBe(`a/a-${maximumRemoved + 8}`);
  });

  it('R-LOCK-2: for any lists, also stale ones, numbers rise and a removed incarnation stays away', () => {
    const lease = fc
      .record({ name: fc.constantFrom(...names), life: fc.integer({ min: 1, max: 3 }), draining: fc.boolean() })
      .map(({ name, life, draining }) => aLease(name, { incarnation: `${name}-${life}`, draining }));
    fc.assert(
      fc.property(fc.array(fc.array(lease, { maxLength: 5 }), { maxLength: 20 }), (lists) => {
        let view = emptyView;
        const gone = new Set<string>();
        for (const leases of lists) {
          const next = nextView(view, { leases });
          const keys = next.members.map((member) => memberKey(member));
          for (const member of view.members) if (!keys.includes(memberKey(member))) gone.add(memberKey(member));
          const isChanged = JSON.stringify(next.members) !== JSON.stringify(view.members);
          expect(next.number).toBe(view.number + Number(isChanged));
          expect(keys.filter((key) => gone.has(key))).toEqual([]);
          expect(new Set(next.members.map(({ nodeId }) => nodeId)).size).toBe(next.members.length);
          view = next;
        }
      }),
    );
  });
});

describe('membersFingerprint', () => {
  it('is equal for equal members in any order, and differs with each thing that placement looks at', () => {
    const base = members('a', 'b');
    expect(membersFingerprint(base.toReversed())).toBe(membersFingerprint(base));
    const others = [
      members('a'),
      [aMember('a'), aMember('b', { capacity: 2 })],
      [aMember('a'), aMember('b', { draining: true })],
      [aMember('a'), aMember('b', { cordoned: true })],
      [aMember('a'), aMember('b', { incarnation: 'b-2' })],
    ];
    expect(new Set([base, ...others].map((list) => membersFingerprint(list))).size).toBe(others.length + 1);
  });
});
