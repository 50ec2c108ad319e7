import type { Millis } from '../core/ids.ts';

/** The machine's context: what of a task decides its path. Everything else a task has is data beside it. */
export interface StageControl {
  /** Attempts of the current stage that were started, interrupted ones included; 0 before the first. Never falls. */
  readonly attempt: number;
  /** `attempt` at the last redrive of this stage: a redrive gives a fresh budget, but attempt numbers go on. */
  readonly attemptBase: number;
  /** Interruptions of the current stage since the last redrive; they do not use up attempts. */
  readonly interruptions: number;
  /** Interruptions that are held against the stage no more: since then it has come through a probation. */
  readonly clearances: number;
  /** Times that the stage was given up in good order since the last redrive; they do not use up attempts either. */
  readonly handovers: number;
  /** When the current stage was first queued; its total deadline counts from here. */
  readonly enteredAt: Millis;
  /** When the backoff ends, kept while the task is held; null otherwise. */
  readonly dueAt: Millis | null;
  /** A pause was asked while the stage runs; it takes hold before the next start. */
  readonly pausing: boolean;
}

/** The context of a task that was not submitted yet. */
export const initialControl: StageControl = {
  attempt: 0,
  attemptBase: 0,
  interruptions: 0,
  clearances: 0,
  handovers: 0,
  enteredAt: 0,
  dueAt: null,
  pausing: false,
};

/** Attempts used up of the stage's budget: those started since the last redrive, without those that an owner's end cut off. */
export function attemptsUsed(control: StageControl): number {
  return control.attempt - control.attemptBase - control.interruptions - control.handovers;
}

/** How many losses of its owner are held against the stage: it was running at each, and may be what killed the node. */
export function suspicionOf(control: StageControl): number {
  return control.interruptions - control.clearances;
}
