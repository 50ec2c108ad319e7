import { describe, expect, it } from 'vitest';

import {
  maximumOrderedNodes,
  maximumPins,
  noOrders,
  withNodeOrder,
  withPin,
  type ClusterOrders,
} from '../../src/core/cluster-orders.ts';
import type { Epoch, NodeId, ShardId } from '../../src/core/ids.ts';
import type { LeaseOutcome, LeaseStore, NodeLease, ShardLock } from '../../src/ports/leases.ts';
import { expectEngineError, until } from '../support/nats-store-kit.ts';

/** What the suite needs of an adapter. */
export interface LeaseHarness {
  /** A store without contents. */
  readonly store: LeaseStore;
  /** Another handle of the same store, as another node has it. */
  readonly other: LeaseStore;
  /** Lets that much of the store's time pass. */
  readonly elapse: (ms: number) => Promise<void>;
}

const shard = 5 as ShardId;
const ttlMs = 60_000;

function lease(name: string, incarnation = `${name}-1`): NodeLease {
  return { nodeId: name as NodeId, incarnation, startedAt: 1_764_000_000_000, draining: false };
}

function lock(owner: string | null, epoch: number): Omit<ShardLock, 'revision'> {
  const holder = owner === null ? null : { nodeId: owner as NodeId, incarnation: `${owner}-1` };
  return { shard, owner: holder, epoch: epoch as Epoch };
}

function heldRevision(outcome: LeaseOutcome): number {
  expect(outcome.kind).toBe('held');
  return outcome.kind === 'held' ? outcome.revision : -1;
}

async function names(store: LeaseStore): Promise<string[]> {
  return (await store.listNodes()).map((node) => node.nodeId as string).toSorted();
}

/** What every lease store promises. */
export function leasesContract(name: string, open: () => Promise<LeaseHarness>): void {
  describe(`${name}: node leases`, () => {
    it('there are no nodes at first', async () => {
      const { store } = await open();
      expect(await store.listNodes()).toEqual([]);
    });

    it('a lease is listed with its fields, on another node', async () => {
      const { store, other, elapse } = await open();
      await store.renewNode(lease('a'), ttlMs, null);
      await store.renewNode({ ...lease('b'), draining: true }, ttlMs, null);
      await until(async () => (await other.listNodes()).length === 2, { elapse });
      const nodes = (await other.listNodes()).toSorted((one, two) => one.nodeId.localeCompare(two.nodeId));
      expect(nodes).toEqual([lease('a'), { ...lease('b'), draining: true }]);
    });

    it('a lease tells the capacity of its node, that it is cordoned, and the shards that it declines', async () => {
      const { store, other } = await open();
      const cordoned = { ...lease('a'), capacity: 4, cordoned: true, declines: [2, 7] as never };
      heldRevision(await store.renewNode(cordoned, ttlMs, null));
      await until(async () => (await other.listNodes()).length === 1);
      expect(await other.listNodes()).toEqual([cordoned]);
    });

    it('a renewal moves the revision on and may change the lease', async () => {
      const { store, elapse } = await open();
      const first = heldRevision(await store.renewNode(lease('a'), ttlMs, null));
      const second = heldRevision(await store.renewNode({ ...lease('a'), draining: true }, ttlMs, first));
      expect(second).toBeGreaterThan(first);
      await until(async () => (await store.listNodes())[0]?.draining === true, { elapse });
    });

    it('a lease that is not renewed runs out, and its renewal is lost', async () => {
      const { store, elapse } = await open();
      const brief = heldRevision(await store.renewNode(lease('brief'), 1_000, null));
      await store.renewNode(lease('kept'), ttlMs, null);
      await until(async () => (await names(store)).join() === 'kept', { elapse });
      expect(await store.renewNode(lease('brief'), 1_000, brief)).toEqual({ kind: 'lost' });
    });

    it('a renewed lease outlives its first time to live', async () => {
      const { store, elapse } = await open();
      const first = heldRevision(await store.renewNode(lease('a'), 1_000, null));
      heldRevision(await store.renewNode(lease('a'), ttlMs, first));
      await elapse(1_200);
      expect(await names(store)).toEqual(['a']);
    });

    it('a lease that ran out is taken anew, over what marks its end', async () => {
      const { store, elapse } = await open();
      const first = heldRevision(await store.renewNode(lease('a'), 1_000, null));
      await until(async () => (await names(store)).length === 0, { elapse });
      const second = heldRevision(await store.renewNode(lease('a', 'a-2'), ttlMs, null));
      expect(second).toBeGreaterThan(first);
      await until(async () => (await names(store)).join() === 'a', { elapse });
    });

    it('a new incarnation takes the lease over, and the old one’s renewal is lost', async () => {
      const { store, other, elapse } = await open();
      const old = heldRevision(await store.renewNode(lease('a', 'a-1'), ttlMs, null));
      const young = heldRevision(await other.renewNode(lease('a', 'a-2'), ttlMs, null));
      expect(await store.renewNode(lease('a', 'a-1'), ttlMs, old)).toEqual({ kind: 'lost' });
      heldRevision(await other.renewNode(lease('a', 'a-2'), ttlMs, young));
      await until(async () => (await store.listNodes())[0]?.incarnation === 'a-2', { elapse });
    });

    it('an own renewal whose answer was lost is no loss: the next one with the old revision is held', async () => {
      const { store, other } = await open();
      const first = heldRevision(await store.renewNode(lease('a'), ttlMs, null));
      const unheard = heldRevision(await other.renewNode(lease('a'), ttlMs, first));
      expect(heldRevision(await store.renewNode(lease('a'), ttlMs, first))).toBeGreaterThanOrEqual(unheard);
      heldRevision(await store.renewNode({ ...lease('a'), draining: true }, ttlMs, first));
    });

    it('a released lease is gone at once, and releasing it again does nothing', async () => {
      const { store, elapse } = await open();
      const revision = heldRevision(await store.renewNode(lease('a'), ttlMs, null));
      await store.releaseNode('a' as NodeId, revision);
      await store.releaseNode('a' as NodeId, revision);
      await until(async () => (await names(store)).length === 0, { elapse, withinMs: 2_000 });
      expect(await store.renewNode(lease('a'), ttlMs, revision)).toEqual({ kind: 'lost' });
      heldRevision(await store.renewNode(lease('a', 'a-2'), ttlMs, null));
    });

    it('the release of a lease that another incarnation has taken over changes nothing', async () => {
      const { store, other } = await open();
      const old = heldRevision(await store.renewNode(lease('a', 'a-1'), ttlMs, null));
      const young = heldRevision(await other.renewNode(lease('a', 'a-2'), ttlMs, null));
      await store.releaseNode('a' as NodeId, old);
      heldRevision(await other.renewNode(lease('a', 'a-2'), ttlMs, young));
    });

    it('R-LOCK-2: one lease is read as it was written last, never as it was before, from another node', async () => {
      const { store, other } = await open();
      let revision: number | null = null;
      let staleCount = 0;
      for (let turn = 0; turn < 100; turn += 1) {
        const draining = turn % 2 === 0;
        revision = heldRevision(await store.renewNode({ ...lease('a'), draining }, ttlMs, revision));
        if ((await other.readNode('a' as NodeId))?.draining !== draining) staleCount += 1;
      }
      expect(staleCount).toBe(0);
    });

    it('R-LOCK-2: a lease that never was, was released or ran out is read as none', async () => {
      const { store, elapse } = await open();
      expect(await store.readNode('a' as NodeId)).toBeNull();
      const revision = heldRevision(await store.renewNode(lease('a'), ttlMs, null));
      expect(await store.readNode('a' as NodeId)).toEqual(lease('a'));
      await store.releaseNode('a' as NodeId, revision);
      expect(await store.readNode('a' as NodeId)).toBeNull();
      await store.renewNode(lease('b'), 1_000, null);
      await until(async () => (await store.readNode('b' as NodeId)) === null, { elapse });
    });

    it('many nodes are listed', async () => {
      const { store, elapse } = await open();
      await Promise.all(Array.from({ length: 120 }, (_, index) => store.renewNode(lease(`n${index}`), ttlMs, null)));
      await until(async () => (await store.listNodes()).length === 120, { elapse });
    });

    it.each(['a > b', 'a.b', '*', '>', ''])('INVALID_ARGUMENT for the node id %j', async (id) => {
      const { store } = await open();
      await expectEngineError((async () => store.renewNode(lease(id), ttlMs, null))(), 'INVALID_ARGUMENT');
    });
  });

  describe(`${name}: shard locks`, () => {
    it('a shard that was never taken has no owner, epoch 0 and revision 0', async () => {
      const { store } = await open();
      expect(await store.readShard(shard)).toEqual({ shard, owner: null, epoch: 0, revision: 0 });
    });

    it('a taken lock is read with its owner, epoch and revision, on another node', async () => {
      const { store, other } = await open();
      const revision = heldRevision(await store.writeShard(lock('a', 1), 0));
      expect(await other.readShard(shard)).toEqual({ ...lock('a', 1), revision });
    });

    it('R-OWN: of many takers at one time exactly one wins', async () => {
      const { store, other } = await open();
      for (let round = 1; round <= 10; round += 1) {
        const { revision } = await store.readShard(shard);
        const takers = ['a', 'b', 'c', 'd', 'e', 'f'];
        const outcomes = await Promise.all(
          takers.map((taker, index) => (index % 2 === 0 ? store : other).writeShard(lock(taker, round), revision)),
        );
        const winners = takers.filter((_, index) => outcomes[index]?.kind === 'held');
        expect(winners).toHaveLength(1);
        const stored = await other.readShard(shard);
        expect(stored.owner?.nodeId).toBe(winners[0]);
        expect(stored.revision).toBe(heldRevision(outcomes.find(({ kind }) => kind === 'held') ?? { kind: 'lost' }));
      }
    });

    it('a taker with an old revision loses, and nothing changes', async () => {
      const { store, other } = await open();
      const first = heldRevision(await store.writeShard(lock('a', 1), 0));
      const second = heldRevision(await other.writeShard(lock('b', 2), first));
      expect(await store.writeShard(lock('a', 2), first)).toEqual({ kind: 'lost' });
      expect(await store.writeShard(lock('a', 1), 0)).toEqual({ kind: 'lost' });
      expect(await store.readShard(shard)).toEqual({ ...lock('b', 2), revision: second });
    });

    it('a released lock keeps its epoch and is taken with the next', async () => {
      const { store, other } = await open();
      const taken = heldRevision(await store.writeShard(lock('a', 7), 0));
      const released = heldRevision(await store.writeShard(lock(null, 7), taken));
      expect(await other.readShard(shard)).toEqual({ ...lock(null, 7), revision: released });
      heldRevision(await other.writeShard(lock('b', 8), released));
    });

    it('a repeat of a write whose answer was lost is held, with the revision that it has', async () => {
      const { store } = await open();
      const revision = heldRevision(await store.writeShard(lock('a', 1), 0));
      expect(await store.writeShard(lock('a', 1), 0)).toEqual({ kind: 'held', revision });
    });

    it('a read after a write is never stale, from another node', async () => {
      const { store, other } = await open();
      let revision = 0;
      let staleCount = 0;
      for (let epoch = 1; epoch <= 200; epoch += 1) {
        revision = heldRevision(await store.writeShard(lock('a', epoch), revision));
        if ((await other.readShard(shard)).epoch !== epoch) staleCount += 1;
      }
      expect(staleCount).toBe(0);
    });

    it('all locks that were ever taken are listed, released ones too, and nothing else', async () => {
      const { store, other } = await open();
      await store.setOnce('a-value', 'set');
      const first = heldRevision(await store.writeShard({ ...lock('a', 1), shard: 1 as ShardId }, 0));
      const taken = heldRevision(await store.writeShard(lock('a', 4), 0));
      const released = heldRevision(await store.writeShard(lock(null, 4), taken));
      await until(async () => (await other.listShards()).some((found) => found.revision === released));
      const locks = (await other.listShards()).toSorted((left, right) => left.shard - right.shard);
      expect(locks).toEqual([
        { ...lock('a', 1), shard: 1, revision: first },
        { ...lock(null, 4), revision: released },
      ]);
    });

    it('locks of several shards do not meet', async () => {
      const { store } = await open();
      await Promise.all(
        Array.from({ length: 32 }, (_, index) =>
          store.writeShard({ ...lock(`n${index}`, 1), shard: index as ShardId }, 0),
        ),
      );
      expect((await store.readShard(1 as ShardId)).owner?.nodeId).toBe('n1');
      expect((await store.readShard(11 as ShardId)).owner?.nodeId).toBe('n11');
    });
  });

  describe(`${name}: orders`, () => {
    const drained = withPin(withNodeOrder(noOrders, 'a' as NodeId, 'draining'), 3 as ShardId, 'b' as NodeId);

    it('there are none at first, at revision 0', async () => {
      const { store } = await open();
      expect(await store.readOrders()).toEqual({ orders: noOrders, revision: 0 });
    });

    it('are read as they were written, at once and on another node, also when all are taken back', async () => {
      const { store, other } = await open();
      const revision = heldRevision(await store.writeOrders(drained, 0));
      expect(await other.readOrders()).toEqual({ orders: drained, revision });
      const later = heldRevision(await other.writeOrders(noOrders, revision));
      expect(later).toBeGreaterThan(revision);
      expect(await store.readOrders()).toEqual({ orders: noOrders, revision: later });
    });

    it('are lost to whoever wrote first, and what that one wrote stays', async () => {
      const { store, other } = await open();
      const revision = heldRevision(await store.writeOrders(drained, 0));
      const cordoned = withNodeOrder(noOrders, 'c' as NodeId, 'cordoned');
      expect(await other.writeOrders(cordoned, 0)).toEqual({ kind: 'lost' });
      expect(await other.writeOrders(cordoned, revision + 1_000)).toEqual({ kind: 'lost' });
      expect(await other.readOrders()).toEqual({ orders: drained, revision });
    });

    it('that stand there already are held: an earlier try whose answer was lost', async () => {
      const { store } = await open();
      const revision = heldRevision(await store.writeOrders(drained, 0));
      expect(await store.writeOrders(drained, 0)).toEqual({ kind: 'held', revision });
    });

    it('of many operators at one time: one wins each round, and after each has tried again all are kept', async () => {
      const { store, other } = await open();
      const give = async (index: number): Promise<void> => {
        for (;;) {
          const { orders, revision } = await (index % 2 === 0 ? store : other).readOrders();
          const next = withNodeOrder(orders, `n${index}` as NodeId, 'cordoned');
          if ((await store.writeOrders(next, revision)).kind === 'held') return;
        }
      };
      await Promise.all([0, 1, 2, 3, 4].map((index) => give(index)));
      const { orders } = await store.readOrders();
      expect([...orders.nodes.keys()].toSorted()).toEqual(['n0', 'n1', 'n2', 'n3', 'n4']);
    });

    it('are no lock, and no lock is an order', async () => {
      const { store } = await open();
      await store.writeOrders(drained, 0);
      await store.writeShard(lock('a', 1), 0);
      await until(async () => (await store.listShards()).length > 0);
      expect((await store.listShards()).map((found) => found.shard)).toEqual([shard]);
      expect((await store.readOrders()).orders).toEqual(drained);
    });

    it('as many as may be are kept; INVALID_ARGUMENT: one node more is refused', async () => {
      const { store } = await open();
      const nodes = Array.from({ length: maximumOrderedNodes }, (_, index) => [
        `n${index}`.padEnd(128, 'x'),
        'draining',
      ]);
      const pins = Array.from({ length: maximumPins }, (_, index) => [index, 'p'.padEnd(128, 'x')]);
      const most = { nodes: new Map(nodes as never), pins: new Map(pins as never) } as ClusterOrders;
      const revision = heldRevision(await store.writeOrders(most, 0));
      expect((await store.readOrders()).orders).toEqual(most);
      const error = await expectEngineError(
        store.writeOrders(withNodeOrder(most, 'more' as NodeId, 'draining'), revision),
        'INVALID_ARGUMENT',
      );
      expect(error.message).toBe('orders for 1025 nodes are more than the 1024 that may be');
    });
  });

  describe(`${name}: values set once`, () => {
    it('the first value stays, and every later caller is told it', async () => {
      const { store, other } = await open();
      expect(await store.setOnce('shard-count', '16')).toBe('16');
      expect(await other.setOnce('shard-count', '32')).toBe('16');
      expect(await store.setOnce('shard-count', '16')).toBe('16');
      expect(await store.setOnce('pipeline.card.1', 'abc')).toBe('abc');
    });

    it('in a race all callers are told the same value, and one of theirs', async () => {
      const { store, other } = await open();
      for (let round = 0; round < 5; round += 1) {
        const values = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
        const told = await Promise.all(
          values.map((value, index) => (index % 2 === 0 ? store : other).setOnce(`race-${round}`, value)),
        );
        expect(new Set(told).size).toBe(1);
        expect(values).toContain(told[0]);
      }
    });

    it.each(['a > b', '*', '>', '', 'a..b', '.a', 'a.', 'ä', 'x'.repeat(257)])(
      'INVALID_ARGUMENT for the key %j',
      async (key) => {
        const { store } = await open();
        await expectEngineError(store.setOnce(key, 'value'), 'INVALID_ARGUMENT');
      },
    );
  });
}
