import { describe, expect, it } from 'vitest';

import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import type { RequestOutcome } from '../../../src/ports/bus.ts';
import { MemoryBus, type BusFault } from '../../../src/transport/memory-bus.ts';
import { subjectMatches } from '../../../src/transport/subject-match.ts';
import { RecordingLogger } from '../../support/nats-world.ts';

async function ask(fault: BusFault): Promise<{ outcome: RequestOutcome | undefined; handled: number; tookMs: number }> {
  const clock = new VirtualClock();
  const bus = new MemoryBus({ clock, logger: new RecordingLogger(), latencyMs: 10, faults: () => fault });
  let handled = 0;
  void bus.serve('a', (request) => {
    handled += 1;
    request.reply(request.body);
  });
  await clock.advance(10);
  const startMs = clock.monotonicMs();
  let outcome: RequestOutcome | undefined;
  void bus.request('a', Buffer.from('x'), { timeoutMs: 500 }).then((value) => (outcome = value));
  await clock.runUntil(() => outcome !== undefined);
  return { outcome, handled, tookMs: clock.monotonicMs() - startMs };
}

describe('the memory bus', () => {
  it('answers after its latency and leaves no timer behind', async () => {
    const clock = new VirtualClock();
    const bus = new MemoryBus({ clock, logger: new RecordingLogger(), latencyMs: 10 });
    void bus.serve('a', (request) => request.reply(request.body));
    await clock.advance(10);
    let outcome: RequestOutcome | undefined;
    void bus.request('a', Buffer.from('x'), { timeoutMs: 60_000 }).then((value) => (outcome = value));
    await clock.advance(10);
    expect(outcome?.kind).toBe('reply');
    expect(clock.pendingTimers).toBe(0);
  });

  it('lostRequest: the request is not handled and times out', async () => {
    expect(await ask('lostRequest')).toEqual({ outcome: { kind: 'timeout' }, handled: 0, tookMs: 500 });
  });

  it('lostReply: the request is handled and times out all the same', async () => {
    expect(await ask('lostReply')).toEqual({ outcome: { kind: 'timeout' }, handled: 1, tookMs: 500 });
  });

  it('disconnected: the request is not handled and ends long before its timeout', async () => {
    const { outcome, handled, tookMs } = await ask('disconnected');
    expect(outcome).toEqual({ kind: 'disconnected' });
    expect(handled).toBe(0);
    expect(tookMs).toBeLessThan(20);
  });

  it('forbidden: the request is not handled and ends long before its timeout', async () => {
    const { outcome, handled, tookMs } = await ask('forbidden');
    expect(outcome).toEqual({ kind: 'forbidden', operation: 'publish', subject: 'a' });
    expect(handled).toBe(0);
    expect(tookMs).toBeLessThan(20);
  });
});

describe('matching subjects', () => {
  it.each([
    ['a.b', 'a.b', true],
    ['a.*', 'a.b', true],
    ['*.b', 'a.b', true],
    ['a.>', 'a.b.c', true],
    ['>', 'a', true],
    ['a.*.c', 'a.b.c', true],
    ['a.*', 'a', false],
    ['a.*', 'a.b.c', false],
    ['a.>', 'a', false],
    ['a.b', 'a.bc', false],
    ['a', 'a.b', false],
    ['*', 'a.b', false],
  ])('%s on %s is %s', (pattern, subject, expected) => {
    expect(subjectMatches(pattern, subject)).toBe(expected);
  });
});
