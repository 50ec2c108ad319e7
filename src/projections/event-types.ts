import type { DeadLetterReason, Failure, HandoverDecision, InterruptionDecision } from '../core/failures.ts';
import type { Epoch, NodeId, PipelineName, StageName } from '../core/ids.ts';
import type { CommandOrigin, Resolution } from '../core/records.ts';
import type { PayloadSummary } from './payload-summary.ts';

/** Every event type, in the order of a task's life. A public API: a name is never changed and never used again. */
export const pipelineEventTypes = [
  'io.cabinet.task.submitted',
  'io.cabinet.stage.skipped',
  'io.cabinet.stage.queued',
  'io.cabinet.stage.started',
  'io.cabinet.stage.checkpointed',
  'io.cabinet.stage.completed',
  'io.cabinet.stage.failed',
  'io.cabinet.stage.retry-scheduled',
  'io.cabinet.stage.interrupted',
  'io.cabinet.stage.released',
  'io.cabinet.stage.cleared',
  'io.cabinet.stage.outcome-unknown',
  'io.cabinet.stage.outcome-resolved',
  'io.cabinet.task.paused',
  'io.cabinet.task.resumed',
  'io.cabinet.task.redriven',
  'io.cabinet.task.canceled',
  'io.cabinet.task.completed',
  'io.cabinet.task.dead-lettered',
  'io.cabinet.task.quarantined',
  'io.cabinet.shard.owner-changed',
] as const;

/** One of {@link pipelineEventTypes}. */
export type PipelineEventType = (typeof pipelineEventTypes)[number];

/** What every event of a task tells of the record that it was read from. */
export interface TaskFacts {
  readonly pipeline: PipelineName;
  readonly version: number;
  /** The task's count of records: events of one record share it. */
  readonly seq: number;
  /** The machine's state after that record, such as `photos.running`. */
  readonly state: string;
  readonly epoch: Epoch;
}

/**
 * What each type of event tells beside {@link TaskFacts}. A field that is left out is not in the record: an event is made of
 * one record alone, so that it is the same for every reader, wherever that reader began.
 */
export interface EventDetails {
  readonly 'io.cabinet.task.submitted': {
    readonly input: PayloadSummary;
    readonly inputHash: string;
    readonly origin: CommandOrigin;
  };
  readonly 'io.cabinet.stage.skipped': { readonly stage: StageName; readonly reason: string };
  /** The stage waits for a slot. */
  readonly 'io.cabinet.stage.queued': { readonly stage: StageName };
  readonly 'io.cabinet.stage.started': { readonly stage: StageName; readonly attempt: number };
  readonly 'io.cabinet.stage.checkpointed': {
    readonly stage: StageName;
    readonly attempt: number;
    readonly name: string;
    readonly value: PayloadSummary;
  };
  readonly 'io.cabinet.stage.completed': {
    readonly stage: StageName;
    readonly attempt: number;
    readonly output: PayloadSummary;
  };
  readonly 'io.cabinet.stage.failed': {
    readonly stage: StageName;
    readonly attempt: number;
    readonly failure: Failure;
  };
  /** `failedAttempt` failed; the next one starts at `dueAt` (RFC 3339) or later. */
  readonly 'io.cabinet.stage.retry-scheduled': {
    readonly stage: StageName;
    readonly failedAttempt: number;
    readonly dueAt: string;
    readonly delayMs: number;
  };
  /** The owner was lost under the running stage; `decision` says what follows. */
  readonly 'io.cabinet.stage.interrupted': {
    readonly stage: StageName;
    readonly attempt: number;
    readonly decision: InterruptionDecision['kind'];
  };
  /** The owner handed its shard over and gave the running stage up; `decision` says how the next owner goes on. */
  readonly 'io.cabinet.stage.released': {
    readonly stage: StageName;
    readonly attempt: number;
    readonly decision: HandoverDecision['kind'];
  };
  /** The attempt came through its probation: a loss of the owner is held against the stage no more. */
  readonly 'io.cabinet.stage.cleared': { readonly stage: StageName; readonly attempt: number };
  /** Nobody knows whether the stage took effect; `askedOf` will say. */
  readonly 'io.cabinet.stage.outcome-unknown': {
    readonly stage: StageName;
    readonly attempt: number;
    readonly askedOf: 'driver' | 'operator';
  };
  /** `resolution` `unknown`: the driver could not tell either, an operator must. */
  readonly 'io.cabinet.stage.outcome-resolved': {
    readonly stage: StageName;
    readonly attempt: number;
    readonly by: 'lookup' | 'operator';
    readonly resolution: Resolution['kind'];
    readonly origin?: CommandOrigin;
  };
  readonly 'io.cabinet.task.paused': { readonly origin: CommandOrigin };
  readonly 'io.cabinet.task.resumed': { readonly origin: CommandOrigin };
  readonly 'io.cabinet.task.redriven': { readonly origin: CommandOrigin };
  readonly 'io.cabinet.task.canceled': { readonly origin: CommandOrigin };
  readonly 'io.cabinet.task.completed': object;
  /** `attempt` is the one that failed last; left out when none did: interruptions, a quarantine. */
  readonly 'io.cabinet.task.dead-lettered': {
    readonly stage: StageName | null;
    readonly attempt?: number;
    readonly reason: DeadLetterReason;
    readonly failure: Failure;
  };
  readonly 'io.cabinet.task.quarantined': { readonly stage: StageName | null; readonly failure: Failure };
  readonly 'io.cabinet.shard.owner-changed': {
    readonly epoch: Epoch;
    readonly node: NodeId;
    readonly incarnation: string;
  };
}

/** The `data` of an event of that type. */
export type EventData<Type extends PipelineEventType> = Type extends 'io.cabinet.shard.owner-changed'
  ? EventDetails[Type]
  : TaskFacts & EventDetails[Type];

/** The types that end a task. A dead letter may still be redriven. */
export const endingEventTypes: readonly PipelineEventType[] = [
  'io.cabinet.task.completed',
  'io.cabinet.task.canceled',
  'io.cabinet.task.dead-lettered',
];
