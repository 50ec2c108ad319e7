import { beforeEach, describe, expect, it } from 'vitest';

import type { Clock } from '../../src/ports/clock.ts';

/** A clock under test, and how to let its time pass. */
export interface ClockUnderTest {
  readonly clock: Clock;
  /** Lets at least `ms` pass, with everything that becomes due. */
  pass(ms: number): Promise<void>;
}

/** What every clock must do. */
export function describeClock(name: string, make: () => ClockUnderTest): void {
  describe(`Clock: ${name}`, () => {
    let clock: Clock;
    let pass: (ms: number) => Promise<void>;

    beforeEach(() => {
      const made = make();
      clock = made.clock;
      pass = (ms) => made.pass(ms);
    });

    it('calls a timer once, and not before its delay has passed', async () => {
      const startMs = clock.monotonicMs();
      const firedAfter: number[] = [];
      clock.setTimer(20, () => firedAfter.push(clock.monotonicMs() - startMs));
      await pass(80);
      expect(firedAfter).toHaveLength(1);
      expect(firedAfter[0]).toBeGreaterThanOrEqual(20);
    });

    it('never fires early, also for a delay with a fraction', async () => {
      const early: number[] = [];
      const delays = [0.25, 1.5, 2.75, 3.1];
      for (const delayMs of delays) {
        const startMs = clock.monotonicMs();
        clock.setTimer(delayMs, () => early.push(clock.monotonicMs() - startMs - delayMs));
      }
      await pass(60);
      expect(early).toHaveLength(delays.length);
      expect(Math.min(...early)).toBeGreaterThanOrEqual(0);
    });

    it('does not call a canceled timer, and takes a second or late cancel calmly', async () => {
      let calls = 0;
      const canceled = clock.setTimer(10, () => (calls += 1));
      const fired = clock.setTimer(10, () => (calls += 10));
      canceled.cancel();
      canceled.cancel();
      await pass(60);
      fired.cancel();
      expect(calls).toBe(10);
    });

    it('calls timers in order of their due times', async () => {
      const order: string[] = [];
      clock.setTimer(40, () => order.push('later'));
      clock.setTimer(5, () => order.push('sooner'));
      await pass(100);
      expect(order).toEqual(['sooner', 'later']);
    });

    it('takes a delay over 2^31 ms without firing at once', async () => {
      let fired = false;
      const timer = clock.setTimer(2 ** 31 + 1_000, () => (fired = true));
      await pass(50);
      timer.cancel();
      expect(fired).toBe(false);
    });

    it('runs what is deferred after the promise jobs of the turn, in order', async () => {
      const order: string[] = [];
      await new Promise<void>((resolve) => {
        clock.defer(() => order.push('first deferred'));
        clock.defer(() => {
          order.push('second deferred');
          resolve();
        });
        void (async () => {
          for (let step = 0; step < 20; step += 1) await Promise.resolve();
          order.push('promise jobs');
        })();
      });
      expect(order).toEqual(['promise jobs', 'first deferred', 'second deferred']);
    });

    it('never goes back in monotonic time, and moves on as time passes', async () => {
      const before = clock.monotonicMs();
      const wallBefore = clock.now();
      await pass(30);
      expect(clock.monotonicMs() - before).toBeGreaterThanOrEqual(30);
      expect(clock.now()).toBeGreaterThan(wallBefore);
    });

    it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses a delay of %s as a bug: INTERNAL', (delayMs) => {
      expect(() => clock.setTimer(delayMs, () => undefined)).toThrow(
        expect.objectContaining({ name: 'InvariantViolation', code: 'INTERNAL' }) as Error,
      );
    });
  });
}
