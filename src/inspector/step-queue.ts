import type { EngineError } from '../core/errors.ts';
import type { Sequence } from '../core/ids.ts';
import type { InspectedStep } from './inspected-step.ts';

/** Most steps that wait for a viewer. */
export const maximumQueuedSteps = 1_000;

/** A step; or word that there were too many, and that what comes next is not the next one. */
export type QueuedStep = { readonly kind: 'step'; readonly step: InspectedStep } | { readonly kind: 'overflow' };

/**
 * Steps between the journal's reader, which waits for nobody, and a viewer that may be slow. When there are too many they are all
 * forgotten: the journal has them, for whoever wants to know where the task stands now.
 */
export class StepQueue {
  readonly #signal: AbortSignal;
  #steps: InspectedStep[] = [];
  #through = 0;
  #isOverflown = false;
  #failure: EngineError | null = null;
  #wake: () => void = () => undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  push(step: InspectedStep): void {
    if (step.sequence <= this.#through || this.#isOverflown) return;
    this.#steps.push(step);
    if (this.#steps.length > maximumQueuedSteps) {
      this.#steps = [];
      this.#isOverflown = true;
    }
    this.#wake();
  }

  /** Ends the queue, after what is in it. */
  fail(error: EngineError): void {
    this.#failure = error;
    this.#wake();
  }

  /** Leaves out what was read elsewhere already. */
  passThrough(sequence: Sequence): void {
    this.#through = sequence;
    this.#steps = this.#steps.filter((step) => step.sequence > sequence);
  }

  /**
   * The next step, as soon as there is one; null when the signal aborts. After an overflow has been told the queue takes steps again.
   *
   * @throws EngineError what {@link fail} was given
   */
  async next(): Promise<QueuedStep | null> {
    for (;;) {
      if (this.#signal.aborted) return null;
      if (this.#isOverflown) {
        this.#isOverflown = false;
        return { kind: 'overflow' };
      }
      const [step] = this.#steps.splice(0, 1);
      if (step !== undefined) return { kind: 'step', step };
      if (this.#failure !== null) throw this.#failure;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
