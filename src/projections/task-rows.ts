import { unreachable } from '../core/errors.ts';
import type { Failure } from '../core/failures.ts';
import type { Millis, ShardId, StageName } from '../core/ids.ts';
import type { TaskEvent, TaskRecord } from '../core/records.ts';
import { endedStatuses, type TaskStatus } from '../core/task-view.ts';
import type { IndexedTask } from '../ports/task-index.ts';
import { fingerprintFailure } from './failure-fingerprint.ts';
import { placeOf } from './machine-place.ts';

/**
 * The task as the index knows it after one more record. Pure; needs no definition, for a record says where it led.
 *
 * A submit begins the task anew, also under an id whose earlier task was forgotten. Without `task`, a record that is no submit
 * stands for a task whose first records are trimmed: what only they told (when it was submitted, what it has failed) begins here.
 */
export function taskAfter(task: IndexedTask | null, record: TaskRecord, shard: ShardId): IndexedTask {
  const { event, at, to } = record;
  const before = event.type === 'task.submitted' ? null : task;
  const place = placeOf(to);
  const status = place.status as TaskStatus;
  const failed = failureOf(event, place.stage);
  return {
    taskId: record.task,
    pipeline: record.pipeline,
    version: record.version,
    shard,
    status,
    state: to,
    stage: place.stage,
    attempt: place.stage === null ? 0 : attemptAfter(before, event, status),
    submittedAt: before?.submittedAt ?? at,
    updatedAt: at,
    endedAt: endedStatuses.includes(status) ? at : null,
    dueAt: dueAfter(before, event, status),
    seq: record.seq,
    failureCount: (before?.failureCount ?? 0) + Number(failed?.isAttempt === true),
    interruptionCount: (before?.interruptionCount ?? 0) + Number(event.type === 'owner.changed'),
    failure: failed === null ? (before?.failure ?? null) : indexedFailure(failed.failure),
    failureFingerprint:
      failed === null
        ? (before?.failureFingerprint ?? null)
        : fingerprintFailure(failed.stage, failed.failure, record.task),
  };
}

function indexedFailure({ class: failureClass, code, message }: Failure): NonNullable<IndexedTask['failure']> {
  return { class: failureClass, code: code === '' ? null : code, message };
}

/** A failure that a record tells of; `isAttempt`: an attempt ended with it. */
interface RecordedFailure {
  readonly stage: StageName | null;
  readonly failure: Failure;
  readonly isAttempt: boolean;
}

function failureOf(event: TaskEvent, stage: StageName | null): RecordedFailure | null {
  switch (event.type) {
    case 'stage.failed':
      return { stage: event.stage, failure: event.failure, isAttempt: true };
    case 'outcome.resolved': {
      const { resolution } = event;
      return resolution.kind === 'failed' ? { stage: event.stage, failure: resolution.failure, isAttempt: true } : null;
    }
    case 'owner.changed': {
      const { decision } = event;
      return decision.kind === 'deadLetter'
        ? { stage: event.stage, failure: decision.failure, isAttempt: false }
        : null;
    }
    case 'task.quarantined':
      return { stage, failure: event.failure, isAttempt: false };
    default:
      return null;
  }
}

/** The attempt of the stage where the record led. */
function attemptAfter(before: IndexedTask | null, event: TaskEvent, status: TaskStatus): number {
  switch (event.type) {
    case 'task.submitted':
    case 'stage.completed':
      return Number(status === 'running');
    case 'outcome.resolved':
      return event.resolution.kind === 'completed' ? Number(status === 'running') : event.attempt;
    case 'retry.due':
      // It names the attempt that is due, which starts with it or waits for a slot.
      return event.start ? event.attempt : (before?.attempt ?? event.attempt - 1);
    default:
      return 'attempt' in event ? event.attempt : (before?.attempt ?? 0);
  }
}

/** A backoff's end stays known while the task is held. */
function dueAfter(before: IndexedTask | null, event: TaskEvent, status: TaskStatus): Millis | null {
  if (event.type === 'stage.failed') return event.decision.kind === 'retry' ? event.decision.dueAt : null;
  switch (status) {
    case 'backingOff':
    case 'held':
      return before?.dueAt ?? null;
    case 'queued':
    case 'running':
    case 'unknown':
    case 'completed':
    case 'canceled':
    case 'deadLettered':
      return null;
    default:
      return unreachable(status);
  }
}
