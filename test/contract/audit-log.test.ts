import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditStream, auditSubject } from '../../src/core/subjects.ts';
import { MemoryAuditLog } from '../../src/store/memory-audit-log.ts';
import { ensureAuditStream, NatsAuditLog } from '../../src/store/nats-audit-log.ts';
import { StreamApi } from '../../src/store/stream-api.ts';
import type { AckInbox } from '../../src/transport/ack-inbox.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';
import { expectEngineError, openStoreKit, until, type NatsStoreKit } from '../support/nats-store-kit.ts';
import { anAuditEntry, auditLogContract } from './audit-log.contract.ts';

auditLogContract(
  'memory',
  () => {
    const log = new MemoryAuditLog();
    return Promise.resolve({ log, other: log });
  },
  () => {
    const log = new MemoryAuditLog();
    const tamper = (position: number, body: Uint8Array | null): Promise<void> =>
      Promise.resolve(log.tamper(position, body));
    const forgeNext = async (body: Uint8Array): Promise<void> => {
      const verdict = await log.verify();
      await tamper(verdict.kind === 'intact' ? verdict.last + 1 : 0, body);
    };
    return Promise.resolve({ log, forgeNext, remove: (position) => tamper(position, null) });
  },
);

describe('memory audit log', () => {
  it('I56: an entry that was changed in its place is found', async () => {
    const log = new MemoryAuditLog();
    for (let number = 0; number < 3; number += 1) await log.append(anAuditEntry());
    const other = new MemoryAuditLog();
    await other.append(anAuditEntry());
    const { hash } = await other.append(anAuditEntry({ principal: 'mallory' }));
    const first = await other.list({ limit: 2 });
    const previous = first.entries[1]?.hash;
    const entry = anAuditEntry({ principal: 'mallory' });
    log.tamper(2, Buffer.from(JSON.stringify({ format: 1, previous, hash, entry })));
    expect(await log.verify()).toMatchObject({ kind: 'broken', position: 3 });
  });
});

for (const servers of [1, 3] as const) {
  describe(`on ${servers === 1 ? 'one nats-server' : 'three nats-servers'}`, () => {
    let nats: NatsFixture;
    let kit: NatsStoreKit;
    let otherKit: NatsStoreKit;
    let streams: StreamApi;
    let count = 0;

    beforeAll(async () => {
      nats = await startNats({ servers });
      kit = await openStoreKit(nats.urls[0] ?? '');
      otherKit = await openStoreKit(nats.urls.at(-1) ?? '');
      streams = new StreamApi(kit);
    });

    afterAll(async () => {
      streams.close();
      await kit.close();
      await otherKit.close();
      await nats.stop();
    });

    const isReady = async (namespace: string): Promise<boolean> =>
      kit.api.lastSequence(auditStream(namespace)).then(
        () => true,
        () => false,
      );

    const open = async (retentionMs?: number) => {
      count += 1;
      const namespace = `a${count}`;
      // A cluster that has just started places a stream when it knows its peers.
      await until(async () =>
        ensureAuditStream(kit.api, { namespace, replicas: servers, retentionMs }).then(
          () => true,
          () => false,
        ),
      );
      await until(() => isReady(namespace));
      const log = new NatsAuditLog({ ...kit, namespace });
      return { log, other: new NatsAuditLog({ ...otherKit, namespace }), namespace };
    };

    /** A stream without its guards, as somebody with the rights of an installer could have made it. */
    const openSpoiled = async () => {
      count += 1;
      const namespace = `s${count}`;
      const name = auditStream(namespace);
      const settings = { subjects: [auditSubject(namespace)], storage: 'file', num_replicas: servers };
      await until(async () =>
        kit.api.createStream({ name, ...settings }).then(
          () => true,
          () => false,
        ),
      );
      await until(() => isReady(namespace));
      const log = new NatsAuditLog({ ...kit, namespace });
      const forgeNext = async (body: Uint8Array): Promise<void> => {
        expect(await kit.acks.publish(auditSubject(namespace), body)).toMatchObject({ kind: 'ack' });
      };
      const remove = async (seq: number): Promise<void> => {
        await streams.demand(`STREAM.MSG.DELETE.${name}`, { seq });
      };
      return { log, forgeNext, remove };
    };

    auditLogContract(`JetStream, ${servers} replica(s)`, () => open(), openSpoiled);

    it('I56: the server refuses to delete an entry, to purge the log, and to take these guards away', async () => {
      const { log, namespace } = await open();
      await log.append(anAuditEntry());
      const name = auditStream(namespace);
      const info = await streams.demand(`STREAM.INFO.${name}`);
      const config = info['config'] as Readonly<Record<string, unknown>>;
      for (const [operation, request] of [
        ['STREAM.MSG.DELETE', { seq: 1 }],
        ['STREAM.MSG.DELETE', { seq: 1, no_erase: true }],
        ['STREAM.PURGE', {}],
        ['STREAM.PURGE', { filter: auditSubject(namespace) }],
        ['STREAM.UPDATE', { ...config, deny_delete: false }],
        ['STREAM.UPDATE', { ...config, deny_purge: false }],
      ] as const) {
        expect(await streams.call(`${operation}.${name}`, request), operation).toMatchObject({ kind: 'error' });
      }
      expect(await log.verify()).toMatchObject({ kind: 'intact', first: 1, last: 1 });
    });

    it('an append whose answer is lost is found in its place and not written twice', async () => {
      const { other, namespace } = await open();
      let losses = 2;
      const acks: Pick<AckInbox, 'publish'> = {
        publish: async (...request) => {
          const outcome = await kit.acks.publish(...request);
          losses -= 1;
          return losses >= 0 ? { kind: 'timeout' } : outcome;
        },
      };
      const log = new NatsAuditLog({ ...kit, acks, namespace });
      expect(await log.append(anAuditEntry({ at: 1 }))).toMatchObject({ position: 1 });
      expect(await log.append(anAuditEntry({ at: 2 }))).toMatchObject({ position: 2 });
      expect(await log.append(anAuditEntry({ at: 3 }))).toMatchObject({ position: 3 });
      expect(await other.verify()).toMatchObject({ kind: 'intact', first: 1, last: 3 });
    });

    it('UNAVAILABLE: an append that nobody answered and nothing shows of; the next one goes on', async () => {
      const { namespace } = await open();
      let isCut = true;
      const acks: Pick<AckInbox, 'publish'> = {
        publish: async (...request) => (isCut ? { kind: 'timeout' } : kit.acks.publish(...request)),
      };
      const log = new NatsAuditLog({ ...kit, acks, namespace });
      await expectEngineError(log.append(anAuditEntry()), 'UNAVAILABLE');
      isCut = false;
      expect(await log.append(anAuditEntry())).toMatchObject({ position: 1 });
    });

    it('PAYLOAD_TOO_LARGE: an entry is no place for a payload', async () => {
      const { log } = await open();
      await expectEngineError(log.append(anAuditEntry({ after: 'x'.repeat(70_000) })), 'PAYLOAD_TOO_LARGE');
      expect(await log.append(anAuditEntry())).toMatchObject({ position: 1 });
    });

    it('entries go when they have reached their age, and the chain is intact from the oldest that is left', async () => {
      const { log, namespace } = await open(1_000);
      await log.append(anAuditEntry());
      await log.append(anAuditEntry());
      await until(async () => (await kit.api.lastMessage(auditStream(namespace), auditSubject(namespace))) === null);
      expect(await log.list({ limit: 10 })).toEqual({ entries: [], next: null });
      const reader = new NatsAuditLog({ ...otherKit, namespace });
      expect(await reader.append(anAuditEntry())).toMatchObject({ position: 3 });
      expect(await reader.verify()).toMatchObject({ kind: 'intact', first: 3, last: 3 });
    });

    it('a message that is no record does not stop the log, but verify goes on to name it', async () => {
      const { log, forgeNext } = await openSpoiled();
      await log.append(anAuditEntry());
      await forgeNext(Buffer.from('junk'));
      expect(await log.append(anAuditEntry())).toMatchObject({ position: 3 });
      expect(await log.verify()).toMatchObject({ kind: 'broken', position: 2 });
      const error = await expectEngineError(log.list({ limit: 9 }), 'RECORD_CORRUPT');
      expect(error.message).toContain('entry 2');
    });

    it('STREAM_MISCONFIGURED: a log that could be purged is none', async () => {
      const namespace = `open${servers}`;
      const settings = { subjects: [auditSubject(namespace)], storage: 'file', num_replicas: servers };
      await kit.api.createStream({ name: auditStream(namespace), ...settings, deny_delete: true });
      await expectEngineError(ensureAuditStream(kit.api, { namespace, replicas: servers }), 'STREAM_MISCONFIGURED');
    });

    it('UNAVAILABLE when there is no stream', async () => {
      const log = new NatsAuditLog({ ...kit, namespace: 'nowhere' });
      await expectEngineError(log.append(anAuditEntry()), 'UNAVAILABLE');
      await expectEngineError(log.list({ limit: 1 }), 'UNAVAILABLE');
      await expectEngineError(log.verify(), 'UNAVAILABLE');
    });
  });
}
