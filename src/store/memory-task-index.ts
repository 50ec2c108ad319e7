import { assert, EngineError } from '../core/errors.ts';
import type { Millis, TaskId } from '../core/ids.ts';
import { finishedStatuses } from '../core/task-view.ts';
import type {
  IndexedTask,
  TaskFilter,
  TaskGroup,
  TaskGroupField,
  TaskIndexChange,
  TaskIndexStore,
  TaskListQuery,
  TaskPage,
  TaskRow,
} from '../ports/task-index.ts';
import { checkTaskQuery, compareTasks, encodeCursor, groupKeyOf, largestGroups, matchesTask } from './task-query.ts';

/** A task index in this process's memory that looks at every task for every answer: for tests and small engines. */
export class MemoryTaskIndex implements TaskIndexStore {
  #position: string | null = null;
  #rows = new Map<TaskId, TaskRow>();
  #isClosed = false;

  get position(): string | null {
    return this.#position;
  }

  get rowCount(): number {
    return this.#rows.size;
  }

  async get(taskId: TaskId): Promise<IndexedTask | null> {
    this.#demandOpen();
    return this.#rows.get(taskId)?.task ?? null;
  }

  async list(query: TaskListQuery): Promise<TaskPage> {
    this.#demandOpen();
    const cursor = checkTaskQuery(query);
    const matching = this.#matching(query.filter)
      .filter((task) => cursor === null || compareTasks(task, cursor, query) > 0)
      .toSorted((a, b) => compareTasks(a, b, query));
    const tasks = matching.slice(0, query.limit);
    const last = tasks.at(-1);
    const hasMore = matching.length > tasks.length && last !== undefined;
    return { tasks, next: hasMore ? encodeCursor(last, query) : null };
  }

  async count(filter: TaskFilter): Promise<number> {
    this.#demandOpen();
    return this.#matching(filter).length;
  }

  async countBy(field: TaskGroupField, filter: TaskFilter, limit: number): Promise<readonly TaskGroup[]> {
    this.#demandOpen();
    const counts = new Map<string | number | null, number>();
    for (const task of this.#matching(filter)) {
      const key = groupKeyOf(task, field);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return largestGroups(counts, limit);
  }

  async rowsOf(taskIds: readonly TaskId[]): Promise<ReadonlyMap<TaskId, TaskRow>> {
    this.#demandOpen();
    const found = new Map<TaskId, TaskRow>();
    for (const taskId of taskIds) {
      const row = this.#rows.get(taskId);
      if (row !== undefined) found.set(taskId, row);
    }
    return found;
  }

  async scan(after: TaskId | null, limit: number): Promise<readonly TaskRow[]> {
    this.#demandOpen();
    const ids = [...this.#rows.keys()].filter((taskId) => after === null || taskId > after).toSorted();
    return ids.slice(0, limit).flatMap((taskId) => this.#rows.get(taskId) ?? []);
  }

  async apply(change: TaskIndexChange): Promise<void> {
    this.#demandOpen();
    assert(
      change.after === this.#position,
      () => `a change builds on ${change.after}, the index is at ${this.#position}`,
    );
    for (const row of change.rows) this.#rows.set(row.task.taskId, row);
    for (const taskId of change.deletes) this.#rows.delete(taskId);
    this.#position = change.position;
  }

  async expire(endedBefore: Millis, limit: number): Promise<number> {
    this.#demandOpen();
    const expired = [...this.#rows.values()]
      .filter(({ task }) => finishedStatuses.includes(task.status) && (task.endedAt ?? Infinity) < endedBefore)
      .slice(0, limit);
    for (const { task } of expired) this.#rows.delete(task.taskId);
    return expired.length;
  }

  async beside(): Promise<MemoryTaskIndex> {
    this.#demandOpen();
    return new MemoryTaskIndex();
  }

  async adopt(other: TaskIndexStore): Promise<void> {
    this.#demandOpen();
    assert(other instanceof MemoryTaskIndex, () => 'an index adopts only what it made beside itself');
    other.#demandOpen();
    this.#rows = other.#rows;
    this.#position = other.#position;
    await other.close();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #matching(filter: TaskFilter): IndexedTask[] {
    return [...this.#rows.values()].map(({ task }) => task).filter((task) => matchesTask(task, filter));
  }

  #demandOpen(): void {
    if (this.#isClosed) throw new EngineError('UNAVAILABLE', 'the task index is closed');
  }
}
