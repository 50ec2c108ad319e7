import { ClusterAgent } from '../cluster/cluster-agent.ts';
import { ClusterLink } from '../cluster/cluster-link.ts';
import { NodeLeaseKeeper } from '../cluster/node-lease.ts';
import { asError, EngineError } from '../core/errors.ts';
import type { NodeId, ShardId } from '../core/ids.ts';
import type { NodeCommand, NodeStatus } from '../core/node-messages.ts';
import type { EngineDeps } from './engine-deps.ts';
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
 *   │    notices, heartbeats, node commands
 *   └─ ran out: shards dropped, another life of the node begins
 * ```
 */
export class Engine {
  readonly #deps: EngineDeps;
  readonly #lease: NodeLeaseKeeper;
  readonly #shards: OwnedShards;
  readonly #agent: ClusterAgent;
  readonly #link: ClusterLink;
  #phase: 'new' | 'running' | 'stopping' | 'stopped' = 'new';
  #stopping: Promise<void> | null = null;

  constructor(deps: EngineDeps) {
    this.#deps = deps;
    const { clock, config, nodeId } = deps;
    this.#lease = new NodeLeaseKeeper(
      {
        ...deps,
        onTaken: () => this.#fail(new EngineError('OWNERSHIP_LOST', `another process runs as node ${nodeId}`)),
        onGained: () => {
          this.#link.changed();
          this.#wake();
        },
        onExpired: () => this.#leaseExpired(),
      },
      { nodeId, incarnation: deps.random.id(), startedAt: clock.now(), draining: false },
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
    });
    this.#agent = new ClusterAgent({
      ...deps,
      own: this.#lease,
      ping: (peer, timeoutMs) => this.#link.ping(peer, timeoutMs),
      host: {
        serving: () => this.#shards.serving,
        handingOver: () => this.#shards.handingOver,
        resting: () => this.#shards.resting,
        acquire: (planned, up) => this.#shards.acquire(planned, up),
        release: (planned) => this.#shards.release(planned),
      },
    });
    this.#link = new ClusterLink({
      ...deps,
      namespace: config.namespace,
      self: () => ({ nodeId, incarnation: this.#lease.lease.incarnation }),
      handle: (command) => this.#handle(command),
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
    // Peers ask as soon as they see the lease.
    await this.#link.start();
    try {
      await this.#lease.start();
    } catch (error) {
      await this.#link.stop();
      throw error;
    }
    this.#phase = 'running';
    await this.#agent.round();
    await this.#withDeadline(this.#agent.opened(), startDeadlineMs);
    for (const error of this.#shards.failing.values()) {
      if (error instanceof EngineError && error.retryable) continue;
      await this.stop({ graceMs: 0 });
      throw error;
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
    await this.#agent.stop();
    // The others place the shards without this node from here, so that each goes where it stays.
    await this.#withDeadline(this.#lease.update({ draining: true }), drainNoticeMs);
    this.#link.changed();
    await this.#shards.handOverAll(graceMs);
    await this.#lease.stop();
    this.#link.changed();
    // Last: a node that does not answer is held to be dead, and its shards are taken without waiting for their handover.
    await this.#link.stop();
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
    const reason = new EngineError('UNAVAILABLE', `node ${this.#deps.nodeId} was stopped`);
    await Promise.all([this.#link.stop(), this.#shards.dropForGood(reason), this.#agent.stop()]);
  }

  /** Self-fencing: the fence in the journal keeps a zombie from writing, this keeps it from starting what nobody will record. */
  #leaseExpired(): void {
    if (this.#phase !== 'running') return;
    const { logger, nodeId, random } = this.#deps;
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

  /** Carries a node command out. @throws EngineError `UNAVAILABLE` when the lease could not be written, `NOT_ALLOWED` when it stops */
  async #handle({ type }: NodeCommand): Promise<NodeStatus> {
    if (type !== 'node.status') {
      if (this.#phase !== 'running') throw new EngineError('NOT_ALLOWED', `node ${this.#deps.nodeId} is not running`);
      if (!(await this.#tell({ draining: type === 'node.drain', cordoned: type === 'node.cordon' }))) {
        throw new EngineError('UNAVAILABLE', `the lease of node ${this.#deps.nodeId} could not be written`, {
          hint: 'the node goes on trying: ask for its status',
        });
      }
      this.#deps.logger.info({ command: type }, 'a node command was carried out');
    }
    const { owned, failing, ...status } = this.status;
    const { size: handingOver } = this.#shards.handingOver;
    const capacity = this.#lease.lease.capacity ?? 1;
    return { ...status, capacity, owned: owned.length, handingOver, failing: failing.length };
  }

  /** Says something in the lease, and that it was said. @returns whether the lease could be written now */
  async #tell(flags: Parameters<NodeLeaseKeeper['update']>[0]): Promise<boolean> {
    const isWritten = await this.#lease.update(flags);
    this.#link.changed();
    this.#wake();
    return isWritten;
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
