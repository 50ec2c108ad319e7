import { describe, expect, it } from 'vitest';
import { maximumAuditPageSize, type AuditEntry, type AuditLog, type AuditQuery } from '../../src/ports/audit-log.ts';
import { expectEngineError } from '../support/nats-store-kit.ts';

/** A new log, seen by two of its writers, and hands that may reach into what is stored. */
export interface AuditLogUnderTest {
  readonly log: AuditLog;
  readonly other: AuditLog;
}

/** A log whose stored entries can be changed. */
export interface SpoiledAuditLog {
  readonly log: AuditLog;
  /** Another body in the place of the newest entry: something that its writer did not write. */
  readonly forgeNext: (body: Uint8Array) => Promise<void>;
  /** Takes an entry out. */
  readonly remove: (position: number) => Promise<void>;
}

/** An entry for tests. */
export function anAuditEntry(fields: Partial<AuditEntry> = {}): AuditEntry {
  return {
    at: 1_700_000_000_000,
    principal: 'ops',
    role: 'operator',
    address: '127.0.0.1',
    action: 'task.cancel',
    target: 't-1',
    reason: 'no longer needed',
    commandId: 'c-1',
    requestId: 'r-1',
    outcome: 'allowed',
    code: null,
    before: { state: 'photos.running' },
    after: null,
    ...fields,
  };
}

async function every(log: AuditLog, query: Partial<AuditQuery> = {}): Promise<readonly AuditEntry[]> {
  const found: AuditEntry[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < 100; page += 1) {
    const { entries, next } = await log.list({ limit: 7, ...query, ...(cursor === undefined ? {} : { cursor }) });
    found.push(...entries.map(({ position: _position, hash: _hash, ...entry }) => entry));
    if (next === null) return found;
    cursor = next;
  }
  throw new Error('the log does not end');
}

/** The promises of an audit log, for each of its adapters. */
export function auditLogContract(
  name: string,
  open: () => Promise<AuditLogUnderTest>,
  openSpoiled: () => Promise<SpoiledAuditLog>,
): void {
  describe(`audit log: ${name}`, () => {
    it('is empty and intact at first', async () => {
      const { log } = await open();
      expect(await log.list({ limit: 10 })).toEqual({ entries: [], next: null });
      expect(await log.verify()).toEqual({ kind: 'intact', first: 0, last: 0, lastHash: null });
    });

    it('I56: what is appended is there when append resolves, as it was written, the newest first', async () => {
      const { log, other } = await open();
      const entries = ['allowed', 'done'].map((outcome) =>
        anAuditEntry({
          outcome: outcome as AuditEntry['outcome'],
          parameters: { filter: { stages: ['parse'], text: '\u0000 " \u2028 ä \n' } },
          after: { state: 'canceled' },
        }),
      );
      const first = await log.append(entries[0] as AuditEntry);
      expect((await other.list({ limit: 10 })).entries).toEqual([
        { ...(entries[0] as AuditEntry), position: 1, hash: first.hash },
      ]);
      const second = await log.append(entries[1] as AuditEntry);
      expect([first.position, second.position]).toEqual([1, 2]);
      expect(second.hash).toMatch(/^[0-9a-f]{64}$/);
      expect(await every(other)).toEqual(entries.toReversed());
      expect(await other.verify()).toEqual({ kind: 'intact', first: 1, last: 2, lastHash: second.hash });
    });

    it('I56: two writers at once keep one chain, with each entry once', async () => {
      const { log, other } = await open();
      const appended = await Promise.all(
        Array.from({ length: 60 }, (_, number) =>
          (number % 2 === 0 ? log : other).append(anAuditEntry({ requestId: `r-${number}` })),
        ),
      );
      expect(appended.map(({ position }) => position).toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: 60 }, (_, index) => index + 1),
      );
      expect(await log.verify()).toMatchObject({ kind: 'intact', first: 1, last: 60 });
      const ids = (await every(log)).map(({ requestId }) => requestId);
      expect(new Set(ids).size).toBe(60);
      expect(ids).toHaveLength(60);
    });

    it('two equal entries are two', async () => {
      const { log } = await open();
      const records = [await log.append(anAuditEntry()), await log.append(anAuditEntry())];
      expect(new Set(records.map(({ hash }) => hash)).size).toBe(2);
      expect(await every(log)).toHaveLength(2);
    });

    it('every member of a query is literal, and all must hold', async () => {
      const { log } = await open();
      const given = [
        anAuditEntry({ principal: 'a', at: 10, target: '*' }),
        anAuditEntry({ principal: 'b', at: 20, outcome: 'refused', code: 'FORBIDDEN' }),
        anAuditEntry({ principal: null, at: 30, action: 'login', target: null, requestId: 'r-9' }),
      ];
      for (const entry of given) await log.append(entry);
      const at = async (query: Partial<AuditQuery>): Promise<readonly number[]> =>
        (await every(log, query)).map((entry) => entry.at);
      expect(await at({ principal: 'a' })).toEqual([10]);
      expect(await at({ target: '*' })).toEqual([10]);
      expect(await at({ action: 'login' })).toEqual([30]);
      expect(await at({ outcome: 'refused' })).toEqual([20]);
      expect(await at({ requestId: 'r-9' })).toEqual([30]);
      expect(await at({ from: 20 })).toEqual([30, 20]);
      expect(await at({ before: 20 })).toEqual([10]);
      expect(await at({ from: 10, before: 30, principal: 'b' })).toEqual([20]);
      expect(await at({ principal: '' })).toEqual([]);
    });

    it('pages go on where the one before ended, also when entries come meanwhile', async () => {
      const { log } = await open();
      for (let number = 0; number < 10; number += 1) await log.append(anAuditEntry({ requestId: `r-${number}` }));
      const first = await log.list({ limit: 4 });
      await log.append(anAuditEntry({ requestId: 'late' }));
      const second = await log.list({ limit: 6, cursor: first.next ?? '' });
      expect([...first.entries, ...second.entries].map(({ requestId }) => requestId)).toEqual(
        Array.from({ length: 10 }, (_, index) => `r-${9 - index}`),
      );
      expect(second.next).toBeNull();
    });

    it.each(['', 'x', '0', '-1', '1.5', '1e9', '9'.repeat(20)])(
      'INVALID_ARGUMENT for the cursor %j',
      async (cursor) => {
        const { log } = await open();
        await expectEngineError(log.list({ limit: 1, cursor }), 'INVALID_ARGUMENT');
      },
    );

    it.each([0, -1, 1.5, maximumAuditPageSize + 1, Number.NaN])('INVALID_ARGUMENT for a limit of %s', async (limit) => {
      const { log } = await open();
      await expectEngineError(log.list({ limit }), 'INVALID_ARGUMENT');
    });

    it('UNSERIALIZABLE: an entry that JSON cannot say is refused whole', async () => {
      const { log } = await open();
      const entry = anAuditEntry({ after: { count: Number.NaN } });
      await expectEngineError(log.append(entry), 'UNSERIALIZABLE');
      expect(await every(log)).toEqual([]);
    });

    it('an anchor that was noted elsewhere shows what the chain alone cannot', async () => {
      const { log } = await open();
      const first = await log.append(anAuditEntry());
      const last = await log.append(anAuditEntry());
      expect(await log.verify(first)).toMatchObject({ kind: 'intact' });
      expect(await log.verify(last)).toMatchObject({ kind: 'intact' });
      expect(await log.verify({ position: 3, hash: 'f'.repeat(64) })).toMatchObject({ kind: 'broken', position: 3 });
      expect(await log.verify({ position: 1, hash: last.hash })).toMatchObject({ kind: 'broken', position: 1 });
    });

    it('I56: an entry that nobody wrote so, and one that was taken out, are found and named', async () => {
      const good = anAuditEntry();
      const forgeries: readonly (readonly [string, (previous: string) => string])[] = [
        ['no JSON', () => 'not json'],
        ['no record', () => '{"format":2}'],
        ['a made-up hash', (previous) => JSON.stringify({ format: 1, previous, hash: 'a'.repeat(64), entry: good })],
        ['a made-up link', () => JSON.stringify({ format: 1, previous: 'b'.repeat(64), hash: 'b', entry: good })],
      ];
      for (const [what, forge] of forgeries) {
        const { log, forgeNext } = await openSpoiled();
        await log.append(good);
        const { hash } = await log.append(good);
        await forgeNext(Buffer.from(forge(hash)));
        expect(await log.verify(), what).toMatchObject({ kind: 'broken', position: 3 });
      }
      const { log, remove } = await openSpoiled();
      for (let number = 0; number < 5; number += 1) await log.append(anAuditEntry({ at: number }));
      await remove(3);
      expect(await log.verify()).toMatchObject({ kind: 'broken', position: 3 });
      expect((await every(log)).map(({ at }) => at)).toEqual([4, 3, 1, 0]);
    });

    it('I56: an entry that was rewritten with a hash of its own breaks the next one', async () => {
      const { log, forgeNext } = await openSpoiled();
      const shadow = await openSpoiled();
      await log.append(anAuditEntry());
      // The same first entry, then another second one: whole in itself, and a chain up to there.
      await shadow.log.append(anAuditEntry());
      await log.append(anAuditEntry({ principal: 'mallory' }));
      const rewritten = await shadow.log.append(anAuditEntry({ principal: 'ops' }));
      const body = { format: 1, previous: rewritten.hash, hash: rewritten.hash, entry: rewritten.entry };
      await forgeNext(Buffer.from(JSON.stringify(body)));
      expect(await log.verify()).toMatchObject({ kind: 'broken', position: 3 });
    });
  });
}
