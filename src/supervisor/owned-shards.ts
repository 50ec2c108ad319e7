import type { PlannedAcquire, PlannedRelease } from '../cluster/assignment-plan.ts';
import type { MemberIdentity } from '../cluster/membership.ts';
import { releaseShard, takeShard, type TakenShard } from '../cluster/shard-takeover.ts';
import { asError, EngineError } from '../core/errors.ts';
import { shardOf } from '../core/hash.ts';
import type { ShardId, TaskId } from '../core/ids.ts';
import type { OpenBreaker, StageLoad } from '../core/node-messages.ts';
import type { BusService } from '../ports/bus.ts';
import type { TimerHandle } from '../ports/clock.ts';
import type { ShardLock } from '../ports/leases.ts';
import { ShardMetrics } from '../shard/shard-metrics.ts';
import { Shard } from '../shard/shard.ts';
import { PortBreakers } from '../shard/port-breakers.ts';
import { StageSlots } from '../shard/stage-slots.ts';
import { ResidentTasks } from '../shard/resident-tasks.ts';
import type { EngineDeps } from './engine-deps.ts';
import { OwnershipMetrics } from './ownership-metrics.ts';
import { noteTrouble, shardRestMs, troubleOf, type ShardTrouble, type ShardTroubles } from './shard-rest.ts';

/** What {@link OwnedShards} asks of its engine. */
export interface OwnedShardsHost {
  /** This node's life at this moment. */
  readonly self: () => MemberIdentity;
  readonly leaseIsGood: () => boolean;
  /** A lock was taken or given back. */
  readonly onLockWritten: () => void;
  /** A shard was lost to a newer epoch, or closed itself for another reason. */
  readonly onLost: (error: EngineError) => void;
  /** The shards that this node cannot open, and another one might, have changed. */
  readonly onDeclines: (declines: readonly ShardId[]) => void;
  /** A shard that could not be opened may be tried again. */
  readonly onRested: () => void;
  /** A shard was handed over in good order. */
  readonly onHandedOver: () => void;
}

/** One owned shard in numbers. */
export interface OwnedShardStatus {
  readonly shard: ShardId;
  readonly epoch: number;
  readonly tasks: number;
  readonly running: number;
  readonly stalledMs: number;
}

interface OwnedShard {
  readonly shard: Shard;
  readonly taken: TakenShard;
  readonly service: BusService;
}

/** A shard that could not be opened, or that failed. */
interface FailingShard {
  readonly error: Error;
  readonly trouble: ShardTrouble;
  /** Null when it may be tried at once. */
  readonly rest: TimerHandle | null;
}

/**
 * The shards of one node:
 *
 * ```
 * acquire: take the lock ─► open ─► serving ─► handover: stop serving ─► drain ─► give the lock back
 *                            │        └─ lost, or dropped with the lease: closed at once
 *                            └─ failed: give the lock back, rest, try again
 * ```
 */
export class OwnedShards {
  readonly #deps: EngineDeps;
  readonly #host: OwnedShardsHost;
  readonly #metrics: ShardMetrics;
  readonly #ownership: OwnershipMetrics;
  readonly #breakers: PortBreakers;
  readonly #slots: StageSlots;
  readonly #residents = new ResidentTasks();
  readonly #owned = new Map<ShardId, OwnedShard>();
  readonly #opening = new Set<ShardId>();
  readonly #handovers = new Map<ShardId, Promise<void>>();
  readonly #declines = new Set<ShardId>();
  readonly #failing = new Map<ShardId, FailingShard>();
  /** Troubles of a shard in a row, also of one that is served again: only time forgets them. */
  readonly #troubles = new Map<ShardId, ShardTroubles>();
  #startsNothing = false;
  #closed = false;

  constructor(deps: EngineDeps, host: OwnedShardsHost) {
    this.#deps = deps;
    this.#host = host;
    this.#metrics = new ShardMetrics(deps.metrics);
    this.#ownership = new OwnershipMetrics(deps.metrics, deps.config.shardCount);
    this.#breakers = new PortBreakers(deps);
    this.#slots = new StageSlots({ ...deps, breakers: this.#breakers });
    deps.metrics.beforeRead(() => {
      this.#ownership.show([...this.#owned.values()].map(({ shard }) => shard));
      this.#metrics.showSlots(this.#slots.load);
    });
  }

  get size(): number {
    return this.#owned.size;
  }

  get status(): readonly OwnedShardStatus[] {
    return [...this.#owned].map(([id, { shard, taken }]) => {
      const { tasks, running, stalledMs } = shard.stats;
      return { shard: id, epoch: taken.epoch, tasks, running, stalledMs };
    });
  }

  /** `<pipeline>/<stage>` of each stage that runs now. */
  get runningStages(): readonly string[] {
    return this.#slots.runningKeys;
  }

  /** Stages that run and that wait, over all shards. */
  get stageLoad(): StageLoad {
    return this.#slots.load;
  }

  /** Ports that are held to fail. */
  get openBreakers(): readonly OpenBreaker[] {
    return this.#breakers.open;
  }

  /** Shards that could not be opened, or that failed, with why. */
  get failing(): ReadonlyMap<ShardId, Error> {
    return new Map([...this.#failing].map(([shard, { error }]) => [shard, error]));
  }

  /** Those that are served, opened or handed over now. */
  get serving(): ReadonlySet<ShardId> {
    return new Set([...this.#owned.keys(), ...this.#opening, ...this.#handovers.keys()]);
  }

  /** Whether the task's shard is served here. */
  servesTask(taskId: TaskId): boolean {
    return this.#owned.has(shardOf(taskId, this.#deps.config.shardCount));
  }

  /** As {@link Shard.knows}; null for a task of a shard that is not served here. */
  async knows(taskId: TaskId): Promise<boolean | null> {
    const owned = this.#owned.get(shardOf(taskId, this.#deps.config.shardCount));
    return owned === undefined ? null : owned.shard.knows(taskId);
  }

  get handingOver(): ReadonlySet<ShardId> {
    return new Set(this.#handovers.keys());
  }

  /** Those that could not be opened and are not yet tried again. */
  get resting(): ReadonlySet<ShardId> {
    return new Set([...this.#failing].filter(([, { rest }]) => rest !== null).map(([shard]) => shard));
  }

  /**
   * Takes a shard's lock and opens it. A failure is kept in {@link failing}; its lock is given back, so that a node that cannot
   * open it does not keep it from one that can, such as one with a newer pipeline version.
   *
   * @param up - the nodes whose locks must be respected
   * @returns whether the shard is served now
   */
  async acquire({ shard, revision }: PlannedAcquire, up: readonly MemberIdentity[]): Promise<boolean> {
    if (this.#closed || this.serving.has(shard)) return false;
    this.#opening.add(shard);
    const self = this.#host.self();
    let taken: TakenShard | null = null;
    try {
      const takeover = await takeShard(this.#deps, shard, self, up, revision);
      if (takeover.kind !== 'taken') {
        this.#forgetFailure(shard);
        return false;
      }
      taken = takeover.taken;
      await this.#open(shard, taken, self);
      this.#forgetFailure(shard);
      this.#decline(shard, false);
      this.#host.onLockWritten();
      return true;
    } catch (thrown) {
      const error = asError(thrown);
      this.#deps.logger.error({ shard, err: error }, 'a shard could not be opened; it is tried again');
      if (taken !== null && !this.#closed) await this.#giveBack(shard, taken);
      this.#noteFailure(shard, error);
      // What no repeat will mend here, such as a pipeline version that this process does not have.
      if (error instanceof EngineError && !error.retryable) this.#decline(shard, true);
      return false;
    } finally {
      this.#opening.delete(shard);
    }
  }

  /** The store may answer again: what rests because of an outage is tried at once. */
  endOutage(): void {
    let hasRested = false;
    for (const [shard, { error, trouble, rest }] of this.#failing) {
      if (rest === null || trouble !== 'outage') continue;
      rest.cancel();
      this.#failing.set(shard, { error, trouble, rest: null });
      hasRested = true;
    }
    if (hasRested) this.#host.onRested();
  }

  /** Hands a shard over, or gives a lock back that is held and not served. */
  async release({ shard, epoch, revision }: PlannedRelease): Promise<void> {
    if (this.#opening.has(shard)) return;
    if (this.#owned.has(shard)) await this.#handOver(shard, this.#deps.config.drainGraceMs);
    else await this.#giveBack(shard, { epoch, revision });
  }

  /** No shard starts a stage from here on, also none that is still being opened: all are about to be handed over. */
  startNothing(): void {
    this.#startsNothing = true;
    for (const { shard } of this.#owned.values()) shard.startNothing();
  }

  /** Hands all shards over at once, and opens none any more. */
  async handOverAll(graceMs: number): Promise<void> {
    this.#close();
    // A handover that has begun with more grace gets no more than the others from here.
    const hurry = this.#deps.clock.setTimer(graceMs, () => {
      const reason = new EngineError('OWNERSHIP_LOST', `node ${this.#deps.nodeId} stops`);
      for (const shard of begun) this.#owned.get(shard)?.shard.abortStages(reason);
    });
    const begun = [...this.#handovers.keys()];
    await Promise.all([
      ...this.#handovers.values(),
      ...[...this.#owned.keys()].map((shard) => this.#handOver(shard, graceMs)),
    ]);
    hurry.cancel();
  }

  /** Closes every shard at once and hands nothing over. */
  async drop(reason: EngineError): Promise<void> {
    const owned = [...this.#owned.values()];
    this.#owned.clear();
    await Promise.all(owned.flatMap(({ shard, service }) => [service.stop(), shard.close(reason)]));
  }

  /** As {@link drop}, and nothing that is being opened will be served. */
  dropForGood(reason: EngineError): Promise<void> {
    this.#close();
    return this.drop(reason);
  }

  #close(): void {
    this.#closed = true;
    for (const { rest } of this.#failing.values()) rest?.cancel();
  }

  /**
   * Closes shards of which a lock shows a newer epoch: they are another's, though nothing was written here since that the journal
   * could have refused. Epochs only grow, so an old list proves no less.
   */
  dropSuperseded(locks: readonly ShardLock[]): void {
    for (const { shard: id, epoch, owner } of locks) {
      const owned = this.#owned.get(id);
      if (owned === undefined || epoch <= owned.taken.epoch) continue;
      const by = owner?.nodeId ?? 'another node';
      const error = new EngineError('OWNERSHIP_LOST', `shard ${id} was taken by ${by} at epoch ${epoch}`);
      this.#lost(id, error);
      void owned.shard.close(error);
    }
  }

  async #open(shardId: ShardId, taken: TakenShard, self: MemberIdentity): Promise<void> {
    const { config, nodeId, clock, random, logger, journal, snapshots, registry, payloads, ports, tracing } =
      this.#deps;
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
        residents: this.#residents,
        runner: { clock, logger, payloads, namespace: config.namespace, ports, config, tracing },
        projectedThrough: this.#deps.projectedThrough,
        leaseIsGood: this.#host.leaseIsGood,
        startsNothing: () => this.#startsNothing,
        onLost: (id, error) => this.#lost(id, error),
      },
      { shard: shardId, epoch: taken.epoch, node: nodeId, incarnation: self.incarnation },
      taken,
    );
    try {
      const service = await this.#deps.serve(shardId, (command, respond) => shard.deliver(command, respond));
      // The node's lease may have run out meanwhile.
      const isOfThisLife = this.#host.self().incarnation === self.incarnation;
      if (shard.isClosed || this.#closed || !isOfThisLife) {
        await service.stop();
        throw new EngineError('OWNERSHIP_LOST', `shard ${shardId} was lost while it was opened`);
      }
      this.#owned.set(shardId, { shard, taken, service });
      if (this.#startsNothing) shard.startNothing();
      logger.debug({ shard: shardId, epoch: taken.epoch }, 'a shard is served');
    } catch (error) {
      await shard.close(asError(error));
      throw error;
    }
  }

  #handOver(shardId: ShardId, graceMs: number): Promise<void> {
    const owned = this.#owned.get(shardId);
    const begun = this.#handovers.get(shardId);
    if (begun !== undefined || owned === undefined) return begun ?? Promise.resolve();
    const handover = this.#drain(shardId, owned, graceMs).finally(() => {
      this.#handovers.delete(shardId);
    });
    this.#handovers.set(shardId, handover);
    return handover;
  }

  async #drain(shardId: ShardId, owned: OwnedShard, graceMs: number): Promise<void> {
    try {
      this.#deps.logger.debug({ shard: shardId, epoch: owned.taken.epoch, graceMs }, 'a shard is being handed over');
      // First no new request can come in; what is in hand is answered by the drain.
      await owned.service.stop();
      await owned.shard.drain(graceMs);
      // Lost meanwhile: the lock is not this node's to give.
      if (this.#owned.get(shardId) !== owned) return;
      await this.#giveBack(shardId, owned.taken);
      this.#deps.logger.debug({ shard: shardId, epoch: owned.taken.epoch }, 'a shard was handed over');
      this.#host.onHandedOver();
    } catch (thrown) {
      this.#deps.logger.warn({ shard: shardId, err: asError(thrown) }, 'a shard was not handed over in good order');
    } finally {
      if (this.#owned.get(shardId) === owned) this.#owned.delete(shardId);
    }
  }

  async #giveBack(shard: ShardId, taken: Pick<TakenShard, 'epoch' | 'revision'>): Promise<void> {
    try {
      await releaseShard(this.#deps.leases, shard, taken);
      this.#host.onLockWritten();
    } catch (thrown) {
      // The next owner takes the shard all the same, when the lease is gone.
      this.#deps.logger.warn({ shard, err: asError(thrown) }, 'the lock of a shard could not be given back');
    }
  }

  #lost(shardId: ShardId, error: EngineError): void {
    const owned = this.#owned.get(shardId);
    this.#owned.delete(shardId);
    this.#ownership.lost.add(1, { code: error.code });
    this.#deps.logger.error({ shard: shardId, err: error }, 'a shard was lost');
    if (error.code !== 'OWNERSHIP_LOST') this.#noteFailure(shardId, error);
    this.#host.onLost(error);
    void owned?.service.stop().catch((thrown: unknown) => {
      this.#deps.logger.warn({ shard: shardId, err: asError(thrown) }, 'a lost shard could not stop serving');
    });
  }

  #noteFailure(shard: ShardId, error: Error): void {
    this.#failing.get(shard)?.rest?.cancel();
    const { clock, random } = this.#deps;
    const trouble = troubleOf(error);
    const troubles = noteTrouble(this.#troubles.get(shard), trouble, clock.monotonicMs());
    this.#troubles.set(shard, troubles);
    const rest = this.#closed
      ? null
      : clock.setTimer(shardRestMs(troubles, random.next()), () => {
          this.#failing.set(shard, { error, trouble, rest: null });
          this.#host.onRested();
        });
    this.#failing.set(shard, { error, trouble, rest });
  }

  #decline(shard: ShardId, isDeclined: boolean): void {
    if (this.#declines.has(shard) === isDeclined) return;
    if (isDeclined) this.#declines.add(shard);
    else this.#declines.delete(shard);
    this.#host.onDeclines([...this.#declines].toSorted((left, right) => left - right));
  }

  #forgetFailure(shard: ShardId): void {
    this.#failing.get(shard)?.rest?.cancel();
    this.#failing.delete(shard);
  }
}
