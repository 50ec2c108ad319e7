import type { TaskId } from '../core/ids.ts';
import { isFinished, type RunningAttempt, type TaskPoint } from './task-point.ts';

/** The id of an attempt within its task: `photos#2`. */
export function attemptName({ stage, attempt }: RunningAttempt): string {
  return `${stage}#${attempt}`;
}

/**
 * The session id of an attempt. Like the task's own, which is the task's id, it is the same wherever the task is and whoever reads its
 * journal: a viewer goes on across a move.
 */
export function attemptSession(taskId: TaskId, attempt: RunningAttempt): string {
  return `${taskId}/${attemptName(attempt)}`;
}

/** A point as XState writes a machine's snapshot. Payloads are in it by size and hash alone. */
export function snapshotAt(point: TaskPoint): Readonly<Record<string, unknown>> {
  const { value, control, running, seq, owner, input, outputs, checkpoints, failure } = point;
  return {
    status: isFinished(point) ? 'done' : 'active',
    value: nestedValue(value),
    historyValue: {},
    context: {
      ...control,
      engine: { isContextKnown: control !== null, seq, owner, input, outputs, checkpoints, failure },
    },
    // As XState writes a reference to an actor.
    children: running === null ? {} : { [attemptName(running)]: { xstate$$type: 1, id: attemptName(running) } },
    tags: [],
  };
}

function nestedValue(value: string): string | Readonly<Record<string, string>> {
  const [first = '', second] = value.split('.');
  return second === undefined ? first : { [first]: second };
}
