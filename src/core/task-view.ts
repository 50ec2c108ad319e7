import type { Failure } from './failures.ts';
import type { Epoch, Millis, NodeId, PipelineName, ShardId, StageName, TaskId } from './ids.ts';
import type { JsonValue } from './json.ts';
import type { BlobReference } from './records.ts';
import type { TaskOutlook } from './task-outlook.ts';

/** Where a task stands, in one word. */
export type TaskStatus =
  'queued' | 'running' | 'backingOff' | 'held' | 'unknown' | 'completed' | 'canceled' | 'deadLettered';

/** The statuses from which a task never goes on by itself or by a command. */
export const finishedStatuses: readonly TaskStatus[] = ['completed', 'canceled'];
/** The statuses at which {@link TaskView} counts as ended for a waiter. A dead letter may still be redriven. */
export const endedStatuses: readonly TaskStatus[] = ['completed', 'canceled', 'deadLettered'];

/** A command that an operator may send to a task. */
export type TaskCommandName = 'pause' | 'resume' | 'cancel' | 'redrive' | 'resolve';

/** One stage of a task, as far as it has come. */
export interface StageView {
  readonly stage: StageName;
  readonly status:
    | 'waiting'
    | 'queued'
    | 'running'
    | 'backingOff'
    | 'held'
    | 'unknown'
    | 'completed'
    | 'skipped'
    | 'failed'
    | 'canceled';
  /** Attempts started, interrupted ones included. */
  readonly attempts: number;
  /** How often its owner was lost while it ran. */
  readonly interruptions: number;
  /** How often it was aborted because its shard was handed over. */
  readonly handovers: number;
  readonly startedAt: Millis | null;
  readonly endedAt: Millis | null;
  /** Names of the checkpoints that the stage has committed. */
  readonly checkpoints: readonly string[];
}

/** A payload as it is shown: the value, or a reference when it is over the inline limit. */
export type PayloadView = JsonValue | { readonly $blob: BlobReference };

/** A task as a client or an operator sees it. Only committed facts are in it, but for its `outlook`. */
export interface TaskView {
  readonly taskId: TaskId;
  readonly pipeline: PipelineName;
  readonly version: number;
  readonly shard: ShardId;
  /** The machine's state, such as `photos.running`. */
  readonly state: string;
  readonly status: TaskStatus;
  readonly stage: StageName | null;
  readonly attempt: number;
  /** When it goes on by itself, while it backs off. */
  readonly dueAt: Millis | null;
  /** A pause was asked while a stage runs; it takes hold before the next start. */
  readonly pausing: boolean;
  readonly submittedAt: Millis;
  readonly updatedAt: Millis;
  readonly endedAt: Millis | null;
  readonly inputHash: string;
  /** How many records the task has. */
  readonly seq: number;
  readonly failure: Failure | null;
  readonly stages: readonly StageView[];
  /** The commands that the task accepts now. */
  readonly legalCommands: readonly TaskCommandName[];
  readonly owner: { readonly node: NodeId; readonly epoch: Epoch } | null;
  /** Results of the completed stages; a value over the inline limit is a reference. In an answer to `task.result`, or when asked for. */
  readonly outputs?: Readonly<Record<string, PayloadView>>;
  readonly input?: PayloadView;
  /** In an answer to `task.get`, by an owner of this version or newer. */
  readonly outlook?: TaskOutlook;
}
