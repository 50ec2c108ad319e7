import type { Millis } from '../core/ids.ts';

/** A timer that can be called off. Calling it off twice, or after it fired, does nothing. */
export interface TimerHandle {
  cancel(): void;
}

/** Time, as the engine may know it. */
export interface Clock {
  /** Wall clock, milliseconds since 1970; may jump. For due times and information only. */
  now(): Millis;
  /** Milliseconds since an arbitrary start; never goes back. For leases, timeouts and durations. */
  monotonicMs(): number;
  /** Calls `fn` once, not before `delayMs` (≥ 0; any finite span, also over 2^31 ms) have passed. */
  setTimer(delayMs: number, fn: () => void): TimerHandle;
  /** Calls `fn` after the promise jobs of the current turn, before any timer. What is ready by then shares one commit. */
  defer(fn: () => void): void;
}
