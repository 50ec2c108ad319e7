import type { IndexedTask, TaskSortField } from '../api/types.ts';
import type { TaskPage } from './page-window.ts';

/** An order of the list. */
export interface TaskOrder {
  readonly sortBy: TaskSortField;
  readonly descending: boolean;
}

/** Before, after or beside: as the task index sorts. Tasks without the value come last in both directions; ids break ties. */
export function compareTasks(one: IndexedTask, other: IndexedTask, { sortBy, descending }: TaskOrder): number {
  const [left, right] = [one[sortBy], other[sortBy]];
  if (left === null || right === null) {
    if (left !== right) return left === null ? 1 : -1;
  } else if (left !== right) {
    return left < right === descending ? 1 : -1;
  }
  if (one.taskId === other.taskId) return 0;
  return one.taskId < other.taskId === descending ? 1 : -1;
}

/**
 * The first page with what has changed since, until it is loaded again. What sorts behind its last task belongs to a later page and
 * is left out.
 */
export function withChanges<Page extends TaskPage>(
  page: Page,
  changes: { readonly changed: readonly IndexedTask[]; readonly left: readonly string[] },
  order: TaskOrder,
): Page {
  const gone = new Set([...changes.left, ...changes.changed.map(({ taskId }) => taskId)]);
  const last = page.next === null ? undefined : page.tasks.at(-1);
  const fresh = changes.changed.filter((task) => last === undefined || compareTasks(task, last, order) <= 0);
  const tasks = [...page.tasks.filter(({ taskId }) => !gone.has(taskId)), ...fresh];
  return { ...page, tasks: tasks.toSorted((one, other) => compareTasks(one, other, order)) };
}
