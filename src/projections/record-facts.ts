import { unreachable } from '../core/errors.ts';
import type { DeadLetterReason, Failure, HandoverDecision } from '../core/failures.ts';
import type { Millis, StageName } from '../core/ids.ts';
import type { Continuation, TaskEvent, TaskRecord } from '../core/records.ts';
import type { EventDetails, PipelineEventType } from './event-types.ts';
import { placeOf } from './machine-place.ts';
import { summarizePayload } from './payload-summary.ts';

/** One thing that a record tells: the type of its event, and its details once they are asked for. */
export type RecordFact = {
  [Type in PipelineEventType]: { readonly type: Type; readonly details: () => EventDetails[Type] };
}[PipelineEventType];

/**
 * What a record tells, in a fixed order: the place in this list is the last number of the event's position. So a new fact
 * may only be added at the end of a record's list. Pure; needs no other record.
 */
export function factsOfRecord(record: TaskRecord): readonly RecordFact[] {
  const { event, to } = record;
  const { stage, status } = placeOf(to);
  switch (event.type) {
    case 'task.submitted': {
      const { input, inputHash, origin } = event;
      return [
        fact('io.cabinet.task.submitted', () => ({ input: summarizePayload(input), inputHash, origin })),
        ...factsOfContinuation(event, to),
      ];
    }
    case 'stage.started':
      return [fact('io.cabinet.stage.started', () => ({ stage: event.stage, attempt: event.attempt }))];
    case 'stage.checkpointed': {
      const { attempt, name, value } = event;
      return [
        fact('io.cabinet.stage.checkpointed', () => ({
          stage: event.stage,
          attempt,
          name,
          value: summarizePayload(value),
        })),
      ];
    }
    case 'stage.completed': {
      const { attempt, output } = event;
      return [
        fact('io.cabinet.stage.completed', () => ({ stage: event.stage, attempt, output: summarizePayload(output) })),
        ...factsOfContinuation(event, to),
      ];
    }
    case 'stage.failed':
      return factsOfFailure(event);
    case 'retry.due':
      return event.start
        ? [fact('io.cabinet.stage.started', () => ({ stage: event.stage, attempt: event.attempt }))]
        : factsOfArrival(to);
    case 'task.paused':
      return [fact('io.cabinet.task.paused', () => ({ origin: event.origin }))];
    case 'task.resumed':
      return [fact('io.cabinet.task.resumed', () => ({ origin: event.origin })), ...factsOfArrival(to)];
    case 'task.canceled':
      return [fact('io.cabinet.task.canceled', () => ({ origin: event.origin }))];
    case 'task.redriven':
      return [fact('io.cabinet.task.redriven', () => ({ origin: event.origin })), ...factsOfArrival(to)];
    case 'outcome.resolved':
      return factsOfResolution(event, to);
    case 'stage.released': {
      const { attempt, decision } = event;
      return [
        fact('io.cabinet.stage.released', () => ({ stage: event.stage, attempt, decision: decision.kind })),
        ...factsOfCutOff(event, decision, to),
      ];
    }
    case 'stage.cleared':
      return [fact('io.cabinet.stage.cleared', () => ({ stage: event.stage, attempt: event.attempt }))];
    case 'owner.changed':
      return factsOfInterruption(event, to);
    case 'task.quarantined':
      return [
        fact('io.cabinet.task.quarantined', () => ({ stage, failure: event.failure })),
        ...(status === 'deadLettered' ? [deadLettered({ stage, reason: 'poison', failure: event.failure })] : []),
      ];
    default:
      return unreachable(event);
  }
}

function fact<Type extends PipelineEventType>(type: Type, details: () => EventDetails[Type]): RecordFact {
  return { type, details } as unknown as RecordFact;
}

function deadLettered(details: {
  readonly stage: StageName | null;
  readonly attempt?: number;
  readonly reason: DeadLetterReason;
  readonly failure: Failure;
}): RecordFact {
  return fact('io.cabinet.task.dead-lettered', () => details);
}

function factsOfContinuation(continuation: Continuation, to: string): readonly RecordFact[] {
  const { next, skipped } = continuation;
  const passed = skipped.map(({ stage, reason }) => fact('io.cabinet.stage.skipped', () => ({ stage, reason })));
  if (next === null) return [...passed, fact('io.cabinet.task.completed', () => ({}))];
  // The state says whether the stage began, not `start`: a task that is to pause is held, whatever slot was offered.
  if (to === `${next}.running`) {
    return [...passed, fact('io.cabinet.stage.started', () => ({ stage: next, attempt: 1 }))];
  }
  return [...passed, ...factsOfArrival(to)];
}

/** A stage that got into a queue; one that is held or backs off tells nothing new. */
function factsOfArrival(to: string): readonly RecordFact[] {
  const { stage, status } = placeOf(to);
  return stage === null || status !== 'queued' ? [] : [fact('io.cabinet.stage.queued', () => ({ stage }))];
}

function factsOfFailure(event: Extract<TaskEvent, { type: 'stage.failed' }>): readonly RecordFact[] {
  const { stage, attempt, failure, decision } = event;
  const failed = fact('io.cabinet.stage.failed', () => ({ stage, attempt, failure }));
  switch (decision.kind) {
    case 'retry':
      return [
        failed,
        fact('io.cabinet.stage.retry-scheduled', () => ({
          stage,
          failedAttempt: attempt,
          dueAt: timeText(decision.dueAt),
          delayMs: decision.delayMs,
        })),
      ];
    case 'deadLetter':
      return [failed, deadLettered({ stage, attempt, reason: decision.reason, failure })];
    default:
      return unreachable(decision);
  }
}

function factsOfResolution(event: Extract<TaskEvent, { type: 'outcome.resolved' }>, to: string): readonly RecordFact[] {
  const { stage, attempt, by, resolution, origin } = event;
  const resolved = fact('io.cabinet.stage.outcome-resolved', () => ({
    stage,
    attempt,
    by,
    resolution: resolution.kind,
    ...(origin === undefined ? {} : { origin }),
  }));
  switch (resolution.kind) {
    case 'completed':
      return [
        resolved,
        fact('io.cabinet.stage.completed', () => ({ stage, attempt, output: summarizePayload(resolution.output) })),
        ...factsOfContinuation(resolution, to),
      ];
    case 'notDone':
      return [resolved, ...factsOfArrival(to)];
    case 'unknown':
      return [resolved];
    case 'failed': {
      const { failure } = resolution;
      const reason: DeadLetterReason = by === 'operator' ? 'operator' : 'notRetryable';
      return [
        resolved,
        fact('io.cabinet.stage.failed', () => ({ stage, attempt, failure })),
        deadLettered({ stage, attempt, reason, failure }),
      ];
    }
    default:
      return unreachable(resolution);
  }
}

function factsOfInterruption(event: Extract<TaskEvent, { type: 'owner.changed' }>, to: string): readonly RecordFact[] {
  const { stage, attempt, decision } = event;
  const interrupted = fact('io.cabinet.stage.interrupted', () => ({ stage, attempt, decision: decision.kind }));
  if (decision.kind !== 'deadLetter') return [interrupted, ...factsOfCutOff(event, decision, to)];
  return [interrupted, deadLettered({ stage, reason: decision.reason, failure: decision.failure })];
}

function factsOfCutOff(
  { stage, attempt }: { readonly stage: StageName; readonly attempt: number },
  decision: HandoverDecision,
  to: string,
): readonly RecordFact[] {
  switch (decision.kind) {
    case 'rerun':
      return factsOfArrival(to);
    case 'lookup':
      return [fact('io.cabinet.stage.outcome-unknown', () => ({ stage, attempt, askedOf: 'driver' }))];
    case 'park':
      return [fact('io.cabinet.stage.outcome-unknown', () => ({ stage, attempt, askedOf: 'operator' }))];
    default:
      return unreachable(decision);
  }
}

/** A wall-clock instant as RFC 3339 in UTC. @throws RangeError for a number that is no instant */
export function timeText(at: Millis): string {
  return new Date(at).toISOString();
}
