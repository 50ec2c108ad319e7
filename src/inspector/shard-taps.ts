import { asError, EngineError } from '../core/errors.ts';
import type { Sequence, ShardId } from '../core/ids.ts';
import type { Commit } from '../core/records.ts';
import type { Journal } from '../ports/journal.ts';
import { commitOfEntry } from '../projections/entry-commit.ts';
import { ShardChain } from '../projections/shard-chain.ts';
import type { InspectedStep } from './inspected-step.ts';
import { mayConcern, stepsOfEntry, type StepFilter } from './task-steps.ts';

/** Who hears of a task's steps as the journal gets them. */
export interface StepListener {
  readonly filter: StepFilter;
  readonly onStep: (step: InspectedStep) => void;
  /** Nothing comes any more. */
  readonly onFailed: (error: EngineError) => void;
}

interface Tap {
  readonly listeners: Set<StepListener>;
  readonly stop: AbortController;
  /** The shard's last entry has been found out, and what comes after it will be heard. */
  readonly ready: Promise<void>;
}

/**
 * Follows the journals of the shards that somebody looks at, each once however many look, and no shard that nobody looks at. It reads
 * as any other reader does: the owners of the shards neither know nor do anything for it.
 */
export class ShardTaps {
  readonly #journal: Journal;
  readonly #taps = new Map<ShardId, Tap>();

  constructor(deps: { readonly journal: Journal }) {
    this.#journal = deps.journal;
  }

  /** How many shards are followed. */
  get count(): number {
    return this.#taps.size;
  }

  /**
   * From when it resolves, every entry that is not in the journal yet is heard; of those before, perhaps the newest ones too.
   *
   * @returns what ends it; with the last one of a shard its following ends
   * @throws EngineError `UNAVAILABLE`
   */
  async listen(shard: ShardId, listener: StepListener): Promise<() => void> {
    const tap = this.#taps.get(shard) ?? this.#open(shard);
    tap.listeners.add(listener);
    const leave = (): void => {
      tap.listeners.delete(listener);
      if (tap.listeners.size === 0) this.#close(shard, tap);
    };
    try {
      await tap.ready;
    } catch (error) {
      leave();
      throw error;
    }
    return leave;
  }

  #open(shard: ShardId): Tap {
    const stop = new AbortController();
    const listeners = new Set<StepListener>();
    const last = this.#journal.readLast(shard);
    const tap: Tap = { listeners, stop, ready: last.then(() => undefined) };
    this.#taps.set(shard, tap);
    void last
      .then((entry) => this.#follow(shard, tap, entry?.sequence ?? (0 as Sequence)))
      .catch((thrown: unknown) => {
        this.#close(shard, tap);
        const error = thrown instanceof EngineError ? thrown : unexpected(thrown);
        for (const listener of listeners) listener.onFailed(error);
      });
    return tap;
  }

  async #follow(shard: ShardId, { listeners, stop }: Tap, after: Sequence): Promise<void> {
    const { signal } = stop;
    const chain = new ShardChain(after);
    for await (const entry of this.#journal.follow({ shard, after, signal })) {
      if (signal.aborted) return;
      if (chain.follow(entry) !== null) {
        throw new EngineError('UNAVAILABLE', `the journal of shard ${shard} was trimmed before it was read`, {
          hint: 'inspect again',
        });
      }
      const concerned = [...listeners].filter(({ filter }) => mayConcern(entry, filter));
      if (concerned.length === 0) continue;
      const commit: Commit = commitOfEntry(entry);
      for (const listener of concerned) {
        for (const step of stepsOfEntry(entry, commit, listener.filter.taskId)) listener.onStep(step);
      }
    }
    if (!signal.aborted) throw new EngineError('UNAVAILABLE', `the journal's feed of shard ${shard} ended`);
  }

  #close(shard: ShardId, tap: Tap): void {
    tap.stop.abort();
    if (this.#taps.get(shard) === tap) this.#taps.delete(shard);
  }
}

function unexpected(thrown: unknown): EngineError {
  const error = asError(thrown);
  return new EngineError('INTERNAL', error.message, { cause: error });
}
