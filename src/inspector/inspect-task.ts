import { EngineError } from '../core/errors.ts';
import type { Millis, Sequence, ShardId, TaskId } from '../core/ids.ts';
import { endedStatuses } from '../core/task-view.ts';
import type { Clock } from '../ports/clock.ts';
import type { Journal } from '../ports/journal.ts';
import { placeOf } from '../projections/machine-place.ts';
import { InspectionEncoder, leadingSteps, timeOf } from './encode-inspection.ts';
import type { InspectedMachine } from './inspected-machine.ts';
import type { InspectedStep } from './inspected-step.ts';
import type { InspectionFrame } from './inspection-frame.ts';
import type { InspectionRequest, InspectionSpeed } from './inspection-request.ts';
import { pause } from '../projections/pause.ts';
import type { ShardTaps } from './shard-taps.ts';
import { StepQueue } from './step-queue.ts';
import { isFinished, startPoint, type TaskPoint } from './task-point.ts';
import { filterOf, readTaskSteps, type TaskSteps } from './task-steps.ts';

/** Longest wait between two steps of a replay: an hour of backoff is shown as this. */
export const maximumReplayWaitMs = 10_000;

/** What is asked of the engine about a task that the journal does not tell of any more. */
export interface KnownTask {
  readonly pipeline: string;
  readonly version: number;
  readonly state: string;
  readonly seq: number;
  readonly updatedAt: Millis;
}

/** What inspections work with. */
export interface InspectionDeps {
  readonly journal: Journal;
  readonly taps: ShardTaps;
  readonly clock: Clock;
  readonly shardOf: (taskId: TaskId) => ShardId;
  readonly findMachine: (pipeline: string, version: number) => Promise<InspectedMachine>;
  /** @throws EngineError `TASK_NOT_FOUND` */
  readonly findTask: (taskId: TaskId) => Promise<KnownTask>;
}

/** How an inspection goes on once the task's past is told. */
export interface InspectionOptions {
  readonly signal: AbortSignal;
  /** Whether a dead letter ends it; else it waits for a redrive. */
  readonly endsOnDeadLetter?: boolean;
}

/**
 * A task's inspection, step by step: what the journal has of it, at the speed asked for, then what it gets, until the task is finished
 * or the signal aborts. A reader that is slower than the task loses steps, is told how many, and goes on from where the task is.
 *
 * @returns where the task stood at the end
 * @throws EngineError `TASK_NOT_FOUND`, `RECORD_CORRUPT` that names the sequence, `UNAVAILABLE`, `LOG_REGRESSED`
 */
export async function* inspectTask(
  deps: InspectionDeps,
  request: InspectionRequest,
  options: InspectionOptions,
): AsyncGenerator<readonly InspectionFrame[], TaskPoint, undefined> {
  const { taskId, from, speed } = request;
  const { signal } = options;
  const shard = deps.shardOf(taskId);
  const queue = new StepQueue(signal);
  // Listened first and read then, so that nothing lies between.
  const leave = await deps.taps.listen(shard, {
    filter: filterOf(taskId),
    onStep: (step) => queue.push(step),
    onFailed: (error) => queue.fail(error),
  });
  try {
    const past = await readTaskSteps({ journal: deps.journal, shard, taskId });
    queue.passThrough(past.through);
    const { encoder, missingCount } = await beginEncoder(deps, request, past);
    const leading = from === 'now' ? past.steps.length : leadingSteps(past.steps, missingCount);
    const hasEnded = (): boolean => isEnd(encoder.point, options.endsOnDeadLetter ?? false);
    yield encoder.begin(past.steps.slice(0, leading), { missingCount, at: timeOf(past.steps[leading]) });
    let before = timeOf(past.steps[leading]);
    for (const step of past.steps.slice(leading)) {
      await pause(deps.clock, replayWaitMs(timeOf(step) - before, speed), signal);
      before = timeOf(step);
      if (signal.aborted) return encoder.point;
      yield encoder.take(step);
    }
    while (!hasEnded()) {
      const next = await queue.next();
      if (next === null) break;
      if (next.kind === 'step') {
        const frames = encoder.take(next.step);
        if (frames.length > 0) yield frames;
        continue;
      }
      const current = await readTaskSteps({ journal: deps.journal, shard, taskId });
      queue.passThrough(current.through);
      yield encoder.dropped(skipTo(encoder, current.steps));
    }
    return encoder.point;
  } finally {
    leave();
  }
}

/** Goes past all steps after the encoder's; gives their number. */
function skipTo(encoder: InspectionEncoder, steps: readonly InspectedStep[]): number {
  const { sequence, index } = encoder.point;
  const later = steps.filter(
    (step) => step.sequence > sequence || (step.sequence === sequence && step.kind === 'record' && step.index > index),
  );
  for (const step of later) encoder.skip(step);
  return later.length;
}

/** How long a replay waits between two steps that were so far apart. Pure. */
export function replayWaitMs(distanceMs: number, speed: InspectionSpeed): number {
  if (speed === 'max') return 0;
  return Math.min(maximumReplayWaitMs, Math.max(0, distanceMs) / Number(speed));
}

async function beginEncoder(
  deps: InspectionDeps,
  { taskId, format, showsPayloads }: InspectionRequest,
  { steps, missingCount }: TaskSteps,
): Promise<{ readonly encoder: InspectionEncoder; readonly missingCount: number }> {
  const first = steps.find((step) => step.kind === 'record');
  if (first !== undefined) {
    const machine = await deps.findMachine(first.record.pipeline, first.record.version);
    // Without the first records, what the machine's context was is not known.
    const point = missingCount === 0 ? startPoint : { ...startPoint, control: null };
    return { encoder: new InspectionEncoder({ taskId, machine, format, showsPayloads }, point), missingCount };
  }
  const { pipeline, version, state, seq, updatedAt } = await deps.findTask(taskId);
  const machine = await deps.findMachine(pipeline, version);
  const sequence = 0 as Sequence;
  const point: TaskPoint = { ...startPoint, control: null, value: state, seq, at: updatedAt, sequence };
  return { encoder: new InspectionEncoder({ taskId, machine, format, showsPayloads }, point), missingCount: seq };
}

function isEnd(point: TaskPoint, endsOnDeadLetter: boolean): boolean {
  if (isFinished(point)) return true;
  const { status } = placeOf(point.value);
  return endsOnDeadLetter && endedStatuses.some((ended) => ended === status);
}

/** The error of an inspection that ended by itself, for whoever has to tell it. */
export function asInspectionError(thrown: unknown): EngineError {
  if (thrown instanceof EngineError) return thrown;
  return new EngineError('INTERNAL', thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}
