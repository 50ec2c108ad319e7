import type { Failure, HandoverDecision, InterruptionDecision, RetryDecision } from './failures.ts';
import type { CommandId, Epoch, Millis, NodeId, PipelineName, StageName, TaskId } from './ids.ts';
import type { JsonValue } from './json.ts';

/** Where a payload over the inline limit lies: the claim check of an object in the blob store. */
export interface BlobReference {
  readonly key: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** A task's input, a stage's output or a checkpoint's value: here, or a reference to the blob store. */
export type Payload = { readonly json: JsonValue } | { readonly blob: BlobReference };

/** Who asked for a command and why; kept in the journal for audit. */
export interface CommandOrigin {
  readonly commandId: CommandId;
  readonly by?: string;
  readonly reason?: string;
  /** The trace that the command belongs to (W3C Trace Context): what follows from it is linked to that. */
  readonly traceparent?: string;
}

/** A stage's result with the path that the definition's declared skips choose after it. */
export interface Completion {
  readonly output: Payload;
  /** The next stage; null ends the task. */
  readonly next: StageName | null;
  readonly skipped: Continuation['skipped'];
}

/**
 * How a finished stage goes on. `next` null ends the task. `start` true means that the next stage has its slot and
 * runs with this very record, so that a stage costs one record on the uncontended path.
 */
export interface Continuation {
  readonly next: StageName | null;
  /** Stages passed over by a declared skip, in order, with the reasons that the definition gives. */
  readonly skipped: readonly { readonly stage: StageName; readonly reason: string }[];
  readonly start: boolean;
}

/**
 * What happened to a task: the events of its machine, the records of its journal. Plain JSON; a change here is a change of
 * the stored format.
 */
export type TaskEvent =
  /** Sent by a client's submit. The machine leaves `new` for the first stage that is not skipped. */
  | ({
      readonly type: 'task.submitted';
      readonly pipeline: PipelineName;
      readonly version: number;
      readonly input: Payload;
      readonly inputHash: string;
      readonly origin: CommandOrigin;
    } & Continuation)
  /** A slot was granted to a queued stage: its next attempt starts. */
  | { readonly type: 'stage.started'; readonly stage: StageName; readonly attempt: number }
  /** A durable sub-step of the running attempt has its value; a retry does not run it again. */
  | {
      readonly type: 'stage.checkpointed';
      readonly stage: StageName;
      readonly attempt: number;
      readonly name: string;
      readonly value: Payload;
    }
  /** The running attempt returned. */
  | ({
      readonly type: 'stage.completed';
      readonly stage: StageName;
      readonly attempt: number;
      readonly output: Payload;
    } & Continuation)
  /** The running attempt failed, with what was decided. */
  | {
      readonly type: 'stage.failed';
      readonly stage: StageName;
      readonly attempt: number;
      readonly failure: Failure;
      readonly decision: RetryDecision;
    }
  /** A backoff is over. `start`: the attempt starts with this record, else the stage queues for a slot and it starts later. */
  | { readonly type: 'retry.due'; readonly stage: StageName; readonly attempt: number; readonly start: boolean }
  | { readonly type: 'task.paused'; readonly origin: CommandOrigin }
  | { readonly type: 'task.resumed'; readonly origin: CommandOrigin }
  | { readonly type: 'task.canceled'; readonly origin: CommandOrigin }
  /** An operator sends a dead letter, or an unknown outcome, back to work: a fresh budget, the same key. */
  | { readonly type: 'task.redriven'; readonly origin: CommandOrigin }
  /** The unknown outcome of an interrupted attempt is known, from the driver's lookup or from an operator. */
  | {
      readonly type: 'outcome.resolved';
      readonly stage: StageName;
      readonly attempt: number;
      readonly by: 'lookup' | 'operator';
      readonly resolution: Resolution;
      readonly origin?: CommandOrigin;
    }
  /**
   * The owner hands the shard over and has aborted the attempt, whose driver has stopped: its last word of it. The next owner
   * goes on from here, and neither an attempt nor an interruption is counted.
   */
  | {
      readonly type: 'stage.released';
      readonly stage: StageName;
      readonly attempt: number;
      readonly decision: HandoverDecision;
    }
  /** The running attempt has come through its probation: one of the stage's interruptions is held against it no more. */
  | { readonly type: 'stage.cleared'; readonly stage: StageName; readonly attempt: number }
  /** The shard has a new owner, and the one before was lost while the attempt was running (DESIGN §7.3). */
  | {
      readonly type: 'owner.changed';
      readonly stage: StageName;
      readonly attempt: number;
      readonly epoch: Epoch;
      readonly decision: InterruptionDecision;
    }
  /** The task crashed its actor too often and is put aside. */
  | { readonly type: 'task.quarantined'; readonly failure: Failure };

/** The answer to "what became of the interrupted stage?". */
export type Resolution =
  | ({ readonly kind: 'completed'; readonly output: Payload } & Continuation)
  /** The effect did not happen: run the stage again. */
  | { readonly kind: 'notDone' }
  /** The driver cannot tell either: the task stays parked. */
  | { readonly kind: 'unknown' }
  /** The driver's lookup itself failed for good, or an operator gives the stage up. */
  | { readonly kind: 'failed'; readonly failure: Failure };

/** The types of {@link TaskEvent}. */
export type TaskEventType = TaskEvent['type'];

/** All task event types, in the order of a task's life. */
export const taskEventTypes = [
  'task.submitted',
  'stage.started',
  'stage.checkpointed',
  'stage.completed',
  'stage.failed',
  'retry.due',
  'task.paused',
  'task.resumed',
  'task.canceled',
  'task.redriven',
  'outcome.resolved',
  'stage.released',
  'stage.cleared',
  'owner.changed',
  'task.quarantined',
] as const satisfies readonly TaskEventType[];

/** One step of one task, as the journal keeps it. */
export interface TaskRecord {
  readonly task: TaskId;
  /** The task's own count of records, from 1, without gaps. */
  readonly seq: number;
  /** When it was decided, by the owner's clock. */
  readonly at: Millis;
  readonly event: TaskEvent;
  /** The machine's state after it, such as `photos.running`; replay asserts that it arrives there. */
  readonly to: string;
  /**
   * The task's pipeline and version, for readers of the journal that hold no state of the task: events and dead letters
   * name them even when the submit is trimmed. Replay ignores them.
   */
  readonly pipeline: PipelineName;
  readonly version: number;
}

/** A new owner's first append: from it on, the server refuses every append of the owner before. */
export interface OwnerChange {
  readonly epoch: Epoch;
  readonly node: NodeId;
  readonly incarnation: string;
}

/** The one message of a group commit, before it is encoded. */
export interface Commit {
  readonly format: 1;
  readonly epoch: Epoch;
  /** The owner's count of its commits in this epoch, from 1. Names the commit together with the epoch. */
  readonly batch: number;
  readonly at: Millis;
  readonly owner?: OwnerChange;
  readonly records: readonly TaskRecord[];
}
