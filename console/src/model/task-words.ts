import type { TaskCommandName, TaskStatus } from '../api/types.ts';

/** All statuses, in the order of a task's life, with what they are called on the page. */
export const statusNames: Readonly<Record<TaskStatus, string>> = {
  queued: 'queued',
  running: 'running',
  backingOff: 'backing off',
  held: 'held',
  unknown: 'unknown',
  completed: 'completed',
  canceled: 'canceled',
  deadLettered: 'dead letter',
};

/** All statuses. */
export const taskStatuses = Object.keys(statusNames) as readonly TaskStatus[];
/** The statuses of tasks that have not ended. */
export const activeStatuses: readonly TaskStatus[] = ['queued', 'running', 'backingOff', 'held', 'unknown'];

/** All failure classes. */
export const failureClasses = [
  'retryable',
  'rateLimited',
  'timeout',
  'heartbeatTimeout',
  'unexpected',
  'fatal',
  'contract',
  'interrupted',
  'poison',
] as const;

/** What a state is made of: the stage, where it is about one, and what the stage does there. */
export interface StatePlace {
  readonly stage: string | null;
  readonly status: string;
}

/** A state such as `photos.running` or `deadLettered.photos`, taken apart. */
export function placeOf(state: string): StatePlace {
  const dot = state.indexOf('.');
  if (dot === -1) return { stage: null, status: state };
  const head = state.slice(0, dot);
  const tail = state.slice(dot + 1);
  return head === 'deadLettered' ? { stage: tail, status: head } : { stage: head, status: tail };
}

/** What a command is called on its button, and what it does. */
export const commandTexts: Readonly<Record<TaskCommandName, { readonly label: string; readonly about: string }>> = {
  pause: { label: 'Pause', about: 'The stage that runs now is left to finish; the next one does not start.' },
  resume: { label: 'Resume', about: 'The task goes on from where it was held.' },
  cancel: {
    label: 'Cancel',
    about: 'The task ends for good. A driver that runs now is aborted; what it did stays done.',
  },
  redrive: {
    label: 'Redrive',
    about: 'The stage that failed starts again with a fresh budget of attempts and the same key.',
  },
  resolve: { label: 'Resolve', about: 'You say what became of the interrupted stage, and the task goes on by that.' },
};
