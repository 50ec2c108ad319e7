import type { Millis } from '../core/ids.ts';
import { journalStream, nodeBucket, shardBucket, snapshotBucket } from '../core/subjects.ts';
import type { Random } from '../ports/random.ts';
import { bucketStream, keyOfSubject } from '../store/bucket-keys.ts';
import type { ListedKey } from '../store/direct-list.ts';
import { MemoryBlobStore } from '../store/memory-blobs.ts';
import { isRemoval } from '../store/nats-bucket.ts';
import { JetStreamStream, type PublishAnswer, type StreamMessage, type StreamSettings } from './jetstream-stream.ts';
import type { Scheduler } from './scheduler.ts';

/** How the store behaves at this moment. */
export interface StoreCondition {
  /** It has no leader, or does not run: nothing that arrives is heard. */
  isDown: boolean;
  /** Its disk takes no more. */
  isFull: boolean;
  /** What each operation takes at most, beside the usual. */
  slowMs: number;
  /** How far replicas may lag behind the leader. */
  lagMs: number;
}

/** What the store has seen. */
export interface StoreCounts {
  unheard: number;
  full: number;
  staleReads: number;
  orphanedProposals: number;
}

/** Codes of a disk that takes no more: before anything is written, and when the write failed, which may have been stored. */
const insufficientStorage: PublishAnswer = {
  kind: 'error',
  code: 10_047,
  description: 'insufficient storage resources',
};
const storeFailed: PublishAnswer = { kind: 'error', code: 10_077, description: 'no space left on device' };
/** Part of the failed writes that are stored all the same. */
const storedRate = 0.1;
const leastReplicationMs = 0.2;
const usualReplicationMs = 1.5;
const duplicateWindowMs = 120_000;
const nodeMarkerTtlMs = 60_000;

/** JetStream as the engine uses it: the journal, its buckets and the objects, with one clock of its own. */
export class StoreServer {
  readonly condition: StoreCondition = { isDown: false, isFull: false, slowMs: 0, lagMs: 0 };
  readonly counts: StoreCounts = { unheard: 0, full: 0, staleReads: 0, orphanedProposals: 0 };
  readonly blobs: MemoryBlobStore;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #startAt: Millis;
  readonly #streams = new Map<string, JetStreamStream>();
  readonly #journal: string;
  /** What lists show, by message: they are read far more often than written. */
  readonly #listed = new WeakMap<StreamMessage, ListedKey | null>();
  #wallOffsetMs = 0;

  constructor(deps: {
    readonly scheduler: Scheduler;
    readonly random: Random;
    readonly namespace: string;
    readonly replicas: 1 | 3;
    readonly startAt: Millis;
  }) {
    this.#scheduler = deps.scheduler;
    this.#random = deps.random;
    this.#startAt = deps.startAt;
    const { namespace, replicas } = deps;
    this.#journal = journalStream(namespace);
    const bucket = { replicas, keepsLastOnly: true, markerTtlMs: null, duplicateWindowMs, keepsVersions: false };
    this.#add({ ...bucket, name: this.#journal, keepsLastOnly: false });
    this.#add({ ...bucket, name: bucketStream(snapshotBucket(namespace)) });
    this.#add({
      ...bucket,
      name: bucketStream(nodeBucket(namespace)),
      markerTtlMs: nodeMarkerTtlMs,
      keepsVersions: true,
    });
    this.#add({ ...bucket, name: bucketStream(shardBucket(namespace)), keepsVersions: true });
    this.blobs = new MemoryBlobStore({
      clock: {
        now: () => this.now(),
        monotonicMs: () => this.#scheduler.nowMs,
        setTimer: (delayMs, fn) => this.#scheduler.after(delayMs, 'store', fn),
        defer: (fn) => this.#scheduler.defer('store', fn),
      },
    });
  }

  /** The server's wall clock. */
  now(): Millis {
    return Math.floor(this.#startAt + this.#scheduler.nowMs + this.#wallOffsetMs);
  }

  jumpWallClock(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  setClockRight(): void {
    this.#wallOffsetMs = 0;
  }

  stream(name: string): JetStreamStream {
    const stream = this.#streams.get(name);
    if (stream === undefined) throw new Error(`there is no stream ${name}`);
    return stream;
  }

  get journal(): JetStreamStream {
    return this.stream(this.#journal);
  }

  get busyCount(): number {
    return [...this.#streams.values()].reduce((sum, { busyCount }) => sum + busyCount, 0);
  }

  /** A message of a bucket as a list shows it; null when its key is removed. */
  listed(bucket: string, message: StreamMessage): ListedKey | null {
    const known = this.#listed.get(message);
    if (known !== undefined) return known;
    const { subject, body, headers, sequence } = message;
    const isRemoved = isRemoval((name) => headers.get(name));
    const listed = isRemoved ? null : { key: keyOfSubject(bucket, subject), value: body, revision: sequence };
    this.#listed.set(message, listed);
    return listed;
  }

  /** Handles something that has arrived, when it is heard. */
  hear(run: () => void): void {
    const { isDown, slowMs } = this.condition;
    if (isDown) {
      this.counts.unheard += 1;
      return;
    }
    if (slowMs === 0) {
      run();
      return;
    }
    this.#scheduler.after(this.#random.next() * slowMs, 'slow store', () => {
      if (this.condition.isDown) this.counts.unheard += 1;
      else run();
    });
  }

  publish(
    subject: string,
    body: Uint8Array,
    headers: ReadonlyMap<string, string>,
    respond: (answer: PublishAnswer) => void,
  ): void {
    this.hear(() => {
      const stream = this.#streamOf(subject);
      if (!this.condition.isFull) {
        stream.publish(subject, body, headers, respond);
        return;
      }
      this.counts.full += 1;
      if (this.#random.next() >= storedRate) {
        respond(insufficientStorage);
        return;
      }
      stream.publish(subject, body, headers, () => respond(storeFailed));
    });
  }

  /** How far back the replica is that happens to answer a read. */
  lagOfReplica(): number {
    const { lagMs } = this.condition;
    if (lagMs === 0 || this.#random.next() < 0.5) return 0;
    this.counts.staleReads += 1;
    return this.#random.next() * lagMs;
  }

  /** Every stream loses its leader. */
  loseLeaders(): void {
    for (const stream of this.#streams.values()) stream.loseLeader();
  }

  #streamOf(subject: string): JetStreamStream {
    if (!subject.startsWith('$KV.')) return this.journal;
    return this.stream(bucketStream(subject.split('.')[1] ?? ''));
  }

  #add(settings: StreamSettings): void {
    const stream = new JetStreamStream(settings, {
      now: () => this.now(),
      steadyNow: () => Math.floor(this.#startAt + this.#scheduler.nowMs),
      monotonicMs: () => this.#scheduler.nowMs,
      later: (delayMs, run) => void this.#scheduler.after(delayMs, 'replication', run),
      replicationMs: () => leastReplicationMs + this.#random.next() * (usualReplicationMs + this.condition.slowMs),
      survives: () => {
        this.counts.orphanedProposals += 1;
        return this.#random.next() < 0.5;
      },
    });
    this.#streams.set(settings.name, stream);
  }
}
