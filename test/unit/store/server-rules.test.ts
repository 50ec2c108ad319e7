import type { Msg } from '@nats-io/transport-node';
import { describe, expect, it } from 'vitest';

import { judgeDurability } from '../../../src/store/durability.ts';
import { parseDelivered, parseStoredMessage } from '../../../src/store/journal-message.ts';
import { checkVersion } from '../../../src/store/server-gate.ts';
import { messageHeaders } from '../../../src/transport/reply-inbox.ts';

describe('the version check', () => {
  it.each(['2.14.4', '2.14.10', '2.15.0', '2.15.1-RC.2', 'v2.15.1', '3.0.0', '2.100.0'])('lets %s pass', (version) => {
    expect(() => checkVersion(version)).not.toThrow();
  });

  it.each(['2.14.3', '2.9.25', '2.13.99', '1.99.99', '2.14', 'unknown', ''])(
    'refuses %j with SERVER_VERSION_UNSUPPORTED',
    (version) => {
      expect(() => checkVersion(version)).toThrow(expect.objectContaining({ code: 'SERVER_VERSION_UNSUPPORTED' }));
    },
  );
});

describe('the judgment of durability', () => {
  const server = (
    serverId: string,
    syncAlways = true,
  ): { url: string; server: { serverId: string; syncAlways: boolean } } => ({
    url: `http://${serverId}`,
    server: { serverId, syncAlways },
  });
  const judge = (monitors: Parameters<typeof judgeDurability>[0]['monitors'], replicas = 1): string =>
    judgeDurability({ connectedServerId: 'a', monitors, replicas }).level;

  it('is power-loss when every server syncs, the connected one among them, as many as there are replicas', () => {
    expect(judge([server('a')])).toBe('power-loss');
    expect(judge([server('b'), server('a'), server('c')], 3)).toBe('power-loss');
  });

  it('is process-crash as soon as one server does not sync, whatever else is unknown', () => {
    expect(judge([server('a', false)])).toBe('process-crash');
    expect(judge([server('a'), server('b', false), { url: 'http://c', server: undefined }], 3)).toBe('process-crash');
  });

  it('is unverified when an address is silent, is another server, or one is missing', () => {
    expect(judge([])).toBe('unverified');
    expect(judge([{ url: 'http://a', server: undefined }])).toBe('unverified');
    expect(judge([server('b')])).toBe('unverified');
    expect(judge([server('a'), server('b')], 3)).toBe('unverified');
    expect(judge([server('a'), server('a'), server('a')], 3)).toBe('unverified');
  });
});

describe('a journal message', () => {
  const message = (reply: string, expected?: string): Msg =>
    ({
      subject: 'ns.journal.12',
      reply,
      data: Buffer.from('body'),
      headers: expected === undefined ? undefined : messageHeaders({ 'Nats-Expected-Last-Subject-Sequence': expected }),
    }) as unknown as Msg;
  const place = { deliverySequence: 3, entry: { shard: 12, sequence: 70, storedAt: 1_764_000_000_123 } };

  it('is placed by its acknowledgement subject, in the short and in the long form', () => {
    const tail = '1.70.3.1764000000123456789.5';
    expect(parseDelivered(message(`$JS.ACK.stream.consumer.${tail}`))).toMatchObject(place);
    expect(parseDelivered(message(`$JS.ACK._.ACCHASH.stream.consumer.${tail}`))).toMatchObject(place);
    expect(parseDelivered(message(`$JS.ACK.hub.ACCHASH.stream.consumer.${tail}.token`))).toMatchObject(place);
  });

  it('tells the sequence before it when the append was conditional', () => {
    const reply = '$JS.ACK.stream.consumer.1.70.3.1764000000123456789.5';
    expect(parseDelivered(message(reply, '69'))?.entry.previous).toBe(69);
    expect(parseDelivered(message(reply))?.entry).not.toHaveProperty('previous');
  });

  it.each(['', '_INBOX.x', '$JS.ACK.too.short', '$JS.FC.a.b.c.d.e.f.g'])(
    'is no delivery when it came with reply %j',
    (reply) => {
      expect(parseDelivered(message(reply))).toBeNull();
    },
  );

  it('is read from base64, with and without body and headers', () => {
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const stored = { subject: 'ns.journal.4', seq: 9, time: '2026-11-24T05:00:00.5Z' };
    expect(parseStoredMessage(stored)).toMatchObject({ shard: 4, sequence: 9, body: Buffer.alloc(0) });
    const hdrs = base64('NATS/1.0\r\nNats-Msg-Id: x\r\nNats-Expected-Last-Subject-Sequence: 8\r\n\r\n');
    const full = parseStoredMessage({ ...stored, data: base64('body'), hdrs });
    expect(full).toMatchObject({ previous: 8, storedAt: Date.parse('2026-11-24T05:00:00.5Z') });
    expect(Buffer.from(full.body).toString()).toBe('body');
  });
});
