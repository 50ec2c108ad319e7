import type { Clock, TimerHandle } from '../ports/clock.ts';

/** Least time between two sweeps, so that thousands of near deadlines cost a few sweeps and not one each. */
const leastSweepIntervalMs = 10;

/** Something that ends by itself at an instant of the monotonic clock. */
export interface Expiring {
  readonly deadlineAt: number;
}

/** Tells when the deadlines of a changing set have come, with one timer for all of them: most are answered long before. */
export class DeadlineWatch<Item extends Expiring> {
  readonly #clock: Clock;
  readonly #expire: (item: Item) => void;
  readonly #items = new Set<Item>();
  #timer: TimerHandle | null = null;
  #sweepAt = Infinity;

  constructor(deps: { readonly clock: Clock; readonly expire: (item: Item) => void }) {
    this.#clock = deps.clock;
    this.#expire = deps.expire;
  }

  /** How many are watched. */
  get size(): number {
    return this.#items.size;
  }

  /** Watches the item until it is removed or expires. */
  add(item: Item, now: number): void {
    this.#items.add(item);
    if (item.deadlineAt < this.#sweepAt) this.#arm(item.deadlineAt, now);
  }

  /** Watches the item no longer. */
  remove(item: Item): void {
    this.#items.delete(item);
    // The timer of an empty set would keep an idle process alive until a deadline that is nobody's any more.
    if (this.#items.size === 0) this.#disarm();
  }

  /** What is watched now. */
  items(): readonly Item[] {
    return [...this.#items];
  }

  #arm(sweepAt: number, now: number): void {
    this.#timer?.cancel();
    this.#sweepAt = sweepAt;
    this.#timer = this.#clock.setTimer(Math.max(0, sweepAt - now), () => this.#sweep());
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#sweepAt = Infinity;
  }

  #sweep(): void {
    const now = this.#clock.monotonicMs();
    this.#timer = null;
    this.#sweepAt = Infinity;
    let nextAt = Infinity;
    for (const item of this.#items) {
      if (item.deadlineAt > now) {
        nextAt = Math.min(nextAt, item.deadlineAt);
        continue;
      }
      this.#items.delete(item);
      this.#expire(item);
    }
    if (nextAt < this.#sweepAt) this.#arm(Math.max(nextAt, now + leastSweepIntervalMs), now);
  }
}
