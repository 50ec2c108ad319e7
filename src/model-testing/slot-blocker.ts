import type { StandardSchemaV1 } from '@standard-schema/spec';
import { definePipeline } from '../pipeline/define-pipeline.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';

const anything: StandardSchemaV1 = {
  '~standard': { version: 1, vendor: 'cabinet', validate: (value) => ({ value }) },
};
/** Longer than any case. */
const timeoutMs = 30 * 24 * 3_600_000;

/** Takes the node's only slot and keeps it until it is told to let go: a stage of a pipeline of its own. */
export class SlotBlocker {
  readonly pipeline: PipelineDefinition;
  #release: (() => void) | null = null;
  #isFree = false;
  readonly #onTaken: () => void;

  constructor(onTaken: () => void) {
    this.#onTaken = onTaken;
    this.pipeline = definePipeline({
      name: 'slot-blocker',
      version: 1,
      input: anything,
      stages: (pipeline) =>
        pipeline.stage('hold', {
          output: anything,
          driver: () => this.#hold(),
          retry: { maxAttempts: 1 },
          timeoutMs,
        }),
    });
  }

  /** Whether its driver has the slot. */
  get isTaken(): boolean {
    return this.#release !== null;
  }

  /** Lets go, and takes no slot that comes later. */
  release(): void {
    this.#isFree = true;
    this.#release?.();
    this.#release = null;
  }

  #hold(): Promise<null> {
    if (this.#isFree) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#release = () => resolve(null);
      this.#onTaken();
    });
  }
}
