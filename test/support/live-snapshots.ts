import type { ShardId, TaskId } from '../../src/core/ids.ts';
import type { Checkpoint, SnapshotStore } from '../../src/ports/snapshots.ts';

/** What a recovery would load of a shard. */
export async function loadLive(
  store: SnapshotStore,
  shard: ShardId,
): Promise<{ readonly checkpoint: Checkpoint | null; readonly live: ReadonlyMap<TaskId, Uint8Array> }> {
  const live = new Map<TaskId, Uint8Array>();
  return { checkpoint: await store.loadLive(shard, live), live };
}
