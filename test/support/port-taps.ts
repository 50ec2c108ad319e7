import type { BlobStore } from '../../src/ports/blobs.ts';
import type { Journal } from '../../src/ports/journal.ts';
import type { LeaseStore } from '../../src/ports/leases.ts';
import type { SnapshotStore, SnapshotWriter } from '../../src/ports/snapshots.ts';

/** Stands between an engine and a port: sees each call by name and decides when, whether and how often it is made. */
export type PortTap = <Result>(call: string, make: () => Promise<Result>) => Promise<Result>;

/** A journal whose calls go through a tap. */
export function tapJournal(inner: Journal, tap: PortTap): Journal {
  return {
    maximumBodyBytes: inner.maximumBodyBytes,
    append: (request) => tap('journal.append', () => inner.append(request)),
    readLast: (shard) => tap('journal.readLast', () => inner.readLast(shard)),
    async *read(range) {
      await tap('journal.read', () => Promise.resolve());
      yield* inner.read(range);
    },
    follow: (from) => inner.follow(from),
    bounds: () => inner.bounds(),
    trim: (shard, through) => tap('journal.trim', () => inner.trim(shard, through)),
  };
}

/** A snapshot store whose calls go through a tap. */
export function tapSnapshots(inner: SnapshotStore, tap: PortTap): SnapshotStore {
  return {
    maximumSnapshotBytes: inner.maximumSnapshotBytes,
    writer: (shard, epoch) => tapWriter(inner.writer(shard, epoch), tap),
    checkpoint: (shard) => tap('snapshots.readCheckpoint', () => inner.checkpoint(shard)),
    loadLive: (shard, into) => tap('snapshots.loadLive', () => inner.loadLive(shard, into)),
    findFinished: (shard, ids) => tap('snapshots.findFinished', () => inner.findFinished(shard, ids)),
    async *finishedIds(shard) {
      await tap('snapshots.finishedIds', () => Promise.resolve());
      yield* inner.finishedIds(shard);
    },
  };
}

function tapWriter(inner: SnapshotWriter, tap: PortTap): SnapshotWriter {
  return {
    write: (writes) => tap('snapshots.write', () => inner.write(writes)),
    checkpoint: (sequence) => tap('snapshots.checkpoint', () => inner.checkpoint(sequence)),
    dropEarlierEpochs: () => tap('snapshots.dropEarlierEpochs', () => inner.dropEarlierEpochs()),
    read: (taskIds, epoch) => tap('snapshots.read', () => inner.read(taskIds, epoch)),
    forget: (taskId) => inner.forget(taskId),
  };
}

/** A lease store whose calls go through a tap. */
export function tapLeases(inner: LeaseStore, tap: PortTap): LeaseStore {
  return {
    renewNode: (lease, ttlMs, revision) => tap('leases.renewNode', () => inner.renewNode(lease, ttlMs, revision)),
    releaseNode: (nodeId, revision) => tap('leases.releaseNode', () => inner.releaseNode(nodeId, revision)),
    readNode: (nodeId) => tap('leases.readNode', () => inner.readNode(nodeId)),
    listNodes: () => tap('leases.listNodes', () => inner.listNodes()),
    listShards: () => tap('leases.listShards', () => inner.listShards()),
    readShard: (shard) => tap('leases.readShard', () => inner.readShard(shard)),
    writeShard: (lock, revision) => tap('leases.writeShard', () => inner.writeShard(lock, revision)),
    readOrders: () => tap('leases.readOrders', () => inner.readOrders()),
    writeOrders: (orders, revision) => tap('leases.writeOrders', () => inner.writeOrders(orders, revision)),
    setOnce: (key, value) => tap('leases.setOnce', () => inner.setOnce(key, value)),
  };
}

/** A blob store whose calls go through a tap. */
export function tapBlobs(inner: BlobStore, tap: PortTap): BlobStore {
  return {
    put: (taskId, name, bytes) => tap('blobs.put', () => inner.put(taskId, name, bytes)),
    get: (reference) => tap('blobs.get', () => inner.get(reference)),
    census: (wanted) => tap('blobs.census', () => inner.census(wanted)),
    deleteTask: (taskId, mark) => tap('blobs.deleteTask', () => inner.deleteTask(taskId, mark)),
  };
}

/** A promise that never settles: what a caller sees of a process that is gone. */
export function never<Result>(): Promise<Result> {
  return new Promise(() => {});
}

/** Calls that are held back until they are let go. */
export class Gate {
  #isOpen = true;
  #waiting: (() => void)[] = [];

  /** Calls that wait now. */
  get waiting(): number {
    return this.#waiting.length;
  }

  shut(): void {
    this.#isOpen = false;
  }

  open(): void {
    this.#isOpen = true;
    for (const go of this.#waiting.splice(0)) go();
  }

  pass(): Promise<void> {
    if (this.#isOpen) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
