import { performance } from 'node:perf_hooks';

import { assert } from '../core/errors.ts';
import type { Millis } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';

/** Longest delay that Node's own timers take; a longer one would fire after 1 ms. */
const longestNativeDelayMs = 2 ** 31 - 1;

/** One timer. A class without closures: every stage that runs has one. */
class SystemTimer implements TimerHandle {
  readonly #dueAt: number;
  readonly #fn: () => void;
  #timeout: NodeJS.Timeout;

  constructor(delayMs: number, fn: () => void) {
    this.#dueAt = performance.now() + delayMs;
    this.#fn = fn;
    this.#timeout = setTimeout(wake, nativeDelayMs(delayMs), this);
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }

  /** Node counts in whole milliseconds and may wake a fraction early; a long span is slept in several naps. */
  wake(): void {
    const remainingMs = this.#dueAt - performance.now();
    if (remainingMs > 0) this.#timeout = setTimeout(wake, nativeDelayMs(remainingMs), this);
    else this.#fn();
  }
}

function wake(timer: SystemTimer): void {
  timer.wake();
}

function nativeDelayMs(remainingMs: number): number {
  return Math.min(Math.ceil(remainingMs), longestNativeDelayMs);
}

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
    return new SystemTimer(delayMs, fn);
  }

  defer(fn: () => void): void {
    setImmediate(fn);
  }
}
