import { asError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import { pause } from './pause.ts';

/** What an {@link EndlessRun} works with. */
export interface EndlessRunDeps {
  readonly clock: Clock;
  /** Works until it fails or the run is stopped; begun again whenever it returns. */
  readonly work: () => Promise<void>;
  /** What has been reached: when that has changed, the next failure is a first one. */
  readonly progress: () => unknown;
  /** Told of each failure; what it does comes before the pause. */
  readonly onFailure: (error: Error) => void | Promise<void>;
}

/** Wait before the work is tried again; it doubles up to the longest. */
const firstRetryMs = 200;
const longestRetryMs = 10_000;

/** Work that goes on for ever: begun again after each failure, after a pause that grows while nothing is reached, until it is stopped. */
export class EndlessRun {
  readonly #deps: EndlessRunDeps;
  readonly #stopping = new AbortController();
  #run: Promise<void> | null = null;
  #trouble: string | null = null;

  constructor(deps: EndlessRunDeps) {
    this.#deps = deps;
  }

  /** Why it does not go on now; null while it does. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** Aborts when the run is stopped. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Begins, and returns at once; false when it had begun before. */
  start(): boolean {
    if (this.#run !== null) return false;
    this.#run = this.#goOn();
    return true;
  }

  /** Resolves when the work has ended. Never rejects. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#run;
  }

  /** The work has gone on. */
  clearTrouble(): void {
    this.#trouble = null;
  }

  /** Waits for so long, or until the run is stopped. */
  pause(delayMs: number): Promise<void> {
    return pause(this.#deps.clock, delayMs, this.signal);
  }

  async #goOn(): Promise<void> {
    const { work, progress, onFailure } = this.#deps;
    let retryMs = firstRetryMs;
    while (!this.isStopping) {
      const before = progress();
      let error: Error | null = null;
      try {
        await work();
      } catch (thrown) {
        if (this.isStopping) return;
        error = asError(thrown);
        this.#trouble = error.message;
        await onFailure(error);
      }
      if (progress() !== before) retryMs = firstRetryMs;
      if (error === null) continue;
      await this.pause(retryMs);
      retryMs = Math.min(longestRetryMs, retryMs * 2);
    }
  }
}
