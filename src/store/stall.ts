import type { Clock } from '../ports/clock.ts';

/** How long a read waits for the next message before it gives the store up. */
export const stallTimeoutMs = 20_000;

/** Tells when nothing has come for too long, without a timer for each message. */
export class Stall {
  onOver: (() => void) | undefined;
  readonly #clock: Clock;
  #progressAtMs: number;
  #timer: { cancel(): void };
  #isOver = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#progressAtMs = clock.monotonicMs();
    this.#timer = this.#arm(stallTimeoutMs);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  progress(): void {
    this.#progressAtMs = this.#clock.monotonicMs();
  }

  stop(): void {
    this.#timer.cancel();
  }

  #arm(delayMs: number): { cancel(): void } {
    return this.#clock.setTimer(delayMs, () => {
      const leftMs = this.#progressAtMs + stallTimeoutMs - this.#clock.monotonicMs();
      if (leftMs > 0) {
        this.#timer = this.#arm(leftMs);
        return;
      }
      this.#isOver = true;
      this.onOver?.();
    });
  }
}
