import { contentHash } from '../../core/hash.ts';
import { parseCommandId, type CommandId, type Millis, type TaskId } from '../../core/ids.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { IndexedTask, TaskFilter } from '../../ports/task-index.ts';

/** What can be done to many tasks. */
export const bulkActions = ['redrive', 'cancel', 'pause', 'resume'] as const;
/** One of {@link bulkActions}. */
export type BulkAction = (typeof bulkActions)[number];

/** How careful a run is. */
export interface BulkPace {
  /** Tasks of the first batch, whose outcome is watched before the rest follows. */
  readonly firstBatch: number;
  /** How long it is watched at most. */
  readonly watchMs: number;
  readonly ratePerSecond: number;
  /** More failures than this of a hundred end the run. */
  readonly stopAtFailurePercent: number;
}

/** The pace when nothing else is said. */
export const bulkPaceDefaults: BulkPace = {
  firstBatch: 10,
  watchMs: 30_000,
  ratePerSecond: 50,
  stopAtFailurePercent: 2,
};

/**
 * Where a run stands.
 *
 * - `selecting`: it writes down which tasks are meant; none is touched before that is done
 * - `firstBatch`, `rest`: it sends commands
 * - `watching`, `settling`: it looks what becomes of the first batch, of all
 */
export type BulkPhase = 'selecting' | 'firstBatch' | 'watching' | 'rest' | 'settling' | 'ended';

/** Why a run has ended. `stopped`: by its failures; `aborted`: by an operator. */
export type BulkEnd = 'completed' | 'stopped' | 'aborted';

/** A task that the command failed for. */
export interface BulkFailure {
  readonly taskId: TaskId;
  readonly code: ErrorCode;
  readonly message: string;
}

/** A bulk action, whole: what is kept of it between two steps. */
export interface BulkRun {
  readonly format: 1;
  readonly id: string;
  readonly action: BulkAction;
  readonly filter: TaskFilter;
  readonly reason: string | null;
  readonly by: string;
  readonly createdAt: Millis;
  readonly pace: BulkPace;
  readonly phase: BulkPhase;
  readonly isPaused: boolean;
  readonly end: BulkEnd | null;
  /** Of the selection: the index's cursor, and how many tasks are written down. */
  readonly cursor: string | null;
  readonly selectedCount: number;
  /** How many of them have been commanded. */
  readonly sentCount: number;
  readonly doneCount: number;
  /** Tasks that had gone on by themselves, so that the command did not fit any more. */
  readonly skippedCount: number;
  readonly failedCount: number;
  /** The first of them, at most {@link maximumFailures}. */
  readonly failures: readonly BulkFailure[];
  /** By chunk of the selection: tasks that failed again after the command. */
  readonly failedAgain: readonly number[];
  /** `sentCount` at the last look in the middle of the run. */
  readonly lookedAtCount: number;
  /** How long it still watches. */
  readonly watchLeftMs: number;
}

/** One task of the selection, and its count of records when it was selected. */
export interface SelectedTask {
  readonly taskId: TaskId;
  readonly seq: number;
}

/** Tasks of one piece of the selection. */
export const chunkSize = 500;
/** Most failures that are kept with their codes. */
export const maximumFailures = 200;
/** Most tasks of one run. */
export const maximumSelection = 1_000_000;

/** A run at its start. */
export function newBulkRun(
  request: Pick<BulkRun, 'id' | 'action' | 'filter' | 'reason' | 'by' | 'createdAt' | 'pace'>,
): BulkRun {
  const { id, action, reason, by, createdAt, pace } = request;
  return {
    format: 1,
    id,
    action,
    // A task that is submitted later is not meant. It would also keep the selection from ever ending.
    filter: { ...request.filter, submittedBefore: Math.min(request.filter.submittedBefore ?? createdAt, createdAt) },
    reason,
    by,
    createdAt,
    pace,
    phase: 'selecting',
    isPaused: false,
    end: null,
    cursor: null,
    selectedCount: 0,
    sentCount: 0,
    doneCount: 0,
    skippedCount: 0,
    failedCount: 0,
    failures: [],
    failedAgain: [],
    lookedAtCount: 0,
    watchLeftMs: 0,
  };
}

/** The command id of one task in a run: equal at every try, so that a repeat after a crash is answered from the task's record. */
export function bulkCommandId(bulkId: string, taskId: TaskId): CommandId {
  return parseCommandId(`bulk-${contentHash([bulkId, taskId]).slice(0, 32)}`);
}

/** Whether tasks go back to work by the action, and may fail again. */
export function isWatched(action: BulkAction): boolean {
  return action === 'redrive' || action === 'resume';
}

/** What of an indexed task is written down. */
export function selectedOf({ taskId, seq }: IndexedTask): SelectedTask {
  return { taskId, seq };
}

/** Failed commands, and tasks that failed again, of a hundred that were commanded and did not step aside. */
export function failurePercent(run: BulkRun): number {
  const tried = run.doneCount + run.failedCount;
  return tried === 0 ? 0 : (100 * failureCount(run)) / tried;
}

/** Failed commands and tasks that failed again. */
export function failureCount({ failedCount, failedAgain }: BulkRun): number {
  return failedCount + failedAgain.reduce((sum, count) => sum + count, 0);
}
