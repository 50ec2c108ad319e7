import { unreachable } from '../core/errors.ts';
import type { Millis, TaskId } from '../core/ids.ts';
import type { InspectedMachine } from './inspected-machine.ts';
import { attemptName, attemptSession, snapshotAt } from './inspected-snapshot.ts';
import type { InspectionFact } from './inspection-facts.ts';
import type { InspectionFrame } from './inspection-frame.ts';
import { shownEvent, type PayloadRule, type ShownEvent } from './shown-event.ts';
import type { RunningAttempt } from './task-point.ts';

/** The version of `@statelyai/inspect` whose messages these are. */
export const statelyVersion = '0.7.2';

/** Whose messages, and how to write them. */
export interface FrameContext extends PayloadRule {
  readonly taskId: TaskId;
  readonly machine: InspectedMachine;
  /** Names the step that the messages are of; the same each time that it is read. */
  readonly position: string;
}

/**
 * A fact in the messages of `@statelyai/inspect`. That protocol knows actors, events and snapshots alone, so what only an engine has, a
 * new owner or a gap, is told as events of the task whose types begin with `engine.`.
 */
export function statelyFrames(facts: readonly InspectionFact[], context: FrameContext): readonly InspectionFrame[] {
  return facts
    .flatMap((fact) => framesOf(fact, context))
    .map((frame, index) => ({ ...frame, id: `${context.position}.${index + 1}` }));
}

function framesOf(fact: InspectionFact, context: FrameContext): readonly InspectionFrame[] {
  const { taskId, machine } = context;
  switch (fact.kind) {
    case 'task':
      return [
        {
          ...head('@xstate.actor', taskId, taskId, fact.point.at),
          name: machine.pipeline,
          definition: JSON.stringify(machine.config),
          snapshot: snapshotAt(fact.point),
        },
      ];
    case 'attempt.started':
      return [attemptFrame(fact.attempt, fact.at, taskId)];
    case 'attempt.ended':
      return [
        {
          ...head('@xstate.snapshot', attemptSession(taskId, fact.attempt), taskId, fact.record.at),
          event: { type: fact.record.event.type },
          snapshot: { status: fact.end },
        },
      ];
    case 'event':
      return [
        eventFrame(shownEvent(fact.record.event, context), fact.record.at, {
          taskId,
          ...(fact.source === null ? {} : { sourceId: attemptSession(taskId, fact.source) }),
        }),
      ];
    case 'snapshot':
      return [snapshotFrame(fact, context)];
    case 'owner': {
      const event = { type: 'engine.owner.changed', ...fact.owner, previous: fact.previous };
      return [
        eventFrame(event, fact.at, { taskId }),
        { ...head('@xstate.snapshot', taskId, taskId, fact.at), event, snapshot: snapshotAt(fact.point) },
      ];
    }
    case 'trimmed': {
      const { missingCount, at } = fact;
      return [eventFrame({ type: 'engine.history.trimmed', missingCount }, at, { taskId })];
    }
    case 'dropped': {
      const { stepCount, at } = fact;
      return [eventFrame({ type: 'engine.steps.dropped', stepCount }, at, { taskId })];
    }
    default:
      return unreachable(fact);
  }
}

function attemptFrame(attempt: RunningAttempt, at: Millis, taskId: TaskId): InspectionFrame {
  const name = attemptName(attempt);
  return {
    ...head('@xstate.actor', attemptSession(taskId, attempt), taskId, at),
    name,
    parentId: taskId,
    // What the package writes of an actor that is no machine.
    definition: JSON.stringify({ id: name }),
    snapshot: { status: 'active' },
  };
}

function eventFrame(
  event: ShownEvent,
  at: Millis,
  { taskId, sourceId }: { readonly taskId: TaskId; readonly sourceId?: string },
): InspectionFrame {
  return { ...head('@xstate.event', taskId, taskId, at), event, ...(sourceId === undefined ? {} : { sourceId }) };
}

function snapshotFrame(fact: Extract<InspectionFact, { kind: 'snapshot' }>, context: FrameContext): InspectionFrame {
  const { taskId } = context;
  const { record, point } = fact;
  return {
    ...head('@xstate.snapshot', taskId, taskId, point.at),
    event: record === null ? { type: 'engine.baseline' } : shownEvent(record.event, context),
    snapshot: snapshotAt(point),
  };
}

function head(type: string, sessionId: string, rootId: string, at: Millis): InspectionFrame {
  return { type, sessionId, rootId, createdAt: String(at), _version: statelyVersion };
}
