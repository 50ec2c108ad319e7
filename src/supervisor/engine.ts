import type { PayloadStore } from '../actors/payload-store.ts';
import { NodeLeaseKeeper } from '../cluster/node-lease.ts';
import { releaseShard, takeShard, type TakenShard } from '../cluster/shard-takeover.ts';
import type { EngineConfig } from '../core/config.ts';
import { asError, EngineError } from '../core/errors.ts';
import type { NodeId, Sequence, ShardId } from '../core/ids.ts';
import type { ShardCommand } from '../core/messages.ts';
import type { Reply } from '../core/replies.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';
import type { BusService } from '../ports/bus.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Journal } from '../ports/journal.ts';
import type { LeaseStore, NodeLease } from '../ports/leases.ts';
import type { Logger } from '../ports/logger.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Random } from '../ports/random.ts';
import type { SnapshotStore } from '../ports/snapshots.ts';
import { PortBreakers } from '../shard/port-breakers.ts';
import { ShardMetrics } from '../shard/shard-metrics.ts';
import { Shard } from '../shard/shard.ts';
import { StageSlots } from '../shard/stage-slots.ts';

/** What an engine is built of. All ports; the composition root chooses the adapters. */
export interface EngineDeps {
  readonly config: EngineConfig;
  readonly nodeId: NodeId;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly journal: Journal;
  readonly snapshots: SnapshotStore;
  readonly leases: LeaseStore;
  readonly payloads: PayloadStore;
  readonly registry: PipelineRegistry;
  /** The user's integrations, handed to every driver. */
  readonly ports: Readonly<Record<string, unknown>>;
  /** Makes a shard's subject answer with `deliver`. */
  readonly serve: (
    shard: ShardId,
    deliver: (command: ShardCommand, respond: (reply: Reply) => void) => void,
  ) => Promise<BusService>;
  /** How far every projection has read the journal; nothing behind it is trimmed. */
  readonly projectedThrough: () => Sequence;
  /** The engine cannot go on as this node; it has stopped itself. */
  readonly onFailed: (error: EngineError) => void;
}

/** How often shards that are not owned are tried for, and the pause after a shard was lost. */
const takeoverIntervalMs = 1_000;
/** Shards that are opened at one time. */
const maximumOpening = 8;
/** Longest that a start waits until every free shard is served. */
const startDeadlineMs = 60_000;

interface OwnedShard {
  readonly shard: Shard;
  readonly taken: TakenShard;
  readonly service: BusService;
}

/** Where the shards of this node stand. */
export interface EngineStatus {
  readonly nodeId: NodeId;
  readonly leaseIsGood: boolean;
  readonly owned: readonly {
    readonly shard: ShardId;
    readonly epoch: number;
    readonly tasks: number;
    readonly running: number;
    readonly stalledMs: number;
  }[];
  /** Shards that nobody else holds and that could not be opened, with why. */
  readonly failing: readonly { readonly shard: ShardId; readonly error: string }[];
}

/**
 * One node's engine: takes shards, serves them, gives them up in good order. It owns a shard only as long as the journal lets
 * it: whatever it believes, a refused append ends the ownership.
 */
export class Engine {
  readonly #deps: EngineDeps;
  readonly #lease: NodeLeaseKeeper;
  readonly #incarnation: string;
  readonly #metrics: ShardMetrics;
  readonly #slots: StageSlots;
  readonly #owned = new Map<ShardId, OwnedShard>();
  readonly #failing = new Map<ShardId, Error>();
  #phase: 'new' | 'running' | 'stopping' | 'stopped' = 'new';
  /** A newer epoch has taken a shard: perhaps a newer process of this node, whose place it is then. */
  #leaseInDoubt = false;
  #round: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;
  #timer: TimerHandle | null = null;

  constructor(deps: EngineDeps) {
    this.#deps = deps;
    this.#incarnation = deps.random.id();
    this.#metrics = new ShardMetrics(deps.metrics);
    this.#slots = new StageSlots({ ...deps, breakers: new PortBreakers(deps) });
    this.#lease = new NodeLeaseKeeper(
      {
        ...deps,
        onTaken: () => this.#fail(new EngineError('OWNERSHIP_LOST', `another process runs as node ${deps.nodeId}`)),
        onExpired: () => this.#leaseExpired(),
      },
      { nodeId: deps.nodeId, incarnation: this.#incarnation, startedAt: deps.clock.now(), draining: false },
    );
  }

  get status(): EngineStatus {
    return {
      nodeId: this.#deps.nodeId,
      leaseIsGood: this.#lease.isGood,
      owned: [...this.#owned].map(([id, { shard, taken }]) => {
        const { tasks, running, stalledMs } = shard.stats;
        return { shard: id, epoch: taken.epoch, tasks, running, stalledMs };
      }),
      failing: [...this.#failing].map(([shard, error]) => ({ shard, error: error.message })),
    };
  }

  /** Whether it serves what it should: for a readiness probe. */
  get isReady(): boolean {
    return this.#phase === 'running' && this.#lease.isGood && this.#failing.size === 0 && this.#owned.size > 0;
  }

  /**
   * Checks what is fixed for the cluster's life, takes the lease, and opens every shard that is free.
   *
   * @throws EngineError `CONFIG_INVALID` when the stored shard count differs, `DEFINITION_CHANGED`, `UNAVAILABLE`, and what the first
   *   shard that cannot be recovered threw
   */
  async start(): Promise<void> {
    await this.#checkFixed();
    await this.#lease.start();
    this.#phase = 'running';
    const deadlineMs = this.#deps.clock.monotonicMs() + startDeadlineMs;
    await this.#takeShards();
    for (const error of this.#failing.values()) {
      const isPassing = error instanceof EngineError && error.retryable;
      if (!isPassing || this.#deps.clock.monotonicMs() > deadlineMs) {
        await this.stop({ graceMs: 0 });
        throw error;
      }
    }
  }

  /** Hands all shards over in good order, then gives the lease back. A second call waits for the first. */
  stop(options: { readonly graceMs: number }): Promise<void> {
    this.#stopping ??= this.#stop(options.graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<void> {
    if (this.#phase === 'stopped') return;
    this.#phase = 'stopping';
    this.#timer?.cancel();
    await this.#round;
    await Promise.all([...this.#owned.keys()].map((shard) => this.#handOver(shard, graceMs)));
    await this.#lease.stop();
    this.#phase = 'stopped';
  }

  /**
   * Stops at once, as a killed process would: nothing is handed over, uncommitted work is dropped, and lease and locks stay as they
   * are until the next owner takes them.
   */
  async abandon(): Promise<void> {
    if (this.#phase === 'stopped') return;
    this.#phase = 'stopped';
    this.#timer?.cancel();
    this.#lease.abandon();
    await this.#dropShards(new EngineError('UNAVAILABLE', `node ${this.#deps.nodeId} was stopped`));
    await this.#round;
  }

  /** Closes every shard at once and hands nothing over. */
  async #dropShards(reason: EngineError): Promise<void> {
    const owned = [...this.#owned.values()];
    this.#owned.clear();
    this.#metrics.shardsOwned.set(0);
    await Promise.all(owned.flatMap(({ shard, service }) => [service.stop(), shard.close(reason)]));
  }

  /** Self-fencing: the fence in the journal keeps a zombie from writing, this keeps it from starting what nobody will record. */
  #leaseExpired(): void {
    if (this.#phase !== 'running') return;
    const { logger, nodeId } = this.#deps;
    logger.error({ shards: this.#owned.size }, 'the node lease was not renewed in time; its shards are dropped');
    const reason = new EngineError('OWNERSHIP_LOST', `the lease of node ${nodeId} ran out`);
    this.#dropShards(reason).catch((thrown: unknown) => {
      logger.warn({ err: asError(thrown) }, 'a dropped shard could not stop serving');
    });
    if (this.#round === null) this.#tryLater();
  }

  async #checkFixed(): Promise<void> {
    const { leases, config, registry } = this.#deps;
    const stored = await leases.setOnce('shard-count', String(config.shardCount));
    if (stored !== String(config.shardCount)) {
      throw new EngineError('CONFIG_INVALID', `shardCount is ${stored} for this namespace, not ${config.shardCount}`, {
        field: 'shardCount',
        limit: stored,
        got: config.shardCount,
        hint: 'the number of shards is fixed when the cluster is created',
      });
    }
    for (const definition of registry.list()) {
      const { name, version, fingerprint } = definition;
      const recorded = await leases.setOnce(`pipeline.${name}.${version}`, fingerprint);
      if (recorded === fingerprint) continue;
      throw new EngineError(
        'DEFINITION_CHANGED',
        `pipeline ${name} version ${version} was recorded with another definition`,
        {
          field: `pipelines.${name}`,
          limit: `fingerprint ${recorded}`,
          got: `fingerprint ${fingerprint}`,
          hint: 'give the changed definition a new version and keep the old one registered while it has tasks',
        },
      );
    }
  }

  /** Tries for every shard that this node does not own, a few at a time; then again after the interval. */
  async #takeShards(): Promise<void> {
    this.#round = this.#takeRound().finally(() => {
      this.#round = null;
      if (this.#phase === 'running') this.#tryLater();
    });
    await this.#round;
  }

  /** Only while something is missing: a node that owns every shard has nothing to look for. */
  #tryLater(): void {
    this.#timer?.cancel();
    if (this.#owned.size === this.#deps.config.shardCount) return;
    this.#timer = this.#deps.clock.setTimer(takeoverIntervalMs, () => {
      if (this.#round === null) void this.#takeShards();
    });
  }

  async #takeRound(): Promise<void> {
    if (!this.#lease.isGood) return;
    const wanted = Array.from({ length: this.#deps.config.shardCount }, (_, index) => index as ShardId).filter(
      (shard) => !this.#owned.has(shard),
    );
    if (wanted.length === 0) return;
    // A node may take its own shards back from an earlier process of its name: never from a later one.
    if (this.#leaseInDoubt) {
      this.#leaseInDoubt = false;
      if (!(await this.#lease.confirm())) {
        this.#leaseInDoubt = true;
        return;
      }
    }
    let live: readonly NodeLease[];
    try {
      live = await this.#deps.leases.listNodes();
    } catch (thrown) {
      this.#deps.logger.warn({ err: asError(thrown) }, 'node leases could not be read; shards are tried for later');
      return;
    }
    const workers = Array.from({ length: maximumOpening }, async () => {
      for (let shard = wanted.shift(); shard !== undefined && this.#phase === 'running'; shard = wanted.shift()) {
        await this.#tryOpen(shard, live);
      }
    });
    await Promise.all(workers);
  }

  async #tryOpen(shard: ShardId, live: readonly NodeLease[]): Promise<void> {
    const { nodeId, logger } = this.#deps;
    let taken: TakenShard | null = null;
    try {
      const takeover = await takeShard(this.#deps, shard, { nodeId, incarnation: this.#incarnation }, live);
      if (takeover.kind !== 'taken') {
        this.#failing.delete(shard);
        return;
      }
      taken = takeover.taken;
      await this.#open(shard, taken);
      this.#failing.delete(shard);
    } catch (thrown) {
      const error = asError(thrown);
      this.#failing.set(shard, error);
      logger.error({ shard, err: error }, 'a shard could not be opened; it is tried again');
      // A node that cannot open it must not keep it from one that can, such as one with a newer pipeline version.
      if (taken !== null && this.#phase !== 'stopped') await this.#release(shard, taken);
    }
  }

  async #release(shard: ShardId, taken: TakenShard): Promise<void> {
    try {
      await releaseShard(this.#deps.leases, shard, taken);
    } catch (thrown) {
      // The next owner takes the shard all the same, when the lease is gone.
      this.#deps.logger.warn({ shard, err: asError(thrown) }, 'the lock of a shard could not be given back');
    }
  }

  async #open(shardId: ShardId, taken: TakenShard): Promise<void> {
    const { config, nodeId, clock, random, logger, journal, snapshots, registry, payloads, ports } = this.#deps;
    const shard = await Shard.open(
      {
        config,
        clock,
        random,
        logger,
        metrics: this.#metrics,
        journal,
        snapshots,
        registry,
        slots: this.#slots,
        runner: { clock, logger, payloads, namespace: config.namespace, ports, config },
        projectedThrough: this.#deps.projectedThrough,
        leaseIsGood: () => this.#lease.isGood,
        onLost: (id, error) => this.#lost(id, error),
      },
      { shard: shardId, epoch: taken.epoch, node: nodeId, incarnation: this.#incarnation },
      taken.lastSequence,
    );
    try {
      const service = await this.#deps.serve(shardId, (command, respond) => shard.deliver(command, respond));
      if (shard.isClosed || this.#phase === 'stopped') {
        await service.stop();
        throw new EngineError('OWNERSHIP_LOST', `shard ${shardId} was lost while it was opened`);
      }
      this.#owned.set(shardId, { shard, taken, service });
      this.#metrics.shardsOwned.set(this.#owned.size);
    } catch (error) {
      await shard.close(asError(error));
      throw error;
    }
  }

  async #handOver(shardId: ShardId, graceMs: number): Promise<void> {
    const owned = this.#owned.get(shardId);
    if (owned === undefined) return;
    const { logger } = this.#deps;
    try {
      // First no new request can come in; what is in hand is answered by the drain.
      await owned.service.stop();
      await owned.shard.drain(graceMs);
      await this.#release(shardId, owned.taken);
    } catch (thrown) {
      logger.warn({ shard: shardId, err: asError(thrown) }, 'a shard was not handed over in good order');
    } finally {
      if (this.#owned.get(shardId) === owned) this.#owned.delete(shardId);
      this.#metrics.shardsOwned.set(this.#owned.size);
    }
  }

  #lost(shardId: ShardId, error: EngineError): void {
    const owned = this.#owned.get(shardId);
    this.#owned.delete(shardId);
    this.#metrics.shardsOwned.set(this.#owned.size);
    this.#deps.logger.error({ shard: shardId, err: error }, 'a shard was lost');
    if (this.#phase === 'running' && this.#round === null) this.#tryLater();
    if (error.code === 'OWNERSHIP_LOST') this.#leaseInDoubt = true;
    else this.#failing.set(shardId, error);
    void owned?.service.stop().catch((thrown: unknown) => {
      this.#deps.logger.warn({ shard: shardId, err: asError(thrown) }, 'a lost shard could not stop serving');
    });
  }

  #fail(reason: EngineError): void {
    if (this.#phase === 'stopping' || this.#phase === 'stopped') return;
    this.#deps.logger.error({ err: reason }, 'the node stops');
    void this.stop({ graceMs: 0 }).finally(() => this.#deps.onFailed(reason));
  }
}
