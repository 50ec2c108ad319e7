import type { Epoch, Sequence, ShardId, TaskId } from '../core/ids.ts';

/** Up to where a shard's snapshots hold all that its journal says. */
export interface Checkpoint {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  /** Every journal record up to this sequence is in the snapshots. */
  readonly sequence: Sequence;
}

/** One change of the write-behind: a live task's state, a finished task's, or a live task that is no more. */
export type SnapshotWrite =
  | { readonly kind: 'live'; readonly taskId: TaskId; readonly bytes: Uint8Array }
  /** Also removes the task's live snapshot, if there is one. Kept for `retentionMs` (≥ 1,000), then gone. */
  | {
      readonly kind: 'finished';
      readonly taskId: TaskId;
      readonly bytes: Uint8Array;
      readonly retentionMs: number;
      readonly hadLive: boolean;
    };

/**
 * Snapshots of tasks: caches of the journal, never truth. A stale or missing one costs replay; it never decides anything.
 */
export interface SnapshotStore {
  /** Largest snapshot in bytes. */
  readonly maximumSnapshotBytes: number;

  /**
   * Writes all of a batch; resolves when every write is acknowledged. May be repeated. Writes of a fenced owner may land
   * late: a snapshot carries its task's record count, and the newer one of snapshot and replay wins.
   *
   * @throws EngineError `UNAVAILABLE` or `STORAGE_FULL` when one was not acknowledged; nothing is lost, write it again
   */
  write(shard: ShardId, writes: readonly SnapshotWrite[]): Promise<void>;

  /** Records the checkpoint unless one of a higher epoch, or of the same epoch and a higher sequence, is there. @throws as `write` */
  writeCheckpoint(checkpoint: Checkpoint): Promise<void>;

  /**
   * The shard's checkpoint (or null) and every live snapshot, at least as new as that checkpoint.
   *
   * @throws EngineError `UNAVAILABLE`
   */
  loadLive(
    shard: ShardId,
  ): Promise<{ readonly checkpoint: Checkpoint | null; readonly live: ReadonlyMap<TaskId, Uint8Array> }>;

  /**
   * The finished snapshots of those of the ids that have one, read from the store's leader so that none written before the
   * call is missed.
   *
   * @throws EngineError `UNAVAILABLE`
   */
  findFinished(shard: ShardId, taskIds: readonly TaskId[]): Promise<ReadonlyMap<TaskId, Uint8Array>>;

  /**
   * The ids of all finished tasks of the shard that are within their retention, in no order, at least as new as the last
   * checkpoint acknowledged before the call. @throws EngineError `UNAVAILABLE`
   */
  finishedIds(shard: ShardId): AsyncIterable<TaskId>;
}
