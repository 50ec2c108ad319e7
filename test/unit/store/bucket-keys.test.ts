import { describe, expect, it } from 'vitest';

import type { Epoch, ShardId, TaskId } from '../../../src/core/ids.ts';
import { EngineError } from '../../../src/core/errors.ts';
import { parseHeaders } from '../../../src/store/bucket-api.ts';
import {
  epochOfLiveKey,
  finishedKey,
  keyOfSubject,
  keySubject,
  lastTokenOf,
  liveKey,
  onceKey,
} from '../../../src/store/bucket-keys.ts';
import { runInFlight } from '../../../src/store/in-flight.ts';
import { isRemoval, ttlHeader } from '../../../src/store/nats-bucket.ts';
import { parseDelivery } from '../../../src/store/subject-scan.ts';

describe('keys', () => {
  it('a live key tells its epoch and task again', () => {
    const key = liveKey(3 as ShardId, 12 as Epoch, 'task-1' as TaskId);
    expect(key).toBe('3.live.12.task-1');
    expect(epochOfLiveKey(key)).toBe(12);
    expect(lastTokenOf(key)).toBe('task-1');
    expect(keyOfSubject('b', keySubject('b', key))).toBe(key);
  });

  it.each(['*', '>', 'a.b', 'a b', ''])('INVALID_TASK_ID for %j: it would reach other keys', (id) => {
    expect(() => finishedKey(3 as ShardId, id as TaskId)).toThrow(EngineError);
  });

  it('a value set once may have a dotted name of safe tokens', () => {
    expect(onceKey('pipeline.card.1')).toBe('once.pipeline.card.1');
    expect(() => onceKey('pipeline.*')).toThrow(/tokens/);
  });
});

describe('headers', () => {
  it.each([
    [1, '1s'],
    [1_000, '1s'],
    [1_001, '2s'],
    [60_000, '60s'],
  ])('a time to live of %i ms is %s: never shorter than asked', (ttlMs, expected) => {
    expect(ttlHeader(ttlMs)).toEqual({ 'Nats-TTL': expected });
  });

  it('removals are told by operation and by marker, values by neither', () => {
    const of = (headers: Record<string, string>) => isRemoval((name) => headers[name] ?? '');
    expect(of({ 'KV-Operation': 'DEL' })).toBe(true);
    expect(of({ 'KV-Operation': 'PURGE' })).toBe(true);
    expect(of({ 'Nats-Marker-Reason': 'MaxAge' })).toBe(true);
    expect(of({ 'Nats-TTL': '5s' })).toBe(false);
    expect(isRemoval(() => undefined)).toBe(false);
  });

  it('a header block is read, with the last of a repeated name', () => {
    const headers = parseHeaders('NATS/1.0\r\nA: 1\r\nB:2\r\nA:  x: y \r\n\r\n');
    expect([...headers]).toEqual([
      ['A', 'x: y'],
      ['B', '2'],
    ]);
    expect(parseHeaders('').size).toBe(0);
  });
});

describe('deliveries', () => {
  it('both forms of the acknowledgement subject are read', () => {
    const expected = { streamSequence: 88, consumerSequence: 7, storedAt: 1_700 };
    expect(parseDelivery('$JS.ACK.stream.consumer.1.88.7.1700000000.3')).toEqual(expected);
    expect(parseDelivery('$JS.ACK._.hash.stream.consumer.1.88.7.1700000000.3')).toEqual(expected);
    expect(parseDelivery('$JS.ACK._.hash.stream.consumer.1.88.7.1700000000.3.random')).toEqual(expected);
  });

  it.each(['', '_INBOX.a.b', '$JS.ACK.a.b', '$JS.FC.stream.consumer.1.2.3.4.5'])('%j is none', (subject) => {
    expect(parseDelivery(subject)).toBeNull();
  });
});

describe('work in flight', () => {
  it('never exceeds its limit, starts in order and does all', async () => {
    const started: number[] = [];
    let inFlightCount = 0;
    let highest = 0;
    const items = Array.from({ length: 20 }, (_, index) => index);
    await runInFlight(items, 3, async (item) => {
      started.push(item);
      inFlightCount += 1;
      highest = Math.max(highest, inFlightCount);
      await Promise.resolve();
      inFlightCount -= 1;
    });
    expect(started).toEqual(items);
    expect(highest).toBe(3);
  });

  it('after a failure nothing more is started, and it rejects when what was started has ended', async () => {
    const ended: number[] = [];
    const failing = runInFlight([0, 1, 2, 3, 4], 2, async (item) => {
      if (item === 0) throw new Error('first');
      await new Promise((resolve) => setImmediate(resolve));
      ended.push(item);
    });
    await expect(failing).rejects.toThrow('first');
    expect(ended).toEqual([1]);
  });
});
