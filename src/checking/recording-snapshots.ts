import { decodeSnapshot } from '../actors/snapshot-codec.ts';
import { isFinished } from '../actors/task-state.ts';
import type { Epoch, ShardId } from '../core/ids.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';
import type { SnapshotStore, SnapshotWriter } from '../ports/snapshots.ts';
import type { RecordedProcess } from './recording-journal.ts';
import { stateHash } from './state-hash.ts';

/** A snapshot store whose acknowledged snapshots and checkpoints are recorded. */
export function recordSnapshots(
  inner: SnapshotStore,
  process: Pick<RecordedProcess, 'recorder' | 'now'>,
  registry: PipelineRegistry,
): SnapshotStore {
  return {
    maximumSnapshotBytes: inner.maximumSnapshotBytes,
    writer: (shard, epoch) => recordWriter(inner.writer(shard, epoch), { shard, epoch }, process, registry),
    checkpoint: (shard) => inner.checkpoint(shard),
    loadLive: (shard, into) => inner.loadLive(shard, into),
    findFinished: (shard, ids) => inner.findFinished(shard, ids),
    finishedIds: (shard) => inner.finishedIds(shard),
  };
}

function recordWriter(
  inner: SnapshotWriter,
  { shard, epoch }: { readonly shard: ShardId; readonly epoch: Epoch },
  { recorder, now }: Pick<RecordedProcess, 'recorder' | 'now'>,
  registry: PipelineRegistry,
): SnapshotWriter {
  return {
    write: async (writes) => {
      await inner.write(writes);
      for (const { taskId: task, bytes } of writes) {
        const state = decodeSnapshot(task, bytes, registry);
        recorder.record({
          type: 'snapshot',
          shard,
          epoch,
          task,
          seq: state.seq,
          isFinished: isFinished(state),
          stateHash: stateHash(state),
          at: now(),
        });
      }
    },
    checkpoint: async (sequence) => {
      await inner.checkpoint(sequence);
      recorder.record({ type: 'checkpoint', shard, epoch, sequence, at: now() });
    },
    dropEarlierEpochs: () => inner.dropEarlierEpochs(),
    read: (taskIds, ofEpoch) => inner.read(taskIds, ofEpoch),
    forget: (taskId) => inner.forget(taskId),
  };
}
