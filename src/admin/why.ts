import { EngineError, type ErrorCode } from '../core/errors.ts';
import type { TaskId } from '../core/ids.ts';
import { edgesOf } from '../pipeline/check-machine.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { IndexedTask } from '../ports/task-index.ts';
import { explainTask, type ExplainedTask, type TaskExplanation } from '../projections/explain-task.ts';
import type { RouteDeps } from './admin-deps.ts';

/** What a call answers when nobody serves the task's shard. */
const ownerlessCodes: ReadonlySet<ErrorCode> = new Set([
  'NO_OWNER',
  'UNAVAILABLE',
  'OWNERSHIP_LOST',
  'DEADLINE_EXCEEDED',
]);
/** An explanation is wanted just when the owner may be gone: it is not waited for as long as for a command. */
const ownerDeadlineMs = 3_000;

/**
 * Why a task stands where it stands: by its owner's word, or, when there is none, by what the index has of it.
 *
 * @throws EngineError `TASK_NOT_FOUND`, and the owner's error when the index does not know the task either
 */
export async function explainOneTask(
  deps: Pick<RouteDeps, 'client' | 'index' | 'definitions' | 'clock'>,
  taskId: TaskId,
): Promise<TaskExplanation> {
  const { task, hasOwner } = await findTask(deps, taskId);
  const definition = deps.definitions.find(({ name, version }) => name === task.pipeline && version === task.version);
  const stage = definition?.stages.find(({ name }) => name === task.stage);
  return explainTask(task, {
    now: deps.clock.now(),
    hasOwner,
    ...(stage === undefined ? {} : { stage }),
    ...(definition === undefined ? {} : { legalEvents: eventsOf(definition, task.state) }),
  });
}

type FoundTask = ExplainedTask & Pick<IndexedTask, 'pipeline' | 'version'>;

async function findTask(
  { client, index }: Pick<RouteDeps, 'client' | 'index'>,
  taskId: TaskId,
): Promise<{ readonly task: FoundTask; readonly hasOwner: boolean }> {
  try {
    return { task: await client.get(taskId, { deadlineMs: ownerDeadlineMs }), hasOwner: true };
  } catch (error) {
    if (!(error instanceof EngineError) || !ownerlessCodes.has(error.code)) throw error;
    const indexed = await index.get(taskId);
    if (indexed === null) throw error;
    return { task: { ...indexed, pausing: false, legalCommands: [] }, hasOwner: false };
  }
}

function eventsOf({ machine }: PipelineDefinition, state: string): readonly string[] {
  const events = edgesOf(machine).flatMap(({ from, event }) => (from === state ? [event] : []));
  return [...new Set(events)].toSorted();
}
