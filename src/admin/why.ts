import { explainOneTask } from '../client/explain-one-task.ts';
import type { TaskId } from '../core/ids.ts';
import type { TaskExplanation } from '../projections/explain-task.ts';
import type { RouteDeps } from './admin-deps.ts';

/**
 * Why a task stands where it stands: what its owner says, or, when there is none, what the index has of it.
 *
 * @throws EngineError as {@link explainOneTask}
 */
export function explainByIndex(
  { client, clock, definitions, index }: Pick<RouteDeps, 'client' | 'index' | 'definitions' | 'clock'>,
  taskId: TaskId,
): Promise<TaskExplanation> {
  const recorded = { source: 'index', find: (id: TaskId) => index.get(id) } as const;
  return explainOneTask({ client, clock, definitions, recorded }, taskId);
}
