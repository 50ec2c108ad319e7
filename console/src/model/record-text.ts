import type { TaskEvent } from '../api/types.ts';
import { showDuration } from './durations.ts';

/** One line on what a record tells, beside its type. */
export function recordText(event: TaskEvent, at: number): string {
  switch (event.type) {
    case 'task.submitted':
      return `${event.pipeline} v${event.version}${by(event.origin)}${goesOn(event)}`;
    case 'stage.started':
      return `attempt ${event.attempt}`;
    case 'stage.checkpointed':
      return `attempt ${event.attempt}, ${event.name}`;
    case 'stage.completed':
      return `attempt ${event.attempt}${goesOn(event)}`;
    case 'stage.failed':
      return `attempt ${event.attempt}, ${event.failure.class} ${event.failure.code}: ${event.failure.message} · ${decided(event.decision, at)}`;
    case 'retry.due':
      return event.start ? `attempt ${event.attempt} starts` : `attempt ${event.attempt} waits for a slot`;
    case 'task.paused':
    case 'task.resumed':
    case 'task.canceled':
    case 'task.redriven':
      return note(event.origin);
    case 'outcome.resolved':
      return `${event.resolution.kind}, by ${event.by}${event.origin === undefined ? '' : ` · ${note(event.origin)}`}`;
    case 'stage.released':
      return `attempt ${event.attempt} was handed over: ${event.decision.kind}`;
    case 'stage.cleared':
      return `attempt ${event.attempt} has come through its probation`;
    case 'owner.changed':
      return `attempt ${event.attempt} lost its owner; epoch ${event.epoch}: ${event.decision.kind}`;
    case 'task.quarantined':
      return `${event.failure.code}: ${event.failure.message}`;
    default:
      return (event satisfies never as { readonly type: string }).type;
  }
}

/** The stage that a record is about; null: the whole task. */
export function stageOfEvent(event: TaskEvent): string | null {
  return 'stage' in event ? event.stage : null;
}

interface Origin {
  readonly by?: string;
  readonly reason?: string;
}

function by(origin: Origin): string {
  return origin.by === undefined ? '' : ` by ${origin.by}`;
}

function note(origin: Origin): string {
  const told = `by ${origin.by ?? 'nobody named'}`;
  return origin.reason === undefined ? told : `${told}: ${origin.reason}`;
}

function goesOn(event: {
  readonly next: string | null;
  readonly skipped: readonly { readonly stage: string; readonly reason: string }[];
}): string {
  const skips = event.skipped.map(({ stage, reason }) => ` · ${stage} skipped: ${reason}`).join('');
  return `${skips}${event.next === null ? ' · ends' : ` → ${event.next}`}`;
}

function decided(decision: { readonly kind: string; readonly dueAt?: number }, at: number): string {
  if (decision.kind === 'retry') return `again in ${showDuration((decision.dueAt ?? at) - at)}`;
  return decision.kind === 'deadLetter' ? 'given up' : decision.kind;
}
