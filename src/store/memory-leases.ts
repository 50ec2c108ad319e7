import { checkOrderBounds, noOrders, type ClusterOrders } from '../core/cluster-orders.ts';
import { parseNodeId, type Epoch, type NodeId, type ShardId } from '../core/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { LeaseOutcome, LeaseStore, NodeLease, ShardLock, StoredOrders } from '../ports/leases.ts';
import { onceKey } from './bucket-keys.ts';
import { copyOrders, encodeOrders } from './orders-codec.ts';
import { SimulatedStorePath, type MemoryStoreOptions } from './store-fault.ts';

/** The operations of {@link MemoryLeaseStore} that can be made to fail. */
export type LeaseOperation =
  | 'renewNode'
  | 'releaseNode'
  | 'readNode'
  | 'listNodes'
  | 'readShard'
  | 'listShards'
  | 'writeShard'
  | 'readOrders'
  | 'writeOrders'
  | 'setOnce';

interface HeldLease {
  readonly lease: NodeLease;
  readonly revision: number;
  readonly expiresAtMs: number;
}

/** Leases and locks in memory, for tests and simulation. Nodes of one process share one instance. */
export class MemoryLeaseStore implements LeaseStore {
  readonly #clock: Clock;
  readonly #path: SimulatedStorePath<LeaseOperation>;
  readonly #nodes = new Map<NodeId, HeldLease>();
  readonly #locks = new Map<ShardId, ShardLock>();
  readonly #onceValues = new Map<string, string>();
  #orders: StoredOrders = { orders: noOrders, revision: 0 };
  // One count over all keys, as in a stream: a revision never comes twice, also not after a removal.
  #lastRevision = 0;

  constructor(options: MemoryStoreOptions<LeaseOperation>) {
    this.#clock = options.clock;
    this.#path = new SimulatedStorePath(options);
  }

  async renewNode(lease: NodeLease, ttlMs: number, revision: number | null): Promise<LeaseOutcome> {
    const nodeId = parseNodeId(lease.nodeId);
    return this.#path.write('renewNode', () => {
      const held = this.#heldLease(nodeId);
      // An answer that was lost moved the revision on: the same incarnation still holds the lease.
      const isOwn = held?.revision === revision || held?.lease.incarnation === lease.incarnation;
      if (revision !== null && !isOwn) return { kind: 'lost' };
      // The server counts in whole seconds.
      const expiresAtMs = this.#clock.monotonicMs() + Math.ceil(ttlMs / 1_000) * 1_000;
      const renewed = { lease: { ...lease }, revision: this.#nextRevision(), expiresAtMs };
      this.#nodes.set(nodeId, renewed);
      return { kind: 'held', revision: renewed.revision };
    });
  }

  releaseNode(nodeId: NodeId, revision: number): Promise<void> {
    return this.#path.write('releaseNode', () => {
      if (this.#heldLease(nodeId)?.revision === revision) this.#nodes.delete(nodeId);
    });
  }

  readNode(nodeId: NodeId): Promise<NodeLease | null> {
    return this.#path.read('readNode', () => this.#heldLease(nodeId)?.lease ?? null);
  }

  listNodes(): Promise<readonly NodeLease[]> {
    return this.#path.read('listNodes', () =>
      [...this.#nodes.keys()].flatMap((nodeId) => this.#heldLease(nodeId)?.lease ?? []),
    );
  }

  readShard(shard: ShardId): Promise<ShardLock> {
    return this.#path.read('readShard', () => this.#lock(shard));
  }

  listShards(): Promise<readonly ShardLock[]> {
    return this.#path.read('listShards', () => [...this.#locks.values()]);
  }

  writeShard(lock: Omit<ShardLock, 'revision'>, expectedRevision: number): Promise<LeaseOutcome> {
    return this.#path.write('writeShard', () => {
      const stored = this.#lock(lock.shard);
      if (stored.revision !== expectedRevision) {
        // As on a server: what the caller wants is there already, from a try whose answer was lost.
        return isSameLock(stored, lock) ? { kind: 'held', revision: stored.revision } : { kind: 'lost' };
      }
      const revision = this.#nextRevision();
      const { shard, owner, epoch } = lock;
      this.#locks.set(shard, { shard, owner, epoch, revision });
      return { kind: 'held', revision };
    });
  }

  readOrders(): Promise<StoredOrders> {
    return this.#path.read('readOrders', () => this.#orders);
  }

  async writeOrders(orders: ClusterOrders, expectedRevision: number): Promise<LeaseOutcome> {
    checkOrderBounds(orders);
    return this.#path.write('writeOrders', () => {
      const { revision } = this.#orders;
      if (revision !== expectedRevision) {
        const isSame = revision > 0 && Buffer.compare(encodeOrders(this.#orders.orders), encodeOrders(orders)) === 0;
        return isSame ? { kind: 'held', revision } : { kind: 'lost' };
      }
      this.#orders = { orders: copyOrders(orders), revision: this.#nextRevision() };
      return { kind: 'held', revision: this.#orders.revision };
    });
  }

  async setOnce(key: string, value: string): Promise<string> {
    const name = onceKey(key);
    return this.#path.write('setOnce', () => {
      const stored = this.#onceValues.get(name);
      if (stored !== undefined) return stored;
      this.#onceValues.set(name, value);
      return value;
    });
  }

  #heldLease(nodeId: NodeId): HeldLease | undefined {
    const held = this.#nodes.get(nodeId);
    if (held === undefined || held.expiresAtMs > this.#clock.monotonicMs()) return held;
    this.#nodes.delete(nodeId);
    return undefined;
  }

  #lock(shard: ShardId): ShardLock {
    return this.#locks.get(shard) ?? { shard, owner: null, epoch: 0 as Epoch, revision: 0 };
  }

  #nextRevision(): number {
    this.#lastRevision += 1;
    return this.#lastRevision;
  }
}

function isSameLock(stored: ShardLock, wanted: Omit<ShardLock, 'revision'>): boolean {
  return (
    stored.revision > 0 &&
    stored.epoch === wanted.epoch &&
    stored.owner?.nodeId === wanted.owner?.nodeId &&
    stored.owner?.incarnation === wanted.owner?.incarnation
  );
}
