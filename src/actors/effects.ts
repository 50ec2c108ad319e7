import type { Millis, StageName } from '../core/ids.ts';
import { positionOf, type TaskState } from './task-state.ts';

/** What the shard does for a task once the record that asked for it is committed. A crash repeats an effect; it never invents one. */
export type Effect =
  /** Run the stage's driver. Its slot was taken when this was decided. */
  | { readonly type: 'stage.start'; readonly stage: StageName; readonly attempt: number }
  /** Stand in line for a slot. */
  | { readonly type: 'slot.await'; readonly stage: StageName }
  /** Leave the line: the stage is queued no more. */
  | { readonly type: 'slot.leave' }
  /** Wake the task at that instant. */
  | { readonly type: 'timer.set'; readonly dueAt: Millis }
  /** Abort the running driver: the task does not wait for it any more. */
  | { readonly type: 'stage.abort' }
  /** Ask the driver what became of the interrupted stage. */
  | { readonly type: 'lookup.start'; readonly stage: StageName; readonly attempt: number };

/**
 * The effects of going from one state to another. Derived, never stored: what a state needs from the outside is in the state,
 * so a new owner derives the same from `before` null. Pure.
 *
 * @param hasLookup - whether the current stage's driver is asked about an unknown outcome
 */
export function effectsBetween(before: TaskState | null, after: TaskState, hasLookup: boolean): Effect[] {
  const was = before === null ? null : positionOf(before.machine.value);
  const is = positionOf(after.machine.value);
  const stage = is.stage;
  const { attempt, dueAt } = after.machine.control;
  const moved = before === null || before.machine.value !== after.machine.value;
  const effects: Effect[] = [];
  if (was?.status === 'queued' && moved && is.status !== 'running') effects.push({ type: 'slot.leave' });
  // A quarantine finds its driver running; one that failed for good has ended by itself, and to abort it is without effect.
  const isOver = is.status === 'canceled' || is.status === 'deadLettered';
  if (was?.status === 'running' && isOver) effects.push({ type: 'stage.abort' });
  if (stage === null) return effects;
  if (is.status === 'running' && (moved || attempt !== before?.machine.control.attempt)) {
    effects.push({ type: 'stage.start', stage, attempt });
  }
  if (is.status === 'queued' && moved) effects.push({ type: 'slot.await', stage });
  if (is.status === 'backingOff' && dueAt !== null && moved) effects.push({ type: 'timer.set', dueAt });
  const isAskedAgain = (after.lookupLosses ?? 0) > (before?.lookupLosses ?? 0);
  if (is.status === 'unknown' && (moved || isAskedAgain) && hasLookup)
    effects.push({ type: 'lookup.start', stage, attempt });
  return effects;
}
