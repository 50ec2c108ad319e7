import { asError, EngineError, errorCatalog, unreachable, type ErrorCode } from '../../core/errors.ts';
import type { TaskIndex } from '../../ports/task-index.ts';
import type { AdminClient } from '../admin-client.ts';
import { bulkCommandId, chunkSize, selectedOf, type BulkRun, type SelectedTask } from './bulk-run.ts';
import type { BulkStep, BulkStepResult, CommandOutcome, LookedChunk } from './bulk-step.ts';
import type { BulkStore } from './bulk-store.ts';

/** What a step is done with. */
export interface BulkWorkDeps {
  readonly client: Pick<AdminClient, 'redrive' | 'cancel' | 'pause' | 'resume'>;
  readonly index: Pick<TaskIndex, 'list'>;
  readonly store: Pick<BulkStore, 'saveChunk' | 'loadChunk'>;
}

/** The task went on by itself since it was selected: the command does not fit it any more. */
const skippedCodes: ReadonlySet<ErrorCode> = new Set(['NOT_ALLOWED', 'TASK_NOT_FOUND']);

/**
 * Does one step of a run. To do it twice comes to the same: the selection is written over, the commands have their ids.
 *
 * @param isLastTry - whether what may pass later counts as failed now
 * @throws EngineError what may pass later: do the step again
 */
export async function doBulkStep(
  deps: BulkWorkDeps,
  run: BulkRun,
  step: Exclude<BulkStep, { kind: 'rest' }>,
  isLastTry: boolean,
): Promise<BulkStepResult> {
  switch (step.kind) {
    case 'select': {
      const { cursor, chunk, limit } = step;
      const page = await deps.index.list({
        filter: run.filter,
        sortBy: 'taskId',
        descending: false,
        limit,
        ...(cursor === null ? {} : { cursor }),
      });
      await deps.store.saveChunk(run.id, chunk, page.tasks.map(selectedOf));
      return { kind: 'selected', count: page.tasks.length, next: page.next };
    }
    case 'send': {
      const tasks = await readTasks(deps, run.id, step.from, step.count);
      const outcomes = await Promise.all(tasks.map((task) => command(deps, run, task, isLastTry)));
      return { kind: 'sent', outcomes };
    }
    case 'look': {
      const chunks: LookedChunk[] = [];
      for (const chunk of step.chunks) chunks.push(await look(deps, run, chunk));
      return { kind: 'looked', chunks, delayMs: step.delayMs };
    }
    default:
      return unreachable(step);
  }
}

async function readTasks(
  { store }: BulkWorkDeps,
  bulkId: string,
  from: number,
  count: number,
): Promise<readonly SelectedTask[]> {
  const tasks: SelectedTask[] = [];
  const first = Math.floor(from / chunkSize);
  const last = Math.floor((from + count - 1) / chunkSize);
  for (let chunk = first; chunk <= last; chunk += 1) tasks.push(...(await store.loadChunk(bulkId, chunk)));
  const offset = from - first * chunkSize;
  return tasks.slice(offset, offset + count);
}

async function command(
  { client }: BulkWorkDeps,
  run: BulkRun,
  { taskId, seq }: SelectedTask,
  isLastTry: boolean,
): Promise<CommandOutcome> {
  const options = {
    commandId: bulkCommandId(run.id, taskId),
    by: run.by,
    reason: run.reason ?? undefined,
    // What was selected is a dead letter that somebody has seen. The other actions are for the task, whatever it has come to.
    expectedSeq: run.action === 'redrive' ? seq : undefined,
  };
  try {
    await client[run.action](taskId, options);
    return { kind: 'done' };
  } catch (thrown) {
    const error = thrown instanceof EngineError ? thrown : new EngineError('INTERNAL', asError(thrown).message);
    if (skippedCodes.has(error.code)) return { kind: 'skipped' };
    // A shard between two owners is no failure of its tasks: the step is done again, and nothing is done twice by it.
    if (errorCatalog[error.code].retryable && !isLastTry) throw error;
    return { kind: 'failed', taskId, code: error.code, message: error.message };
  }
}

/** A task has failed again when it is a dead letter by a later record than the one it was selected with, and the command's. */
async function look({ index, store }: BulkWorkDeps, run: BulkRun, chunk: number): Promise<LookedChunk> {
  const sent = (await store.loadChunk(run.id, chunk)).slice(0, Math.max(0, run.sentCount - chunk * chunkSize));
  if (sent.length === 0) return { chunk, failedAgain: 0, openCount: 0 };
  const page = await index.list({
    filter: { taskIds: sent.map(({ taskId }) => taskId) },
    sortBy: 'taskId',
    descending: false,
    limit: chunkSize,
  });
  const now = new Map(page.tasks.map((task) => [task.taskId, task]));
  let failedAgain = 0;
  let openCount = 0;
  for (const { taskId, seq } of sent) {
    const task = now.get(taskId);
    if (task === undefined) continue;
    const hasMoved = task.seq > seq + 1;
    if (task.status === 'deadLettered' && hasMoved) failedAgain += 1;
    else if (task.status !== 'completed' && task.status !== 'canceled') openCount += 1;
  }
  return { chunk, failedAgain, openCount };
}
