import { positionOf, type TaskState } from '../actors/task-state.ts';
import { EngineError } from '../core/errors.ts';
import type { TaskId } from '../core/ids.ts';
import type { ListQuery } from '../core/messages.ts';
import type { TaskView } from '../core/task-view.ts';
import type { ActorHost } from './actor-host.ts';
import type { Passivation } from './passivation.ts';
import type { PassiveTasks } from './passive-tasks.ts';

/** How often a page is begun anew because a task of it was on its way into memory or out. */
const maximumTries = 5;

/** Where a shard's live tasks are. */
export interface LiveTaskSources {
  readonly host: Pick<ActorHost, 'committedStates' | 'committedState' | 'view'>;
  readonly passive: Pick<PassiveTasks, 'idsOf'>;
  readonly passivation: Pick<Passivation, 'read'>;
}

/**
 * The first live tasks that the query means, in memory or not, and one more than it wants: whether there is a next page. Of passive
 * tasks only those of the page are loaded.
 *
 * @throws EngineError `UNAVAILABLE` when one of them cannot be
 */
export async function liveViews(query: ListQuery, sources: LiveTaskSources): Promise<readonly TaskView[]> {
  for (let tryCount = 1; tryCount <= maximumTries; tryCount += 1) {
    const views = await tryPage(query, sources);
    if (views !== null) return views;
  }
  throw new EngineError('UNAVAILABLE', `list tasks: they were on their way ${maximumTries} times`);
}

/** The page, or null when a task of it was neither in memory nor passive when it was its turn. */
async function tryPage(query: ListQuery, { host, passive, passivation }: LiveTaskSources): Promise<TaskView[] | null> {
  const { pipeline, status, after } = query;
  const first = new FirstIds(query.limit + 1);
  const add = (taskId: TaskId): void => {
    if (after === undefined || taskId > after) first.add(taskId);
  };
  const isMeant = (of: { readonly pipeline: string; readonly status: string }): boolean =>
    (pipeline === undefined || of.pipeline === pipeline) && (status === undefined || of.status === status);
  const resident = new Set<TaskId>();
  for (const state of host.committedStates()) {
    resident.add(state.taskId);
    if (isMeant({ pipeline: state.pipeline, status: positionOf(state.machine.value).status })) add(state.taskId);
  }
  for (const taskId of passive.idsOf(isMeant)) if (!resident.has(taskId)) add(taskId);
  const known = new Map<TaskId, TaskState>();
  for (const taskId of first.ids) {
    const state = host.committedState(taskId);
    if (state !== null) known.set(taskId, state);
  }
  const stored = await passivation.read(first.ids.filter((taskId) => !known.has(taskId)));
  const views: TaskView[] = [];
  for (const taskId of first.ids) {
    // One that was woken meanwhile is in memory.
    const state = known.get(taskId) ?? stored.get(taskId) ?? host.committedState(taskId);
    if (state === null) return null;
    views.push(host.view(state, 'none'));
  }
  return views;
}

/** The first of many ids in their order. */
class FirstIds {
  readonly ids: TaskId[] = [];
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  add(taskId: TaskId): void {
    const { ids } = this;
    if (ids.length === this.#most && taskId >= (ids.at(-1) as TaskId)) return;
    let low = 0;
    let high = ids.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ids[middle] as TaskId) < taskId) low = middle + 1;
      else high = middle;
    }
    if (ids[low] === taskId) return;
    ids.splice(low, 0, taskId);
    if (ids.length > this.#most) ids.pop();
  }
}
