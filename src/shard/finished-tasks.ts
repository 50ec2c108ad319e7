import { decodeSnapshot } from '../actors/snapshot-codec.ts';
import type { TaskState } from '../actors/task-state.ts';
import { asError } from '../core/errors.ts';
import type { ShardId, TaskId } from '../core/ids.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { SnapshotStore } from '../ports/snapshots.ts';
import { FinishedFilter } from './finished-filter.ts';
import type { ShardMetrics } from './shard-metrics.ts';

/** Most ids in one look-up. */
const maximumLookupIds = 512;
/** Pause before the filter is filled again after a failure. */
const filterRetryMs = 5_000;

type Found =
  { readonly kind: 'found'; readonly state: TaskState | null } | { readonly kind: 'failed'; readonly error: Error };

interface Waiting {
  readonly taskId: TaskId;
  readonly answer: (found: Found) => void;
}

/** What {@link FinishedTasks} asks of the outside. */
export interface FinishedTasksDeps {
  readonly store: SnapshotStore;
  readonly registry: PipelineRegistry;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ShardMetrics;
}

/**
 * Tells whether a task id belongs to a finished task of the shard, without a round trip a submit in the hot path.
 *
 * Three places, in order: the tasks that ended lately and are not written yet; a filter that knows all written ones, which
 * says "surely not" for nearly every new id; and the store's leader, asked for many ids at once. Until the filter is filled,
 * behind the back of the traffic, every new id is looked up.
 */
export class FinishedTasks {
  readonly #deps: FinishedTasksDeps;
  readonly #shard: ShardId;
  readonly #unwritten = new Map<TaskId, Uint8Array>();
  readonly #filter = new FinishedFilter();
  #filterIsFilled = false;
  #waiting: Waiting[] = [];
  #scheduled = false;
  #closed = false;

  constructor(deps: FinishedTasksDeps, shard: ShardId) {
    this.#deps = deps;
    this.#shard = shard;
  }

  /** A task has ended and will be written. @param bytes - its snapshot */
  add(taskId: TaskId, bytes: Uint8Array): void {
    this.#unwritten.set(taskId, bytes);
    this.#filter.add(taskId);
  }

  /** The task's finished snapshot is acknowledged. */
  written(taskId: TaskId): void {
    this.#unwritten.delete(taskId);
  }

  /** The tasks that ended and are not written yet. */
  unwrittenStates(): TaskState[] {
    return [...this.#unwritten].map(([taskId, bytes]) => decodeSnapshot(taskId, bytes, this.#deps.registry));
  }

  /** Fills the filter from the store; look-ups work before it is done. */
  async fillFilter(): Promise<void> {
    while (!this.#closed) {
      try {
        for await (const taskId of this.#deps.store.finishedIds(this.#shard)) {
          if (this.#closed) return;
          this.#filter.add(taskId);
        }
        this.#filterIsFilled = true;
        return;
      } catch (error) {
        this.#deps.logger.warn(
          { shard: this.#shard, err: asError(error) },
          'finished ids could not be read; trying again',
        );
        await new Promise<void>((resolve) => this.#deps.clock.setTimer(filterRetryMs, resolve));
      }
    }
  }

  /**
   * Answers with the finished task's state, or null when the id is not that of a finished task; at once when no look-up is
   * needed. `failed` when the store does not answer.
   */
  find(taskId: TaskId, answer: (found: Found) => void): void {
    const unwritten = this.#unwritten.get(taskId);
    if (unwritten !== undefined) return answer(this.#decode(taskId, unwritten));
    if (this.#filterIsFilled && !this.#filter.mayHave(taskId)) return answer({ kind: 'found', state: null });
    this.#waiting.push({ taskId, answer });
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#deps.clock.defer(() => {
      this.#scheduled = false;
      const batch = this.#waiting.splice(0, maximumLookupIds);
      if (this.#waiting.length > 0) this.#schedule();
      void this.#lookUp(batch);
    });
  }

  async #lookUp(batch: readonly Waiting[]): Promise<void> {
    this.#deps.metrics.finishedLookups.add(batch.length);
    let answers: Found[];
    try {
      const found = await this.#deps.store.findFinished(
        this.#shard,
        batch.map(({ taskId }) => taskId),
      );
      answers = batch.map(({ taskId }) => this.#decode(taskId, found.get(taskId)));
    } catch (error) {
      answers = batch.map(() => ({ kind: 'failed', error: asError(error) }));
    }
    for (const [index, { answer }] of batch.entries()) answer(answers[index] as Found);
  }

  #decode(taskId: TaskId, bytes: Uint8Array | undefined): Found {
    if (bytes === undefined) return { kind: 'found', state: null };
    try {
      return { kind: 'found', state: decodeSnapshot(taskId, bytes, this.#deps.registry) };
    } catch (error) {
      return { kind: 'failed', error: asError(error) };
    }
  }
}
