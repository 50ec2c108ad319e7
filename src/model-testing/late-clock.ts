import type { Clock, TimerHandle } from '../ports/clock.ts';

/** A process's clock whose timers can be made late, as those of a process that had no turn for a while. */
export class LateClock implements Clock {
  readonly #inner: Clock;
  #lateUntilMs = 0;

  constructor(inner: Clock) {
    this.#inner = inner;
  }

  /** No timer fires for so long; what falls due meanwhile fires then. */
  hold(forMs: number): void {
    this.#lateUntilMs = this.#inner.monotonicMs() + forMs;
  }

  now(): number {
    return this.#inner.now();
  }

  monotonicMs(): number {
    return this.#inner.monotonicMs();
  }

  setTimer(delayMs: number, fn: () => void): TimerHandle {
    let timer: TimerHandle;
    const arm = (ms: number): TimerHandle =>
      this.#inner.setTimer(ms, () => {
        const heldMs = this.#lateUntilMs - this.#inner.monotonicMs();
        if (heldMs > 0) timer = arm(heldMs);
        else fn();
      });
    timer = arm(delayMs);
    return { cancel: () => timer.cancel() };
  }

  defer(fn: () => void): void {
    this.#inner.defer(fn);
  }
}
