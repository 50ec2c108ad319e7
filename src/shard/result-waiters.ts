import type { TaskId } from '../core/ids.ts';
import type { Reply } from '../core/replies.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';

interface Waiter {
  readonly respond: (reply: Reply) => void;
  readonly timer: TimerHandle;
}

/** Most requests that wait for results in one shard; more are answered `pending` at once, and ask again. */
export const maximumWaiters = 10_000;

/** Those who wait for a task's end, each for a bounded time. */
export class ResultWaiters {
  readonly #clock: Clock;
  readonly #byTask = new Map<TaskId, Set<Waiter>>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Answers `pending()` after `waitMs`, unless {@link settle} comes first. */
  wait(taskId: TaskId, waitMs: number, pending: () => Reply, respond: (reply: Reply) => void): void {
    if (this.#count >= maximumWaiters || waitMs <= 0) return respond(pending());
    const waiters = this.#byTask.get(taskId) ?? new Set<Waiter>();
    const waiter: Waiter = {
      respond,
      timer: this.#clock.setTimer(waitMs, () => {
        this.#remove(taskId, waiters, waiter);
        respond(pending());
      }),
    };
    waiters.add(waiter);
    this.#byTask.set(taskId, waiters);
    this.#count += 1;
  }

  /** The task has ended: everyone who waits for it gets the reply. */
  settle(taskId: TaskId, reply: () => Reply): void {
    const waiters = this.#byTask.get(taskId);
    if (waiters === undefined) return;
    const answer = reply();
    for (const waiter of waiters) {
      waiter.timer.cancel();
      this.#remove(taskId, waiters, waiter);
      waiter.respond(answer);
    }
  }

  /** The shard stops: nobody is left without an answer. */
  close(reply: Reply): void {
    for (const taskId of this.#byTask.keys()) this.settle(taskId, () => reply);
  }

  #remove(taskId: TaskId, waiters: Set<Waiter>, waiter: Waiter): void {
    if (!waiters.delete(waiter)) return;
    this.#count -= 1;
    if (waiters.size === 0) this.#byTask.delete(taskId);
  }
}
