import type { Epoch, ShardId, TaskId } from '../core/ids.ts';
import { snapshotBucket } from '../core/subjects.ts';
import { EngineError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Checkpoint, LiveSnapshotSink, SnapshotStore, SnapshotWriter } from '../ports/snapshots.ts';
import type { AckInbox } from '../transport/ack-inbox.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import { checkpointKey, finishedFilter, finishedKey, keySubject, lastTokenOf, liveFilter } from './bucket-keys.ts';
import { decodeCheckpoint } from './checkpoint-codec.ts';
import { runInFlight } from './in-flight.ts';
import type { BucketApi, BucketCalls } from './bucket-api.ts';
import { isRemoval, NatsBucket } from './nats-bucket.ts';
import { NatsSnapshotWriter } from './nats-snapshot-writer.ts';
import { scanLastPerSubject, type ScanLastPerSubject, type ScannedMessage } from './subject-scan.ts';

/** Room that headers (TTL, expectation) and the subject take in a message beside the snapshot. */
const headroomBytes = 1_024;
/** Reads of finished snapshots on their way at one time. */
const maximumReadsInFlight = 64;
/** How often a load begins anew because a newer owner wrote its checkpoint while it ran. */
const maximumLoadTries = 5;
const scanTimeoutMs = 5_000;

/**
 * Snapshots in a JetStream KV bucket of history 1: `<shard>.live.<epoch>.<task>`, `<shard>.finished.<task>` with a time to
 * live, and `<shard>.checkpoint`.
 */
export class NatsSnapshotStore implements SnapshotStore {
  readonly maximumSnapshotBytes: number;
  readonly #api: BucketCalls;
  readonly #scanLast: ScanLastPerSubject;
  readonly #bucket: NatsBucket;

  /** @param deps - `scan` in the place of `link`: how it reads many keys where there is no link, as in a simulation */
  constructor(
    deps: {
      readonly acks: Pick<AckInbox, 'publish'>;
      readonly clock: Clock;
      readonly namespace: string;
    } & (
      | { readonly api: BucketApi; readonly link: NatsLink }
      | { readonly api: BucketCalls; readonly scan: ScanLastPerSubject; readonly maximumPayloadBytes: number }
    ),
  ) {
    this.#api = deps.api;
    this.#scanLast =
      'scan' in deps ? deps.scan : (query) => scanLastPerSubject({ ...deps, timeoutMs: scanTimeoutMs }, query);
    this.#bucket = new NatsBucket({
      name: snapshotBucket(deps.namespace),
      api: deps.api,
      acks: deps.acks,
      clock: deps.clock,
    });
    const maximumPayloadBytes = 'scan' in deps ? deps.maximumPayloadBytes : deps.link.maximumPayloadBytes;
    this.maximumSnapshotBytes = maximumPayloadBytes - headroomBytes;
  }

  writer(shard: ShardId, epoch: Epoch): SnapshotWriter {
    const { maximumSnapshotBytes } = this;
    return new NatsSnapshotWriter({ api: this.#api, bucket: this.#bucket, shard, epoch, maximumSnapshotBytes });
  }

  async checkpoint(shard: ShardId): Promise<Checkpoint | null> {
    const { value } = await this.#bucket.get(checkpointKey(shard));
    return value === null ? null : decodeCheckpoint(shard, value);
  }

  async loadLive(shard: ShardId, into: LiveSnapshotSink): Promise<Checkpoint | null> {
    let checkpoint = await this.checkpoint(shard);
    for (let tryCount = 1; tryCount <= maximumLoadTries; tryCount += 1) {
      if (checkpoint === null) return null;
      await this.#readLive(shard, checkpoint.epoch, into);
      // A newer owner may have written its first checkpoint meanwhile, and dropped what was being read.
      const current = await this.checkpoint(shard);
      // The older one of two of the same epoch: what was written for the newer one may have come after the scan.
      if (current?.epoch === checkpoint.epoch) return checkpoint;
      into.clear();
      checkpoint = current;
    }
    throw new EngineError('UNAVAILABLE', `load shard ${shard}: owners changed ${maximumLoadTries} times meanwhile`);
  }

  async findFinished(shard: ShardId, taskIds: readonly TaskId[]): Promise<ReadonlyMap<TaskId, Uint8Array>> {
    const found = new Map<TaskId, Uint8Array>();
    await runInFlight(taskIds, maximumReadsInFlight, async (taskId) => {
      const entry = await this.#bucket.get(finishedKey(shard, taskId));
      if (entry.value !== null) found.set(taskId, entry.value);
    });
    return found;
  }

  async *finishedIds(shard: ShardId): AsyncIterable<TaskId> {
    const seen = new Set<TaskId>();
    for await (const message of this.#scan(finishedFilter(shard), true)) {
      const taskId = lastTokenOf(message.subject) as TaskId;
      if (isRemoval(message.header) || seen.has(taskId)) continue;
      seen.add(taskId);
      yield taskId;
    }
  }

  async #readLive(shard: ShardId, epoch: Epoch, into: LiveSnapshotSink): Promise<void> {
    for await (const message of this.#scan(liveFilter(shard, epoch), false)) {
      const taskId = lastTokenOf(message.subject) as TaskId;
      if (isRemoval(message.header)) into.delete(taskId);
      else into.set(taskId, message.body);
    }
  }

  #scan(keyFilter: string, headersOnly: boolean): AsyncGenerator<ScannedMessage, void, undefined> {
    const filter = keySubject(this.#bucket.name, keyFilter);
    return this.#scanLast({ stream: this.#bucket.stream, filter, headersOnly });
  }
}
