import type { Failure } from '../core/failures.ts';
import type { Millis, PipelineName, ShardId, StageName, TaskId } from '../core/ids.ts';
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

/** What a list can be sorted by; ties are broken by task id. */
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
