import type { ClusterOrders } from '../core/cluster-orders.ts';
import type { Epoch, Millis, NodeId, ShardId } from '../core/ids.ts';

/** A node's sign of life: gone when it is not renewed within its time to live. */
export interface NodeLease {
  readonly nodeId: NodeId;
  /** A new id each time the node's process starts. */
  readonly incarnation: string;
  readonly startedAt: Millis;
  readonly draining: boolean;
  /** Its share of the work against other nodes: a whole number from 1; 1 when left out. */
  readonly capacity?: number;
  /** It keeps what it has and takes nothing new; false when left out. */
  readonly cordoned?: boolean;
  /** Shards that it could not open and leaves to others, ascending; none when left out. */
  readonly declines?: readonly ShardId[];
}

/** Who holds a shard. Free when `owner` is null. */
export interface ShardLock {
  readonly shard: ShardId;
  readonly owner: { readonly nodeId: NodeId; readonly incarnation: string } | null;
  /** Raised by one at each taking; kept when the lock is released. */
  readonly epoch: Epoch;
  /** The store's number of this write, for the next compare-and-set; 0 when the key does not exist yet. */
  readonly revision: number;
}

/** What operators want of the cluster, as it is stored. */
export interface StoredOrders {
  readonly orders: ClusterOrders;
  /** The store's number of this write, for the next compare-and-set; 0 when none was ever given. */
  readonly revision: number;
}

/** An answer of a compare-and-set: the new revision, or "somebody was faster". Both kinds of conflict are one to the caller. */
export type LeaseOutcome = { readonly kind: 'held'; readonly revision: number } | { readonly kind: 'lost' };

/**
 * Explicit locks with a time to live. They decide who *tries*; what keeps a zombie from committing is the journal's fence.
 * Every method throws EngineError `UNAVAILABLE` when the store does not answer.
 */
export interface LeaseStore {
  /** Creates or renews the node's lease. `revision` null: the first time, also over a lease of an earlier incarnation. */
  renewNode(lease: NodeLease, ttlMs: number, revision: number | null): Promise<LeaseOutcome>;
  /** Ends the node's own lease, if it still holds that revision. */
  releaseNode(nodeId: NodeId, revision: number): Promise<void>;
  /** The node's lease as the store's leader has it, or null when it has none. */
  readNode(nodeId: NodeId): Promise<NodeLease | null>;
  /** The leases that have not run out. May be stale: a hint. */
  listNodes(): Promise<readonly NodeLease[]>;

  /** The shard's lock as the store's leader has it; revision 0, epoch 0 and no owner when it was never taken. */
  readShard(shard: ShardId): Promise<ShardLock>;
  /** Every lock that was ever taken, from any replica: a hint that may be old. What is decided on it is proved by {@link writeShard}. */
  listShards(): Promise<readonly ShardLock[]>;
  /** Writes the lock if its revision is still `expectedRevision`. */
  writeShard(lock: Omit<ShardLock, 'revision'>, expectedRevision: number): Promise<LeaseOutcome>;

  /** The cluster's orders as the store's leader has them. Also throws EngineError `RECORD_CORRUPT`. */
  readOrders(): Promise<StoredOrders>;
  /** Writes the orders if their revision is still `expectedRevision`. Also throws EngineError `INVALID_ARGUMENT` for too many. */
  writeOrders(orders: ClusterOrders, expectedRevision: number): Promise<LeaseOutcome>;

  /** A named value that is set once and for ever, such as the shard count or a definition's fingerprint: what is stored now. */
  setOnce(key: string, value: string): Promise<string>;
}
