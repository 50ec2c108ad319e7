import type { Sequence } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { DeadLetterProjection } from './dead-letter-projection.ts';
import { partsOfPosition } from './position.ts';

/** How often the dead-letter list is brought up to date while nobody asks for it. */
const deadLetterIntervalMs = 60_000;

/** Reads the dead-letter list on now and then, so that a query has little to catch up with and trimming loses nothing. */
export class CurrentDeadLetters {
  readonly #projection: DeadLetterProjection;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  #timer: TimerHandle | null = null;
  #running: Promise<void> = Promise.resolve();
  /** The journal's sequence up to which the list is current. */
  through = 0 as Sequence;

  constructor(projection: DeadLetterProjection, clock: Clock, logger: Logger) {
    this.#projection = projection;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Brings the list up to date after each interval, until {@link stop}. */
  start(): void {
    if (this.#stopping.signal.aborted) return;
    this.#timer = this.#clock.setTimer(deadLetterIntervalMs, () => {
      this.#running = this.#catchUp().finally(() => this.start());
    });
  }

  /** Resolves when no catching up is under way any more. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#stopping.abort(new Error('the node stops'));
    await this.#running;
  }

  async #catchUp(): Promise<void> {
    try {
      const position = await this.#projection.catchUp(this.#stopping.signal);
      this.through = partsOfPosition(position).sequence;
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#logger.warn({ err: error }, 'the dead-letter list could not be brought up to date');
    }
  }
}
