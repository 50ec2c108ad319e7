import { configRanges } from '../core/config.ts';
import { unreachable } from '../core/errors.ts';
import type { HandoverDecision, InterruptionDecision } from '../core/failures.ts';
import type { Millis, StageName } from '../core/ids.ts';
import type { Continuation, Resolution, TaskEvent, TaskEventType } from '../core/records.ts';
import { attemptsUsed, suspicionOf, type StageControl } from './control.ts';

/** An event as XState takes it: what happened to a task, and when by its owner's clock. */
export type MachineEvent = TaskEvent & { readonly at: Millis };

/** The event of one type. */
export type TaskEventOf<Type extends TaskEventType> = Extract<TaskEvent, { readonly type: Type }>;

/** Most interruptions that a machine counts; the engine's own setting is at most this. */
export const maximumInterruptions = configRanges.maxInterruptions.most;

/** Most handovers that a machine counts; the engine's own setting is at most this. */
export const maximumHandovers = configRanges.maxHandovers.most;

/** Which declared way on a transition stands for, and where in the next stage it arrives. */
export interface ContinuationParams {
  readonly next: StageName | null;
  /** The stages that a declared skip passes over, in order; the record must name each of them. */
  readonly skipped: readonly StageName[];
  readonly arrives: 'end' | 'running' | 'queued' | 'held';
}

interface StageParams {
  readonly stage: StageName;
}

/**
 * The guards of the stage machine, by the name that they have in its picture. Pure, and exclusive: of the transitions of one
 * state for one event, at most one has a guard that holds, so that their order means nothing.
 */
export const guards = {
  submitsInto: (_control: StageControl, event: TaskEventOf<'task.submitted'>, params: ContinuationParams) =>
    continuesInto(false, event, params),

  startsNextAttempt: (control: StageControl, event: TaskEventOf<'stage.started'>, params: StageParams) =>
    isNext(control, event, params),

  isCurrentAttempt: (control: StageControl, event: TaskEventOf<'stage.checkpointed'>, params: StageParams) =>
    isCurrent(control, event, params),

  completesInto: (
    control: StageControl,
    event: TaskEventOf<'stage.completed'>,
    params: ContinuationParams & StageParams,
  ) => isCurrent(control, event, params) && continuesInto(control.pausing, event, params),

  /** The finite limit of retries is the machine's own: no record can lead past it, whoever decided it. */
  retriesWithinBudget: (
    control: StageControl,
    event: TaskEventOf<'stage.failed'>,
    params: StageParams & { readonly maxAttempts: number; readonly pausing: boolean },
  ) =>
    isCurrent(control, event, params) &&
    event.decision.kind === 'retry' &&
    control.pausing === params.pausing &&
    attemptsUsed(control) < params.maxAttempts,

  givesUp: (control: StageControl, event: TaskEventOf<'stage.failed'>, params: StageParams) =>
    isCurrent(control, event, params) && event.decision.kind === 'deadLetter',

  isPausing: (control: StageControl) => control.pausing,

  isNotPausing: (control: StageControl) => !control.pausing,

  /** Interruptions are counted against a limit of the machine's own, as attempts are. */
  interruptedWithinLimit: (
    control: StageControl,
    event: TaskEventOf<'owner.changed'>,
    params: StageParams & {
      readonly decisions: readonly InterruptionDecision['kind'][];
      readonly pausing: boolean | null;
    },
  ) =>
    isCurrent(control, event, params) &&
    params.decisions.includes(event.decision.kind) &&
    (params.pausing === null || control.pausing === params.pausing) &&
    control.interruptions < maximumInterruptions,

  interruptedTooOften: (control: StageControl, event: TaskEventOf<'owner.changed'>, params: StageParams) =>
    isCurrent(control, event, params) && event.decision.kind === 'deadLetter',

  /** Handovers are counted against a limit of their own. */
  releasedWithinLimit: (
    control: StageControl,
    event: TaskEventOf<'stage.released'>,
    params: StageParams & { readonly decisions: readonly HandoverDecision['kind'][]; readonly pausing: boolean | null },
  ) =>
    isCurrent(control, event, params) &&
    params.decisions.includes(event.decision.kind) &&
    (params.pausing === null || control.pausing === params.pausing) &&
    control.handovers < maximumHandovers,

  isUnderSuspicion: (control: StageControl, event: TaskEventOf<'stage.cleared'>, params: StageParams) =>
    isCurrent(control, event, params) && suspicionOf(control) > 0,

  staysUnknown: (control: StageControl, event: TaskEventOf<'owner.changed'>, params: StageParams) =>
    isCurrent(control, event, params) && (event.decision.kind === 'lookup' || event.decision.kind === 'park'),

  startsAtOnce: (control: StageControl, event: TaskEventOf<'retry.due'>, params: StageParams) =>
    isNext(control, event, params) && event.start,

  waitsForSlot: (control: StageControl, event: TaskEventOf<'retry.due'>, params: StageParams) =>
    isNext(control, event, params) && !event.start,

  isNotDueYet: (control: StageControl, _event: TaskEventOf<'task.resumed'>, _params: unknown, at: Millis) =>
    control.dueAt !== null && control.dueAt > at,

  isDue: (control: StageControl, _event: TaskEventOf<'task.resumed'>, _params: unknown, at: Millis) =>
    control.dueAt === null || control.dueAt <= at,

  resolvesInto: (
    control: StageControl,
    event: TaskEventOf<'outcome.resolved'>,
    params: ContinuationParams & StageParams,
  ) =>
    isCurrent(control, event, params) &&
    event.resolution.kind === 'completed' &&
    continuesInto(control.pausing, event.resolution, params),

  resolvesAs: (
    control: StageControl,
    event: TaskEventOf<'outcome.resolved'>,
    params: StageParams & { readonly kind: Resolution['kind']; readonly pausing: boolean | null },
  ) =>
    isCurrent(control, event, params) &&
    event.resolution.kind === params.kind &&
    (params.pausing === null || control.pausing === params.pausing),
} as const;

/** The name of one of the {@link guards}. */
export type GuardName = keyof typeof guards;

/** A guard of any event, as the machine calls it: with the event, the transition's parameters, and when it happened. */
export type Guard = (control: StageControl, event: TaskEvent, params: unknown, at: Millis) => boolean;

/** Whether a guard can hold for some event: only those that look at the control alone can be told before there is one. */
export function holdsBeforeEvent(name: GuardName | null, control: StageControl): boolean {
  if (name === 'isUnderSuspicion') return suspicionOf(control) > 0;
  if (name === 'isPausing' || name === 'isNotPausing') return guards[name](control);
  return true;
}

/** What an event says of the attempt that it is about. */
export interface AttemptEvent {
  readonly stage: StageName;
  readonly attempt: number;
}

function isCurrent(control: StageControl, event: AttemptEvent, params: StageParams): boolean {
  return event.attempt === control.attempt && event.stage === params.stage;
}

function isNext(control: StageControl, event: AttemptEvent, params: StageParams): boolean {
  return event.attempt === control.attempt + 1 && event.stage === params.stage;
}

function continuesInto(pausing: boolean, continuation: Continuation, params: ContinuationParams): boolean {
  if (continuation.next !== params.next || !namesSkipped(continuation, params.skipped)) return false;
  switch (params.arrives) {
    case 'end':
      return true;
    case 'held':
      return pausing;
    case 'running':
      return !pausing && continuation.start;
    case 'queued':
      return !pausing && !continuation.start;
    default:
      return unreachable(params.arrives);
  }
}

/** Whether a continuation names exactly these stages as skipped, in order. */
export function namesSkipped(continuation: Continuation, skipped: readonly StageName[]): boolean {
  return (
    continuation.skipped.length === skipped.length &&
    skipped.every((stage, index) => continuation.skipped[index]?.stage === stage)
  );
}
