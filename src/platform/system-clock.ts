import { performance } from 'node:perf_hooks';

import { assert } from '../core/errors.ts';
import type { Millis } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';

/** Longest delay that Node's own timers take; a longer one would fire after 1 ms. */
const longestNativeDelayMs = 2 ** 31 - 1;

/**
 * The time of this machine.
 *
 * Timers keep the process alive until they fire or are canceled: an engine that waits for a retry must not exit because
 * nothing else is open. Whoever stops a part of the engine cancels its timers.
 */
export class SystemClock implements Clock {
  now(): Millis {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }

  setTimer(delayMs: number, fn: () => void): TimerHandle {
    assert(Number.isFinite(delayMs) && delayMs >= 0, () => `timer delay: expected a finite span ≥ 0, got ${delayMs}`);
    const dueAt = performance.now() + delayMs;
    let timeout: NodeJS.Timeout;
    const arm = (remainingMs: number): void => {
      timeout = setTimeout(wake, Math.min(Math.ceil(remainingMs), longestNativeDelayMs));
    };
    // Node counts in whole milliseconds and may wake a fraction early; a long span is slept in several naps.
    const wake = (): void => {
      const remainingMs = dueAt - performance.now();
      if (remainingMs > 0) arm(remainingMs);
      else fn();
    };
    arm(delayMs);
    return { cancel: () => clearTimeout(timeout) };
  }

  defer(fn: () => void): void {
    setImmediate(fn);
  }
}
