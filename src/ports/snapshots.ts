import type { Epoch, Sequence, ShardId, TaskId } from '../core/ids.ts';

/** Up to where a shard's snapshots hold all that its journal says. */
export interface Checkpoint {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  /** Every journal record up to this sequence is in the live snapshots of this epoch, or in finished ones. */
  readonly sequence: Sequence;
}

/** One change of the write-behind: a live task's state, a finished task's, or a live task that is no more. */
export type SnapshotWrite =
  | { readonly kind: 'live'; readonly taskId: TaskId; readonly bytes: Uint8Array }
  /** Kept for `retentionMs` (≥ 1,000), then gone. Then removes the task's live snapshot of this epoch, if there is one. */
  | { readonly kind: 'finished'; readonly taskId: TaskId; readonly bytes: Uint8Array; readonly retentionMs: number };

/**
 * The write-behind of one owner of one shard.
 *
 * Live snapshots belong to an epoch (it is part of their key): a new owner writes all live tasks anew under its own epoch
 * before its first checkpoint, and a recovery reads only the epoch that the checkpoint names. So whatever a zombie writes
 * late lies under an epoch that nobody reads, and can bring no ended task back. Within an epoch each key is written by
 * compare-and-set on its own revision (kept in here), so that a late landing of an older write is refused.
 */
export interface SnapshotWriter {
  /**
   * Writes all of a batch; resolves when every write is acknowledged. May be repeated. One call at a time.
   *
   * @throws EngineError `UNAVAILABLE` or `STORAGE_FULL` when one was not acknowledged; nothing is lost, write it again
   */
  write(writes: readonly SnapshotWrite[]): Promise<void>;

  /**
   * Records the checkpoint of this epoch, by compare-and-set: never over one of a higher epoch, nor backwards.
   *
   * @throws EngineError `OWNERSHIP_LOST` when a higher epoch has one, else as `write`
   */
  checkpoint(sequence: Sequence): Promise<void>;

  /** Removes the live snapshots of earlier epochs; call it after this epoch's first checkpoint. @throws as `write` */
  dropEarlierEpochs(): Promise<void>;

  /**
   * The live snapshots of those of the tasks that have one under that epoch, as the store's leader has them. Whoever asks holds them
   * against what it knows: a leader that has lost its place may not know it yet. Those of this writer's own epoch are replaced by
   * what it writes next.
   *
   * @throws EngineError `UNAVAILABLE`
   */
  read(taskIds: readonly TaskId[], epoch: Epoch): Promise<ReadonlyMap<TaskId, Uint8Array>>;

  /** Keeps nothing in memory about a task whose last write was acknowledged; it is read before anything more is written of it. */
  forget(taskId: TaskId): void;
}

/** Where a load puts the live snapshots that it comes by; a Map is one. Of one task the later one counts. */
export interface LiveSnapshotSink {
  set(taskId: TaskId, bytes: Uint8Array): unknown;
  delete(taskId: TaskId): unknown;
  /** What came so far is void: the load begins anew. */
  clear(): unknown;
}

/**
 * Snapshots of tasks: caches of the journal, never truth. A missing or old one costs replay; it never decides anything.
 */
export interface SnapshotStore {
  /** Largest snapshot in bytes. */
  readonly maximumSnapshotBytes: number;

  /** The write-behind of the shard's owner in that epoch, whose live snapshots start empty. */
  writer(shard: ShardId, epoch: Epoch): SnapshotWriter;

  /** The shard's checkpoint alone, or null. @throws EngineError `UNAVAILABLE`, `RECORD_CORRUPT` */
  checkpoint(shard: ShardId): Promise<Checkpoint | null>;

  /**
   * The shard's checkpoint (or null), and into the sink every live snapshot of the checkpoint's epoch, at least as new as that
   * checkpoint; no more of them in memory than are on their way. Without a checkpoint there is nothing to load.
   *
   * @throws EngineError `UNAVAILABLE`, and what the sink throws
   */
  loadLive(shard: ShardId, into: LiveSnapshotSink): Promise<Checkpoint | null>;

  /**
   * The finished snapshots of those of the ids that have one, read from the store's leader so that none written before the
   * call is missed.
   *
   * @throws EngineError `UNAVAILABLE`
   */
  findFinished(shard: ShardId, taskIds: readonly TaskId[]): Promise<ReadonlyMap<TaskId, Uint8Array>>;

  /**
   * The ids of all finished tasks of the shard that are within their retention, in no order, at least as new as the last
   * write acknowledged before the call. @throws EngineError `UNAVAILABLE`
   */
  finishedIds(shard: ShardId): AsyncIterable<TaskId>;
}
