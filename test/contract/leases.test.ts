import { Kvm } from '@nats-io/kv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { noOrders, withNodeOrder } from '../../src/core/cluster-orders.ts';
import { EngineError } from '../../src/core/errors.ts';
import type { Epoch, NodeId, Sequence, ShardId, TaskId } from '../../src/core/ids.ts';
import { VirtualClock } from '../../src/platform/virtual-clock.ts';
import type { NodeLease } from '../../src/ports/leases.ts';
import { ensureBuckets } from '../../src/store/buckets.ts';
import { MemoryLeaseStore } from '../../src/store/memory-leases.ts';
import { NatsLeaseStore } from '../../src/store/nats-leases.ts';
import { NatsSnapshotStore } from '../../src/store/nats-snapshots.ts';
import type { StoreFault } from '../../src/store/store-fault.ts';
import type { PublishOutcome } from '../../src/transport/ack-inbox.ts';
import { loadLive } from '../support/live-snapshots.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';
import {
  expectEngineError,
  freshNamespace,
  isSilent,
  openStoreKit,
  realTime,
  until,
  type NatsStoreKit,
} from '../support/nats-store-kit.ts';
import { leasesContract } from './leases.contract.ts';

const shard = 5 as ShardId;
const ttlMs = 60_000;
const lease: NodeLease = { nodeId: 'a' as NodeId, incarnation: 'a-1', startedAt: 0, draining: false };
const lockOfA = { shard, owner: { nodeId: lease.nodeId, incarnation: lease.incarnation }, epoch: 1 as Epoch };

leasesContract('memory', async () => {
  const clock = new VirtualClock();
  const store = new MemoryLeaseStore({ clock });
  return { store, other: store, elapse: (ms) => clock.advance(ms) };
});

describe('memory leases under faults', () => {
  it('UNAVAILABLE and STORAGE_FULL change nothing; a lost answer is found again', async () => {
    const fault: { next: StoreFault } = { next: 'unavailable' };
    const store = new MemoryLeaseStore({ clock: new VirtualClock(), faults: () => fault.next });
    await expectEngineError(store.writeShard(lockOfA, 0), 'UNAVAILABLE');
    await expectEngineError(store.listNodes(), 'UNAVAILABLE');
    fault.next = 'full';
    await expectEngineError(store.writeShard(lockOfA, 0), 'STORAGE_FULL');
    expect((await store.readShard(shard)).revision).toBe(0);
    fault.next = 'lostAnswer';
    await expectEngineError(store.writeShard(lockOfA, 0), 'UNAVAILABLE');
    fault.next = 'none';
    expect((await store.writeShard(lockOfA, 0)).kind).toBe('held');
  });
});

describe('one nats-server', () => {
  let nats: NatsFixture;
  let node: NatsStoreKit;
  let otherNode: NatsStoreKit;
  beforeAll(async () => {
    nats = await startNats();
    node = await openStoreKit(nats.url);
    otherNode = await openStoreKit(nats.url);
  });
  afterAll(async () => {
    await node?.close();
    await otherNode?.close();
    await nats?.stop();
  });

  leasesContract('one nats-server', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    return {
      store: new NatsLeaseStore({ ...node, namespace }),
      other: new NatsLeaseStore({ ...otherNode, namespace }),
      elapse: realTime,
    };
  });

  /** A store whose publishes are answered by `answer` first; what it returns, if anything, replaces the stream's own. */
  function storeWithAnswers(
    namespace: string,
    answer: (publish: () => Promise<PublishOutcome>) => Promise<PublishOutcome>,
  ): NatsLeaseStore {
    const acks: Pick<NatsStoreKit['acks'], 'publish'> = {
      publish: (subject, body, headers) => answer(() => node.acks.publish(subject, body, headers)),
    };
    return new NatsLeaseStore({ ...node, acks, namespace });
  }

  it('a write that landed although its acknowledgement was lost is held', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    for (const kind of ['timeout', 'disconnected'] as const) {
      const store = storeWithAnswers(namespace, async (publish) => {
        await publish();
        return { kind };
      });
      const { revision } = await store.readShard(shard);
      const outcome = await store.writeShard({ ...lockOfA, epoch: (revision + 1) as Epoch }, revision);
      expect(outcome).toEqual({ kind: 'held', revision: (await store.readShard(shard)).revision });
      expect((await store.renewNode(lease, ttlMs, null)).kind).toBe('held');
      expect(await store.setOnce(`key-${kind}`, 'value')).toBe('value');
    }
  });

  it('a write that did not land and timed out is tried again', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    let tryCount = 0;
    const store = storeWithAnswers(namespace, (publish) => {
      tryCount += 1;
      return tryCount === 1 ? Promise.resolve({ kind: 'timeout' }) : publish();
    });
    expect((await store.writeShard(lockOfA, 0)).kind).toBe('held');
    expect(tryCount).toBe(2);
  });

  it('UNAVAILABLE, and never lost, while nobody knows whether the write landed', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    const store = storeWithAnswers(namespace, () => Promise.resolve({ kind: 'timeout' }));
    await expectEngineError(store.writeShard(lockOfA, 0), 'UNAVAILABLE');
    await expectEngineError(store.renewNode(lease, ttlMs, null), 'UNAVAILABLE');
    await expectEngineError(store.setOnce('key', 'value'), 'UNAVAILABLE');
  });

  it('a write that is in the way of another (10164) is no loss: it is tried until that one is done', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    let busyCount = 3;
    const store = storeWithAnswers(namespace, (publish) => {
      busyCount -= 1;
      if (busyCount < 0) return publish();
      return Promise.resolve({ kind: 'error', code: 10_164, description: 'wrong last sequence' });
    });
    expect((await store.writeShard(lockOfA, 0)).kind).toBe('held');
    busyCount = Number.MAX_SAFE_INTEGER;
    await expectEngineError(store.writeShard({ ...lockOfA, epoch: 2 as Epoch }, 1), 'UNAVAILABLE');
    expect((await store.readShard(shard)).epoch).toBe(1);
  });

  it('STORAGE_FULL when a bucket is at its byte limit', async () => {
    const namespace = await freshNamespace(node, { replicas: 1, maximumBytes: { shards: 1_024 } });
    const store = new NatsLeaseStore({ ...node, namespace });
    const writes = Array.from({ length: 30 }, (_, index) => store.setOnce(`key-${index}`, 'x'.repeat(100)));
    const settled = await Promise.allSettled(writes);
    const codes = settled.map((one) => (one.status === 'rejected' ? (one.reason as EngineError).code : 'stored'));
    expect(new Set(codes)).toEqual(new Set(['stored', 'STORAGE_FULL']));
  });

  it('an expired lease leaves a marker for watchers, and the KV client sees the leases', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    const store = new NatsLeaseStore({ ...node, namespace });
    const bucket = await new Kvm(otherNode.link.connection).open(`${namespace}-nodes`);
    await store.renewNode(lease, 1_000, null);
    expect((await bucket.get('a'))?.json()).toEqual({ nodeId: 'a', incarnation: 'a-1', startedAt: 0, draining: false });
    await until(async () => (await store.listNodes()).length === 0);
    const marker = await node.api.lastMessage(`KV_${namespace}-nodes`, `$KV.${namespace}-nodes.a`);
    expect(marker?.headers.get('Nats-Marker-Reason')).toBe('MaxAge');
  });

  it('one unreadable lease does not hide the others; RECORD_CORRUPT for an unreadable lock', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    const store = new NatsLeaseStore({ ...node, namespace });
    await node.acks.publish(`$KV.${namespace}-nodes.broken`, Buffer.from('{"nodeId":7}'));
    await node.acks.publish(`$KV.${namespace}-nodes.worse`, Buffer.from('?'));
    await node.acks.publish(`$KV.${namespace}-shards.lock.5`, Buffer.from('{"owner":{"nodeId":"a"},"epoch":-1}'));
    await store.renewNode(lease, ttlMs, null);
    expect(await store.listNodes()).toEqual([lease]);
    await expectEngineError(store.readShard(shard), 'RECORD_CORRUPT');
  });

  it('RECORD_CORRUPT: orders that cannot be read are refused, and told how to be mended', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    const store = new NatsLeaseStore({ ...node, namespace });
    await node.acks.publish(`$KV.${namespace}-shards.orders`, Buffer.from('{"nodes":{"a":"gone"}}'));
    const error = await expectEngineError(store.readOrders(), 'RECORD_CORRUPT');
    expect(error.hint).toContain('remove the key');
    const bucket = await new Kvm(otherNode.link.connection).open(`${namespace}-shards`);
    await bucket.delete('orders');
    const { orders, revision } = await store.readOrders();
    expect(orders).toEqual(noOrders);
    expect((await store.writeOrders(withNodeOrder(orders, lease.nodeId, 'cordoned'), revision)).kind).toBe('held');
    // Plain JSON, as the key-value tool shows it.
    expect((await bucket.get('orders'))?.json()).toEqual({ nodes: { a: 'cordoned' }, pins: {} });
  });

  it('STREAM_MISCONFIGURED names the setting of a bucket that cannot keep a promise', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    const name = `KV_${namespace}-nodes`;
    const settings = await node.api.streamSettings(name);
    await ensureBuckets(node.api, { namespace, replicas: 1 });
    const deleted = await node.link.connection.request(`$JS.API.STREAM.DELETE.${name}`);
    expect(deleted.json()).toMatchObject({ success: true });
    const { subject_delete_marker_ttl: _, ...withoutMarkers } = settings ?? {};
    await node.api.createStream({ ...withoutMarkers, name });
    const error = await expectEngineError(ensureBuckets(node.api, { namespace, replicas: 1 }), 'STREAM_MISCONFIGURED');
    expect(error.field).toBe(`${name}.subject_delete_marker_ttl`);
    await expectEngineError(ensureBuckets(node.api, { namespace, replicas: 3 }), 'STREAM_MISCONFIGURED');
  });

  it('nodes that create the buckets at one time all find them', async () => {
    const options = { namespace: 'together', replicas: 1 };
    await Promise.all([node, otherNode, node, otherNode].map((kit) => ensureBuckets(kit.api, options)));
    expect((await node.api.streamSettings('KV_together-nodes'))?.['allow_msg_ttl']).toBe(true);
  });

  it('the server’s disk is watched by nobody here: a full bucket keeps what it has', async () => {
    const namespace = await freshNamespace(node, { replicas: 1, maximumBytes: { nodes: 600 } });
    const store = new NatsLeaseStore({ ...node, namespace });
    const first = await store.renewNode(lease, ttlMs, null);
    expect(first.kind).toBe('held');
    for (let index = 0; index < 10; index += 1) {
      await store.renewNode({ ...lease, nodeId: `n${index}` as NodeId }, ttlMs, null).catch((error: unknown) => {
        expect(error).toBeInstanceOf(EngineError);
        expect((error as EngineError).code).toBe('STORAGE_FULL');
      });
    }
    expect((await store.listNodes()).map((node_) => node_.nodeId)).toContain('a');
  });
});

describe('three nats-servers', () => {
  let nats: NatsFixture;
  let kits: NatsStoreKit[] = [];
  beforeAll(async () => {
    nats = await startNats({ servers: 3 });
    kits = await Promise.all(nats.urls.map((url) => openStoreKit(url)));
  });
  afterAll(async () => {
    await Promise.all(kits.map((kit) => kit.close()));
    await nats?.stop();
  });

  let openCount = 0;
  leasesContract('three nats-servers', async () => {
    const [first, second] = [kits[openCount % 3], kits[(openCount + 1) % 3]];
    openCount += 1;
    if (first === undefined || second === undefined) throw new Error('no servers');
    const namespace = await freshNamespace(first, { replicas: 3 });
    return {
      store: new NatsLeaseStore({ ...first, namespace }),
      other: new NatsLeaseStore({ ...second, namespace }),
      elapse: realTime,
    };
  });
});

describe('a NATS user without permissions', () => {
  it('BUS_FORBIDDEN names the subject', async () => {
    const denied = ['$KV.*.lock.>', '$JS.API.DIRECT.GET.>', '$JS.API.STREAM.PURGE.>', '$JS.API.CONSUMER.MSG.NEXT.>'];
    const nats = await startNats({
      extraConfig: `authorization { users: [
        { user: admin, password: admin }
        { user: poor, password: poor, permissions: { publish: { deny: ${JSON.stringify(denied)} } } }
      ] }`,
    });
    const admin = await openStoreKit(nats.url.replace('//', '//admin:admin@'), 2_000);
    const poor = await openStoreKit(nats.url.replace('//', '//poor:poor@'), 2_000);
    try {
      const namespace = await freshNamespace(admin, { replicas: 1 });
      const leases = new NatsLeaseStore({ ...poor, namespace });
      const written = await expectEngineError(leases.writeShard(lockOfA, 0), 'BUS_FORBIDDEN');
      expect(written.message).toContain(`$KV.${namespace}-shards.lock.5`);
      const listed = await expectEngineError(leases.listNodes(), 'BUS_FORBIDDEN');
      expect(listed.message).toContain('$JS.API.DIRECT.GET');
      const snapshots = new NatsSnapshotStore({ ...poor, namespace });
      await new NatsSnapshotStore({ ...admin, namespace })
        .writer(shard, 1 as Epoch)
        .write([{ kind: 'live', taskId: 'a' as TaskId, bytes: new Uint8Array(1) }]);
      const writer = snapshots.writer(shard, 2 as Epoch);
      await expectEngineError(writer.dropEarlierEpochs(), 'BUS_FORBIDDEN');
      await new NatsSnapshotStore({ ...admin, namespace }).writer(shard, 1 as Epoch).checkpoint(1 as Sequence);
      await expectEngineError(loadLive(snapshots, shard), 'BUS_FORBIDDEN');
    } finally {
      await poor.close();
      await admin.close();
      await nats.stop();
    }
  });
});

describe('a nats-server that goes away', () => {
  it('UNAVAILABLE from every operation while it is down or frozen, never lost', async () => {
    const nats = await startNats();
    const node = await openStoreKit(nats.url, 300);
    try {
      const namespace = await freshNamespace(node, { replicas: 1 });
      const store = new NatsLeaseStore({ ...node, namespace });
      const held = await store.renewNode(lease, ttlMs, null);
      const revision = held.kind === 'held' ? held.revision : 0;
      const expectOutage = async (): Promise<void> => {
        await expectEngineError(store.renewNode(lease, ttlMs, revision), 'UNAVAILABLE');
        await expectEngineError(store.renewNode(lease, ttlMs, null), 'UNAVAILABLE');
        await expectEngineError(store.releaseNode(lease.nodeId, 999), 'UNAVAILABLE');
        await expectEngineError(store.listNodes(), 'UNAVAILABLE');
        await expectEngineError(store.readNode(lease.nodeId), 'UNAVAILABLE');
        await expectEngineError(store.readOrders(), 'UNAVAILABLE');
        await expectEngineError(store.writeOrders(noOrders, 1), 'UNAVAILABLE');
        await expectEngineError(store.readShard(shard), 'UNAVAILABLE');
        await expectEngineError(store.writeShard(lockOfA, 0), 'UNAVAILABLE');
        await expectEngineError(store.setOnce('key', 'value'), 'UNAVAILABLE');
      };
      await nats.freeze();
      await until(() => isSilent(node));
      await expectOutage();
      await nats.kill();
      await until(() => !node.link.isConnected);
      await expectOutage();
      await nats.restart();
      await until(() => node.link.isConnected);
      expect((await store.renewNode(lease, ttlMs, revision)).kind).toBe('held');
      expect((await store.writeShard(lockOfA, 0)).kind).toBe('held');
    } finally {
      await node.close();
      await nats.stop();
    }
  });
});
