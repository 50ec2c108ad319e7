import type { ErrorCode } from '../core/errors.ts';
import type { DeadLetterReason, FailureClass } from '../core/failures.ts';
import type { Millis } from '../core/ids.ts';
import type { AppendOutcome } from '../ports/journal.ts';

// Ids are plain text and numbers here: a history is put together from logs of several sources, and only compared.

/** The process of a node that something happened in. */
export interface ProcessName {
  readonly node: string;
  readonly incarnation: string;
}

/** A stage's attempt. */
export interface AttemptName {
  readonly task: string;
  readonly stage: string;
  readonly attempt: number;
}

/** The fence that an effect came with: the shard's epoch, and the sequence of the commit that started the attempt. */
export interface FenceName {
  readonly shard: number;
  readonly epoch: number;
  readonly sequence: number;
}

/** What a client asked for. */
export type CallKind = 'submit' | 'pause' | 'resume' | 'cancel' | 'redrive' | 'resolve' | 'get' | 'result' | 'list';

/** What a client was told. */
export type CallOutcome =
  | { readonly kind: 'accepted' | 'existing' }
  | { readonly kind: 'done'; readonly repeated: boolean }
  /** An answer to a question; `state` is the machine state that it told of. */
  | { readonly kind: 'answer'; readonly state?: string }
  | { readonly kind: 'error'; readonly code: ErrorCode }
  /** Nothing, ever: the client was given up or the run ended first. */
  | { readonly kind: 'none' };

/** One call of one client, told when it was answered, or at the end of the run. */
export interface CallEvent {
  readonly type: 'call';
  readonly client: string;
  /** Names the call among all of the run. */
  readonly call: string;
  readonly kind: CallKind;
  readonly task: string;
  readonly pipeline?: string;
  /** The command's id; all tries of one intention have the same. */
  readonly commandId?: string;
  /** Of a command that was given for one state of the task alone: how many records the task had in it. */
  readonly expectedSeq?: number;
  /** Of a submit: `contentHash` of its input. */
  readonly argumentsHash?: string;
  readonly invokedAt: Millis;
  /** Null: no answer. */
  readonly answeredAt: Millis | null;
  readonly deadlineMs?: number;
  readonly outcome: CallOutcome;
  /** The task that the answer was about, as the answer itself says. */
  readonly answeredTask?: string;
}

/**
 * An owner answered a command or a question about one task. What a caller heard is a `call`; this is what left its owner, also one
 * that is superseded and whose callers are gone.
 */
export interface ReplyEvent extends ProcessName {
  readonly type: 'reply';
  readonly shard: number;
  readonly epoch: number;
  readonly task: string;
  readonly says: 'accepted' | 'existing' | 'done' | 'state';
  /** Of `done`. */
  readonly commandId?: string;
  /** The machine state that it tells of. */
  readonly state: string;
  readonly at: Millis;
}

/**
 * The world outside was asked for an effect. `applied`: it changed the world. `replayed`: its key was known, and it got the
 * first answer. `refused`: a newer fence is known, and nothing was changed.
 */
export interface EffectEvent extends AttemptName {
  readonly type: 'effect';
  /** The idempotency key, with a suffix of the driver's after a colon where it has several effects. */
  readonly key: string;
  readonly fence: FenceName;
  readonly result: 'applied' | 'replayed' | 'refused';
  /** What the world gave for it, the same for every repeat; a completed stage's output has it somewhere in it. */
  readonly receipt?: string;
  /** Whether the world honors keys; where not, `applied` may come again, which only a lookup or the fence prevents. */
  readonly honorsKeys?: boolean;
  readonly at: Millis;
}

/** A driver is called for an attempt. */
export interface DriverStartEvent extends AttemptName, ProcessName {
  readonly type: 'driver.started';
  readonly key: string;
  readonly fence: FenceName;
  readonly at: Millis;
}

/** What a driver came to. `aborted`: its signal had aborted before it settled. */
export type DriverOutcome =
  /** `outputHash`: `contentHash` of what it returned. */
  | { readonly kind: 'completed'; readonly outputHash?: string }
  /** `class`: what it must be recorded as. `injected`: the id that whoever made it fail has put into the message. */
  | { readonly kind: 'failed'; readonly class?: FailureClass; readonly code?: string; readonly injected?: string }
  | { readonly kind: 'aborted' };

/** A driver has settled. One that never does has no such event. */
export interface DriverEndEvent extends AttemptName, ProcessName {
  readonly type: 'driver.ended';
  readonly outcome: DriverOutcome;
  readonly at: Millis;
}

/** A node serves a shard from here on, its claim being committed. */
export interface ShardOpenEvent extends ProcessName {
  readonly type: 'shard.opened';
  readonly shard: number;
  readonly epoch: number;
  readonly at: Millis;
}

/** A node serves a shard no more: it handed it over, found itself superseded, or went down with it. */
export interface ShardCloseEvent extends ProcessName {
  readonly type: 'shard.closed';
  readonly shard: number;
  readonly epoch: number;
  readonly how: 'released' | 'lost' | 'crashed';
  readonly at: Millis;
}

/** A node appended to a shard's journal, and what it was told. Each try is one, also of the same message. */
export interface AppendEvent extends ProcessName {
  readonly type: 'append';
  readonly shard: number;
  readonly epoch: number;
  readonly batch: number;
  readonly expectedLast: number;
  readonly sentAt: Millis;
  /** Null: its process ended first. */
  readonly answeredAt: Millis | null;
  readonly outcome: AppendOutcome['kind'] | 'none';
  /** Of a committed one. */
  readonly sequence?: number;
}

/** Kinds of faults that runs make. */
export type FaultKind =
  | 'crash'
  | 'restart'
  | 'pause'
  | 'drain'
  | 'partition'
  | 'partitionOneWay'
  | 'loss'
  | 'delay'
  | 'duplicate'
  | 'reorder'
  | 'clockJump'
  | 'storeDown'
  | 'storeSlow'
  | 'storeFull'
  | 'storeFailover'
  | 'ackLost'
  | 'lateLanding'
  | 'unsyncedLoss'
  | 'poison'
  | 'load';

/** A fault of the run. */
export interface FaultEvent {
  readonly type: 'fault';
  readonly kind: FaultKind;
  /** The node, link, shard or store that it hit. */
  readonly target: string;
  readonly at: Millis;
  /** Null: in force to the end of the run, or a thing of one moment. */
  readonly until: Millis | null;
}

/** A node process starts. */
export interface ProcessStartEvent extends ProcessName {
  readonly type: 'process.started';
  readonly at: Millis;
}

/** A node begins to drain: it must start nothing more, and hand over what it has. */
export interface ProcessDrainEvent extends ProcessName {
  readonly type: 'process.draining';
  readonly graceMs: number;
  readonly at: Millis;
}

/** A node process ended. `drained`: by itself, after a drain; `killed`: by a fault; `failed`: by an error of its own. */
export interface ProcessEndEvent extends ProcessName {
  readonly type: 'process.ended';
  readonly how: 'drained' | 'killed' | 'failed';
  readonly exitCode?: number;
  readonly at: Millis;
}

/** A backoff's timer of a node. */
export interface TimerEvent extends ProcessName {
  readonly type: 'timer.fired';
  readonly task: string;
  readonly dueAt: Millis;
  /** By the history's clock, not the node's. */
  readonly at: Millis;
}

/** A task's snapshot was stored. */
export interface SnapshotEvent {
  readonly type: 'snapshot';
  readonly shard: number;
  readonly epoch: number;
  readonly task: string;
  /** Records of the task that it stands for. */
  readonly seq: number;
  /** The task has ended, and this is what is kept of it, whatever the epoch. */
  readonly isFinished?: boolean;
  /** `contentHash` of the state as plain JSON. */
  readonly stateHash?: string;
  readonly at: Millis;
}

/** A shard's checkpoint was stored: its snapshots stand for all up to that sequence. */
export interface CheckpointEvent {
  readonly type: 'checkpoint';
  readonly shard: number;
  readonly epoch: number;
  readonly sequence: number;
  readonly at: Millis;
}

/** One row of the list of dead letters as it was at the end. */
export interface DeadLetterEvent {
  readonly type: 'deadLetter';
  readonly task: string;
  readonly stage: string;
  /** Left out by a list that does not tell it. */
  readonly reason?: DeadLetterReason;
  readonly class?: FailureClass;
  /** Sequence of the entry that dead-lettered it. */
  readonly sequence?: number;
}

/** A place in the event feed: the message's sequence, the part of its commit, the event of that part. */
export type FeedPlace = readonly [sequence: number, part: number, event: number];

/** A subscriber connects. `after`: where it resumes, null for "from now on". */
export interface SubscribeEvent {
  readonly type: 'subscribed';
  readonly connection: string;
  readonly after: FeedPlace | null;
  /** Whether it asked for some events only. */
  readonly isFiltered?: boolean;
  readonly at: Millis;
}

/** A subscriber was sent an event. */
export interface DeliveredEvent {
  readonly type: 'delivered';
  readonly connection: string;
  readonly place: FeedPlace;
  readonly at: Millis;
}

/** A subscriber was told that it missed the events up to a place. */
export interface GapEvent {
  readonly type: 'gap';
  readonly connection: string;
  readonly place: FeedPlace;
  readonly at: Millis;
}

/** Counters of one process, by their name in the metric catalog, with labels summed up. */
export interface MetricsEvent extends ProcessName {
  readonly type: 'metrics';
  readonly counters: Readonly<Record<string, number>>;
}

/** A line of level warn or above. */
export interface LogEvent {
  readonly type: 'log';
  readonly level: 'warn' | 'error' | 'fatal';
  readonly node?: string;
  readonly code?: string;
  readonly task?: string;
  readonly message: string;
  readonly at: Millis;
}

/** Anything that a history has beside the journal. */
export type HistoryEvent =
  | CallEvent
  | ReplyEvent
  | EffectEvent
  | DriverStartEvent
  | DriverEndEvent
  | ShardOpenEvent
  | ShardCloseEvent
  | AppendEvent
  | FaultEvent
  | ProcessStartEvent
  | ProcessDrainEvent
  | ProcessEndEvent
  | TimerEvent
  | SnapshotEvent
  | CheckpointEvent
  | DeadLetterEvent
  | SubscribeEvent
  | DeliveredEvent
  | GapEvent
  | MetricsEvent
  | LogEvent;

/** The event of one type. */
export type HistoryEventOf<Type extends HistoryEvent['type']> = Extract<HistoryEvent, { readonly type: Type }>;
