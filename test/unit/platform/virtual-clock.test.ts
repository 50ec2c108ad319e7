import { describe, expect, it } from 'vitest';

import { VirtualClock } from '../../../src/platform/virtual-clock.ts';

describe('VirtualClock', () => {
  it('fires timers in order of due time, and of creation where due times are equal', async () => {
    const clock = new VirtualClock();
    const fired: string[] = [];
    clock.setTimer(20, () => fired.push('late'));
    clock.setTimer(10, () => fired.push('first of two'));
    clock.setTimer(10, () => fired.push('second of two'));
    await clock.advance(20);
    expect(fired).toEqual(['first of two', 'second of two', 'late']);
  });

  it('passes hours of retries in no time, each timer seeing its own due time', async () => {
    const clock = new VirtualClock({ startAt: 1_000 });
    const seen: number[] = [];
    const retry = (): void => {
      seen.push(clock.now());
      if (seen.length < 3) clock.setTimer(3_600_000, retry);
    };
    clock.setTimer(3_600_000, retry);
    await clock.advance(24 * 3_600_000);
    expect(seen).toEqual([3_601_000, 7_201_000, 10_801_000]);
    expect(clock.now()).toBe(1_000 + 24 * 3_600_000);
  });

  it('settles promise chains and deferred functions between two timers', async () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    clock.setTimer(1, () => {
      void (async () => {
        for (let step = 0; step < 50; step += 1) await Promise.resolve();
        clock.defer(() => {
          order.push('deferred');
          clock.defer(() => order.push('deferred by a deferred'));
        });
      })();
    });
    clock.setTimer(1, () => order.push('second timer'));
    await clock.advance(1);
    expect(order).toEqual(['deferred', 'deferred by a deferred', 'second timer']);
  });

  it('runs deferred functions in order without any advance', async () => {
    const clock = new VirtualClock();
    const order: number[] = [];
    await new Promise<void>((resolve) => {
      clock.defer(() => order.push(1));
      clock.defer(() => order.push(2));
      clock.defer(resolve);
    });
    expect(order).toEqual([1, 2]);
  });

  it('jumps to the next timer and says when none is left', async () => {
    const clock = new VirtualClock();
    let fired = 0;
    clock.setTimer(5_000, () => (fired += 1));
    const canceled = clock.setTimer(1_000, () => (fired += 100));
    canceled.cancel();
    expect(clock.pendingTimers).toBe(1);
    expect(await clock.advanceToNextTimer()).toBe(true);
    expect([fired, clock.monotonicMs(), clock.pendingTimers]).toEqual([1, 5_000, 0]);
    expect(await clock.advanceToNextTimer()).toBe(false);
  });

  it('does not fire a timer that an earlier timer of the same instant canceled', async () => {
    const clock = new VirtualClock();
    const fired: string[] = [];
    clock.setTimer(1, () => {
      fired.push('canceler');
      second.cancel();
    });
    const second = clock.setTimer(1, () => fired.push('canceled'));
    clock.setTimer(1, () => fired.push('third'));
    await clock.advance(10);
    expect(fired).toEqual(['canceler', 'third']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('stops runUntil at the timer that makes the condition true', async () => {
    const clock = new VirtualClock();
    let ticks = 0;
    const tick = (): void => {
      ticks += 1;
      clock.setTimer(60_000, tick);
    };
    tick();
    await clock.runUntil(() => ticks === 100);
    expect(clock.monotonicMs()).toBe(99 * 60_000);
  });

  it('gives up runUntil with DEADLINE_EXCEEDED when no timer is left', async () => {
    const clock = new VirtualClock();
    clock.setTimer(10, () => undefined);
    await expect(clock.runUntil(() => false)).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: expect.stringContaining('no timer is left') as string,
    });
  });

  it('gives up runUntil with DEADLINE_EXCEEDED at maxVirtualMs and at maxSteps', async () => {
    const clock = new VirtualClock();
    const tick = (): void => void clock.setTimer(1_000, tick);
    tick();
    await expect(clock.runUntil(() => false, { maxVirtualMs: 10_000 })).rejects.toThrow(/maxVirtualMs 10000/);
    await expect(clock.runUntil(() => false, { maxSteps: 7 })).rejects.toThrow(/after 7000 virtual ms and 7 timers/);
  });

  it('rejects with what a timer throws, and can be advanced again', async () => {
    const clock = new VirtualClock();
    let fired = false;
    clock.setTimer(1, () => {
      throw new Error('broken timer');
    });
    clock.setTimer(2, () => (fired = true));
    await expect(clock.advance(2)).rejects.toThrow('broken timer');
    await clock.advance(2);
    expect(fired).toBe(true);
  });

  it('refuses a second advance at the same time with NOT_ALLOWED', async () => {
    const clock = new VirtualClock();
    const first = clock.advance(1);
    await expect(clock.advance(1)).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
    await first;
  });

  it('jumps the wall clock without touching monotonic time or timers', async () => {
    const clock = new VirtualClock({ startAt: 0 });
    let fired = false;
    clock.setTimer(100, () => (fired = true));
    clock.jumpWallClock(-3_600_000);
    await clock.advance(99);
    expect([clock.now(), clock.monotonicMs(), fired]).toEqual([-3_600_000 + 99, 99, false]);
    await clock.advance(1);
    expect(fired).toBe(true);
  });
});
