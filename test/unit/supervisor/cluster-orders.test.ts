import { afterEach, describe, expect, it } from 'vitest';

import { noOrders, withNodeOrder, withPin } from '../../../src/core/cluster-orders.ts';
import type { EngineConfig } from '../../../src/core/config.ts';
import { EngineError } from '../../../src/core/errors.ts';
import type { ShardId } from '../../../src/core/ids.ts';
import type { StoredOrders } from '../../../src/ports/leases.ts';
import { ClusterWorld, type ClusterNode } from '../../support/cluster-world.ts';
import { nodeOf } from '../../support/shard-kit.ts';

const worlds: ClusterWorld[] = [];

function aWorld(config: Partial<EngineConfig> = {}): ClusterWorld {
  const world = new ClusterWorld(config);
  worlds.push(world);
  return world;
}

afterEach(async () => {
  for (const world of worlds.splice(0)) await world.stop();
});

/** A shard that the node has. */
function shardOf(node: ClusterNode | undefined): ShardId {
  const [shard] = node?.shards ?? [];
  if (shard === undefined) throw new Error('the node has no shard');
  return shard;
}

const refusal = (promise: Promise<unknown>): Promise<EngineError> =>
  promise.then(
    () => {
      throw new Error('it was not refused');
    },
    (error: unknown) => error as EngineError,
  );

describe('an order for a node', () => {
  it('R-WRK-2 I22: to drain survives a restart of the node: it comes back with nothing, until it is uncordoned', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2', 'node-3');
    await world.test.run(world.client.cluster.drain('node-2'));
    await world.until(() => second?.shards.length === 0 && world.isServed);
    await world.test.run(second?.stop() ?? Promise.resolve());
    const again = await world.start('node-2');
    await world.advance(10_000);
    expect(again.shards).toEqual([]);
    expect(again.engine.status).toMatchObject({ draining: true, cordoned: false });
    expect(again.engine.isReady).toBe(true);
    const [, row] = (await world.test.run(world.client.cluster.status())).nodes;
    expect(row).toMatchObject({ nodeId: 'node-2', status: 'draining', order: 'draining', owned: 0 });
    await world.test.run(world.client.cluster.uncordon('node-2'));
    await world.untilShared();
    expect(again.shards.length).toBeGreaterThan(2);
  });

  it('R-WRK-2: holds for a node that is dead when it is given, as soon as that comes back', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2', 'node-3');
    await second?.kill();
    const ordered = await world.test.run(world.client.cluster.cordon('node-2'));
    expect(ordered).toEqual({ nodeId: 'node-2', order: 'cordoned', status: null });
    await world.untilServed();
    await world.advance(25_000);
    const status = await world.test.run(world.client.cluster.status());
    expect(status.waitingOrders).toEqual([{ nodeId: 'node-2', order: 'cordoned' }]);
    const again = await world.start('node-2');
    await world.advance(10_000);
    expect(again.shards).toEqual([]);
    expect(again.engine.status.cordoned).toBe(true);
    // Its lease said so from its first word on: nobody has ever placed a shard there.
    expect((await world.report()).claims.filter(({ incarnation }) => incarnation === again.incarnation)).toEqual([]);
  });

  it('can be taken back while its node is away; then it is unknown: NODE_NOT_FOUND', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2');
    await world.test.run(world.client.cluster.cordon('node-2'));
    await world.test.run(second?.stop() ?? Promise.resolve());
    const { cluster } = world.client;
    expect(await world.test.run(cluster.uncordon('node-2'))).toMatchObject({ order: null, status: null });
    const error = await refusal(world.test.run(cluster.uncordon('node-2')));
    expect(error).toMatchObject({ code: 'NODE_NOT_FOUND', message: 'no node node-2 is there' });
  });

  it('R-LOCK-2: is kept in a life that follows a lease that ran out', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2');
    await world.test.run(world.client.cluster.drain('node-2'));
    const before = second?.incarnation;
    second?.freeze();
    await world.advance(40_000);
    second?.thaw();
    await world.advance(10_000);
    expect(second?.incarnation).not.toBe(before);
    expect(second?.engine.status.draining).toBe(true);
    expect(second?.shards).toEqual([]);
  });

  it('does not keep a stop from draining: a node that stops says so although nothing is ordered', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2');
    const stopping = second?.stop() ?? Promise.resolve();
    await world.until(() => second?.engine.status.draining === true);
    await world.test.run(stopping);
    expect(await world.untilServed()).toBeLessThan(1_000);
  });

  it('DEADLINE_EXCEEDED: is kept when the node is silent, and followed when it is not any more', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2');
    second?.freeze();
    const error = await refusal(world.test.run(world.client.cluster.cordon('node-2', { deadlineMs: 1_500 })));
    expect(error).toMatchObject({ code: 'DEADLINE_EXCEEDED', hint: expect.stringContaining('kept') as string });
    second?.thaw();
    await world.until(() => second?.engine.status.cordoned === true);
  });

  it('of two operators at one time: both are kept', async () => {
    const world = aWorld();
    const nodes = await world.startAll('node-1', 'node-2', 'node-3');
    const { cluster } = world.client;
    const shard = shardOf(nodes[0]);
    await world.test.run(
      Promise.all([
        cluster.cordon('node-2'),
        cluster.cordon('node-1'),
        cluster.moveShard(shard, 'node-3', { deadlineMs: 20_000 }),
      ]),
    );
    const { orders } = await world.test.leases.readOrders();
    expect(Object.fromEntries(orders.nodes)).toEqual({ 'node-1': 'cordoned', 'node-2': 'cordoned' });
    expect([...orders.pins]).toEqual([[shard, 'node-3']]);
  });

  it('UNAVAILABLE: is given up when others change the orders again and again', async () => {
    const world = aWorld();
    await world.startAll('node-1');
    const { leases } = world.test;
    const read = leases.readOrders.bind(leases);
    leases.readOrders = async (): Promise<StoredOrders> => {
      const stored = await read();
      await leases.writeOrders(
        withPin(stored.orders, (stored.revision % 12) as ShardId, nodeOf('node-1')),
        stored.revision,
      );
      return stored;
    };
    const error = await refusal(world.test.run(world.client.cluster.cordon('node-1')));
    leases.readOrders = read;
    expect(error).toMatchObject({ code: 'UNAVAILABLE' });
    expect((await read()).orders.nodes.size).toBe(0);
  });
});

describe('orders that a node cannot read', () => {
  /** Lets reads of the orders by nodes fail, or give what `answer` says. */
  function withReads(world: ClusterWorld, answer: (stored: StoredOrders) => Promise<StoredOrders>): () => void {
    const { leases } = world.test;
    const read = leases.readOrders.bind(leases);
    leases.readOrders = async () => answer(await read());
    return () => {
      leases.readOrders = read;
    };
  }

  it('RECORD_CORRUPT: are said once, leave the last ones in force, and keep nobody from starting', async () => {
    const world = aWorld({ clusterPollMs: 500 });
    const [, second] = await world.startAll('node-1', 'node-2');
    await world.test.run(world.client.cluster.cordon('node-2'));
    const before = second?.shards;
    const mend = withReads(world, () => Promise.reject(new EngineError('RECORD_CORRUPT', 'a bad document')));
    await world.advance(10_000);
    expect(second?.engine.status.cordoned).toBe(true);
    expect(second?.shards).toEqual(before);
    const said = world.test.logger.messages('error').filter((message) => message.includes('orders'));
    expect(said).toHaveLength(2);
    const third = await world.start('node-3');
    await world.until(() => third.shards.length > 0 && world.isServed);
    mend();
    await world.advance(1_000);
    expect(second?.engine.status.cordoned).toBe(true);
  });

  it('UNAVAILABLE: keep a node from starting, for it would not know what is wanted of it', async () => {
    const world = aWorld();
    await world.startAll('node-1');
    const mend = withReads(world, () => Promise.reject(new EngineError('UNAVAILABLE', 'the store is away')));
    expect(await refusal(world.start('node-2'))).toMatchObject({ code: 'UNAVAILABLE' });
    mend();
    world.nodes.pop();
    expect((await world.test.leases.listNodes()).map(({ nodeId }) => nodeId)).toEqual(['node-1']);
  });

  it('I23: that are older than those read before change nothing: no shard moves to and fro', async () => {
    const world = aWorld({ clusterPollMs: 500 });
    const [first, second] = await world.startAll('node-1', 'node-2');
    const stale = await world.test.leases.readOrders();
    await world.test.run(world.client.cluster.moveShard(shardOf(first), 'node-2'));
    await world.test.run(world.client.cluster.cordon('node-1'));
    await world.advance(1_000);
    const before = second?.shards;
    let reads = 0;
    const mend = withReads(world, (stored) => {
      reads += 1;
      return Promise.resolve(reads % 2 === 0 ? stored : stale);
    });
    await world.advance(10_000);
    expect(reads).toBeGreaterThan(20);
    expect(second?.shards).toEqual(before);
    expect(first?.engine.status.cordoned).toBe(true);
    mend();
  });
});

describe('a shard that is pinned', () => {
  it('R-LOCK-2 R-SUM-1 I20: goes to its node in good order under load: no stage is lost or repeated, no client sees an error', async () => {
    const world = aWorld();
    const [first, second] = await world.startAll('node-1', 'node-2', 'node-3');
    const shard = shardOf(first);
    world.load(150, 5);
    await world.advance(200);
    const moved = await world.test.run(world.client.cluster.moveShard(shard, 'node-2'));
    expect(moved).toEqual({ shard, pinnedTo: 'node-2', pinnedBefore: null, owner: 'node-2' });
    await world.untilServed();
    expect(second?.shards).toContain(shard);
    await world.untilDone();
    expect(world.repeats).toEqual([]);
    expect(await world.violations()).toEqual([]);
    const status = await world.test.run(world.client.cluster.status());
    expect(status.shards[shard]).toMatchObject({ from: 'node-2', pinnedTo: 'node-2', why: 'pinned to node-2' });
    expect(status.isBalanced).toBe(true);
  });

  it('R-WRK-2: to a node that dies falls to the others, and goes back to it when it is there again', async () => {
    const world = aWorld();
    const [first, second] = await world.startAll('node-1', 'node-2', 'node-3');
    const shard = shardOf(first);
    await world.test.run(world.client.cluster.moveShard(shard, 'node-2'));
    world.load(60, 5);
    await second?.kill();
    second?.tellExited();
    expect(await world.untilServed()).toBeLessThan(1_000);
    await world.untilDone();
    expect(await world.violations()).toEqual([]);
    const away = await world.test.run(world.client.cluster.status());
    expect(away.shards[shard]?.why).toBe('where it should be; pinned to node-2, which may not take it');
    const again = await world.start('node-2');
    await world.until(() => again.shards.includes(shard) && world.isServed);
  });

  it('goes where placement likes when it is unpinned, and everything is as it was before', async () => {
    const world = aWorld();
    const nodes = await world.startAll('node-1', 'node-2', 'node-3');
    const before = nodes.map(({ shards }) => shards);
    const shard = shardOf(nodes[0]);
    const { cluster } = world.client;
    await world.test.run(cluster.moveShard(shard, 'node-3'));
    expect(await world.test.run(cluster.unpinShard(shard))).toMatchObject({ pinnedTo: null, pinnedBefore: 'node-3' });
    await world.until(() => world.isServed && nodes[0]?.shards.includes(shard) === true);
    await world.advance(3_000);
    expect(nodes.map(({ shards }) => shards)).toEqual(before);
    expect(await world.test.run(cluster.unpinShard(shard))).toMatchObject({ pinnedBefore: null });
  });

  it('leaves even a cordoned node, which keeps the rest', async () => {
    const world = aWorld();
    const [first, second] = await world.startAll('node-1', 'node-2');
    const shard = shardOf(first);
    await world.test.run(world.client.cluster.cordon('node-1'));
    const before = first?.shards ?? [];
    await world.test.run(world.client.cluster.moveShard(shard, 'node-2'));
    await world.untilServed();
    expect(second?.shards).toContain(shard);
    expect(first?.shards).toEqual(before.filter((one) => one !== shard));
  });

  it('is only shown as what would move when it is a dry run', async () => {
    const world = aWorld();
    const [first] = await world.startAll('node-1', 'node-2');
    const shard = shardOf(first);
    const rows = await world.test.run(world.client.cluster.planMove(shard, 'node-2'));
    expect(rows).toContainEqual(
      expect.objectContaining({ shard, from: 'node-1', to: 'node-2', why: 'pinned to node-2', pinnedTo: 'node-2' }),
    );
    await world.advance(5_000);
    expect(first?.shards).toContain(shard);
    expect((await world.test.leases.readOrders()).orders).toEqual(noOrders);
  });

  it('NODE_NOT_FOUND, INVALID_ARGUMENT, NOT_ALLOWED: is not pinned to a node that is not there, or may take nothing', async () => {
    const world = aWorld();
    await world.startAll('node-1', 'node-2');
    const { cluster } = world.client;
    await world.test.run(cluster.cordon('node-2'));
    await world.test.run(cluster.drain('node-1'));
    const moves: readonly ((shard: number, nodeId: string) => Promise<unknown>)[] = [
      (shard, nodeId) => cluster.moveShard(shard, nodeId),
      (shard, nodeId) => cluster.planMove(shard, nodeId),
    ];
    for (const move of moves) {
      expect(await refusal(world.test.run(move(0, 'node-9')))).toMatchObject({ code: 'NODE_NOT_FOUND' });
      for (const shard of [-1, 12, 0.5, Number.NaN]) {
        expect(await refusal(world.test.run(move(shard, 'node-1')))).toMatchObject({
          code: 'INVALID_ARGUMENT',
          limit: '0 to 11',
        });
      }
      expect(await refusal(world.test.run(move(0, 'node-2')))).toMatchObject({
        code: 'NOT_ALLOWED',
        message: 'node node-2 is cordoned: it takes no shard',
      });
      expect(await refusal(world.test.run(move(0, 'node-1')))).toMatchObject({ code: 'NOT_ALLOWED' });
    }
    expect((await world.test.leases.readOrders()).orders.pins.size).toBe(0);
  });

  it('DEADLINE_EXCEEDED: is kept when its node does not take it in time', async () => {
    const world = aWorld();
    const [first, second] = await world.startAll('node-1', 'node-2');
    const shard = shardOf(first);
    second?.freeze();
    const error = await refusal(world.test.run(world.client.cluster.moveShard(shard, 'node-2', { deadlineMs: 1_000 })));
    expect(error).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      hint: expect.stringContaining('the pin is kept') as string,
    });
    second?.thaw();
    await world.until(() => second?.shards.includes(shard) === true && world.isServed);
  });

  it('is not waited for when nobody wants to wait', async () => {
    const world = aWorld();
    const [first, second] = await world.startAll('node-1', 'node-2');
    const shard = shardOf(first);
    const pinned = await world.test.run(world.client.cluster.moveShard(shard, 'node-2', { wait: false }));
    expect(pinned.owner).toBeNull();
    await world.until(() => second?.shards.includes(shard) === true);
  });
});

describe('nodes of unlike capacity', () => {
  it('R-WRK-2: one of capacity 2 gets about twice the shards', async () => {
    const world = aWorld({ shardCount: 30 });
    const large = await world.start('node-1', undefined, { capacity: 2 });
    const small = await world.start('node-2');
    await world.until(() => world.isServed && small.shards.length >= 9);
    await world.advance(2_000);
    expect(large.shards.length).toBeGreaterThanOrEqual(18);
    expect(large.shards.length).toBeLessThanOrEqual(22);
    expect(large.shards.length + small.shards.length).toBe(30);
    const status = await world.test.run(world.client.cluster.status());
    expect(status.nodes.map(({ capacity }) => capacity)).toEqual([2, 1]);
  });
});

describe('a node that was away while its shards were taken', () => {
  it('I41 I18: serves them no more within two seconds of its waking, although nothing was written that the fence refused', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2', 'node-3');
    second?.freeze();
    await world.untilServed();
    second?.thaw();
    await world.advance(2_000);
    await world.untilServed();
    expect(Math.max(...world.servedCounts)).toBe(1);
    await world.untilShared();
    expect(world.test.logger.messages('error')).toContain('a shard was lost');
  });
});

describe('the numbers of a cluster', () => {
  it('tell members, views, handovers, takeovers by cause with their time, and missed heartbeats', async () => {
    const world = aWorld();
    const { metrics } = world.test;
    const [, second] = await world.startAll('node-1', 'node-2');
    expect(metrics.value('cluster_members')).toBe(2);
    expect(metrics.value('cluster_view')).toBeGreaterThan(0);
    const handedOver = metrics.value('handovers_total');
    expect(handedOver).toBeGreaterThanOrEqual(5);
    expect(metrics.value('takeovers_total', { why: 'free' })).toBe(12 + handedOver);
    const lost = second?.shards.length ?? 0;
    await second?.kill();
    await world.untilServed();
    expect(metrics.value('takeovers_total', { why: 'ownerDown' })).toBe(lost);
    expect(metrics.count('takeover_seconds')).toBe(12 + handedOver + lost);
    expect(metrics.value('heartbeats_missed_total')).toBeGreaterThan(2);
    expect(metrics.value('lease_lost_total')).toBe(0);
    expect(metrics.value('shards_failing')).toBe(0);
  });

  it('R-LOCK-2: tell of renewals that fail, and of a lease that was lost', async () => {
    const world = aWorld();
    const [only] = await world.startAll('node-1');
    only?.freeze();
    await world.advance(30_000);
    only?.thaw();
    await world.untilServed();
    expect(world.test.metrics.value('lease_lost_total')).toBe(1);
    const { leases } = world.test;
    const renew = leases.renewNode.bind(leases);
    leases.renewNode = () => Promise.reject(new EngineError('UNAVAILABLE', 'the store is away'));
    await world.advance(6_000);
    leases.renewNode = renew;
    expect(world.test.metrics.value('lease_renewal_failures_total')).toBeGreaterThan(1);
  });
});

describe('placement under orders', () => {
  it('counts what is ordered of a node that cannot follow, so that all others place alike', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2', 'node-3');
    const { orders, revision } = await world.test.leases.readOrders();
    second?.freeze();
    await world.test.leases.writeOrders(withNodeOrder(orders, nodeOf('node-2'), 'draining'), revision);
    await world.untilServed();
    second?.thaw();
    await world.advance(2_000);
    expect(second?.shards).toEqual([]);
    expect(world.isServed).toBe(true);
  });
});
