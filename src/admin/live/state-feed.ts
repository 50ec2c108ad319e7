import { asError, EngineError } from '../../core/errors.ts';
import type { Clock, TimerHandle } from '../../ports/clock.ts';
import { sharedDelta, type FeedSink } from './feed.ts';

/** How a state is read, and how often. */
export interface StateSource {
  /** What is so now. */
  readonly read: () => Promise<unknown>;
  readonly everyMs: number;
}

/**
 * A state that is read now and then, once for all who look at it, and told when it has changed. Nobody looks: nothing is read.
 *
 * When it cannot be read those who look are told so and let go: a state that has silently gone stale is worse than none.
 */
export class StateFeed {
  readonly #source: StateSource;
  readonly #clock: Clock;
  readonly #onEmpty: () => void;
  readonly #members = new Set<FeedSink>();
  readonly #newcomers = new Set<FeedSink>();
  #text: string | null = null;
  #timer: TimerHandle | null = null;
  #isReading = false;

  constructor(deps: { readonly source: StateSource; readonly clock: Clock; readonly onEmpty: () => void }) {
    this.#source = deps.source;
    this.#clock = deps.clock;
    this.#onEmpty = deps.onEmpty;
  }

  join(sink: FeedSink): () => void {
    this.#newcomers.add(sink);
    // What is read already is at most one interval old, as it would be for the others.
    if (this.#text !== null) this.#welcome(this.#text);
    else if (!this.#isReading) void this.#read();
    return () => {
      this.#members.delete(sink);
      this.#newcomers.delete(sink);
      this.#restIfEmpty();
    };
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    this.#timer = null;
    try {
      const text = JSON.stringify(await this.#source.read());
      if (text !== this.#text && this.#members.size > 0) {
        const delta = sharedDelta(null, text);
        for (const member of this.#members) member.delta(delta);
      }
      this.#text = text;
      this.#welcome(text);
    } catch (thrown) {
      this.#letGo(thrown);
    }
    this.#isReading = false;
    if (this.#isEmpty) this.#restIfEmpty();
    else this.#timer = this.#clock.setTimer(this.#source.everyMs, () => void this.#read());
  }

  #welcome(text: string): void {
    const newcomers = [...this.#newcomers];
    this.#newcomers.clear();
    for (const sink of newcomers) {
      this.#members.add(sink);
      sink.snapshot(null, text);
    }
  }

  #letGo(thrown: unknown): void {
    const cause = asError(thrown);
    const error = cause instanceof EngineError ? cause : new EngineError('INTERNAL', cause.message, { cause });
    const all = [...this.#members, ...this.#newcomers];
    this.#members.clear();
    this.#newcomers.clear();
    this.#text = null;
    for (const sink of all) sink.failed(error);
  }

  get #isEmpty(): boolean {
    return this.#members.size === 0 && this.#newcomers.size === 0;
  }

  #restIfEmpty(): void {
    if (!this.#isEmpty || this.#isReading) return;
    this.#timer?.cancel();
    this.#timer = null;
    this.#text = null;
    this.#onEmpty();
  }
}
