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

/** Rounds that go on failing are told of again after so long. */
const failureReportMs = 30_000;

type FinishedWrite = Extract<SnapshotWrite, { kind: 'finished' }>;

/** What {@link WriteBehind} asks of the outside. */
export interface WriteBehindDeps {
  readonly writer: Pick<SnapshotWriter, 'write' | 'checkpoint' | 'dropEarlierEpochs'>;
  /** Largest snapshot that the writer takes. */
  readonly maximumSnapshotBytes: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ShardMetrics;
  readonly config: Pick<EngineConfig, 'snapshotIntervalMs' | 'snapshotEveryRecords' | 'finishedRetentionMs'>;
  /** A task has finished: its snapshot, which is not written yet. */
  readonly onFinished: (taskId: TaskId, bytes: Uint8Array) => void;
  /** A finished task's snapshot is acknowledged. */
  readonly onFinishedWritten: (taskId: TaskId) => void;
  /** A live task's snapshot of that state is acknowledged. */
  readonly onSaved?: (state: TaskState) => void;
  /**
   * Brings tasks that did not change since the recovery under this owner's epoch, and tells whether all of them are: only then there
   * may be a checkpoint of it.
   */
  readonly carryOver?: () => Promise<boolean>;
  /** The shard's checkpoint has moved to `sequence`. */
  readonly onCheckpoint: (sequence: Sequence) => void;
  /** A higher epoch has a checkpoint: this owner is a zombie and writes nothing any more. Called at most once. */
  readonly onSuperseded: (error: EngineError) => void;
}

/**
 * Writes changed tasks to the snapshot store behind the commits, then the checkpoint. Never in the commit path: if it fails or
 * lags, a recovery replays more journal, and nothing else.
 */
export class WriteBehind {
  readonly #deps: WriteBehindDeps;
  readonly #shard: ShardId;
  /**
   * What is to be written of each task that changed since its last snapshot: the committed state, of which only the last one is encoded;
   * of a finished task, which changes no more, its bytes, so that its state need not outlive it until the next round.
   */
  #dirty = new Map<TaskId, TaskState | FinishedWrite>();
  #sequence: Sequence;
  #checkpointed: Sequence | null = null;
  #hasCarriedOver: boolean;
  #hasDroppedEarlier = false;
  #changes = 0;
  /** When the oldest change without a snapshot came, by the monotonic clock; null when there is none. */
  #behindSinceMs: number | null = null;
  /** Rounds that failed in a row: since when, how many, and when that was told last; null when the last one did not. */
  #failure: { readonly sinceMs: number; rounds: number; toldMs: number } | null = null;
  #timer: TimerHandle | null = null;
  #round: Promise<void> | null = null;
  #isRoundDeferred = false;
  #closed = false;

  constructor(deps: WriteBehindDeps, shard: ShardId, startSequence: Sequence) {
    this.#deps = deps;
    this.#shard = shard;
    this.#sequence = startSequence;
    this.#hasCarriedOver = deps.carryOver === undefined;
    this.#armSoon();
  }

  /** The task's state as of a commit at `sequence`; called in the order of commits, for all states of a commit in one turn. */
  changed(state: TaskState, sequence: Sequence): void {
    this.#dirty.set(state.taskId, isFinished(state) ? this.#finish(state) : state);
    this.#sequence = sequence;
    this.#behindSinceMs ??= this.#deps.clock.monotonicMs();
    this.#changes += 1;
    if (this.#changes >= this.#deps.config.snapshotEveryRecords) this.#flushSoon();
    else this.#armSoon();
  }

  /** Age of the oldest change that no snapshot has. */
  get lagMs(): number {
    return this.#behindSinceMs === null ? 0 : this.#deps.clock.monotonicMs() - this.#behindSinceMs;
  }

  /** Writes all that changed up to now, and the checkpoint. Failures are logged, counted and made good by the next round. */
  flush(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#round ??= this.#write().finally(() => {
      this.#round = null;
      this.#timer?.cancel();
      this.#timer = null;
      if (!this.#isSettled) this.#armSoon();
    });
    return this.#round;
  }

  /** Starts no further round; resolves when the running one is over. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#round;
  }

  /** Whether a round would find nothing to do. */
  get #isSettled(): boolean {
    return this.#dirty.size === 0 && this.#checkpointed === this.#sequence && this.#hasDroppedEarlier;
  }

  /** A round at the end of this turn: before, a checkpoint would tell of a commit whose other states are not in yet. */
  #flushSoon(): void {
    if (this.#closed || this.#isRoundDeferred || this.#round !== null) return;
    this.#isRoundDeferred = true;
    this.#deps.clock.defer(() => {
      this.#isRoundDeferred = false;
      if (!this.#closed) void this.flush();
    });
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
    const { writer, metrics } = this.#deps;
    if (this.#isSettled) return;
    // Taken together: every record up to this sequence is in one of these states or in an earlier snapshot.
    const sequence = this.#sequence;
    const round = this.#dirty;
    this.#dirty = new Map();
    this.#changes = 0;
    const startedMs = this.#deps.clock.monotonicMs();
    try {
      await this.#writeStates(round);
      if (this.#closed) return;
      if (!(await this.#carryOver()) || this.#closed) return;
      if (this.#checkpointed !== sequence) await writer.checkpoint(sequence);
      this.#checkpointed = sequence;
      // What has changed meanwhile has done so since this round began.
      this.#behindSinceMs = this.#dirty.size === 0 ? null : startedMs;
      this.#deps.onCheckpoint(sequence);
      if (!this.#hasDroppedEarlier) await writer.dropEarlierEpochs();
      this.#hasDroppedEarlier = true;
      this.#tellRecovery();
    } catch (thrown) {
      const error = asError(thrown);
      // What was not written stays dirty, unless it has changed again meanwhile.
      for (const [taskId, state] of round) if (!this.#dirty.has(taskId)) this.#dirty.set(taskId, state);
      if (this.#closed) return;
      if (error instanceof EngineError && error.code === 'OWNERSHIP_LOST') {
        this.#closed = true;
        this.#deps.onSuperseded(error);
        return;
      }
      metrics.snapshotFailures.add();
      this.#tellFailure(error, sequence);
    }
  }

  /** After the changed ones, which are newer. */
  async #carryOver(): Promise<boolean> {
    if (!this.#hasCarriedOver) this.#hasCarriedOver = (await this.#deps.carryOver?.()) ?? true;
    return this.#hasCarriedOver;
  }

  /** Says it at the first round of an outage and then now and then: there is a round a second, of every shard. */
  #tellFailure(error: Error, sequence: Sequence): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#failure ??= { sinceMs: nowMs, rounds: 0, toldMs: Number.NEGATIVE_INFINITY };
    this.#failure.rounds += 1;
    if (nowMs - this.#failure.toldMs < failureReportMs) return;
    this.#failure.toldMs = nowMs;
    const fields = { shard: this.#shard, sequence, rounds: this.#failure.rounds, forMs: nowMs - this.#failure.sinceMs };
    this.#deps.logger.warn({ ...fields, err: error }, 'a snapshot round failed; the next ones repeat it');
  }

  #tellRecovery(): void {
    if (this.#failure === null) return;
    const { rounds, sinceMs } = this.#failure;
    this.#failure = null;
    const forMs = this.#deps.clock.monotonicMs() - sinceMs;
    this.#deps.logger.info({ shard: this.#shard, rounds, forMs }, 'snapshot rounds succeed again');
  }

  /**
   * Writes the states, and takes each that is acknowledged out of the round.
   *
   * @throws EngineError as the writer does; `PAYLOAD_TOO_LARGE` after all others are written, when one is over its limit
   */
  async #writeStates(round: Map<TaskId, TaskState | FinishedWrite>): Promise<void> {
    const { writer, metrics, maximumSnapshotBytes } = this.#deps;
    let tooLarge: SnapshotWrite | undefined;
    const states = [...round.values()];
    for (let start = 0; start < states.length; start += writesPerCall) {
      const writes = states.slice(start, start + writesPerCall).map((state) => toWrite(state));
      const fitting = writes.filter(({ bytes }) => bytes.length <= maximumSnapshotBytes);
      tooLarge ??= writes.find(({ bytes }) => bytes.length > maximumSnapshotBytes);
      await writer.write(fitting);
      if (this.#closed) return;
      for (const { taskId, kind } of fitting) {
        const written = round.get(taskId);
        round.delete(taskId);
        metrics.snapshotWrites.add(1, { kind });
        if (kind === 'finished') this.#deps.onFinishedWritten(taskId);
        else if (written !== undefined && 'machine' in written) this.#deps.onSaved?.(written);
      }
    }
    if (tooLarge === undefined) return;
    // The checkpoint must not pass it by: until the task has shrunk or ended, a recovery replays its records.
    throw new EngineError('PAYLOAD_TOO_LARGE', `the snapshot of task ${tooLarge.taskId} is too large`, {
      field: 'snapshot',
      limit: `${maximumSnapshotBytes} bytes`,
      got: tooLarge.bytes.length,
    });
  }

  #finish(state: TaskState): FinishedWrite {
    const { taskId } = state;
    const bytes = encodeSnapshot(state);
    this.#deps.onFinished(taskId, bytes);
    return { kind: 'finished', taskId, bytes, retentionMs: this.#deps.config.finishedRetentionMs };
  }
}

function toWrite(dirty: TaskState | FinishedWrite): SnapshotWrite {
  return 'machine' in dirty ? { kind: 'live', taskId: dirty.taskId, bytes: encodeSnapshot(dirty) } : dirty;
}
