import { readWholeJournal } from '../../src/checking/whole-journal.ts';
import { silentLogger } from '../../src/client/silent-logger.ts';
import { loadBounds } from '../../src/cluster/load-bounds.ts';
import type { NodeId, ShardId } from '../../src/core/ids.ts';
import { journalStream, shardSubject } from '../../src/core/subjects.ts';
import { SystemClock } from '../../src/platform/system-clock.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';
import type { ShardLock } from '../../src/ports/leases.ts';
import { BucketApi } from '../../src/store/bucket-api.ts';
import { NatsJournal } from '../../src/store/nats-journal.ts';
import { NatsLeaseStore } from '../../src/store/nats-leases.ts';
import { StreamApi } from '../../src/store/stream-api.ts';
import { localErrorCodes } from '../../src/transport/ack-inbox.ts';
import { NatsBus } from '../../src/transport/nats-bus.ts';
import { connectNats, type NatsLink } from '../../src/transport/nats-connection.ts';
import { pause } from './wait.ts';

const probeTimeoutMs = 400;
/** Reads of the journal are tried so long: a cluster may have no leader for a while. */
const readPatienceMs = 60_000;
const retryWaitMs = 250;

/** The cluster as its stores and its bus show it, over a connection of the scenario's own that only reads. */
export class ClusterView {
  readonly #link: NatsLink;
  readonly #bus: NatsBus;
  readonly #api: StreamApi;
  readonly #leases: NatsLeaseStore;
  readonly #journal: NatsJournal;
  readonly #namespace: string;
  readonly #shardCount: number;

  private constructor(link: NatsLink, namespace: string, shardCount: number) {
    const clock = new SystemClock();
    const logger = silentLogger;
    const acks = {
      publish: async () => ({ kind: 'error', code: localErrorCodes.forbidden, description: 'it only reads' }) as const,
    };
    this.#link = link;
    this.#namespace = namespace;
    this.#shardCount = shardCount;
    this.#bus = new NatsBus({ link, clock, logger });
    this.#api = new StreamApi({ link, clock, logger, timeoutMs: 2_000 });
    this.#leases = new NatsLeaseStore({ api: new BucketApi({ api: this.#api }), link, acks, clock, logger, namespace });
    const stream = {
      name: journalStream(namespace),
      subjects: `${namespace}.journal.*`,
      replicas: 1,
      maximumMessageBytes: link.maximumPayloadBytes,
    };
    this.#journal = new NatsJournal({ link, acks, namespace, stream, clock, logger });
  }

  static async connect(servers: readonly string[], namespace: string, shardCount: number): Promise<ClusterView> {
    const link = await connectNats({ servers, name: 'chaos-view', clock: new SystemClock(), logger: silentLogger });
    return new ClusterView(link, namespace, shardCount);
  }

  get isConnected(): boolean {
    return this.#link.isConnected;
  }

  /** Every shard's lock. @throws EngineError `UNAVAILABLE` */
  locks(): Promise<readonly ShardLock[]> {
    return this.#leases.listShards();
  }

  /** Who holds each shard, by its lock as the leader has it. @throws EngineError `UNAVAILABLE` */
  lock(shard: number): Promise<ShardLock> {
    return this.#leases.readShard(shard as ShardId);
  }

  /** Whether somebody answers for the shard now; null when this connection cannot tell. A probe that is no message changes nothing. */
  async isServed(shard: number): Promise<boolean | null> {
    const subject = shardSubject(this.#namespace, shard as ShardId);
    const outcome = await this.#bus.request(subject, Buffer.from([0]), { timeoutMs: probeTimeoutMs });
    if (outcome.kind === 'disconnected') return null;
    return outcome.kind === 'reply';
  }

  /** Which shards nobody answers for now. */
  async unserved(): Promise<readonly number[]> {
    const shards = Array.from({ length: this.#shardCount }, (_, shard) => shard);
    const served = await Promise.all(shards.map((shard) => this.isServed(shard)));
    return shards.filter((shard) => served[shard] !== true);
  }

  /** What keeps the shards from being balanced over exactly these nodes, or null; by the locks alone, so that no node is asked. */
  async imbalance(nodeIds: readonly string[]): Promise<string | null> {
    const locks = await this.#leases.listShards();
    const members = nodeIds.map((nodeId) => ({
      nodeId: nodeId as NodeId,
      capacity: 1,
      draining: false,
      cordoned: false,
    }));
    const owned = new Map(nodeIds.map((nodeId) => [nodeId, 0]));
    for (const { shard, owner } of locks) {
      const count = owned.get(owner?.nodeId ?? '');
      if (owner === null || count === undefined) return `shard ${shard} is ${owner?.nodeId ?? 'nobody'}'s`;
      owned.set(owner.nodeId, count + 1);
    }
    for (const [nodeId, { least, most }] of loadBounds({ members, shardCount: this.#shardCount })) {
      const load = owned.get(nodeId) ?? 0;
      if (load < least || load > most) return `${nodeId} has ${load} shards, not ${least} to ${most}`;
    }
    return null;
  }

  /** The server that leads the journal's stream, and whether every replica has all of it. @throws EngineError `UNAVAILABLE` */
  async journalLeader(): Promise<{ readonly leader: string | null; readonly isInSync: boolean }> {
    const info = await this.#api.demand(`STREAM.INFO.${journalStream(this.#namespace)}`);
    const { leader = '', replicas = [] } = (info['cluster'] ?? {}) as {
      readonly leader?: string;
      readonly replicas?: readonly { readonly current: boolean }[];
    };
    return { leader: leader === '' ? null : leader, isInSync: replicas.every(({ current }) => current) };
  }

  /** The whole journal from its first message on. @throws EngineError when it cannot be read for a long while */
  async readJournal(): Promise<readonly JournalEntry[]> {
    const startedMs = performance.now();
    for (;;) {
      try {
        return await readWholeJournal(this.#journal, this.#shardCount);
      } catch (error) {
        if (performance.now() - startedMs > readPatienceMs) throw error;
        await pause(retryWaitMs);
      }
    }
  }

  async close(): Promise<void> {
    this.#journal.close();
    this.#api.close();
    this.#bus.close();
    await this.#link.close();
  }
}
