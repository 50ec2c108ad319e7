import { EngineError } from '../core/errors.ts';
import { parseTaskId, type Epoch, type ShardId, type TaskId } from '../core/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Checkpoint, LiveSnapshotSink, SnapshotStore, SnapshotWrite, SnapshotWriter } from '../ports/snapshots.ts';
import { decideCheckpoint, supersededError } from './checkpoint-codec.ts';
import { SimulatedStorePath, type MemoryStoreOptions } from './store-fault.ts';

/** The operations of {@link MemorySnapshotStore} that can be made to fail. */
export type SnapshotOperation =
  | 'write'
  | 'checkpoint'
  | 'dropEarlierEpochs'
  | 'readCheckpoint'
  | 'loadLive'
  | 'readLive'
  | 'findFinished'
  | 'finishedIds';

/** Largest snapshot when nothing else is said: as on a NATS server with its default limit. */
const defaultMaximumSnapshotBytes = 1024 * 1024 - 1_024;

interface FinishedSnapshot {
  readonly bytes: Uint8Array;
  readonly expiresAtMs: number;
}

/** A shard's snapshots: the live ones by epoch. */
interface ShardSnapshots {
  checkpoint: Checkpoint | null;
  readonly live: Map<Epoch, Map<TaskId, Uint8Array>>;
  readonly finished: Map<TaskId, FinishedSnapshot>;
}

/** Snapshots in memory, for tests and simulation. Nodes of one process share one instance, as they would share a server. */
export class MemorySnapshotStore implements SnapshotStore {
  readonly maximumSnapshotBytes: number;
  readonly #clock: Clock;
  readonly #path: SimulatedStorePath<SnapshotOperation>;
  readonly #shards = new Map<ShardId, ShardSnapshots>();

  constructor(options: MemoryStoreOptions<SnapshotOperation> & { readonly maximumSnapshotBytes?: number }) {
    this.#clock = options.clock;
    this.#path = new SimulatedStorePath(options);
    this.maximumSnapshotBytes = options.maximumSnapshotBytes ?? defaultMaximumSnapshotBytes;
  }

  writer(shard: ShardId, epoch: Epoch): SnapshotWriter {
    return {
      write: async (writes) => {
        for (const write of writes) this.#check(write);
        await this.#path.write('write', () => this.#write(this.#shardOf(shard), epoch, writes));
      },
      checkpoint: (sequence) =>
        this.#path.write('checkpoint', () => this.#checkpoint(this.#shardOf(shard), { shard, epoch, sequence })),
      dropEarlierEpochs: () =>
        this.#path.write('dropEarlierEpochs', () => {
          const { live } = this.#shardOf(shard);
          for (const earlier of live.keys()) if (earlier < epoch) live.delete(earlier);
        }),
      read: (taskIds, ofEpoch) =>
        this.#path.read('readLive', () => {
          const live = this.#shardOf(shard).live.get(ofEpoch);
          return new Map(taskIds.flatMap((taskId) => pairOf(taskId, live?.get(taskId))));
        }),
      forget: () => {},
    };
  }

  checkpoint(shard: ShardId): Promise<Checkpoint | null> {
    return this.#path.read('readCheckpoint', () => this.#shardOf(shard).checkpoint);
  }

  async loadLive(shard: ShardId, into: LiveSnapshotSink): Promise<Checkpoint | null> {
    const { checkpoint, loaded } = await this.#path.read('loadLive', () => {
      const { checkpoint: stored, live } = this.#shardOf(shard);
      return { checkpoint: stored, loaded: [...(stored === null ? [] : (live.get(stored.epoch) ?? []))] };
    });
    for (const [taskId, bytes] of loaded) into.set(taskId, bytes);
    return checkpoint;
  }

  findFinished(shard: ShardId, taskIds: readonly TaskId[]): Promise<ReadonlyMap<TaskId, Uint8Array>> {
    return this.#path.read('findFinished', () => {
      const finished = this.#finishedOf(shard);
      const found = new Map<TaskId, Uint8Array>();
      for (const taskId of taskIds) {
        const snapshot = finished.get(parseTaskId(taskId));
        if (snapshot !== undefined) found.set(taskId, snapshot.bytes);
      }
      return found;
    });
  }

  async *finishedIds(shard: ShardId): AsyncIterable<TaskId> {
    yield* await this.#path.read('finishedIds', () => [...this.#finishedOf(shard).keys()]);
  }

  #write(shard: ShardSnapshots, epoch: Epoch, writes: readonly SnapshotWrite[]): void {
    const live = shard.live.get(epoch) ?? new Map<TaskId, Uint8Array>();
    shard.live.set(epoch, live);
    for (const write of writes) {
      // A copy, for a store that gave back the caller's own buffer would hide a writer that goes on using it.
      const bytes = Uint8Array.from(write.bytes);
      if (write.kind === 'live') {
        live.set(write.taskId, bytes);
        continue;
      }
      const expiresAtMs = this.#clock.monotonicMs() + write.retentionMs;
      shard.finished.set(write.taskId, { bytes, expiresAtMs });
      live.delete(write.taskId);
    }
  }

  #checkpoint(shard: ShardSnapshots, wanted: Checkpoint): void {
    const stored = shard.checkpoint;
    const decision = decideCheckpoint(stored, wanted);
    if (decision === 'superseded' && stored !== null) throw supersededError(stored, wanted.epoch);
    if (decision === 'write') shard.checkpoint = wanted;
  }

  #check(write: SnapshotWrite): void {
    parseTaskId(write.taskId);
    if (write.bytes.length <= this.maximumSnapshotBytes) return;
    throw new EngineError('PAYLOAD_TOO_LARGE', `snapshot of task ${write.taskId} is too large`, {
      field: 'bytes',
      limit: `${this.maximumSnapshotBytes} bytes`,
      got: write.bytes.length,
    });
  }

  #finishedOf(shard: ShardId): ReadonlyMap<TaskId, FinishedSnapshot> {
    const { finished } = this.#shardOf(shard);
    const now = this.#clock.monotonicMs();
    for (const [taskId, snapshot] of finished) if (snapshot.expiresAtMs <= now) finished.delete(taskId);
    return finished;
  }

  #shardOf(shard: ShardId): ShardSnapshots {
    const known = this.#shards.get(shard);
    if (known !== undefined) return known;
    const added: ShardSnapshots = { checkpoint: null, live: new Map(), finished: new Map() };
    this.#shards.set(shard, added);
    return added;
  }
}

function pairOf(taskId: TaskId, bytes: Uint8Array | undefined): readonly (readonly [TaskId, Uint8Array])[] {
  return bytes === undefined ? [] : [[taskId, bytes]];
}
