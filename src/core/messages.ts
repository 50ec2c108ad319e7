import type { Failure } from './failures.ts';
import type { CommandId, Millis, StageName, TaskId } from './ids.ts';
import type { JsonValue } from './json.ts';
import type { Completion, Payload } from './records.ts';
import type { TaskStatus } from './task-view.ts';

/** Who a command comes from and why, as the client states it. */
export interface CommandFields {
  readonly taskId: TaskId;
  /** The same on every repeat of one intention: a repeat gets the recorded reply and has no effect. */
  readonly commandId: CommandId;
  readonly by?: string;
  readonly reason?: string;
  /** The trace of the caller, as its request's header told it; never a field of the message itself. */
  readonly traceparent?: string;
}

/** A client asks that a task be created. Its identity is the task id; the same id with the same input is `existing`. */
export interface SubmitCommand extends CommandFields {
  readonly type: 'task.submit';
  readonly pipeline: string;
  /** The newest registered version when left out. */
  readonly version?: number;
  readonly input: JsonValue;
  /**
   * Answers as a brief `task.result` of so long a wait once the task is accepted, instead of `accepted` or `existing`. Only for owners
   * that answer in parts: older ones refuse the field.
   */
  readonly waitMs?: number;
}

/** What an operator's command may say beside that. */
export interface ControlFields extends CommandFields {
  /**
   * The task's `seq` that the sender saw. When the task has had a record since, the command is refused: a redrive that comes late does
   * not send a dead letter back that nobody has looked at. Left out: it is taken wherever it is legal.
   */
  readonly expectedSeq?: number;
}

/** An operator's change of a task; each is legal only where the machine says so. */
export type ControlCommand =
  /** Holds the task before its next start; a running stage finishes first. */
  | ({ readonly type: 'task.pause' } & ControlFields)
  | ({ readonly type: 'task.resume' } & ControlFields)
  /** Ends the task; a running driver is aborted and what it returns is dropped. */
  | ({ readonly type: 'task.cancel' } & ControlFields)
  /** Sends a dead letter or an unknown outcome back to work. */
  | ({ readonly type: 'task.redrive' } & ControlFields)
  /** Says what became of a stage whose outcome is unknown. */
  | ({ readonly type: 'task.resolve'; readonly resolution: OperatorResolution } & ControlFields);

/** What an operator knows about a stage that is parked in `unknown`. */
export type OperatorResolution =
  | { readonly kind: 'completed'; readonly output: JsonValue }
  | { readonly kind: 'notDone' }
  | { readonly kind: 'failed'; readonly message: string };

/** Questions; they change nothing and are answered from committed state. */
export type QueryCommand =
  | { readonly type: 'task.get'; readonly taskId: TaskId; readonly includePayloads?: boolean }
  /** Answers when the task has ended, or with `pending` after `waitMs` (at most the owner's limit). */
  | {
      readonly type: 'task.result';
      readonly taskId: TaskId;
      readonly waitMs: number;
      /** A completed task is answered by its outputs alone. Only for owners that answer in parts: older ones refuse the field. */
      readonly brief?: boolean;
    };

/** A page of the shard's tasks, asked of its owner. */
export interface ListQuery {
  readonly type: 'task.list';
  readonly pipeline?: string;
  readonly status?: TaskStatus;
  /** Include finished tasks that are within their retention. */
  readonly includeFinished?: boolean;
  /** 1 to 1,000. */
  readonly limit: number;
  /** Task id to go on after, in the order of ids. */
  readonly after?: string;
}

/** Anything that a client may send to the owner of a shard about one task. */
export type TaskCommand = SubmitCommand | ControlCommand | QueryCommand;

/** A client's request to the owner of a shard. */
export type ShardCommand = TaskCommand | ListQuery;

/**
 * What the shard's own machinery tells an actor. Outcomes carry the `(stage, attempt)` they belong to; for any other than
 * the current one they are stragglers, dropped and counted.
 */
export type Outcome =
  /** The slot queue has a slot for the queued stage. */
  | { readonly type: 'slot.granted'; readonly stage: StageName }
  /** The stage runner: the attempt's driver returned, failed, timed out or was aborted. */
  | {
      readonly type: 'stage.settled';
      readonly stage: StageName;
      readonly attempt: number;
      readonly result:
        ({ readonly kind: 'completed' } & Completion) | { readonly kind: 'failed'; readonly failure: Failure };
    }
  /** The stage runner: a durable sub-step has its value and waits for the commit. */
  | {
      readonly type: 'checkpoint.reached';
      readonly stage: StageName;
      readonly attempt: number;
      readonly name: string;
      readonly value: Payload;
    }
  /** The timer heap: a backoff is over. For another due time than the current one it is a straggler. */
  | { readonly type: 'timer.fired'; readonly dueAt: Millis }
  /** The stage runner: the driver's `lookup` answered, or failed for good. */
  | {
      readonly type: 'lookup.answered';
      readonly stage: StageName;
      readonly attempt: number;
      readonly answer:
        ({ readonly kind: 'done' } & Completion) | { readonly kind: 'notDone' } | { readonly kind: 'unknown' };
    }
  /**
   * The stage runner: the shard is handed over, and the aborted driver has stopped. `untouched`: it is certain that it had no
   * effect outside, for it was never called or says so itself.
   */
  | {
      readonly type: 'stage.released';
      readonly stage: StageName;
      readonly attempt: number;
      readonly untouched: boolean;
    }
  /** The slots: the attempt of a suspect has run for the whole of its probation. */
  | { readonly type: 'probation.passed'; readonly stage: StageName; readonly attempt: number }
  /** Recovery: the stage was running under an owner that is gone. */
  | { readonly type: 'owner.changed' }
  /** The actor's supervisor: it crashed more often than its restart intensity allows. */
  | { readonly type: 'actor.quarantine'; readonly failure: Failure };
