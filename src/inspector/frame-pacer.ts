import type { Clock } from '../ports/clock.ts';

/** Says how long to wait before the next frame, so that a second has only so many frames and bytes. */
export class FramePacer {
  readonly #clock: Clock;
  readonly #framesPerSecond: number;
  readonly #bytesPerSecond: number;
  /** Of a bucket that a second fills: what may still be sent at once. */
  #frames: number;
  #bytes: number;
  #atMs: number;

  constructor(
    clock: Clock,
    { framesPerSecond, bytesPerSecond }: { readonly framesPerSecond: number; readonly bytesPerSecond: number },
  ) {
    this.#clock = clock;
    this.#framesPerSecond = framesPerSecond;
    this.#bytesPerSecond = bytesPerSecond;
    this.#frames = framesPerSecond;
    this.#bytes = bytesPerSecond;
    this.#atMs = clock.monotonicMs();
  }

  /** Counts a frame of that size; gives the milliseconds to wait after it. */
  take(sizeBytes: number): number {
    const nowMs = this.#clock.monotonicMs();
    const share = (nowMs - this.#atMs) / 1_000;
    this.#atMs = nowMs;
    this.#frames = Math.min(this.#framesPerSecond, this.#frames + share * this.#framesPerSecond) - 1;
    this.#bytes = Math.min(this.#bytesPerSecond, this.#bytes + share * this.#bytesPerSecond) - sizeBytes;
    const debt = Math.max(-this.#frames / this.#framesPerSecond, -this.#bytes / this.#bytesPerSecond);
    return debt <= 0 ? 0 : Math.ceil(debt * 1_000);
  }
}
