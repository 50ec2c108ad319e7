import type { Clock } from '../../ports/clock.ts';
import type { PipelineEventType } from '../../projections/event-types.ts';
import type { TapeItem } from './event-tape.ts';

/** Seconds that a rate is the mean of, once so many have been watched. */
export const rateWindowSeconds = 10;

/** How often each type of event has come in the last seconds. */
export class EventRates {
  readonly #clock: Clock;
  /** By second, as long as they are within the window. */
  readonly #counts = new Map<number, Map<PipelineEventType, number>>();
  #watchers = 0;
  /** The first second that is watched from its beginning. */
  #from = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Somebody looks: from now on all events are noted, until the returned function is called. */
  watch(): () => void {
    if (this.#watchers === 0) this.#from = this.#second() + 1;
    this.#watchers += 1;
    return () => {
      this.#watchers -= 1;
    };
  }

  note(item: TapeItem): void {
    if (item.kind === 'gap' || item.events.length === 0) return;
    const second = this.#second();
    let counts = this.#counts.get(second);
    if (counts === undefined) {
      counts = new Map();
      this.#counts.set(second, counts);
      this.#forget(second);
    }
    for (const { type } of item.events) counts.set(type, (counts.get(type) ?? 0) + 1);
  }

  /**
   * Events a second by type, of the whole seconds before this one that were watched; null before there was one. Seconds in which
   * nobody looked would count as idle.
   */
  perSecond(): Readonly<Record<string, number>> | null {
    const second = this.#second();
    this.#forget(second);
    const seconds = Math.min(rateWindowSeconds, second - this.#from);
    if (seconds <= 0) return null;
    const sums = new Map<string, number>();
    for (const [at, counts] of this.#counts) {
      if (at === second || at < second - seconds) continue;
      for (const [type, count] of counts) sums.set(type, (sums.get(type) ?? 0) + count);
    }
    return Object.fromEntries([...sums].map(([type, sum]) => [type, sum / seconds]));
  }

  #second(): number {
    return Math.floor(this.#clock.monotonicMs() / 1_000);
  }

  #forget(second: number): void {
    for (const at of this.#counts.keys()) if (at < second - rateWindowSeconds) this.#counts.delete(at);
  }
}
