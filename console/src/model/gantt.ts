import type { HistoryRecord } from '../api/types.ts';
import { placeOf } from './task-words.ts';

/** What a task did, or waited for, in one piece of its time. */
export interface GanttSpan {
  readonly stage: string;
  /** `queued`, `running`, `backingOff`, `held`, `unknown` or `deadLettered`. */
  readonly kind: string;
  readonly from: number;
  readonly to: number;
  /** Of a `running` span; 0 of the others. */
  readonly attempt: number;
  /** Whether it still goes on. */
  readonly isOpen: boolean;
  /** Whether the attempt failed. */
  readonly hasFailed: boolean;
}

/** A moment at which another owner took the task over, or handed it over. */
export interface OwnerMove {
  readonly at: number;
  readonly epoch: number;
  readonly previousEpoch: number;
  /** Whether an attempt was cut off by it. */
  readonly isInterruption: boolean;
}

/** A task's time, by stage. */
export interface Gantt {
  readonly from: number;
  readonly to: number;
  readonly lanes: readonly { readonly stage: string; readonly spans: readonly GanttSpan[] }[];
  readonly moves: readonly OwnerMove[];
  /** Stages that were passed over, with the reason that the definition gives. */
  readonly skipped: readonly { readonly stage: string; readonly reason: string }[];
}

/**
 * The time that the records tell of. A state holds from its record to the next; the last one holds until `now`, unless the task has
 * ended. Clocks of two owners may differ: a span never ends before it begins.
 *
 * @param stages - the pipeline's stages in order; a stage that no record names has no lane
 */
export function ganttOf(records: readonly HistoryRecord[], stages: readonly string[], now: number): Gantt | null {
  const first = records[0];
  const last = records.at(-1);
  if (first === undefined || last === undefined) return null;
  const spans: GanttSpan[] = [];
  let attempt = 0;
  records.forEach(({ record }, index) => {
    const { stage, status } = placeOf(record.to);
    attempt = attemptAfter(attempt, record.event, status);
    if (stage === null) return;
    const next = records[index + 1]?.record;
    const before = spans.at(-1);
    const span = {
      stage,
      kind: status,
      from: record.at,
      to: Math.max(record.at, next?.at ?? now),
      attempt: status === 'running' ? attempt : 0,
      isOpen: next === undefined,
      hasFailed: status === 'running' && next?.event.type === 'stage.failed',
    };
    // A checkpoint or a pause that takes hold later does not end an attempt.
    const goesOn = before?.stage === stage && before.kind === span.kind && before.attempt === span.attempt;
    if (!goesOn) spans.push(span);
    else spans[spans.length - 1] = { ...before, to: span.to, isOpen: span.isOpen, hasFailed: span.hasFailed };
  });
  const isOver = spans.at(-1)?.isOpen !== true;
  const seen = [...new Set(spans.map(({ stage }) => stage))];
  const order = [...stages.filter((stage) => seen.includes(stage)), ...seen.filter((stage) => !stages.includes(stage))];
  return {
    from: first.record.at,
    to: Math.max(first.record.at + 1, isOver ? last.record.at : now),
    lanes: order.map((stage) => ({ stage, spans: spans.filter((span) => span.stage === stage) })),
    moves: movesOf(records),
    skipped: records.flatMap(({ record: { event } }) => skippedOf(event)),
  };
}

/** Instants for an axis: round steps, at most `most` of them, as offsets from the start. */
export function ticksOf(durationMs: number, most: number): readonly number[] {
  const steps = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000,
  ];
  const longer = [600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000];
  const step =
    [...steps, ...longer].find((one) => durationMs / one <= most) ??
    Math.ceil(durationMs / most / 86_400_000) * 86_400_000;
  return Array.from({ length: Math.floor(durationMs / step) + 1 }, (_, index) => index * step);
}

type Event = HistoryRecord['record']['event'];

function attemptAfter(before: number, event: Event, status: string): number {
  if (event.type === 'task.submitted' || event.type === 'stage.completed')
    return 'start' in event && event.start ? 1 : 0;
  if (event.type === 'outcome.resolved') return status === 'running' ? 1 : before;
  if (event.type === 'retry.due') return event.start ? event.attempt : before;
  return 'attempt' in event ? event.attempt : before;
}

function skippedOf(event: Event): Gantt['skipped'] {
  if (event.type === 'task.submitted' || event.type === 'stage.completed') return event.skipped;
  if (event.type === 'outcome.resolved' && event.resolution.kind === 'completed') return event.resolution.skipped;
  return [];
}

function movesOf(records: readonly HistoryRecord[]): readonly OwnerMove[] {
  return records.flatMap(({ record, epoch }, index) => {
    const previousEpoch = records[index - 1]?.epoch ?? epoch;
    if (epoch === previousEpoch) return [];
    return [{ at: record.at, epoch, previousEpoch, isInterruption: record.event.type === 'owner.changed' }];
  });
}
