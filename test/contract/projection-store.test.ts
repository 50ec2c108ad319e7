import { Kvm } from '@nats-io/kv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deadLetterBucket } from '../../src/core/subjects.ts';
import { VirtualClock } from '../../src/platform/virtual-clock.ts';
import { MemoryProjectionStore } from '../../src/store/memory-projections.ts';
import { NatsProjectionStore } from '../../src/store/nats-projections.ts';
import type { StoreFault } from '../../src/store/store-fault.ts';
import type { AckInbox } from '../../src/transport/ack-inbox.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';
import { expectEngineError, freshNamespace, openStoreKit, type NatsStoreKit } from '../support/nats-store-kit.ts';
import { aChange, projectionStoreContract, revisionOf } from './projection-store.contract.ts';

projectionStoreContract('memory', async () => {
  const store = new MemoryProjectionStore({ clock: new VirtualClock() });
  return { store, other: store };
});

describe('memory projections under faults', () => {
  it('UNAVAILABLE and STORAGE_FULL change nothing; a lost answer throws although the save is there', async () => {
    let fault: StoreFault = 'unavailable';
    const store = new MemoryProjectionStore({ clock: new VirtualClock(), faults: () => fault });
    await expectEngineError(store.save('letters', aChange('1-1-1'), 0), 'UNAVAILABLE');
    await expectEngineError(store.load('letters'), 'UNAVAILABLE');
    fault = 'full';
    await expectEngineError(store.save('letters', aChange('1-1-1'), 0), 'STORAGE_FULL');
    expect((await store.load('letters')).revision).toBe(0);
    fault = 'lostAnswer';
    await expectEngineError(store.save('letters', aChange('1-1-1'), 0), 'UNAVAILABLE');
    fault = 'none';
    expect((await store.load('letters')).position).toBe('1-1-1');
  });
});

for (const servers of [1, 3] as const) {
  describe(`on ${servers === 1 ? 'one nats-server' : 'three nats-servers'}`, () => {
    let nats: NatsFixture;
    let kit: NatsStoreKit;
    let otherKit: NatsStoreKit;
    let namespace = '';

    beforeAll(async () => {
      nats = await startNats({ servers });
      kit = await openStoreKit(nats.urls[0] ?? '');
      otherKit = await openStoreKit(nats.urls.at(-1) ?? '');
    });

    afterAll(async () => {
      await kit.close();
      await otherKit.close();
      await nats.stop();
    });

    const open = async () => {
      namespace = await freshNamespace(kit, { replicas: servers });
      return {
        store: new NatsProjectionStore({ ...kit, namespace }),
        other: new NatsProjectionStore({ ...otherKit, namespace }),
      };
    };

    projectionStoreContract(`JetStream, ${servers} replica(s)`, open);

    it('nothing of a save lands once another save has begun: the server refuses the rest of it', async () => {
      const { other } = await open();
      // Another projector does a whole save between two documents of ours.
      let meanwhile: (() => Promise<void>) | null = async () => {
        const { revision, documents } = await other.load('letters');
        expect(documents).toEqual(new Map([['a', 'zombie']]));
        revisionOf(await other.save('letters', aChange('5-1-1', { a: 'new' }, ['b']), revision));
      };
      const acks: Pick<AckInbox, 'publish'> = {
        publish: async (subject, body, headers) => {
          if (subject.endsWith('.document.b') && meanwhile !== null) {
            const run = meanwhile;
            meanwhile = null;
            await run();
          }
          return kit.acks.publish(subject, body, headers);
        },
      };
      const zombie = new NatsProjectionStore({ ...kit, acks, namespace });
      const save = await zombie.save('letters', aChange('3-1-1', { a: 'zombie', b: 'zombie', c: 'zombie' }), 0);
      expect(save).toEqual({ kind: 'conflict' });
      expect(await other.load('letters')).toMatchObject({ position: '5-1-1', documents: new Map([['a', 'new']]) });
    });

    it('a save that is cut off leaves its documents ahead of the old position, and can be done again', async () => {
      const { store } = await open();
      const first = revisionOf(await store.save('letters', aChange('1-1-1', { a: 1 }), 0));
      let left = 2;
      const acks: Pick<AckInbox, 'publish'> = {
        publish: async (subject, body, headers) => {
          left -= 1;
          return left < 0 ? { kind: 'timeout' } : kit.acks.publish(subject, body, headers);
        },
      };
      const dying = new NatsProjectionStore({ ...kit, acks, namespace });
      const change = aChange('2-1-1', { b: 2, c: 3 }, ['a']);
      await expectEngineError(dying.save('letters', change, first), 'UNAVAILABLE');
      const half = await store.load('letters');
      expect(half).toMatchObject({ position: '1-1-1', documents: new Map(Object.entries({ a: 1, b: 2 })) });
      expect(await store.save('letters', change, first)).toEqual({ kind: 'conflict' });
      revisionOf(await store.save('letters', change, half.revision));
      expect((await store.load('letters')).documents).toEqual(new Map(Object.entries({ b: 2, c: 3 })));
    });

    it('every KV tool can read the bucket', async () => {
      const { store } = await open();
      revisionOf(await store.save('letters', aChange('1-1-1', { 'task-1': { stage: 'parse' } }), 0));
      const bucket = await new Kvm(kit.link.connection).open(deadLetterBucket(namespace));
      expect((await bucket.get('letters.document.task-1'))?.json()).toEqual({ stage: 'parse' });
      expect((await bucket.get('letters.position'))?.json()).toBe('1-1-1');
    });

    it('RECORD_CORRUPT names a position that no save has written; a document that is no JSON is null', async () => {
      const { store } = await open();
      revisionOf(await store.save('letters', aChange('1-1-1', { a: 1 }), 0));
      const bucket = await new Kvm(kit.link.connection).open(deadLetterBucket(namespace));
      await bucket.put('letters.document.a', '{"half');
      expect((await store.load('letters')).documents).toEqual(new Map([['a', null]]));
      await bucket.put('letters.position', '{');
      const error = await expectEngineError(store.load('letters'), 'RECORD_CORRUPT');
      expect(error.message).toContain('letters.position');
    });

    it('UNAVAILABLE when there is no such bucket', async () => {
      const lost = new NatsProjectionStore({ ...kit, namespace: 'nowhere' });
      await expectEngineError(lost.load('letters'), 'UNAVAILABLE');
      await expectEngineError(lost.save('letters', aChange('1-1-1'), 0), 'UNAVAILABLE');
    });
  });
}
