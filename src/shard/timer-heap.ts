import FlatQueue from 'flatqueue';
import type { Millis } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';

/**
 * Many durable timers: one heap and one armed timer for the earliest. The due times stand in the tasks' states; this
 * is only the alarm clock, filled again by a recovery.
 *
 * A due time is an instant of the wall clock. It becomes one of the monotonic clock when its timer is set, so that a wall
 * clock that jumps afterwards neither fires a retry early nor holds it back.
 *
 * A timer that is set anew keeps its old entry until {@link retain}: whoever it fires for tells by the item whether it still counts.
 */
export class TimerHeap<Item> {
  readonly #clock: Clock;
  readonly #onDue: (item: Item) => void;
  #heap = new FlatQueue<Item>();
  #armed: TimerHandle | null = null;
  #armedForMs = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(clock: Clock, onDue: (item: Item) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Calls `onDue` once at `dueAt`, or soon after this turn when that is past; not before `leastDelayMs`. */
  set(item: Item, dueAt: Millis, leastDelayMs = 0): void {
    if (this.#closed) return;
    const dueMs = this.#clock.monotonicMs() + Math.max(leastDelayMs, dueAt - this.#clock.now());
    this.#heap.push(item, dueMs);
    if (dueMs < this.#armedForMs) this.#arm();
  }

  /** Drops the entries of items that count no more, and gives their memory back. */
  retain(isNeeded: (item: Item) => boolean): void {
    const { ids, values, length } = this.#heap;
    const kept = new FlatQueue<Item>();
    for (let index = 0; index < length; index += 1) {
      const item = ids[index] as Item;
      if (isNeeded(item)) kept.push(item, values[index] as number);
    }
    this.#heap = kept;
    this.#arm();
  }

  /** Fires nothing any more. */
  close(): void {
    this.#closed = true;
    this.#armed?.cancel();
    this.#heap = new FlatQueue();
  }

  #arm(): void {
    this.#armed?.cancel();
    const dueMs = this.#heap.peekValue();
    if (dueMs === undefined || this.#closed) {
      this.#armedForMs = Number.POSITIVE_INFINITY;
      return;
    }
    this.#armedForMs = dueMs;
    this.#armed = this.#clock.setTimer(Math.max(0, dueMs - this.#clock.monotonicMs()), () => this.#fire());
  }

  #fire(): void {
    const nowMs = this.#clock.monotonicMs();
    for (;;) {
      const dueMs = this.#heap.peekValue();
      if (dueMs === undefined || dueMs > nowMs || this.#closed) break;
      const item = this.#heap.pop();
      if (item !== undefined) this.#onDue(item);
    }
    this.#arm();
  }
}
