import type { Clock, TimerHandle } from '../../src/ports/clock.ts';

/** One process's view of a shared clock: while it is frozen nothing of it runs, and what fell due runs when it is thawed. */
export class FreezableClock implements Clock {
  readonly #inner: Clock;
  #isFrozen = false;
  #due: (() => void)[] = [];

  constructor(inner: Clock) {
    this.#inner = inner;
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  thaw(): void {
    this.#isFrozen = false;
    for (const run of this.#due.splice(0)) run();
  }

  now(): number {
    return this.#inner.now();
  }

  monotonicMs(): number {
    return this.#inner.monotonicMs();
  }

  setTimer(delayMs: number, fn: () => void): TimerHandle {
    let isCanceled = false;
    const run = (): void => {
      if (!isCanceled) fn();
    };
    const timer = this.#inner.setTimer(delayMs, () => this.whenAwake(run));
    return {
      cancel: () => {
        isCanceled = true;
        timer.cancel();
      },
    };
  }

  defer(fn: () => void): void {
    this.#inner.defer(() => this.whenAwake(fn));
  }

  /** Runs it now, or when the process is thawed. */
  whenAwake(run: () => void): void {
    if (this.#isFrozen) this.#due.push(run);
    else run();
  }

  awake(): Promise<void> {
    return new Promise((resolve) => this.whenAwake(resolve));
  }
}
