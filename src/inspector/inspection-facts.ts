import type { Epoch, Millis } from '../core/ids.ts';
import type { TaskRecord } from '../core/records.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { InspectedStep } from './inspected-step.ts';
import {
  isFinished,
  pointAfter,
  pointUnderOwner,
  startPoint,
  type KnownOwner,
  type RunningAttempt,
  type TaskPoint,
} from './task-point.ts';

/** How an attempt ended. */
export type AttemptEnd = 'done' | 'error' | 'stopped';

/** What there is to show of a step, in the words of neither protocol. */
export type InspectionFact =
  /** The task's actor appears: at the start, for a viewer that comes late, and when an id is used again. */
  | { readonly kind: 'task'; readonly point: TaskPoint }
  | { readonly kind: 'attempt.started'; readonly attempt: RunningAttempt; readonly at: Millis }
  | {
      readonly kind: 'attempt.ended';
      readonly attempt: RunningAttempt;
      readonly end: AttemptEnd;
      readonly record: TaskRecord;
    }
  /** The task got an event; `source` is the attempt that sent it, null for anybody else. */
  | { readonly kind: 'event'; readonly record: TaskRecord; readonly source: RunningAttempt | null }
  | { readonly kind: 'snapshot'; readonly record: TaskRecord | null; readonly point: TaskPoint }
  /** The shard went to another owner while the task was alive. */
  | {
      readonly kind: 'owner';
      readonly previous: KnownOwner | null;
      readonly owner: KnownOwner;
      readonly at: Millis;
      readonly point: TaskPoint;
    }
  /** The journal does not have the task's first records any more. */
  | { readonly kind: 'trimmed'; readonly missingCount: number; readonly at: Millis }
  /** The viewer was too slow for so many steps; where the task stands now comes next. */
  | { readonly kind: 'dropped'; readonly stepCount: number; readonly at: Millis };

/** A point with what led there. */
export interface Advance {
  readonly point: TaskPoint;
  readonly facts: readonly InspectionFact[];
}

/** What a step makes of a task, and what there is to show of it. Pure. */
export function advance(definition: PipelineDefinition | null, before: TaskPoint, step: InspectedStep): Advance {
  if (step.kind === 'owner') return underOwner(before, step);
  // The id is used again, after the retention of the task that had it.
  if (step.record.seq === 1 && before.seq > 0) {
    const fresh = { ...startPoint, owner: before.owner };
    const next = advance(definition, fresh, step);
    return { point: next.point, facts: [{ kind: 'task', point: fresh }, ...next.facts] };
  }
  const { record } = step;
  const point = pointAfter(definition, before, step);
  const { running } = before;
  const isEnded = running !== null && !isSame(running, point.running);
  const isStarted = point.running !== null && !isSame(point.running, running);
  const source = sourceOf(before, record);
  return {
    point,
    facts: [
      ...unannouncedOwner(before, step.epoch, record.at),
      ...(isEnded ? [{ kind: 'attempt.ended', attempt: running, end: endBy(record), record } as const] : []),
      { kind: 'event', record, source },
      ...(isStarted ? [{ kind: 'attempt.started', attempt: point.running, at: record.at } as const] : []),
      { kind: 'snapshot', record, point },
    ],
  };
}

/** What a viewer is shown first: the task as it stands, and once more as a snapshot, for viewers that draw a new actor in its first state. */
export function baselineOf(point: TaskPoint): readonly InspectionFact[] {
  const { running, at } = point;
  return [
    { kind: 'task', point },
    { kind: 'snapshot', record: null, point },
    ...(running === null ? [] : [{ kind: 'attempt.started', attempt: running, at } as const]),
  ];
}

function underOwner(before: TaskPoint, step: Extract<InspectedStep, { kind: 'owner' }>): Advance {
  if (isFinished(before)) return { point: before, facts: [] };
  const point = pointUnderOwner(before, step);
  // Who had the shard before the task came is no move of the task.
  if (before.seq === 0 || point.owner === null || before.owner?.epoch === step.owner.epoch) return { point, facts: [] };
  return {
    point,
    facts: [{ kind: 'owner', previous: before.owner, owner: point.owner, at: step.at, point }],
  };
}

/** A move whose own entry is trimmed still shows in the epoch of the records after it. */
function unannouncedOwner(before: TaskPoint, epoch: Epoch, at: Millis): readonly InspectionFact[] {
  if (before.seq === 0 || before.owner === null || before.owner.epoch === epoch) return [];
  const owner = { epoch, node: null };
  return [{ kind: 'owner', previous: before.owner, owner, at, point: { ...before, owner } }];
}

const toldByDriver: ReadonlySet<string> = new Set([
  'stage.completed',
  'stage.failed',
  'stage.checkpointed',
  'stage.released',
]);

function sourceOf({ running }: TaskPoint, { event }: TaskRecord): RunningAttempt | null {
  return toldByDriver.has(event.type) ? running : null;
}

function endBy({ event }: TaskRecord): AttemptEnd {
  if (event.type === 'stage.completed') return 'done';
  return event.type === 'stage.failed' ? 'error' : 'stopped';
}

function isSame(one: RunningAttempt | null, other: RunningAttempt | null): boolean {
  return one?.stage === other?.stage && one?.attempt === other?.attempt;
}
