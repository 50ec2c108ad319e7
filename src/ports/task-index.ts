import type { Failure } from '../core/failures.ts';
import type { Millis, PipelineName, Sequence, ShardId, StageName, TaskId } from '../core/ids.ts';
import type { TaskStatus } from '../core/task-view.ts';

/** One task as the index knows it: what the records tell, without payloads. */
export interface IndexedTask {
  readonly taskId: TaskId;
  readonly pipeline: PipelineName;
  readonly version: number;
  readonly shard: ShardId;
  readonly status: TaskStatus;
  /** The machine's state, such as `photos.running`. */
  readonly state: string;
  readonly stage: StageName | null;
  readonly attempt: number;
  readonly submittedAt: Millis;
  readonly updatedAt: Millis;
  readonly endedAt: Millis | null;
  /** When it goes on by itself, while it backs off. */
  readonly dueAt: Millis | null;
  /** Records so far. */
  readonly seq: number;
  /** Failed attempts and losses of an owner, over its whole life. */
  readonly failureCount: number;
  readonly interruptionCount: number;
  /** Of the last failed attempt, also when the task has gone on since. */
  readonly failure: (Pick<Failure, 'class' | 'message'> & { readonly code: string | null }) | null;
  /** Equal for failures that have one cause; null without a failure. */
  readonly failureFingerprint: string | null;
}

/** Which tasks are meant. Every part that is given must hold; a list holds when one of its values does; an empty list never holds. */
export interface TaskFilter {
  readonly pipelines?: readonly PipelineName[];
  readonly versions?: readonly number[];
  readonly statuses?: readonly TaskStatus[];
  readonly stages?: readonly StageName[];
  readonly shards?: readonly ShardId[];
  readonly failureClasses?: readonly Failure['class'][];
  readonly failureFingerprints?: readonly string[];
  readonly taskIds?: readonly TaskId[];
  readonly taskIdPrefix?: string;
  /** Inclusive. */
  readonly submittedFrom?: Millis;
  /** Exclusive. */
  readonly submittedBefore?: Millis;
  /** Inclusive. */
  readonly updatedFrom?: Millis;
  /** Exclusive. */
  readonly updatedBefore?: Millis;
}

/** What a list can be sorted by; ties are broken by task id, and tasks without the value come last in both directions. */
export const taskSortFields = ['updatedAt', 'submittedAt', 'endedAt', 'dueAt', 'taskId', 'attempt'] as const;

/** One of {@link taskSortFields}. */
export type TaskSortField = (typeof taskSortFields)[number];

/** What tasks can be counted by. */
export const taskGroupFields = ['status', 'pipeline', 'stage', 'shard', 'failureClass', 'failureFingerprint'] as const;

/** One of {@link taskGroupFields}. */
export type TaskGroupField = (typeof taskGroupFields)[number];

/** A page to ask for. */
export interface TaskListQuery {
  readonly filter: TaskFilter;
  readonly sortBy: TaskSortField;
  readonly descending: boolean;
  /** 1 to {@link maximumTaskPageSize}. */
  readonly limit: number;
  /** `next` of the page before, with the same filter and order. */
  readonly cursor?: string;
}

/** A page: by position and not by number, so that tasks that come and go between two pages neither repeat nor hide others. */
export interface TaskPage {
  readonly tasks: readonly IndexedTask[];
  /** Null at the end. */
  readonly next: string | null;
}

/** Tasks of one value of a group field; `key` null: those that have none. */
export interface TaskGroup {
  readonly key: string | number | null;
  readonly count: number;
}

/** Most tasks of one page. */
export const maximumTaskPageSize = 1_000;

/**
 * All tasks that the journal tells of, to be listed, filtered, sorted and counted: a projection, rebuilt from the journal at any
 * time. It may be a moment behind; {@link TaskIndex.position} says how far it is.
 *
 * Every method throws EngineError `UNAVAILABLE` once the index is closed.
 */
export interface TaskIndex {
  /** The last event that the index holds, as a position of the event feed; null before the first. */
  readonly position: string | null;
  get(taskId: TaskId): Promise<IndexedTask | null>;
  /** @throws EngineError `INVALID_ARGUMENT` for a cursor of another order, or a limit out of range */
  list(query: TaskListQuery): Promise<TaskPage>;
  count(filter: TaskFilter): Promise<number>;
  /** Counts per value, the largest first, at most `limit` of them. */
  countBy(field: TaskGroupField, filter: TaskFilter, limit: number): Promise<readonly TaskGroup[]>;
}

/** A task with the journal entry that told of it last. */
export interface TaskRow {
  readonly task: IndexedTask;
  readonly sequence: Sequence;
}

/** What the projector's next step changes. */
export interface TaskIndexChange {
  /** How far the index has read after it. */
  readonly position: string;
  /** The position that the change builds on. */
  readonly after: string | null;
  /** At most one a task. */
  readonly rows: readonly TaskRow[];
  /** Tasks to forget; one that is not there is no error. */
  readonly deletes: readonly TaskId[];
}

/** A {@link TaskIndex} as its projector has it: rows and position, which change together or not at all. */
export interface TaskIndexStore extends TaskIndex {
  /** Tasks in the index. */
  readonly rowCount: number;
  /** Those of the tasks that the index knows. */
  rowsOf(taskIds: readonly TaskId[]): Promise<ReadonlyMap<TaskId, TaskRow>>;
  /** All rows in the order of their ids, `limit` at a time, after that id. */
  scan(after: TaskId | null, limit: number): Promise<readonly TaskRow[]>;
  /** @throws EngineError `UNAVAILABLE` when nothing is changed, `INTERNAL` for a change that builds on another position */
  apply(change: TaskIndexChange): Promise<void>;
  /** Forgets completed and canceled tasks that ended before that, at most `limit` of them; gives how many. */
  expire(endedBefore: Millis, limit: number): Promise<number>;
  /** An empty index beside this one, to be built anew while this one answers; what an earlier one left is dropped. */
  beside(): Promise<TaskIndexStore>;
  /** Answers from what `other` (from {@link TaskIndexStore.beside}) holds from now on; `other` is closed. */
  adopt(other: TaskIndexStore): Promise<void>;
  close(): Promise<void>;
}
