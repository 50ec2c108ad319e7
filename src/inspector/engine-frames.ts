import { unreachable } from '../core/errors.ts';
import { attemptName, attemptSession, snapshotAt } from './inspected-snapshot.ts';
import type { InspectionFact } from './inspection-facts.ts';
import type { InspectionFrame } from './inspection-frame.ts';
import { shownEvent } from './shown-event.ts';
import type { FrameContext } from './stately-frames.ts';

/**
 * A step in our own messages, in the shape that XState 6 gives to inspection: `@xstate.actor` and one `@xstate.transition` a step, with
 * the event, who sent it and the snapshot after it; beside them `engine.*` for what only an engine has.
 */
export function engineFrames(facts: readonly InspectionFact[], context: FrameContext): readonly InspectionFrame[] {
  const snapshots = facts.filter((fact) => fact.kind === 'snapshot');
  return facts
    .flatMap((fact) => frameOf(fact, snapshots, context))
    .map((frame, index) => ({ ...frame, rootId: context.taskId, position: `${context.position}.${index + 1}` }));
}

function frameOf(
  fact: InspectionFact,
  snapshots: readonly Extract<InspectionFact, { kind: 'snapshot' }>[],
  context: FrameContext,
): readonly InspectionFrame[] {
  const { taskId, machine } = context;
  switch (fact.kind) {
    case 'task': {
      const { pipeline, version, stages, config } = machine;
      const { at, seq } = fact.point;
      const actor = { type: '@xstate.actor', sessionId: taskId, id: taskId, src: `${pipeline}@${version}`, at, seq };
      return [{ ...actor, definition: config, stages, snapshot: snapshotAt(fact.point) }];
    }
    case 'attempt.started': {
      const id = attemptName(fact.attempt);
      const sessionId = attemptSession(taskId, fact.attempt);
      const actor = { type: '@xstate.actor', sessionId, id, src: fact.attempt.stage, parentId: taskId, at: fact.at };
      return [{ ...actor, snapshot: { status: 'active' } }];
    }
    case 'attempt.ended': {
      const sessionId = attemptSession(taskId, fact.attempt);
      const event = { type: fact.record.event.type };
      return [{ type: '@xstate.transition', sessionId, at: fact.record.at, event, snapshot: { status: fact.end } }];
    }
    case 'event': {
      const { record, source } = fact;
      const after = snapshots.find((snapshot) => snapshot.record === record);
      return [
        {
          type: '@xstate.transition',
          sessionId: taskId,
          at: record.at,
          seq: record.seq,
          epoch: after?.point.owner?.epoch ?? null,
          event: shownEvent(record.event, context),
          sourceId: source === null ? null : attemptSession(taskId, source),
          snapshot: after === undefined ? null : snapshotAt(after.point),
          // The machine has no transitions without an event.
          microsteps: [],
        },
      ];
    }
    case 'snapshot':
      // Told with its event; an actor's own snapshot is the newest one already.
      return [];
    case 'owner': {
      const { previous, owner, at, point } = fact;
      return [{ type: 'engine.owner.changed', sessionId: taskId, at, ...owner, previous, snapshot: snapshotAt(point) }];
    }
    case 'trimmed':
      return [{ type: 'engine.history.trimmed', sessionId: taskId, at: fact.at, missingCount: fact.missingCount }];
    case 'dropped':
      return [{ type: 'engine.steps.dropped', sessionId: taskId, at: fact.at, stepCount: fact.stepCount }];
    default:
      return unreachable(fact);
  }
}
