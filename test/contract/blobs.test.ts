import { Objm } from '@nats-io/obj';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { SeededRandom } from '../../src/platform/seeded-random.ts';
import { VirtualClock } from '../../src/platform/virtual-clock.ts';
import { blobReuseMs } from '../../src/ports/blobs.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Random } from '../../src/ports/random.ts';
import { MemoryBlobStore } from '../../src/store/memory-blobs.ts';
import { NatsBlobStore } from '../../src/store/nats-blobs.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';
import {
  expectEngineError,
  freshNamespace,
  openStoreKit,
  until,
  type NatsStoreKit,
} from '../support/nats-store-kit.ts';
import { blobsContract } from './blobs.contract.ts';

blobsContract('memory', async () => {
  const store = new MemoryBlobStore({ clock: new VirtualClock() });
  return { store, other: store };
});

describe('memory blobs under faults', () => {
  it('UNAVAILABLE and STORAGE_FULL store nothing', async () => {
    let fault: 'none' | 'unavailable' | 'full' = 'full';
    const store = new MemoryBlobStore({ clock: new VirtualClock(), faults: () => fault });
    await expectEngineError(store.put('task-a', 'input', new Uint8Array(3)), 'STORAGE_FULL');
    fault = 'unavailable';
    await expectEngineError(store.put('task-a', 'input', new Uint8Array(3)), 'UNAVAILABLE');
    fault = 'none';
    const reference = await store.put('task-b', 'input', new Uint8Array(3));
    await expectEngineError(store.get({ ...reference, key: reference.key.replace('-b', '-a') }), 'RECORD_CORRUPT');
    store.corrupt(reference.key, Uint8Array.of(0, 0, 1));
    await expectEngineError(store.get(reference), 'RECORD_CORRUPT');
  });
});

function blobStore(kit: NatsStoreKit, namespace: string, random: Random = new SeededRandom(3)) {
  return new NatsBlobStore({ ...kit, random, namespace });
}

/** The clock of a later day. */
function shifted(clock: Clock, byMs: number): Clock {
  return Object.assign(Object.create(clock) as Clock, { now: () => clock.now() + byMs });
}

describe('an object that is stored again after long', () => {
  it('is stored anew in memory, so that a deletion that was decided before does not reach it', async () => {
    const clock = new VirtualClock();
    const store = new MemoryBlobStore({ clock });
    const reference = await store.put('task-a', 'input', new Uint8Array(3));
    await clock.advance(blobReuseMs);
    const { mark } = await store.census(() => true);
    await store.put('task-a', 'input', new Uint8Array(3));
    await store.deleteTask('task-a', mark);
    expect((await store.get(reference)).length).toBe(3);
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

  blobsContract('one nats-server', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    return {
      store: blobStore(node, namespace, new SeededRandom(1)),
      other: blobStore(otherNode, namespace, new SeededRandom(2)),
    };
  });

  it('an object that is stored again after long is stored anew: a deletion that was decided before does not reach it', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    const reference = await blobStore(node, namespace).put('task-a', 'input', new Uint8Array(200_000));
    const { mark } = await blobStore(node, namespace).census(() => true);
    const soon = shifted(node.clock, blobReuseMs - 60_000);
    await blobStore({ ...node, clock: soon }, namespace, new SeededRandom(4)).put(
      'task-a',
      'input',
      new Uint8Array(200_000),
    );
    expect((await blobStore(node, namespace).census(() => true)).mark).toBe(mark);
    const late = shifted(node.clock, blobReuseMs);
    await blobStore({ ...node, clock: late }, namespace, new SeededRandom(5)).put(
      'task-a',
      'input',
      new Uint8Array(200_000),
    );
    await blobStore(otherNode, namespace).deleteTask('task-a', mark);
    expect((await blobStore(otherNode, namespace).get(reference)).length).toBe(200_000);
  });

  it('RECORD_CORRUPT when a chunk has other bytes, or is missing', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    const store = blobStore(node, namespace);
    const stream = `OBJ_${namespace}-payloads`;
    const reference = await store.put('task-a', 'input', new Uint8Array(200_000));
    const [chunkSubject = ''] = await node.api.subjects(stream, `$O.${namespace}-payloads.C.>`);
    await node.api.purge(stream, chunkSubject);
    const missing = await expectEngineError(store.get(reference), 'RECORD_CORRUPT');
    expect(missing.message).toContain('chunk 1 of 2 is missing');
    await node.acks.publish(chunkSubject, new Uint8Array(131_072));
    await node.acks.publish(chunkSubject, new Uint8Array(200_000 - 131_072).fill(1));
    const changed = await expectEngineError(store.get(reference), 'RECORD_CORRUPT');
    expect(changed.message).toContain('other contents');
  });

  it('RECORD_CORRUPT when the meta cannot be read', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    const store = blobStore(node, namespace);
    const reference = await store.put('task-a', 'input', new Uint8Array(10));
    const [metaSubject = ''] = await node.api.subjects(`OBJ_${namespace}-payloads`, `$O.${namespace}-payloads.M.>`);
    for (const body of ['?', '{"nuid":"a > b","size":1,"chunks":1}', '{"deleted":true}']) {
      await node.acks.publish(metaSubject, Buffer.from(body), { 'Nats-Rollup': 'sub' });
      await expectEngineError(store.get(reference), 'RECORD_CORRUPT');
    }
  });

  it('the Object Store client lists and reads the blobs, the digest included', async () => {
    const namespace = await freshNamespace(node, { replicas: 1 });
    const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => index % 251);
    const reference = await blobStore(node, namespace).put('task-a', 'output.photos', bytes);
    const bucket = await new Objm(otherNode.link.connection).open(`${namespace}-payloads`);
    expect((await bucket.list()).map((info) => info.name)).toEqual([reference.key]);
    expect(Buffer.compare((await bucket.getBlob(reference.key)) ?? new Uint8Array(0), bytes)).toBe(0);
  });

  it('STORAGE_FULL when the bucket is at its byte limit, and half an object is not left behind', async () => {
    const namespace = await freshNamespace(node, { replicas: 1, maximumBytes: { blobs: 1_000_000 } });
    const store = blobStore(node, namespace);
    const small = await store.put('task-a', 'small', new Uint8Array(1_000));
    const error = await expectEngineError(store.put('task-a', 'large', new Uint8Array(2_000_000)), 'STORAGE_FULL');
    expect(error.cause).toBeInstanceOf(Error);
    const subjects = await node.api.subjects(`OBJ_${namespace}-payloads`, `$O.${namespace}-payloads.C.>`);
    expect(subjects).toHaveLength(1);
    expect((await store.get(small)).length).toBe(1_000);
    await store.put('task-a', 'fits', new Uint8Array(500_000));
  });
});

describe('a nats-server that goes away', () => {
  it('UNAVAILABLE from every operation while it is down, and the blob is there when it is back', async () => {
    const nats = await startNats();
    const node = await openStoreKit(nats.url, 1_000);
    try {
      const namespace = await freshNamespace(node, { replicas: 1 });
      const store = blobStore(node, namespace);
      const reference = await store.put('task-a', 'input', new Uint8Array(200_000));
      await nats.kill();
      await expectEngineError(store.put('task-b', 'input', new Uint8Array(10)), 'UNAVAILABLE');
      await expectEngineError(store.get(reference), 'UNAVAILABLE');
      await expectEngineError(store.deleteTask('task-a'), 'UNAVAILABLE');
      await nats.restart();
      await until(() => node.link.isConnected);
      expect((await store.get(reference)).length).toBe(200_000);
    } finally {
      await node.close();
      await nats.stop();
    }
  });
});
