import { EngineError, type ErrorCode } from '../core/errors.ts';
import type { TaskId } from '../core/ids.ts';
import type { TaskView } from '../core/task-view.ts';
import { edgesOf } from '../pipeline/check-machine.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { Clock } from '../ports/clock.ts';
import type { IndexedTask } from '../ports/task-index.ts';
import { explainTask, type ExplanationContext, type TaskExplanation } from '../projections/explain-task.ts';
import { taskAfter } from '../projections/task-rows.ts';
import type { Client } from './client.ts';
import type { ClusterClient } from './cluster-client.ts';

/** What a call answers when nobody serves the task's shard. */
const ownerlessCodes: ReadonlySet<ErrorCode> = new Set([
  'NO_OWNER',
  'UNAVAILABLE',
  'OWNERSHIP_LOST',
  'DEADLINE_EXCEEDED',
]);
/** An explanation is wanted just when the owner may be gone: it is not waited for as long as for a command. */
const ownerDeadlineMs = 3_000;
/** How long the cluster may take to say why nobody serves the shard. */
const clusterDeadlineMs = 2_000;

/** What {@link explainOneTask} asks of the outside. */
export interface ExplainDeps {
  readonly client: Pick<Client, 'get'> & { readonly cluster: Pick<ClusterClient, 'status'> };
  readonly clock: Clock;
  /** Those that are at hand: for an owner that is gone, or too old to tell. */
  readonly definitions: readonly PipelineDefinition[];
  /** What is recorded of a task whose owner is gone, and where; null when nothing is. */
  readonly recorded: {
    readonly source: 'index' | 'journal';
    readonly find: (taskId: TaskId) => Promise<IndexedTask | null>;
  };
}

/**
 * Why a task stands where it stands: by its owner's word, or, when there is none, by what is recorded of it. The one builder for the
 * command line, the admin API and the MCP server.
 *
 * @throws EngineError `TASK_NOT_FOUND`; the owner's error when nothing is recorded of the task either; `CANCELED`
 */
export async function explainOneTask(
  deps: ExplainDeps,
  taskId: TaskId,
  options: { readonly deadlineMs?: number | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<TaskExplanation> {
  const { deadlineMs = ownerDeadlineMs, signal } = options;
  const found = await findTask(deps, taskId, { deadlineMs: Math.min(deadlineMs, ownerDeadlineMs), signal });
  const { task, context } = found;
  const definition = deps.definitions.find(({ name, version }) => name === task.pipeline && version === task.version);
  const stage = definition?.stages.find(({ name }) => name === task.stage);
  return explainTask(task, {
    ...context,
    now: deps.clock.now(),
    ...(stage === undefined ? {} : { stage }),
    ...(definition === undefined ? {} : { legalEvents: eventsOf(definition, task.state) }),
  });
}

/** A finder over the journal, which needs no owner. It reads the whole journal of the task's shard. */
export function findInJournal(client: Pick<Client, 'history'>): ExplainDeps['recorded'] {
  return {
    source: 'journal',
    find: async (taskId) => {
      const { records, shard } = await client.history(taskId);
      return records.reduce<IndexedTask | null>((task, { record }) => taskAfter(task, record, shard), null);
    },
  };
}

type ExplainableTask = (TaskView | (IndexedTask & Pick<TaskView, 'pausing' | 'legalCommands'>)) &
  Pick<IndexedTask, 'pipeline' | 'version'>;

async function findTask(
  { client, recorded }: ExplainDeps,
  taskId: TaskId,
  call: { readonly deadlineMs: number; readonly signal: AbortSignal | undefined },
): Promise<{ readonly task: ExplainableTask; readonly context: Omit<ExplanationContext, 'now'> }> {
  try {
    const task = await client.get(taskId, call);
    return { task, context: { source: 'owner', owner: task.owner } };
  } catch (error) {
    if (!(error instanceof EngineError) || !ownerlessCodes.has(error.code)) throw error;
    const task = await recorded.find(taskId);
    if (task === null) throw error;
    return {
      task: { ...task, pausing: false, legalCommands: [] },
      context: { source: recorded.source, absence: await explainAbsence(client.cluster, task) },
    };
  }
}

/** Why nobody serves the task's shard, as far as the cluster can be seen now. */
async function explainAbsence(
  cluster: Pick<ClusterClient, 'status'>,
  { shard }: IndexedTask,
): Promise<NonNullable<ExplanationContext['absence']>> {
  try {
    const { shards } = await cluster.status({ deadlineMs: clusterDeadlineMs });
    const row = shards.find((one) => one.shard === shard);
    return { expected: row?.to ?? null, why: row?.why ?? null };
  } catch {
    // The task is explained all the same: that nobody serves it is known.
    return { expected: null, why: null };
  }
}

function eventsOf({ machine }: PipelineDefinition, state: string): readonly string[] {
  const events = edgesOf(machine).flatMap(({ from, event }) => (from === state ? [event] : []));
  return [...new Set(events)].toSorted();
}
