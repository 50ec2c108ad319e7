import { encodeSnapshot } from '../actors/snapshot-codec.ts';
import { isFinished, type TaskState } from '../actors/task-state.ts';
import type { EngineConfig } from '../core/config.ts';
import { asError, EngineError } from '../core/errors.ts';
import type { Sequence, ShardId, TaskId } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { SnapshotWrite, SnapshotWriter } from '../ports/snapshots.ts';
import type { ShardMetrics } from './shard-metrics.ts';

/** Snapshots written in one call, so that a round does not hold all encoded bytes at once. */
const writesPerCall = 1_000;

/** What {@link WriteBehind} asks of the outside. */
export interface WriteBehindDeps {
  readonly writer: SnapshotWriter;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ShardMetrics;
  readonly config: Pick<EngineConfig, 'snapshotIntervalMs' | 'snapshotEveryRecords' | 'finishedRetentionMs'>;
  /** A finished task's snapshot is acknowledged. */
  readonly onFinishedWritten: (taskId: TaskId) => void;
  /** The shard's checkpoint has moved to `sequence`. */
  readonly onCheckpoint: (sequence: Sequence) => void;
}

/**
 * Writes changed tasks to the snapshot store behind the commits, then the checkpoint. Never in the commit path: if it fails or
 * lags, a recovery replays more journal, and nothing else.
 */
export class WriteBehind {
  readonly #deps: WriteBehindDeps;
  readonly #shard: ShardId;
  /** The committed state of each task that changed since its last snapshot. */
  #dirty = new Map<TaskId, TaskState>();
  #sequence: Sequence;
  #checkpointed: Sequence | null = null;
  #changes = 0;
  #timer: TimerHandle | null = null;
  #round: Promise<void> | null = null;
  #closed = false;

  constructor(deps: WriteBehindDeps, shard: ShardId, startSequence: Sequence) {
    this.#deps = deps;
    this.#shard = shard;
    this.#sequence = startSequence;
    this.#armSoon();
  }

  /** The task's state as of a commit at `sequence`; called in the order of commits. */
  changed(state: TaskState, sequence: Sequence): void {
    this.#dirty.set(state.taskId, state);
    this.#sequence = sequence;
    this.#changes += 1;
    if (this.#changes >= this.#deps.config.snapshotEveryRecords && this.#round === null) void this.flush();
    else this.#armSoon();
  }

  /** The state that waits to be written, if the task has one. */
  pending(taskId: TaskId): TaskState | undefined {
    return this.#dirty.get(taskId);
  }

  /** Writes all that changed up to now, and the checkpoint. Failures are logged, counted and made good by the next round. */
  flush(): Promise<void> {
    this.#round ??= this.#write().finally(() => {
      this.#round = null;
      this.#timer?.cancel();
      this.#timer = null;
      if (this.#dirty.size > 0 || this.#checkpointed !== this.#sequence) this.#armSoon();
    });
    return this.#round;
  }

  /** Starts no further round; resolves when the running one is over. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#round;
  }

  /** One round after the interval, however much changes until then; none while nothing does. */
  #armSoon(): void {
    if (this.#closed || this.#timer !== null || this.#round !== null) return;
    this.#timer = this.#deps.clock.setTimer(this.#deps.config.snapshotIntervalMs, () => {
      this.#timer = null;
      void this.flush();
    });
  }

  async #write(): Promise<void> {
    const { writer, metrics, logger } = this.#deps;
    // Taken together: every record up to this sequence is in one of these states or in an earlier snapshot.
    const sequence = this.#sequence;
    const round = this.#dirty;
    if (round.size === 0 && this.#checkpointed === sequence) return;
    this.#dirty = new Map();
    this.#changes = 0;
    try {
      const states = [...round.values()];
      for (let start = 0; start < states.length; start += writesPerCall) {
        const slice = states.slice(start, start + writesPerCall);
        await writer.write(slice.map((state) => this.#toWrite(state)));
        if (this.#closed) return;
        for (const state of slice) {
          round.delete(state.taskId);
          const finished = isFinished(state);
          metrics.snapshotWrites.add(1, { kind: finished ? 'finished' : 'live' });
          if (finished) this.#deps.onFinishedWritten(state.taskId);
        }
      }
      await writer.checkpoint(sequence);
      const isFirst = this.#checkpointed === null;
      this.#checkpointed = sequence;
      this.#deps.onCheckpoint(sequence);
      if (isFirst) await writer.dropEarlierEpochs();
    } catch (thrown) {
      const error = asError(thrown);
      // What was not written stays dirty, unless it has changed again meanwhile.
      for (const [taskId, state] of round) if (!this.#dirty.has(taskId)) this.#dirty.set(taskId, state);
      if (this.#closed || (error instanceof EngineError && error.code === 'OWNERSHIP_LOST')) return;
      metrics.snapshotFailures.add();
      logger.warn({ shard: this.#shard, sequence, err: error }, 'a snapshot round failed; the next one repeats it');
    }
  }

  #toWrite(state: TaskState): SnapshotWrite {
    const bytes = encodeSnapshot(state);
    const { taskId } = state;
    if (!isFinished(state)) return { kind: 'live', taskId, bytes };
    return { kind: 'finished', taskId, bytes, retentionMs: this.#deps.config.finishedRetentionMs };
  }
}
