import { isFinished, positionOf, type TaskState } from '../actors/task-state.ts';
import type { TaskStatus } from '../core/task-view.ts';

/** The status of a task that has not ended for good. */
export type LiveStatus = Exclude<TaskStatus, 'completed' | 'canceled'>;

/** How many tasks of a shard are in which status, kept up to date by one step a committed record. */
export class LiveCounts {
  readonly #counts: Record<LiveStatus, number> = {
    queued: 0,
    running: 0,
    backingOff: 0,
    held: 0,
    unknown: 0,
    deadLettered: 0,
  };

  get counts(): Readonly<Record<LiveStatus, number>> {
    return this.#counts;
  }

  /** A recovery has brought back so many tasks in that status. */
  recovered(status: LiveStatus, count: number): void {
    this.#counts[status] += count;
  }

  /** The task's committed state has changed. Null: it was not there before. */
  moved(before: TaskState | null, after: TaskState): void {
    if (before?.machine.value === after.machine.value) return;
    if (before !== null && !isFinished(before)) this.#counts[statusOf(before)] -= 1;
    if (!isFinished(after)) this.#counts[statusOf(after)] += 1;
  }
}

function statusOf(state: TaskState): LiveStatus {
  return positionOf(state.machine.value).status as LiveStatus;
}
