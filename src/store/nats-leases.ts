import { checkOrderBounds, noOrders, type ClusterOrders } from '../core/cluster-orders.ts';
import { asError, EngineError } from '../core/errors.ts';
import type { Epoch, NodeId, ShardId } from '../core/ids.ts';
import { nodeBucket, shardBucket } from '../core/subjects.ts';
import type { Clock } from '../ports/clock.ts';
import type { LeaseOutcome, LeaseStore, NodeLease, ShardLock, StoredOrders } from '../ports/leases.ts';
import type { Logger } from '../ports/logger.ts';
import type { AckInbox } from '../transport/ack-inbox.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import { lockKey, nodeKey, onceKey, ordersKey, shardOfLockKey } from './bucket-keys.ts';
import type { BucketCalls } from './bucket-api.ts';
import { removeContended, writeContended } from './contended-key.ts';
import { listBucket, type ListedKey } from './direct-list.ts';
import { decodeNodeLease, decodeShardLock, encodeNodeLease, encodeShardLock } from './lease-codec.ts';
import { NatsBucket, type KeyEntry } from './nats-bucket.ts';
import { decodeOrders, encodeOrders } from './orders-codec.ts';

/** How long the marker of a released lease stays: long enough for a watcher that was away for a moment. */
const releaseMarkerTtlMs = 5_000;
/** How often a lease is taken over before the caller is told to try again later. */
const maximumTakeovers = 5;
const listTimeoutMs = 2_000;

/** Decoded keys that are kept beyond twice as many as a list has. */
const spareDecoded = 64;

/** What was read of each key, with what it was read from. */
type Decoded<Value> = Map<string, { readonly revision: number; readonly bytes: Uint8Array; readonly decoded: Value }>;

/** Node leases (with a time to live), shard locks and orders in two JetStream KV buckets. */
export class NatsLeaseStore implements LeaseStore {
  readonly #list: (bucket: string) => Promise<readonly ListedKey[]>;
  readonly #logger: Logger;
  readonly #nodes: NatsBucket;
  readonly #shards: NatsBucket;
  /** Leases and locks as they were listed last, by the bytes that they are: most are listed unchanged, again and again. */
  readonly #lastNodes: Decoded<NodeLease | null> = new Map();
  readonly #lastLocks: Decoded<ShardLock | null> = new Map();

  /** @param deps - `list` in the place of `link`: how it reads a whole bucket where there is no link, as in a simulation */
  constructor(
    deps: {
      readonly api: Pick<BucketCalls, 'lastMessage'>;
      readonly acks: Pick<AckInbox, 'publish'>;
      readonly clock: Clock;
      readonly logger: Logger;
      readonly namespace: string;
    } & ({ readonly link: NatsLink } | { readonly list: (bucket: string) => Promise<readonly ListedKey[]> }),
  ) {
    this.#list = 'list' in deps ? deps.list : (bucket) => listBucket({ ...deps, timeoutMs: listTimeoutMs }, bucket);
    this.#logger = deps.logger;
    const { api, acks, clock } = deps;
    this.#nodes = new NatsBucket({ name: nodeBucket(deps.namespace), api, acks, clock });
    this.#shards = new NatsBucket({ name: shardBucket(deps.namespace), api, acks, clock });
  }

  renewNode(lease: NodeLease, ttlMs: number, revision: number | null): Promise<LeaseOutcome> {
    const key = nodeKey(lease.nodeId);
    const body = encodeNodeLease(lease);
    if (revision === null) return this.#takeOver(key, body, ttlMs);
    const isOwn = (entry: KeyEntry): boolean =>
      entry.value !== null && decodeNodeLease(entry.value).incarnation === lease.incarnation;
    return writeContended(this.#nodes, { key, body, expected: revision, ttlMs, isOwn });
  }

  async releaseNode(nodeId: NodeId, revision: number): Promise<void> {
    await removeContended(this.#nodes, {
      key: nodeKey(nodeId),
      expected: revision,
      markerTtlMs: releaseMarkerTtlMs,
    });
  }

  async readNode(nodeId: NodeId): Promise<NodeLease | null> {
    const { value } = await this.#nodes.get(nodeKey(nodeId));
    return value === null ? null : decodeNodeLease(value);
  }

  async listNodes(): Promise<readonly NodeLease[]> {
    const entries = await this.#list(this.#nodes.name);
    return this.#readable(entries, this.#lastNodes, ({ value }) => decodeNodeLease(value));
  }

  async readShard(shard: ShardId): Promise<ShardLock> {
    const { revision, value } = await this.#shards.get(lockKey(shard));
    if (value === null) return { shard, owner: null, epoch: 0 as Epoch, revision };
    return decodeShardLock(shard, revision, value);
  }

  async listShards(): Promise<readonly ShardLock[]> {
    const entries = await this.#list(this.#shards.name);
    return this.#readable(entries, this.#lastLocks, ({ key, revision, value }) => {
      const shard = shardOfLockKey(key);
      return shard === null ? null : decodeShardLock(shard, revision, value);
    });
  }

  writeShard(lock: Omit<ShardLock, 'revision'>, expectedRevision: number): Promise<LeaseOutcome> {
    const key = lockKey(lock.shard);
    return writeContended(this.#shards, { key, body: encodeShardLock(lock), expected: expectedRevision });
  }

  async readOrders(): Promise<StoredOrders> {
    const { revision, value } = await this.#shards.get(ordersKey);
    return { orders: value === null ? noOrders : decodeOrders(value), revision };
  }

  async writeOrders(orders: ClusterOrders, expectedRevision: number): Promise<LeaseOutcome> {
    checkOrderBounds(orders);
    return writeContended(this.#shards, { key: ordersKey, body: encodeOrders(orders), expected: expectedRevision });
  }

  async setOnce(key: string, value: string): Promise<string> {
    const bucketKey = onceKey(key);
    const outcome = await writeContended(this.#shards, { key: bucketKey, body: Buffer.from(value), expected: 0 });
    if (outcome.kind === 'held') return value;
    const { value: stored } = await this.#shards.get(bucketKey);
    if (stored !== null) return Buffer.from(stored).toString('utf8');
    throw new EngineError('RECORD_CORRUPT', `value ${key} was set once and has been removed`, { field: key });
  }

  /** What can be decoded: one bad value must not hide all the others. Null of `decode`: the key is of another kind. */
  #readable<Value>(
    entries: readonly ListedKey[],
    last: Decoded<Value | null>,
    decode: (entry: ListedKey) => Value | null,
  ): readonly Value[] {
    const values: Value[] = [];
    for (const entry of entries) {
      const { key, revision, value: bytes } = entry;
      const before = last.get(key);
      const isSame =
        before?.revision === revision && (before.bytes === bytes || Buffer.compare(before.bytes, bytes) === 0);
      try {
        const decoded = isSame ? before.decoded : decode(entry);
        if (!isSame) last.set(key, { revision, bytes, decoded });
        if (decoded !== null) values.push(decoded);
      } catch (error) {
        this.#logger.error({ key, err: asError(error) }, 'a lease or lock cannot be read');
      }
    }
    // Keys that are gone, of a bucket that had more.
    if (last.size > 2 * entries.length + spareDecoded) last.clear();
    return values;
  }

  /** Writes over whatever the key holds: it is this node's own, from an earlier incarnation or a lease that ran out. */
  async #takeOver(key: string, body: Uint8Array, ttlMs: number): Promise<LeaseOutcome> {
    for (let takeoverCount = 1; takeoverCount <= maximumTakeovers; takeoverCount += 1) {
      const { revision } = await this.#nodes.get(key);
      const outcome = await writeContended(this.#nodes, { key, body, expected: revision, ttlMs });
      if (outcome.kind === 'held') return outcome;
    }
    throw new EngineError('UNAVAILABLE', `lease ${key} changed ${maximumTakeovers} times while it was taken over`);
  }
}
