import type { TaskId } from '../core/ids.ts';
import type { Reply } from '../core/replies.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';

/** One who waits for a task's end. */
export interface ResultWaiter {
  /** Wants the outputs of a completed task alone. */
  readonly brief: boolean;
  readonly respond: (reply: Reply) => void;
}

interface Waiting extends ResultWaiter {
  readonly taskId: TaskId;
  readonly pending: () => Reply;
  readonly dueAt: number;
}

/** Most requests that wait for results in one shard; more are answered `pending` at once, and ask again. */
export const maximumWaiters = 10_000;
/** Least time between two looks at whose wait is over: most tasks end long before, and thousands of waits shall not cost a timer each. */
const leastSweepIntervalMs = 25;

/** Those who wait for a task's end, each for a bounded time. */
export class ResultWaiters {
  readonly #clock: Clock;
  /** Mostly one a task. */
  readonly #byTask = new Map<TaskId, Waiting | Set<Waiting>>();
  #count = 0;
  #timer: TimerHandle | null = null;
  #sweepAt = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether somebody waits for the task. */
  has(taskId: TaskId): boolean {
    return this.#byTask.has(taskId);
  }

  /** Answers `pending()` after `waitMs`, unless {@link settle} comes first. */
  wait(taskId: TaskId, waitMs: number, pending: () => Reply, waiter: ResultWaiter): void {
    if (this.#count >= maximumWaiters || waitMs <= 0) return waiter.respond(pending());
    const now = this.#clock.monotonicMs();
    const { brief, respond } = waiter;
    const waiting: Waiting = { brief, respond, taskId, pending, dueAt: now + waitMs };
    const others = this.#byTask.get(taskId);
    if (others === undefined) this.#byTask.set(taskId, waiting);
    else if (others instanceof Set) others.add(waiting);
    else this.#byTask.set(taskId, new Set([others, waiting]));
    this.#count += 1;
    if (waiting.dueAt < this.#sweepAt) this.#arm(waiting.dueAt, now);
  }

  /** The task has ended: everyone who waits for it gets the reply. @param reply - made at most once for each form */
  settle(taskId: TaskId, reply: (brief: boolean) => Reply): void {
    const found = this.#byTask.get(taskId);
    if (found === undefined) return;
    this.#byTask.delete(taskId);
    if (found instanceof Set) {
      this.#count -= found.size;
      let whole: Reply | undefined;
      let brief: Reply | undefined;
      for (const waiting of found) {
        waiting.respond(waiting.brief ? (brief ??= reply(true)) : (whole ??= reply(false)));
      }
    } else {
      this.#count -= 1;
      found.respond(reply(found.brief));
    }
    // The timer of nobody would keep a process alive.
    if (this.#count === 0) this.#disarm();
  }

  /** The shard stops: nobody is left without an answer. */
  close(reply: Reply): void {
    for (const taskId of this.#byTask.keys()) this.settle(taskId, () => reply);
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
    const over: Waiting[] = [];
    for (const found of this.#byTask.values()) {
      for (const waiting of found instanceof Set ? found : [found]) {
        if (waiting.dueAt <= now) over.push(waiting);
        else nextAt = Math.min(nextAt, waiting.dueAt);
      }
    }
    for (const waiting of over) {
      this.#remove(waiting);
      waiting.respond(waiting.pending());
    }
    if (this.#count > 0 && nextAt < this.#sweepAt) this.#arm(Math.max(nextAt, now + leastSweepIntervalMs), now);
  }

  #remove(waiting: Waiting): void {
    const found = this.#byTask.get(waiting.taskId);
    if (found instanceof Set) {
      if (!found.delete(waiting)) return;
      if (found.size === 0) this.#byTask.delete(waiting.taskId);
    } else {
      if (found !== waiting) return;
      this.#byTask.delete(waiting.taskId);
    }
    this.#count -= 1;
  }
}
