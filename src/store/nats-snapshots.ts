import type { Epoch, ShardId, TaskId } from '../core/ids.ts';
import { snapshotBucket } from '../core/subjects.ts';
import { EngineError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Checkpoint, SnapshotStore, SnapshotWriter } from '../ports/snapshots.ts';
import type { AckInbox } from '../transport/ack-inbox.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import { checkpointKey, finishedFilter, finishedKey, keySubject, lastTokenOf, liveFilter } from './bucket-keys.ts';
import { decodeCheckpoint } from './checkpoint-codec.ts';
import { runInFlight } from './in-flight.ts';
import type { BucketApi } from './bucket-api.ts';
import { isRemoval, NatsBucket } from './nats-bucket.ts';
import { NatsSnapshotWriter } from './nats-snapshot-writer.ts';
import { scanLastPerSubject, type ScanQuery } from './subject-scan.ts';

/** Room that headers (TTL, expectation) and the subject take in a message beside the snapshot. */
const headroomBytes = 1_024;
/** Reads of finished snapshots on their way at one time. */
const maximumReadsInFlight = 64;
/** How often a load begins anew because a newer owner wrote its checkpoint while it ran. */
const maximumLoadTries = 5;
const scanTimeoutMs = 5_000;

interface LoadedSnapshots {
  readonly checkpoint: Checkpoint | null;
  readonly live: ReadonlyMap<TaskId, Uint8Array>;
}

/**
 * Snapshots in a JetStream KV bucket of history 1: `<shard>.live.<epoch>.<task>`, `<shard>.finished.<task>` with a time to
 * live, and `<shard>.checkpoint`.
 */
export class NatsSnapshotStore implements SnapshotStore {
  readonly maximumSnapshotBytes: number;
  readonly #api: BucketApi;
  readonly #link: NatsLink;
  readonly #clock: Clock;
  readonly #bucket: NatsBucket;

  constructor(deps: {
    readonly api: BucketApi;
    readonly link: NatsLink;
    readonly acks: Pick<AckInbox, 'publish'>;
    readonly clock: Clock;
    readonly namespace: string;
  }) {
    this.#api = deps.api;
    this.#link = deps.link;
    this.#clock = deps.clock;
    this.#bucket = new NatsBucket({
      name: snapshotBucket(deps.namespace),
      api: deps.api,
      acks: deps.acks,
      clock: deps.clock,
    });
    this.maximumSnapshotBytes = deps.link.maximumPayloadBytes - headroomBytes;
  }

  writer(shard: ShardId, epoch: Epoch): SnapshotWriter {
    const { maximumSnapshotBytes } = this;
    return new NatsSnapshotWriter({ api: this.#api, bucket: this.#bucket, shard, epoch, maximumSnapshotBytes });
  }

  async loadLive(shard: ShardId): Promise<LoadedSnapshots> {
    for (let tryCount = 1; tryCount <= maximumLoadTries; tryCount += 1) {
      const entry = await this.#bucket.get(checkpointKey(shard));
      if (entry.value === null) return { checkpoint: null, live: new Map() };
      const checkpoint = decodeCheckpoint(shard, entry.value);
      const loaded = await this.#loadEpoch(checkpoint, entry.revision);
      if (loaded !== null) return loaded;
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
    const filter = keySubject(this.#bucket.name, finishedFilter(shard));
    const through = async (): Promise<number> => {
      return (await this.#api.lastMessage(this.#bucket.stream, filter))?.sequence ?? 0;
    };
    for await (const message of this.#scan({ filters: [filter], through, headersOnly: true })) {
      if (!isRemoval(message.header)) yield lastTokenOf(message.subject) as TaskId;
    }
  }

  /**
   * Everything of the checkpoint's epoch. The checkpoint itself is the mark to read up to: what was acknowledged before it
   * stands before it. Null when a newer owner wrote its own checkpoint meanwhile and dropped what was to be read.
   */
  async #loadEpoch(checkpoint: Checkpoint, revision: number): Promise<LoadedSnapshots | null> {
    const { shard, epoch } = checkpoint;
    const checkpointSubject = keySubject(this.#bucket.name, checkpointKey(shard));
    const live = new Map<TaskId, Uint8Array>();
    let newest = checkpoint;
    const filters = [keySubject(this.#bucket.name, liveFilter(shard, epoch)), checkpointSubject];
    for await (const message of this.#scan({ filters, through: async () => revision })) {
      if (message.subject === checkpointSubject) {
        newest = decodeCheckpoint(shard, message.body);
        continue;
      }
      const taskId = lastTokenOf(message.subject) as TaskId;
      if (isRemoval(message.header)) live.delete(taskId);
      else live.set(taskId, message.body);
    }
    return newest.epoch === epoch ? { checkpoint: newest, live } : null;
  }

  #scan(query: Omit<ScanQuery, 'stream'>) {
    const deps = { api: this.#api, link: this.#link, clock: this.#clock, timeoutMs: scanTimeoutMs };
    return scanLastPerSubject(deps, { ...query, stream: this.#bucket.stream });
  }
}
