import { Kvm } from '@nats-io/kv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Epoch, Sequence, ShardId, TaskId } from '../../src/core/ids.ts';
import { VirtualClock } from '../../src/platform/virtual-clock.ts';
import type { SnapshotWrite } from '../../src/ports/snapshots.ts';
import { MemorySnapshotStore } from '../../src/store/memory-snapshots.ts';
import { NatsSnapshotStore } from '../../src/store/nats-snapshots.ts';
import type { StoreFault } from '../../src/store/store-fault.ts';
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
import { snapshotsContract } from './snapshots.contract.ts';

const shard = 3 as ShardId;
const epoch = 1 as Epoch;

function live(name: string | number, size = 10): SnapshotWrite {
  return { kind: 'live', taskId: `task-${name}` as TaskId, bytes: new Uint8Array(size) };
}

function finished(name: string | number, retentionMs = 60_000): SnapshotWrite {
  return { kind: 'finished', taskId: `task-${name}` as TaskId, bytes: new Uint8Array(10), retentionMs };
}

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const item of items) expect(item).toBeDefined();
}

snapshotsContract('memory', async () => {
  const clock = new VirtualClock();
  const store = new MemorySnapshotStore({ clock });
  return { store, other: store, elapse: (ms) => clock.advance(ms) };
});

function faulty(fault: { next: StoreFault }): MemorySnapshotStore {
  return new MemorySnapshotStore({ clock: new VirtualClock(), faults: () => fault.next });
}

describe('memory snapshots under faults', () => {
  it('UNAVAILABLE and STORAGE_FULL change nothing', async () => {
    const fault: { next: StoreFault } = { next: 'unavailable' };
    const store = faulty(fault);
    const writer = store.writer(shard, epoch);
    await expectEngineError(writer.write([live('a')]), 'UNAVAILABLE');
    await expectEngineError(loadLive(store, shard), 'UNAVAILABLE');
    fault.next = 'full';
    await expectEngineError(writer.write([live('a')]), 'STORAGE_FULL');
    await expectEngineError(writer.checkpoint(1 as Sequence), 'STORAGE_FULL');
    expect((await loadLive(store, shard)).checkpoint).toBeNull();
    fault.next = 'none';
    await writer.checkpoint(1 as Sequence);
    expect((await loadLive(store, shard)).live.size).toBe(0);
  });

  it('a lost answer throws UNAVAILABLE although the write is there', async () => {
    const fault: { next: StoreFault } = { next: 'lostAnswer' };
    const store = faulty(fault);
    await expectEngineError(store.writer(shard, epoch).checkpoint(4 as Sequence), 'UNAVAILABLE');
    fault.next = 'none';
    expect((await loadLive(store, shard)).checkpoint?.sequence).toBe(4);
  });

  it('answers come after the latency and not before', async () => {
    const clock = new VirtualClock();
    const store = new MemorySnapshotStore({ clock, latencyMs: 10 });
    let isDone = false;
    const writing = store
      .writer(shard, epoch)
      .write([live('a')])
      .then(() => (isDone = true));
    await clock.advance(9);
    expect(isDone).toBe(false);
    await clock.advance(1);
    expect(await writing).toBe(true);
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

  snapshotsContract('one nats-server', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    return {
      store: new NatsSnapshotStore({ ...node, namespace }),
      other: new NatsSnapshotStore({ ...otherNode, namespace }),
      elapse: realTime,
    };
  });

  it('STORAGE_FULL when the bucket is at its byte limit; it can still be read', async () => {
    const namespace = await freshNamespace(node, { replicas: 1, maximumBytes: { snapshots: 64 * 1024 } });
    const store = new NatsSnapshotStore({ ...node, namespace });
    const writer = store.writer(shard, epoch);
    await writer.write([live('a', 1_000), finished('f')]);
    await writer.checkpoint(1 as Sequence);
    const flood = Array.from({ length: 100 }, (_, index) => live(`flood-${index}`, 1_000));
    const error = await expectEngineError(writer.write(flood), 'STORAGE_FULL');
    expect(error.cause).toBeInstanceOf(Error);
    const loaded = await loadLive(store, shard);
    expect(loaded.live.has('task-a' as TaskId)).toBe(true);
    expect((await store.findFinished(shard, ['task-f' as TaskId])).size).toBe(1);
    for await (const taskId of store.finishedIds(shard)) expect(taskId).toBe('task-f');
  });

  it('the bucket is readable by the KV client, with the keys that the docs name', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    const writer = new NatsSnapshotStore({ ...node, namespace }).writer(shard, 7 as Epoch);
    await writer.write([live('a'), finished('b')]);
    await writer.checkpoint(12 as Sequence);
    const bucket = await new Kvm(otherNode.link.connection).open(`${namespace}-snapshots`);
    const keys: string[] = [];
    for await (const key of await bucket.keys()) keys.push(key);
    expect(keys.toSorted()).toEqual(['3.checkpoint', '3.finished.task-b', '3.live.7.task-a']);
    expect((await bucket.get('3.checkpoint'))?.json()).toEqual({ shard: 3, epoch: 7, sequence: 12 });
  });

  it('what replaces a removed live snapshot goes away by itself', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    const writer = new NatsSnapshotStore({ ...node, namespace }).writer(shard, epoch);
    await writer.write([live('a')]);
    await writer.write([finished('a')]);
    const marker = await node.api.lastMessage(
      `KV_${namespace}-snapshots`,
      `$KV.${namespace}-snapshots.3.live.1.task-a`,
    );
    expect(marker?.headers.get('KV-Operation')).toBe('PURGE');
    expect(marker?.headers.get('Nats-TTL')).toBe('120s');
  });

  it('a late landing of an older write cannot replace a newer one, nor bring a finished task back', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    const store = new NatsSnapshotStore({ ...node, namespace });
    const writer = store.writer(shard, epoch);
    await writer.write([live('a', 1), live('b', 1)]);
    await writer.write([live('a', 2), finished('b')]);
    await writer.checkpoint(1 as Sequence);
    // The first writes once more, as a frozen server would let go of them: they expected keys never written.
    for (const name of ['a', 'b']) {
      const subject = `$KV.${namespace}-snapshots.3.live.1.task-${name}`;
      const headers = { 'Nats-Expected-Last-Subject-Sequence': '0' };
      expect(await otherNode.acks.publish(subject, new Uint8Array(1), headers)).toMatchObject({ code: 10_071 });
    }
    expect([...(await loadLive(store, shard)).live].map(([id, value]) => [id, value.length])).toEqual([['task-a', 2]]);
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
  snapshotsContract('three nats-servers', async () => {
    const [first, second] = [kits[openCount % 3], kits[(openCount + 1) % 3]];
    openCount += 1;
    if (first === undefined || second === undefined) throw new Error('no servers');
    const namespace = await freshNamespace(first, { replicas: 3 });
    return {
      store: new NatsSnapshotStore({ ...first, namespace }),
      other: new NatsSnapshotStore({ ...second, namespace }),
      elapse: realTime,
    };
  });
});

describe('a nats-server that goes away', () => {
  it('UNAVAILABLE from every operation while it is down, and all is there when it is back', async () => {
    const nats = await startNats();
    const node = await openStoreKit(nats.url, 1_000);
    try {
      const namespace = await freshNamespace(node, { replicas: 1 });
      const store = new NatsSnapshotStore({ ...node, namespace });
      const writer = store.writer(shard, epoch);
      await writer.write([live('a'), finished('b')]);
      await writer.checkpoint(1 as Sequence);
      await nats.kill();
      await expectEngineError(writer.write([live('c')]), 'UNAVAILABLE');
      await expectEngineError(writer.write([finished('a')]), 'UNAVAILABLE');
      await expectEngineError(writer.checkpoint(2 as Sequence), 'UNAVAILABLE');
      await expectEngineError(writer.dropEarlierEpochs(), 'UNAVAILABLE');
      await expectEngineError(loadLive(store, shard), 'UNAVAILABLE');
      await expectEngineError(store.findFinished(shard, ['task-b' as TaskId]), 'UNAVAILABLE');
      await expectEngineError(drain(store.finishedIds(shard)), 'UNAVAILABLE');
      await nats.restart();
      await until(() => node.link.isConnected);
      await writer.write([live('c'), finished('a')]);
      await writer.checkpoint(2 as Sequence);
      const loaded = await loadLive(store, shard);
      expect(loaded.checkpoint?.sequence).toBe(2);
      expect([...loaded.live.keys()]).toEqual(['task-c']);
    } finally {
      await node.close();
      await nats.stop();
    }
  });

  it('UNAVAILABLE when it is frozen; a write that lands after all is taken up by the next try', async () => {
    const nats = await startNats();
    const node = await openStoreKit(nats.url, 500);
    try {
      const namespace = await freshNamespace(node, { replicas: 1 });
      const store = new NatsSnapshotStore({ ...node, namespace });
      const writer = store.writer(shard, epoch);
      await writer.write([live('a', 1)]);
      await writer.checkpoint(1 as Sequence);
      await nats.freeze();
      await until(() => isSilent(node));
      await expectEngineError(writer.write([live('a', 2), live('b', 2)]), 'UNAVAILABLE');
      await expectEngineError(writer.checkpoint(2 as Sequence), 'UNAVAILABLE');
      await nats.resume();
      await writer.write([live('a', 3), live('b', 3)]);
      await writer.checkpoint(3 as Sequence);
      const loaded = await loadLive(store, shard);
      expect(loaded.checkpoint?.sequence).toBe(3);
      expect([...loaded.live.values()].map((value) => value.length)).toEqual([3, 3]);
    } finally {
      await nats.resume();
      await node.close();
      await nats.stop();
    }
  });
});
