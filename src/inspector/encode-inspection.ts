import type { Millis, TaskId } from '../core/ids.ts';
import { engineFrames } from './engine-frames.ts';
import type { InspectedMachine } from './inspected-machine.ts';
import type { InspectedStep } from './inspected-step.ts';
import { advance, baselineOf, type InspectionFact } from './inspection-facts.ts';
import type { InspectionFormat, InspectionFrame } from './inspection-frame.ts';
import type { PayloadRule } from './shown-event.ts';
import { statelyFrames } from './stately-frames.ts';
import { startPoint, type TaskPoint } from './task-point.ts';

/** What an inspection is of, and how it is told. */
export interface InspectionSubject extends PayloadRule {
  readonly taskId: TaskId;
  readonly machine: InspectedMachine;
  readonly format: InspectionFormat;
}

/** Where a viewer begins: with the oldest record that is left, or with the task as it stands. */
export type InspectionStart = 'start' | 'now';

/**
 * The messages that tell a task's way through its machine, from what the journal has of it. Pure: the same steps give the same messages,
 * whoever reads them and wherever the task is.
 *
 * @param missingCount - records before the first step, which are trimmed
 */
export function encodeInspection(
  subject: InspectionSubject,
  steps: readonly InspectedStep[],
  options: { readonly from?: InspectionStart; readonly missingCount?: number } = {},
): readonly InspectionFrame[] {
  const { from = 'start', missingCount = 0 } = options;
  const encoder = new InspectionEncoder(subject);
  const leading = from === 'now' ? steps.length : leadingSteps(steps, missingCount);
  return [
    ...encoder.begin(steps.slice(0, leading), { missingCount, at: timeOf(steps[leading]) }),
    ...steps.slice(leading).flatMap((step) => encoder.take(step)),
  ];
}

/** When a step happened; 0 for none. */
export function timeOf(step: InspectedStep | undefined): Millis {
  if (step === undefined) return 0;
  return step.kind === 'record' ? step.record.at : step.at;
}

/**
 * How many steps come before what is shown step by step: who had the shard before, and of a trimmed task its first record that is left,
 * for only after it one knows where the task stands.
 */
export function leadingSteps(steps: readonly InspectedStep[], missingCount: number): number {
  const first = steps.findIndex(({ kind }) => kind === 'record');
  if (first === -1) return steps.length;
  return missingCount === 0 ? first : first + 1;
}

/** Tells one task's steps as they come. */
export class InspectionEncoder {
  readonly #subject: InspectionSubject;
  #point: TaskPoint;

  /** @param point - where the task stands before the first step */
  constructor(subject: InspectionSubject, point: TaskPoint = startPoint) {
    this.#subject = subject;
    this.#point = point;
  }

  /** Where the task stands after all steps so far. */
  get point(): TaskPoint {
    return this.#point;
  }

  /**
   * The first messages: the task after these steps, which are not told one by one, and how much of its past is lost.
   *
   * @param options - `at`: when the first step comes that is told; a task that has not come yet appears at that time
   */
  begin(
    passed: readonly InspectedStep[],
    options: { readonly missingCount: number; readonly at: Millis },
  ): readonly InspectionFrame[] {
    const { missingCount } = options;
    for (const step of passed) this.skip(step);
    if (this.#point.seq === 0) this.#point = { ...this.#point, at: options.at };
    const { at } = this.#point;
    const [task, ...rest] = baselineOf(this.#point) as readonly [InspectionFact, ...InspectionFact[]];
    const trimmed = missingCount === 0 ? [] : [{ kind: 'trimmed', missingCount, at } as const];
    return this.#frames([task, ...trimmed, ...rest], 'b');
  }

  /** The messages of the next step. */
  take(step: InspectedStep): readonly InspectionFrame[] {
    const { point, facts } = advance(this.#subject.machine.definition, this.#point, step);
    this.#point = point;
    return this.#frames(facts, '');
  }

  /** Goes past a step without a word. */
  skip(step: InspectedStep): void {
    this.#point = advance(this.#subject.machine.definition, this.#point, step).point;
  }

  /** Tells that steps were skipped, and where the task stands. */
  dropped(stepCount: number): readonly InspectionFrame[] {
    return this.#frames([{ kind: 'dropped', stepCount, at: this.#point.at }, ...baselineOf(this.#point)], 'd');
  }

  #frames(facts: readonly InspectionFact[], mark: string): readonly InspectionFrame[] {
    const { taskId, machine, format, showsPayloads } = this.#subject;
    const { sequence, index } = this.#point;
    const context = { taskId, machine, showsPayloads, position: `${sequence}-${index + 1}${mark}` };
    return format === 'stately' ? statelyFrames(facts, context) : engineFrames(facts, context);
  }
}
