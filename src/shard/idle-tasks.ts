import type { TaskState } from '../actors/task-state.ts';
import type { TaskId } from '../core/ids.ts';

interface IdleTask {
  readonly state: TaskState;
  readonly sinceMs: number;
}

/** Tasks in memory that waited when their snapshot was stored, in the order in which they began to. They may have moved on since. */
export class IdleTasks {
  readonly #tasks = new Map<TaskId, IdleTask>();

  get size(): number {
    return this.#tasks.size;
  }

  /** When the first of them began to wait, or null. */
  get oldestSinceMs(): number | null {
    const [oldest] = this.#tasks.values();
    return oldest?.sinceMs ?? null;
  }

  /** The task waits in that state, which the store has. It goes to the end. */
  add(state: TaskState, sinceMs: number): void {
    this.#tasks.delete(state.taskId);
    this.#tasks.set(state.taskId, { state, sinceMs });
  }

  /** Takes out, the oldest first, those that have waited since `sinceMs` or longer, and `over` of the others; `most` at a time. */
  take({
    sinceMs,
    over,
    most,
  }: {
    readonly sinceMs: number;
    readonly over: number;
    readonly most: number;
  }): readonly TaskState[] {
    const taken: TaskState[] = [];
    for (const [taskId, task] of this.#tasks) {
      if (taken.length >= most || (task.sinceMs > sinceMs && taken.length >= over)) break;
      this.#tasks.delete(taskId);
      taken.push(task.state);
    }
    return taken;
  }

  clear(): void {
    this.#tasks.clear();
  }
}
