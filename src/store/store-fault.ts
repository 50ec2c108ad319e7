import { EngineError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';

/** What an in-memory store is told to do with one operation. */
export type StoreFault =
  | 'none'
  /** Nothing is done and `UNAVAILABLE` is thrown. */
  | 'unavailable'
  /** A write does nothing and throws `STORAGE_FULL`; a read is not affected. */
  | 'full'
  /** It is done, but its answer is lost: `UNAVAILABLE` is thrown. */
  | 'lostAnswer';

/** Options that the in-memory stores share. */
export interface MemoryStoreOptions<Operation extends string> {
  readonly clock: Clock;
  /** Time from a call to its answer; the effect takes place in the middle. 0 when left out. */
  readonly latencyMs?: number;
  /** Asked once an operation, when its effect is due. */
  readonly faults?: (operation: Operation) => StoreFault;
}

/** The way to an in-memory store and back: where latency and faults happen. */
export class SimulatedStorePath<Operation extends string> {
  readonly #clock: Clock;
  readonly #latencyMs: number;
  readonly #faults: (operation: Operation) => StoreFault;

  constructor(options: MemoryStoreOptions<Operation>) {
    this.#clock = options.clock;
    this.#latencyMs = options.latencyMs ?? 0;
    this.#faults = options.faults ?? (() => 'none');
  }

  /** Runs a read's effect. @throws EngineError `UNAVAILABLE` by fault, and what `effect` throws */
  read<Result>(operation: Operation, effect: () => Result): Promise<Result> {
    return this.#run(operation, effect, false);
  }

  /** Runs a write's effect. @throws EngineError `UNAVAILABLE`, `STORAGE_FULL` by fault, and what `effect` throws */
  write<Result>(operation: Operation, effect: () => Result): Promise<Result> {
    return this.#run(operation, effect, true);
  }

  async #run<Result>(operation: Operation, effect: () => Result, isWrite: boolean): Promise<Result> {
    await this.#pass();
    const fault = this.#faults(operation);
    if (fault === 'unavailable') throw new EngineError('UNAVAILABLE', `${operation}: the store is unavailable`);
    if (fault === 'full' && isWrite) throw new EngineError('STORAGE_FULL', `${operation}: the store is full`);
    const result = effect();
    await this.#pass();
    if (fault === 'lostAnswer') throw new EngineError('UNAVAILABLE', `${operation}: no answer in time`);
    return result;
  }

  async #pass(): Promise<void> {
    if (this.#latencyMs === 0) return;
    await new Promise<void>((resolve) => void this.#clock.setTimer(this.#latencyMs / 2, resolve));
  }
}
