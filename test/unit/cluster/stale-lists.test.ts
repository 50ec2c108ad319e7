import { describe, expect, it } from 'vitest';

import type { LeaseStore } from '../../../src/ports/leases.ts';
import { ClusterWorld } from '../../support/cluster-world.ts';
import { nodeOf } from '../../support/shard-kit.ts';

/** The leases as a replica shows them that lags so far that a node's lease has run out there. */
function withoutNode(inner: LeaseStore, nodeId: string, isStale: () => boolean): LeaseStore {
  return {
    renewNode: (lease, ttlMs, revision) => inner.renewNode(lease, ttlMs, revision),
    releaseNode: (node, revision) => inner.releaseNode(node, revision),
    readNode: (node) => inner.readNode(node),
    listNodes: async () => (await inner.listNodes()).filter((lease) => !isStale() || lease.nodeId !== nodeId),
    readShard: (shard) => inner.readShard(shard),
    listShards: () => inner.listShards(),
    writeShard: (lock, revision) => inner.writeShard(lock, revision),
    readOrders: () => inner.readOrders(),
    writeOrders: (orders, revision) => inner.writeOrders(orders, revision),
    setOnce: (key, value) => inner.setOnce(key, value),
  };
}

describe('lists of leases that are old', () => {
  it('R-LOCK-2: a replica that shows a live node as gone, time and again, does not end the life of that node', async () => {
    const world = new ClusterWorld({ clusterPollMs: 1_000 });
    await world.start('node-1');
    let isStale = false;
    const { test } = world;
    const leases = withoutNode(test.leases, 'node-1', () => isStale);
    const other = test.createEngine('node-2', [world.pipeline], { leases, ports: {} });
    await test.run(other.start());
    const isShared = (): boolean => {
      const owned = [other.status.owned.length, world.running[0]?.shards.length ?? 0];
      return owned.every((count) => count >= 5) && owned[0]! + owned[1]! === test.config.shardCount;
    };
    await world.until(isShared);
    isStale = true;
    await world.advance(5_000);
    expect(isShared()).toBe(true);
    isStale = false;
    await world.advance(30_000);
    expect(isShared()).toBe(true);
    expect((await test.run(test.leases.readNode(nodeOf('node-1'))))?.incarnation).toBe(world.running[0]?.incarnation);
    await test.run(other.stop({ graceMs: 0 }));
    await world.stop();
  });
});
