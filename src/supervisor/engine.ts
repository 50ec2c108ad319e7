import { ClusterAgent } from '../cluster/cluster-agent.ts';
import { ClusterLink } from '../cluster/cluster-link.ts';
import { ClusterMetrics } from '../cluster/cluster-metrics.ts';
import { NodeLeaseKeeper, type LeaseFlags } from '../cluster/node-lease.ts';
import { OrderBook } from '../cluster/order-book.ts';
import { orderFlags, type ClusterOrders } from '../core/cluster-orders.ts';
import { asError, EngineError } from '../core/errors.ts';
import type { NodeId, ShardId } from '../core/ids.ts';
import { maximumNamedBreakers, type NodeStatus, type OpenBreaker, type StageLoad } from '../core/node-messages.ts';
import type { EngineDeps } from './engine-deps.ts';
import { LoopLag } from './loop-lag.ts';
import { PayloadJanitor } from './payload-janitor.ts';
import { OwnedShards, type OwnedShardStatus } from './owned-shards.ts';

export type { EngineDeps } from './engine-deps.ts';

/** Longest that a start waits until it has seen the cluster. */
const startDeadlineMs = 60_000;
/** Longest that a stop waits for the others to be told that this node drains. */
const drainNoticeMs = 1_000;

/** Where the shards of this node stand. */
export interface EngineStatus {
  readonly nodeId: NodeId;
  readonly incarnation: string;
  readonly leaseIsGood: boolean;
  readonly draining: boolean;
  readonly cordoned: boolean;
  /** Worst lateness of the event loop in the last 10 s; 0 when it is not watched. */
  readonly loopLagMs: number;
  readonly stages: StageLoad;
  /** Ports that are held to fail, in the order of their names. */
  readonly openBreakers: readonly OpenBreaker[];
  readonly owned: readonly OwnedShardStatus[];
  /** Shards that fall to this node and that it could not open, with why. */
  readonly failing: readonly { readonly shard: ShardId; readonly error: string }[];
}

/**
 * One node's engine: takes its part of the shards, serves them, gives them up in good order. It owns a shard only as long as the
 * journal lets it: whatever it believes, a refused append ends the ownership.
 *
 * ```
 * lease ──► agent ──plan──► shards
 *   ▲         ▲                │ lock taken or given back
 *   │         └── link ◄───────┘
 *   │    notices, heartbeats
 *   └─ ran out: shards dropped, another life of the node begins
 * ```
 */
export class Engine {
  readonly #deps: EngineDeps;
  readonly #lease: NodeLeaseKeeper;
  readonly #shards: OwnedShards;
  readonly #agent: ClusterAgent;
  readonly #link: ClusterLink;
  readonly #orders: OrderBook;
  readonly #metrics: ClusterMetrics;
  readonly #loopLag: LoopLag | null;
  readonly #janitor: PayloadJanitor;
  #phase: 'new' | 'running' | 'stopping' | 'stopped' = 'new';
  #stopping: Promise<void> | null = null;

  constructor(deps: EngineDeps) {
    this.#deps = deps;
    const { clock, config, nodeId } = deps;
    this.#metrics = new ClusterMetrics(deps.metrics);
    this.#orders = new OrderBook(deps);
    this.#lease = new NodeLeaseKeeper(
      {
        ...deps,
        onTaken: () => {
          this.#metrics.lostLeases.add();
          this.#fail(new EngineError('OWNERSHIP_LOST', `another process runs as node ${nodeId}`));
        },
        onRenewalFailed: () => this.#metrics.renewalFailures.add(),
        onGained: () => {
          this.#link.changed();
          this.#wake();
        },
        onExpired: () => this.#leaseExpired(),
      },
      {
        nodeId,
        incarnation: deps.random.id(),
        startedAt: clock.now(),
        draining: false,
        ...(config.capacity === 1 ? {} : { capacity: config.capacity }),
      },
    );
    this.#shards = new OwnedShards(deps, {
      self: () => this.#lease.lease,
      leaseIsGood: () => this.#lease.isGood,
      onLockWritten: () => this.#link.changed(),
      onLost: (error) => {
        if (error.code === 'OWNERSHIP_LOST') this.#agent.doubt();
        this.#wake();
      },
      onDeclines: (declines) => {
        if (this.#phase === 'running') void this.#tell({ declines });
      },
      onRested: () => this.#wake(),
      onHandedOver: () => this.#metrics.handovers.add(),
    });
    this.#janitor = new PayloadJanitor({
      ...deps,
      serves: (taskId) => this.#lease.isGood && this.#shards.servesTask(taskId),
      knows: (taskId) => this.#shards.knows(taskId),
    });
    this.#loopLag =
      deps.watchesEventLoop === false
        ? null
        : new LoopLag({ ...deps, runningStages: () => this.#shards.runningStages });
    this.#agent = new ClusterAgent({
      ...deps,
      metrics: this.#metrics,
      orders: this.#orders,
      own: this.#lease,
      ping: async (peer, timeoutMs) => {
        const heartbeat = await this.#link.ping(peer, timeoutMs);
        if (heartbeat === 'refused' || heartbeat === 'timedOut') this.#metrics.missedHeartbeats.add();
        return heartbeat;
      },
      host: {
        serving: () => this.#shards.serving,
        handingOver: () => this.#shards.handingOver,
        resting: () => this.#shards.resting,
        acquire: (planned, up) => this.#shards.acquire(planned, up),
        release: (planned) => this.#shards.release(planned),
        looked: (orders, locks) => {
          this.#shards.dropSuperseded(locks);
          this.#follow(orders);
        },
      },
    });
    this.#link = new ClusterLink({
      ...deps,
      namespace: config.namespace,
      self: () => ({ nodeId, incarnation: this.#lease.lease.incarnation }),
      status: () => this.#nodeStatus,
      onChanged: () => this.#wake(),
      onExited: (peer) => this.#agent.exited(peer),
    });
  }

  get status(): EngineStatus {
    const { incarnation, draining, cordoned = false } = this.#lease.lease;
    return {
      nodeId: this.#deps.nodeId,
      incarnation,
      leaseIsGood: this.#lease.isGood,
      draining,
      cordoned,
      loopLagMs: this.#loopLag?.lagMs ?? 0,
      stages: this.#shards.stageLoad,
      openBreakers: this.#shards.openBreakers,
      owned: this.#shards.status,
      failing: this.#failing.map(([shard, error]) => ({ shard, error: error.message })),
    };
  }

  /** Whether it serves what it should: for a readiness probe. What another node still has to hand over does not count. */
  get isReady(): boolean {
    return this.#phase === 'running' && this.#lease.isGood && this.#failing.length === 0 && this.#agent.isSettled;
  }

  /**
   * Checks what is fixed for the cluster's life, takes the lease, and opens every shard that is free and this node's to take. What
   * it should have and others still own comes to it later.
   *
   * @throws EngineError `CONFIG_INVALID` when the stored shard count differs, `DEFINITION_CHANGED`, `UNAVAILABLE`, `BUS_FORBIDDEN`,
   *   and what the first shard that cannot be recovered threw
   */
  async start(): Promise<void> {
    await this.#checkFixed();
    this.#tellLife();
    // Before the first word of the lease: nobody shall give shards to a node that is drained.
    this.#lease.word(orderFlags(await this.#orders.open(), this.#deps.nodeId));
    // Peers ask as soon as they see the lease.
    await this.#link.start();
    try {
      await this.#lease.start();
    } catch (error) {
      await this.#link.stop();
      throw error;
    }
    this.#phase = 'running';
    this.#loopLag?.start();
    this.#janitor.start();
    await this.#agent.round();
    await this.#withDeadline(this.#agent.opened(), startDeadlineMs);
    for (const error of this.#shards.failing.values()) {
      if (error instanceof EngineError && error.retryable) continue;
      await this.stop({ graceMs: 0 });
      throw error;
    }
  }

  /** The link to the store was down and is up again: what could not be done meanwhile is tried at once. */
  linkRestored(): void {
    if (this.#phase !== 'running') return;
    this.#shards.endOutage();
    this.#wake();
  }

  /** Hands all shards over in good order, then gives the lease back. A second call waits for the first. */
  stop(options: { readonly graceMs: number }): Promise<void> {
    this.#stopping ??= this.#stop(options.graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<void> {
    if (this.#phase === 'stopped') return;
    this.#phase = 'stopping';
    // Looks and openings that are under way may take as long as the store likes.
    this.#shards.startNothing();
    await this.#agent.stop();
    // The others place the shards without this node from here, so that each goes where it stays.
    await this.#withDeadline(this.#lease.update({ draining: true }), drainNoticeMs);
    this.#link.changed();
    await this.#shards.handOverAll(graceMs);
    await this.#lease.stop();
    this.#link.changed();
    // Last: a node that does not answer is held to be dead, and its shards are taken without waiting for their handover.
    await this.#link.stop();
    this.#loopLag?.stop();
    this.#janitor.close();
    this.#phase = 'stopped';
  }

  /**
   * Stops at once, as a killed process would: nothing is handed over, uncommitted work is dropped, and lease and locks stay as they
   * are until the next owner takes them.
   */
  async abandon(): Promise<void> {
    if (this.#phase === 'stopped') return;
    this.#phase = 'stopped';
    this.#lease.abandon();
    this.#loopLag?.stop();
    this.#janitor.close();
    const reason = new EngineError('UNAVAILABLE', `node ${this.#deps.nodeId} was stopped`);
    await Promise.all([this.#link.stop(), this.#shards.dropForGood(reason), this.#agent.stop()]);
  }

  /** Self-fencing: the fence in the journal keeps a zombie from writing, this keeps it from starting what nobody will record. */
  #leaseExpired(): void {
    if (this.#phase !== 'running') return;
    const { logger, nodeId, random } = this.#deps;
    this.#metrics.lostLeases.add();
    logger.error({ shards: this.#shards.size }, 'the node lease was not renewed in time; its shards are dropped');
    const reason = new EngineError('OWNERSHIP_LOST', `the lease of node ${nodeId} ran out`);
    // The others hold this life to be over as soon as they see its lease gone, and for good.
    this.#lease.beginLife(random.id());
    this.#tellLife();
    this.#shards.drop(reason).catch((thrown: unknown) => {
      logger.warn({ err: asError(thrown) }, 'a dropped shard could not stop serving');
    });
    this.#wake();
  }

  /** Follows the operators' orders: what the lease says of this node is what they want of it. A stop drains, whatever they say. */
  #follow(orders: ClusterOrders): void {
    this.#metrics.shardsFailing.set(this.#failing.length);
    if (this.#phase !== 'running') return;
    const flags = orderFlags(orders, this.#deps.nodeId);
    const { draining, cordoned = false } = this.#lease.lease;
    if (flags.draining === draining && flags.cordoned === cordoned) return;
    this.#deps.logger.info({ ...flags }, 'this node follows an order');
    void this.#tell(flags);
  }

  get #nodeStatus(): NodeStatus {
    // Told with every heartbeat: numbers alone, and no list that they are counted from.
    const { incarnation, draining, cordoned = false, capacity = 1 } = this.#lease.lease;
    const { openBreakers } = this.#shards;
    return {
      nodeId: this.#deps.nodeId,
      incarnation,
      leaseIsGood: this.#lease.isGood,
      draining,
      cordoned,
      loopLagMs: this.#loopLag?.lagMs ?? 0,
      stages: this.#shards.stageLoad,
      capacity,
      owned: this.#shards.size,
      handingOver: this.#shards.handingOver.size,
      failing: this.#failing.length,
      openBreakers: openBreakers.slice(0, maximumNamedBreakers),
      openBreakerCount: openBreakers.length,
    };
  }

  /** Says something in the lease, and that it was said. When the lease cannot be written now, its next renewal says it. */
  async #tell(flags: LeaseFlags): Promise<void> {
    await this.#lease.update(flags);
    this.#link.changed();
    this.#wake();
  }

  /** What another node should have by now is no longer this one's failure. */
  get #failing(): readonly (readonly [ShardId, Error])[] {
    return [...this.#shards.failing].filter(([shard]) => this.#agent.isForSelf(shard));
  }

  #tellLife(): void {
    this.#deps.onLife?.({ nodeId: this.#deps.nodeId, incarnation: this.#lease.lease.incarnation });
  }

  #wake(): void {
    if (this.#phase === 'running') this.#agent.wake();
  }

  async #withDeadline(work: Promise<unknown>, mostMs: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = this.#deps.clock.setTimer(mostMs, resolve);
      work.then(() => resolve(), reject).finally(() => timer.cancel());
    });
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

  #fail(reason: EngineError): void {
    if (this.#phase === 'stopping' || this.#phase === 'stopped') return;
    this.#deps.logger.error({ err: reason }, 'the node stops');
    void this.stop({ graceMs: 0 }).finally(() => this.#deps.onFailed(reason));
  }
}
