import { invalidArgument } from '../core/errors.ts';
import type { TaskId } from '../core/ids.ts';
import {
  maximumTaskPageSize,
  type IndexedTask,
  type TaskFilter,
  type TaskGroup,
  type TaskGroupField,
  type TaskListQuery,
  type TaskSortField,
} from '../ports/task-index.ts';

/** Where a page ended: the sort value of its last task (null: it has none) and its id. */
export interface TaskCursor {
  readonly value: number | null;
  readonly taskId: TaskId;
}

/** The cursor of a checked query, null for the first page. @throws EngineError `INVALID_ARGUMENT` */
export function checkTaskQuery(query: TaskListQuery): TaskCursor | null {
  const { limit, cursor } = query;
  if (!Number.isInteger(limit) || limit < 1 || limit > maximumTaskPageSize) {
    const range = `1 to ${maximumTaskPageSize}`;
    throw invalidArgument({ field: 'limit', message: `limit must be ${range}`, limit: range, got: limit });
  }
  return cursor === undefined ? null : decodeCursor(cursor, query);
}

/** The text of a cursor behind that task. */
export function encodeCursor(task: IndexedTask, query: Pick<TaskListQuery, 'sortBy' | 'descending'>): string {
  const { sortBy, descending } = query;
  const parts = [sortBy, descending, sortBy === 'taskId' ? null : task[sortBy], task.taskId];
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

function decodeCursor(text: string, query: TaskListQuery): TaskCursor {
  const [sortBy, descending, value, taskId] = parseCursor(text);
  const isWhole = (value === null || Number.isSafeInteger(value)) && typeof taskId === 'string';
  if (!isWhole || sortBy !== query.sortBy || descending !== query.descending) {
    throw invalidArgument({
      field: 'cursor',
      message: 'cursor is not one of this order',
      limit: '`next` of the page before, with the same filter and order',
      got: text,
      hint: 'leave the cursor out to begin at the first page',
    });
  }
  return { value: value as number | null, taskId: taskId as TaskId };
}

function parseCursor(text: string): readonly unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    return Array.isArray(parts) ? parts : [];
  } catch {
    return [];
  }
}

/** Whether the task is one of those that the filter means. */
export function matchesTask(task: IndexedTask, filter: TaskFilter): boolean {
  return (
    isOneOf(filter.taskIds, task.taskId) &&
    (filter.taskIdPrefix === undefined || task.taskId.startsWith(filter.taskIdPrefix)) &&
    isOneOf(filter.pipelines, task.pipeline) &&
    isOneOf(filter.versions, task.version) &&
    isOneOf(filter.statuses, task.status) &&
    isOneOf(filter.stages, task.stage) &&
    isOneOf(filter.shards, task.shard) &&
    isOneOf(filter.failureClasses, task.failure?.class ?? null) &&
    isOneOf(filter.failureFingerprints, task.failureFingerprint) &&
    task.submittedAt >= (filter.submittedFrom ?? -Infinity) &&
    task.submittedAt < (filter.submittedBefore ?? Infinity) &&
    task.updatedAt >= (filter.updatedFrom ?? -Infinity) &&
    task.updatedAt < (filter.updatedBefore ?? Infinity)
  );
}

/** Whether a list that was given holds the value; a list that was not given holds every value. */
export function isOneOf<Value>(list: readonly Value[] | undefined, value: Value | null): boolean {
  return list === undefined || (value !== null && list.includes(value));
}

/** The order of a list: by the field, then by id; tasks without the value last. */
export function compareTasks(
  left: IndexedTask | TaskCursor,
  right: IndexedTask | TaskCursor,
  order: { readonly sortBy: TaskSortField; readonly descending: boolean },
): number {
  const direction = order.descending ? -1 : 1;
  const a = sortValueOf(left, order.sortBy);
  const b = sortValueOf(right, order.sortBy);
  if (a !== b) {
    if (a === null) return 1;
    if (b === null) return -1;
    return (a - b) * direction;
  }
  return left.taskId === right.taskId ? 0 : (left.taskId < right.taskId ? -1 : 1) * direction;
}

function sortValueOf(place: IndexedTask | TaskCursor, sortBy: TaskSortField): number | null {
  if (sortBy === 'taskId') return null;
  return 'value' in place ? place.value : place[sortBy];
}

/** What a task counts under. */
export function groupKeyOf(
  task: Pick<IndexedTask, 'status' | 'pipeline' | 'stage' | 'shard' | 'failureFingerprint'> & {
    readonly failure: { readonly class: string } | null;
  },
  field: TaskGroupField,
): string | number | null {
  return field === 'failureClass' ? (task.failure?.class ?? null) : task[field];
}

/** The largest groups first; of equal ones by key, the one without a key last. */
export function largestGroups(counts: ReadonlyMap<string | number | null, number>, limit: number): TaskGroup[] {
  return [...counts]
    .filter(([, count]) => count > 0)
    .map(([key, count]) => ({ key, count }))
    .toSorted((a, b) => b.count - a.count || compareKeys(a.key, b.key))
    .slice(0, Math.max(0, limit));
}

function compareKeys(a: TaskGroup['key'], b: TaskGroup['key']): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a) < String(b) ? -1 : 1;
}
