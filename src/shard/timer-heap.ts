import FlatQueue from 'flatqueue';
import type { Millis, TaskId } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';

/**
 * All durable timers of a shard: one heap and one armed timer for the earliest. The due times stand in the tasks' states; this
 * is only the alarm clock, filled again by a recovery.
 *
 * A due time is an instant of the wall clock. It becomes one of the monotonic clock when its timer is set, so that a wall
 * clock that jumps afterwards neither fires a retry early nor holds it back.
 *
 * A task whose timer is set anew keeps its old entry: it fires as a straggler, which the actor drops.
 */
export class TimerHeap {
  readonly #clock: Clock;
  readonly #onDue: (taskId: TaskId, dueAt: Millis) => void;
  readonly #heap = new FlatQueue<{ readonly taskId: TaskId; readonly dueAt: Millis }>();
  #armed: TimerHandle | null = null;
  #armedForMs = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(clock: Clock, onDue: (taskId: TaskId, dueAt: Millis) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Calls `onDue` once at `dueAt`, or soon after this turn when that is past. */
  set(taskId: TaskId, dueAt: Millis): void {
    if (this.#closed) return;
    const dueMs = this.#clock.monotonicMs() + Math.max(0, dueAt - this.#clock.now());
    this.#heap.push({ taskId, dueAt }, dueMs);
    if (dueMs < this.#armedForMs) this.#arm();
  }

  /** Fires nothing any more. */
  close(): void {
    this.#closed = true;
    this.#armed?.cancel();
    this.#heap.clear();
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
      const due = this.#heap.pop();
      if (due !== undefined) this.#onDue(due.taskId, due.dueAt);
    }
    this.#arm();
  }
}
