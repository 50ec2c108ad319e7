import { asError } from '../core/errors.ts';
import type { Journal } from '../ports/journal.ts';
import type { Engine } from '../supervisor/engine.ts';
import { LateClock } from './late-clock.ts';
import type { ModelWorld } from './model-world.ts';

/** The one node of a model world. */
const nodeId = 'node-1';

/** What an append comes to on its way from a process to the journal. */
export type AppendFault = (
  process: ModelProcess,
  request: Parameters<Journal['append']>[0],
) => ReturnType<Journal['append']>;

/** One process of the node: may die at any moment, without a word. */
export class ModelProcess {
  readonly clock: LateClock;
  /** Resolves when it serves. */
  readonly started: Promise<void>;
  readonly #engine: Engine;
  #phase: 'running' | 'stopping' | 'ended' = 'running';
  /** Another process runs in its place, and it does not know. */
  isZombie = false;

  constructor(world: ModelWorld, append: AppendFault, onFailed: (problem: string) => void) {
    this.clock = new LateClock(world.clock);
    const { journal } = world;
    this.#engine = world.createEngine(nodeId, undefined, {
      clock: this.clock,
      journal: {
        maximumBodyBytes: journal.maximumBodyBytes,
        append: (request) => append(this, request),
        readLast: (shard) => journal.readLast(shard),
        read: (range) => journal.read(range),
        follow: (from) => journal.follow(from),
        bounds: () => journal.bounds(),
        trim: (shard, through) => journal.trim(shard, through),
      },
    });
    this.started = this.#engine.start();
    this.started.catch((error: unknown) => {
      if (!this.isGone) onFailed(`the engine did not start: ${asError(error).message}`);
    });
  }

  get isEnded(): boolean {
    return this.#phase === 'ended';
  }

  /** Whether the node's work is not this process's any more. */
  get isGone(): boolean {
    return this.isEnded || this.isZombie;
  }

  /** Ends as `kill -9` would. */
  kill(): void {
    if (this.isEnded) return;
    this.#phase = 'ended';
    void this.#engine.abandon();
  }

  /** Hands its shard over and ends. */
  async stop(graceMs: number): Promise<void> {
    if (this.#phase !== 'running') return;
    this.#phase = 'stopping';
    await this.#engine.stop({ graceMs });
    this.#phase = 'ended';
  }
}
