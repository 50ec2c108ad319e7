import { decodeSnapshot } from '../actors/snapshot-codec.ts';
import type { TaskState } from '../actors/task-state.ts';
import { asError, EngineError } from '../core/errors.ts';
import type { Epoch, ShardId, TaskId } from '../core/ids.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { SnapshotWriter } from '../ports/snapshots.ts';
import type { PassiveTask, PassiveTasks } from './passive-tasks.ts';
import type { ShardMetrics } from './shard-metrics.ts';

/** Snapshots in one read, and reads on their way at one time. */
const batchSize = 256;
const maximumBatches = 4;
/** Loads that go on failing are told of again after so long. */
const failureReportMs = 30_000;

/** What a load came to. */
export type LoadOutcome =
  { readonly kind: 'loaded'; readonly state: TaskState } | { readonly kind: 'failed'; readonly error: EngineError };

/** Why a snapshot was not taken for the task. */
type Refusal = 'missing' | 'stale' | 'unreadable' | 'unavailable';

interface Waiting {
  readonly taskId: TaskId;
  readonly askedMs: number;
  readonly answer: (outcome: LoadOutcome) => void;
}

/** What {@link SnapshotLoads} asks of the outside. */
export interface SnapshotLoadsDeps {
  readonly writer: Pick<SnapshotWriter, 'read'>;
  readonly registry: PipelineRegistry;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ShardMetrics;
  readonly passive: PassiveTasks;
}

/**
 * Reads the states of passive tasks back, many in one read and few reads at a time, however many are asked for at once.
 *
 * A state counts only with the `seq` that is kept in memory: a store's leader that has lost its place and does not know it yet, or a
 * bucket that was set back, is a failure, never an older state.
 */
export class SnapshotLoads {
  readonly #deps: SnapshotLoadsDeps;
  readonly #owner: { readonly shard: ShardId; readonly epoch: Epoch };
  /** The epoch whose snapshots the shard was recovered from. */
  #earlierEpoch: Epoch | null = null;
  #waiting: Waiting[] = [];
  readonly #loading = new Set<TaskId>();
  #batches = 0;
  #scheduled = false;
  #closed = false;
  #failures = 0;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(deps: SnapshotLoadsDeps, owner: { readonly shard: ShardId; readonly epoch: Epoch }) {
    this.#deps = deps;
    this.#owner = owner;
  }

  /** Tasks that are loaded now, or wait for it. */
  get pending(): number {
    return this.#loading.size;
  }

  /** Whether as many are asked for as are read at a time. */
  get isBusy(): boolean {
    return this.#loading.size >= batchSize * maximumBatches;
  }

  isLoading(taskId: TaskId): boolean {
    return this.#loading.has(taskId);
  }

  /** Where the snapshots are that are not under the owner's own epoch yet. */
  recoveredFrom(epoch: Epoch | null): void {
    this.#earlierEpoch = epoch;
  }

  /** Answers with the task's state, in a later turn; not after {@link close}. The task stays passive until its owner removes it. */
  load(taskId: TaskId, answer: (outcome: LoadOutcome) => void): void {
    this.#loading.add(taskId);
    this.#waiting.push({ taskId, askedMs: this.#deps.clock.monotonicMs(), answer });
    this.#schedule();
  }

  /**
   * The states of passive tasks, in one read; of those that are not passive any more, none.
   *
   * @throws EngineError `UNAVAILABLE` when one cannot be had now, and what reading a snapshot throws
   */
  async read(taskIds: readonly TaskId[]): Promise<ReadonlyMap<TaskId, TaskState>> {
    const outcomes = await this.#read(taskIds);
    const states = new Map<TaskId, TaskState>();
    for (const [taskId, outcome] of outcomes) {
      if (outcome.kind === 'failed') throw outcome.error;
      states.set(taskId, outcome.state);
    }
    return states;
  }

  close(): void {
    this.#closed = true;
    this.#waiting = [];
    this.#loading.clear();
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    this.#deps.clock.defer(() => {
      this.#scheduled = false;
      while (this.#batches < maximumBatches && this.#waiting.length > 0 && !this.#closed) {
        void this.#load(this.#waiting.splice(0, batchSize));
      }
    });
  }

  async #load(batch: readonly Waiting[]): Promise<void> {
    this.#batches += 1;
    const outcomes = await this.#read(batch.map(({ taskId }) => taskId));
    this.#batches -= 1;
    if (this.#closed) return;
    const { clock, metrics } = this.#deps;
    for (const waiting of batch) {
      const { taskId, askedMs, answer } = waiting;
      const outcome = outcomes.get(taskId);
      // It was carried over to the owner's epoch while it was read from the one before: what its owner writes next follows on that.
      if (outcome === undefined) {
        this.#waiting.push(waiting);
        continue;
      }
      this.#loading.delete(taskId);
      metrics.activationSeconds.observe((clock.monotonicMs() - askedMs) / 1_000);
      answer(outcome);
    }
    if (this.#waiting.length > 0) this.#schedule();
  }

  /** What the store has of each. Those are left out whose place has changed meanwhile. Never rejects. */
  async #read(taskIds: readonly TaskId[]): Promise<ReadonlyMap<TaskId, LoadOutcome>> {
    const { passive, writer } = this.#deps;
    const outcomes = new Map<TaskId, LoadOutcome>();
    const byEpoch = new Map<Epoch, PassiveTask[]>();
    for (const taskId of taskIds) {
      const task = passive.get(taskId);
      if (task === null) continue;
      const epoch = this.#epochOf(task);
      const known = byEpoch.get(epoch);
      if (known === undefined) byEpoch.set(epoch, [task]);
      else known.push(task);
    }
    for (const [epoch, tasks] of byEpoch) {
      const ids = tasks.map(({ taskId }) => taskId);
      try {
        const found = await writer.read(ids, epoch);
        for (const task of tasks) {
          if (passive.get(task.taskId)?.isCarried !== task.isCarried) continue;
          outcomes.set(task.taskId, this.#judge(task, found.get(task.taskId)));
        }
      } catch (thrown) {
        for (const { taskId } of tasks) outcomes.set(taskId, this.#refuse(taskId, 'unavailable', asError(thrown)));
      }
    }
    return outcomes;
  }

  #epochOf({ isCarried }: PassiveTask): Epoch {
    return isCarried ? this.#owner.epoch : (this.#earlierEpoch ?? this.#owner.epoch);
  }

  #judge({ taskId, seq }: PassiveTask, bytes: Uint8Array | undefined): LoadOutcome {
    if (bytes === undefined) return this.#refuse(taskId, 'missing', new Error('the store has none'));
    let state: TaskState;
    try {
      state = decodeSnapshot(taskId, bytes, this.#deps.registry);
    } catch (thrown) {
      return this.#refuse(taskId, 'unreadable', asError(thrown));
    }
    if (state.seq === seq) return { kind: 'loaded', state };
    return this.#refuse(taskId, 'stale', new Error(`it stands for record ${state.seq}, and not for ${seq}`));
  }

  #refuse(taskId: TaskId, reason: Refusal, cause: Error): LoadOutcome {
    const { clock, logger, metrics } = this.#deps;
    metrics.activationFailures.add(1, { reason });
    this.#failures += 1;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#toldMs >= failureReportMs) {
      this.#toldMs = nowMs;
      const fields = { shard: this.#owner.shard, taskId, reason, failures: this.#failures, err: cause };
      const text = 'the snapshot of a waiting task could not be loaded; it is tried again';
      if (reason === 'unavailable') logger.warn(fields, text);
      else logger.error(fields, text);
    }
    const message = `the snapshot of task ${taskId} is ${reason}: ${cause.message}`;
    return { kind: 'failed', error: new EngineError('UNAVAILABLE', message, { retryAfterMs: loadRetryMs, cause }) };
  }
}

/** Pause before a load that failed is tried again. */
export const loadRetryMs = 1_000;
