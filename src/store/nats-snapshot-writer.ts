import { EngineError } from '../core/errors.ts';
import type { Epoch, Sequence, ShardId, TaskId } from '../core/ids.ts';
import type { Checkpoint, SnapshotWrite, SnapshotWriter } from '../ports/snapshots.ts';
import {
  anyLiveFilter,
  checkpointKey,
  epochOfLiveKey,
  finishedKey,
  keyOfSubject,
  keySubject,
  liveFilter,
  liveKey,
} from './bucket-keys.ts';
import { decideCheckpoint, decodeCheckpoint, encodeCheckpoint, supersededError } from './checkpoint-codec.ts';
import { runInFlight } from './in-flight.ts';
import type { BucketCalls } from './bucket-api.ts';
import type { NatsBucket } from './nats-bucket.ts';

/** Tasks of a batch whose writes are on their way at one time. */
const maximumWritesInFlight = 256;
/** Reads of live snapshots of one call on their way at one time. */
const maximumReadsInFlight = 64;
/** How often one key is tried in one call before the caller is told to try again later. */
const maximumTries = 5;
/**
 * How long a removed key keeps refusing a write that expects it never written. It must outlive any such write that a lost
 * connection or a frozen server still holds back; afterwards the marker goes away by itself.
 */
const removalMarkerTtlMs = 120_000;

type Write<Kind extends SnapshotWrite['kind']> = Extract<SnapshotWrite, { kind: Kind }>;

/** The write-behind of one owner on JetStream: many raw publishes in flight, each live key by compare-and-set. */
export class NatsSnapshotWriter implements SnapshotWriter {
  readonly #api: BucketCalls;
  readonly #bucket: NatsBucket;
  readonly #shard: ShardId;
  readonly #epoch: Epoch;
  readonly #maximumSnapshotBytes: number;
  /** The live keys that may exist, by task, with the last revision that is known; 0: not known to exist. */
  readonly #liveRevisions = new Map<TaskId, number>();
  #checkpointRevision: number | undefined;

  constructor(deps: {
    readonly api: BucketCalls;
    readonly bucket: NatsBucket;
    readonly shard: ShardId;
    readonly epoch: Epoch;
    readonly maximumSnapshotBytes: number;
  }) {
    this.#api = deps.api;
    this.#bucket = deps.bucket;
    this.#shard = deps.shard;
    this.#epoch = deps.epoch;
    this.#maximumSnapshotBytes = deps.maximumSnapshotBytes;
  }

  async write(writes: readonly SnapshotWrite[]): Promise<void> {
    // Of two writes of one task the later one holds all that the earlier one did.
    const byTask = new Map<TaskId, SnapshotWrite>();
    for (const write of writes) {
      this.#checkSize(write);
      byTask.set(write.taskId, write);
    }
    await runInFlight([...byTask.values()], maximumWritesInFlight, (write) =>
      write.kind === 'live' ? this.#writeLive(write) : this.#writeFinished(write),
    );
  }

  async checkpoint(sequence: Sequence): Promise<void> {
    const key = checkpointKey(this.#shard);
    const wanted: Checkpoint = { shard: this.#shard, epoch: this.#epoch, sequence };
    let lastError: EngineError | undefined;
    for (let tryCount = 1; tryCount <= maximumTries; tryCount += 1) {
      const expected = this.#checkpointRevision ?? (await this.#readCheckpoint(wanted));
      if (expected === 'done') return;
      this.#checkpointRevision = undefined;
      const outcome = await this.#bucket.set(key, encodeCheckpoint(wanted), { expected });
      if (outcome.kind === 'stored') {
        this.#checkpointRevision = outcome.revision;
        return;
      }
      if (outcome.kind === 'unknown') lastError = outcome.error;
    }
    throw lastError ?? contended(key);
  }

  async dropEarlierEpochs(): Promise<void> {
    const filter = keySubject(this.#bucket.name, anyLiveFilter(this.#shard));
    const subjects = await this.#api.subjects(this.#bucket.stream, filter);
    const epochs = new Set(subjects.map((subject) => epochOfLiveKey(keyOfSubject(this.#bucket.name, subject))));
    for (const epoch of epochs) {
      if (epoch >= this.#epoch) continue;
      await this.#api.purge(this.#bucket.stream, keySubject(this.#bucket.name, liveFilter(this.#shard, epoch)));
    }
  }

  async read(taskIds: readonly TaskId[], epoch: Epoch): Promise<ReadonlyMap<TaskId, Uint8Array>> {
    const found = new Map<TaskId, Uint8Array>();
    await runInFlight(taskIds, maximumReadsInFlight, async (taskId) => {
      const { value, revision } = await this.#bucket.get(liveKey(this.#shard, epoch, taskId));
      if (value === null) return;
      found.set(taskId, value);
      const isKnown = this.#liveRevisions.has(taskId);
      if (epoch === this.#epoch && !isKnown) this.#liveRevisions.set(taskId, revision);
    });
    return found;
  }

  forget(taskId: TaskId): void {
    this.#liveRevisions.delete(taskId);
  }

  /** The revision to write over, or 'done' when nothing is to be written. */
  async #readCheckpoint(wanted: Checkpoint): Promise<number | 'done'> {
    const entry = await this.#bucket.get(checkpointKey(this.#shard));
    const stored = entry.value === null ? null : decodeCheckpoint(this.#shard, entry.value);
    const decision = decideCheckpoint(stored, wanted);
    if (decision === 'superseded' && stored !== null) throw supersededError(stored, this.#epoch);
    if (decision === 'write') return entry.revision;
    this.#checkpointRevision = entry.revision;
    return 'done';
  }

  async #writeLive(write: Write<'live'>): Promise<void> {
    const key = liveKey(this.#shard, this.#epoch, write.taskId);
    const revision = await this.#replaceLive(write.taskId, key, (expected) =>
      this.#bucket.set(key, write.bytes, { expected }),
    );
    this.#liveRevisions.set(write.taskId, revision);
  }

  async #writeFinished(write: Write<'finished'>): Promise<void> {
    await this.#bucket.put(finishedKey(this.#shard, write.taskId), write.bytes, { ttlMs: write.retentionMs });
    // Only now: between the two writes the task can be found at least once, never not at all.
    if (!this.#liveRevisions.has(write.taskId)) return;
    const key = liveKey(this.#shard, this.#epoch, write.taskId);
    await this.#replaceLive(write.taskId, key, (expected) =>
      this.#bucket.remove(key, { expected, markerTtlMs: removalMarkerTtlMs }),
    );
    this.#liveRevisions.delete(write.taskId);
  }

  /**
   * Compare-and-set on the revision that this writer knows. The epoch is this owner's alone, so what stands there instead
   * is an earlier try of its own whose acknowledgement was lost: it is read and replaced.
   */
  async #replaceLive(
    taskId: TaskId,
    key: string,
    attempt: (expected: number) => ReturnType<NatsBucket['set']>,
  ): Promise<number> {
    for (let tryCount = 1; tryCount <= maximumTries; tryCount += 1) {
      const expected = this.#liveRevisions.get(taskId) ?? 0;
      this.#liveRevisions.set(taskId, expected);
      const outcome = await attempt(expected);
      if (outcome.kind === 'stored') return outcome.revision;
      if (outcome.kind === 'unknown') throw outcome.error;
      this.#liveRevisions.set(taskId, (await this.#bucket.get(key)).revision);
    }
    throw contended(key);
  }

  #checkSize(write: SnapshotWrite): void {
    if (write.bytes.length <= this.#maximumSnapshotBytes) return;
    throw new EngineError('PAYLOAD_TOO_LARGE', `snapshot of task ${write.taskId} is too large for one message`, {
      field: 'bytes',
      limit: `${this.#maximumSnapshotBytes} bytes`,
      got: write.bytes.length,
    });
  }
}

function contended(key: string): EngineError {
  return new EngineError('UNAVAILABLE', `write key ${key}: its revision changed ${maximumTries} times meanwhile`);
}
