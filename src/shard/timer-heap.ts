import FlatQueue from 'flatqueue';
import type { Millis, TaskId } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';

/**
 * All durable timers of a shard: one heap over absolute due times and one armed timer for the earliest. The due times stand in
 * the tasks' states; this is only the alarm clock, filled again by a recovery.
 *
 * A task whose timer is set anew keeps its old entry: it fires as a straggler, which the actor drops.
 */
export class TimerHeap {
  readonly #clock: Clock;
  readonly #onDue: (taskId: TaskId, dueAt: Millis) => void;
  readonly #heap = new FlatQueue<TaskId>();
  #armed: TimerHandle | null = null;
  #armedFor = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(clock: Clock, onDue: (taskId: TaskId, dueAt: Millis) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Calls `onDue` once at `dueAt`, or in this turn's end when that is past. */
  set(taskId: TaskId, dueAt: Millis): void {
    if (this.#closed) return;
    this.#heap.push(taskId, dueAt);
    if (dueAt < this.#armedFor) this.#arm();
  }

  /** Fires nothing any more. */
  close(): void {
    this.#closed = true;
    this.#armed?.cancel();
    this.#heap.clear();
  }

  #arm(): void {
    this.#armed?.cancel();
    const dueAt = this.#heap.peekValue();
    if (dueAt === undefined || this.#closed) {
      this.#armedFor = Number.POSITIVE_INFINITY;
      return;
    }
    this.#armedFor = dueAt;
    // The wall clock may jump between arming and firing, so what is due is asked again, at least once a minute.
    const delayMs = Math.min(Math.max(0, dueAt - this.#clock.now()), maximumSleepMs);
    this.#armed = this.#clock.setTimer(delayMs, () => this.#fire());
  }

  #fire(): void {
    const now = this.#clock.now();
    for (;;) {
      const dueAt = this.#heap.peekValue();
      if (dueAt === undefined || dueAt > now || this.#closed) break;
      const taskId = this.#heap.pop();
      if (taskId !== undefined) this.#onDue(taskId, dueAt);
    }
    this.#arm();
  }
}

/** Longest sleep before the wall clock is looked at again. */
const maximumSleepMs = 60_000;
