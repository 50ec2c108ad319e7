import type { ListQuery } from '../core/messages.ts';
import type { Reply } from '../core/replies.ts';
import type { TaskView } from '../core/task-view.ts';

/**
 * A page of the shard's tasks in the order of their ids.
 *
 * @param sources - `live` gives at least the first `limit` + 1 of the live tasks that the query means; `finished` is only asked when
 *   the query wants finished tasks
 */
export async function listTasks(
  query: ListQuery,
  sources: {
    readonly live: () => Promise<readonly TaskView[]>;
    readonly finished: () => Promise<readonly TaskView[]>;
  },
): Promise<Reply> {
  const byId = new Map<string, TaskView>();
  // A task that ends just now may be in both; the live one is the newer.
  if (query.includeFinished === true) for (const task of await sources.finished()) byId.set(task.taskId, task);
  for (const task of await sources.live()) byId.set(task.taskId, task);
  const matching = [...byId.values()]
    .filter((task) => query.pipeline === undefined || task.pipeline === query.pipeline)
    .filter((task) => query.status === undefined || task.status === query.status)
    .filter((task) => query.after === undefined || task.taskId > query.after)
    .toSorted((left, right) => (left.taskId < right.taskId ? -1 : 1));
  const tasks = matching.slice(0, query.limit);
  return { kind: 'page', tasks, next: matching.length > tasks.length ? (tasks.at(-1)?.taskId ?? null) : null };
}
