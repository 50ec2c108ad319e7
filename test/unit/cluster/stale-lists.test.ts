import { describe, expect, it } from 'vitest';

import type { LeaseStore, NodeLease } from '../../../src/ports/leases.ts';
import { ClusterWorld } from '../../support/cluster-world.ts';
import { nodeOf } from '../../support/shard-kit.ts';

/** The leases as a replica shows them that lags. */
function asListed(inner: LeaseStore, list: (leases: readonly NodeLease[]) => readonly NodeLease[]): LeaseStore {
  return {
    renewNode: (lease, ttlMs, revision) => inner.renewNode(lease, ttlMs, revision),
    releaseNode: (node, revision) => inner.releaseNode(node, revision),
    readNode: (node) => inner.readNode(node),
    listNodes: async () => list(await inner.listNodes()),
    readShard: (shard) => inner.readShard(shard),
    listShards: () => inner.listShards(),
    writeShard: (lock, revision) => inner.writeShard(lock, revision),
    readOrders: () => inner.readOrders(),
    writeOrders: (orders, revision) => inner.writeOrders(orders, revision),
    setOnce: (key, value) => inner.setOnce(key, value),
  };
}

/** Two nodes that share the shards; the second sees the first as `old` makes of it while that is stale. */
async function twoNodes(old: (lease: NodeLease) => readonly NodeLease[]) {
  const world = new ClusterWorld({ clusterPollMs: 1_000 });
  await world.start('node-1');
  const { test } = world;
  const replica = { isStale: false };
  const leases = asListed(test.leases, (listed) =>
    listed.flatMap((lease) => (replica.isStale && lease.nodeId === 'node-1' ? old(lease) : [lease])),
  );
  const other = test.createEngine('node-2', [world.pipeline], { leases, ports: {} });
  await test.run(other.start());
  const isShared = (): boolean => {
    const owned = [other.status.owned.length, world.running[0]?.shards.length ?? 0];
    return owned.every((count) => count >= 5) && owned.reduce((sum, count) => sum + count) === test.config.shardCount;
  };
  await world.until(isShared);
  const stop = async (): Promise<void> => {
    await test.run(other.stop({ graceMs: 0 }));
    await world.stop();
  };
  return { world, replica, isShared, stop };
}

describe('lists of leases that are old', () => {
  it.each([
    ['as gone', () => []],
    ['in an earlier life', (lease: NodeLease) => [{ ...lease, incarnation: 'earlier', startedAt: 1 }]],
  ])('R-LOCK-2: a replica that shows a live node %s, time and again, does not end its life', async (_, old) => {
    const { world, replica, isShared, stop } = await twoNodes(old);
    replica.isStale = true;
    await world.advance(5_000);
    expect(isShared()).toBe(true);
    replica.isStale = false;
    await world.advance(30_000);
    expect(isShared()).toBe(true);
    const lease = await world.test.run(world.test.leases.readNode(nodeOf('node-1')));
    expect(lease?.incarnation).toBe(world.running[0]?.incarnation);
    await stop();
  });
});
