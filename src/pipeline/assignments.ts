import type { Millis } from '../core/ids.ts';
import type { TaskEvent } from '../core/records.ts';
import type { StageControl } from './control.ts';
import type { TaskEventOf } from './guards.ts';

/** The events that can end a stage, or enter the first one. */
type ContinuingEvent = TaskEventOf<'task.submitted' | 'stage.completed' | 'outcome.resolved'>;

/**
 * The actions of the stage machine, by the name that they have in its picture: each gives the control after it. They do nothing
 * else; what must happen outside is decided from the event by the actor.
 */
export const assignments = {
  /** A new stage begins, with nothing left over from the one before. */
  enterStage: (control: StageControl, event: ContinuingEvent, at: Millis): StageControl => ({
    attempt: startsAtOnce(control, event) ? 1 : 0,
    attemptBase: 0,
    interruptions: 0,
    clearances: 0,
    handovers: 0,
    enteredAt: at,
    dueAt: null,
    pausing: false,
  }),

  /** The task ends before its first stage: every stage is skipped. */
  endUnstarted: (control: StageControl, _event: TaskEvent, at: Millis): StageControl => ({
    ...control,
    enteredAt: at,
  }),

  startAttempt: (control: StageControl): StageControl => ({ ...control, attempt: control.attempt + 1, dueAt: null }),

  /** Nothing of the control changes; the event is data beside it. */
  keep: (control: StageControl): StageControl => ({ ...control }),

  backOff: (control: StageControl, event: TaskEventOf<'stage.failed'>): StageControl => ({
    ...control,
    dueAt: event.decision.kind === 'retry' ? event.decision.dueAt : null,
    pausing: false,
  }),

  queueAgain: (control: StageControl): StageControl => ({ ...control, dueAt: null, pausing: false }),

  askPause: (control: StageControl): StageControl => ({ ...control, pausing: true }),

  /** The pause has taken hold, or was taken back. A due time is kept. */
  dropPause: (control: StageControl): StageControl => ({ ...control, pausing: false }),

  countInterruption: (control: StageControl): StageControl => ({
    ...control,
    interruptions: control.interruptions + 1,
  }),

  countClearance: (control: StageControl): StageControl => ({ ...control, clearances: control.clearances + 1 }),

  countHandover: (control: StageControl): StageControl => ({ ...control, handovers: control.handovers + 1 }),

  /** A fresh budget of attempts, interruptions and time; attempt numbers go on, so that no fence is used twice. */
  redrive: (control: StageControl, _event: TaskEvent, at: Millis): StageControl => ({
    attempt: control.attempt,
    attemptBase: control.attempt,
    interruptions: 0,
    clearances: 0,
    handovers: 0,
    enteredAt: at,
    dueAt: null,
    pausing: false,
  }),

  /** The task has ended or is given up: it waits for nothing. */
  settle: (control: StageControl): StageControl => ({ ...control, dueAt: null, pausing: false }),
} as const;

/** The name of one of the {@link assignments}. */
export type AssignmentName = keyof typeof assignments;

/** An assignment of any event, as the machine calls it: with the event, and when it happened. */
export type Assignment = (control: StageControl, event: TaskEvent, at: Millis) => StageControl;

function startsAtOnce(control: StageControl, event: ContinuingEvent): boolean {
  if (event.type === 'task.submitted') return event.start;
  if (control.pausing) return false;
  if (event.type === 'stage.completed') return event.start;
  return event.resolution.kind === 'completed' && event.resolution.start;
}
