import { decodeSnapshot } from '../actors/snapshot-codec.ts';
import type { StageRunnerDeps } from '../actors/stage-runner.ts';
import type { EngineConfig } from '../core/config.ts';
import { asError, EngineError } from '../core/errors.ts';
import type { Sequence, ShardId, TaskId } from '../core/ids.ts';
import type { ListQuery, ShardCommand } from '../core/messages.ts';
import type { Reply } from '../core/replies.ts';
import type { TaskView } from '../core/task-view.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';
import type { Clock } from '../ports/clock.ts';
import type { Journal } from '../ports/journal.ts';
import type { Logger } from '../ports/logger.ts';
import type { Random } from '../ports/random.ts';
import type { SnapshotStore, SnapshotWriter } from '../ports/snapshots.ts';
import { ActorHost, overloadRetryAfterMs, toEngineError } from './actor-host.ts';
import { FinishedTasks } from './finished-tasks.ts';
import { GroupCommit, lossError } from './group-commit.ts';
import { JournalTrimmer } from './journal-trimmer.ts';
import { liveViews } from './live-views.ts';
import { Passivation } from './passivation.ts';
import { PassiveTasks } from './passive-tasks.ts';
import { recoverShard, type RecoveredShard } from './recovery.ts';
import type { ResidentTasks } from './resident-tasks.ts';
import { ResultWaiters } from './result-waiters.ts';
import type { LiveStatus } from './live-counts.ts';
import type { ShardMetrics } from './shard-metrics.ts';
import type { ShardOwner } from './shard-owner.ts';
import { StageHost } from './stage-host.ts';
import type { StageSlots } from './stage-slots.ts';
import { listTasks } from './task-list.ts';
import { WriteBehind } from './write-behind.ts';

/** What a shard asks of its node. */
export interface ShardDeps {
  readonly config: EngineConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: ShardMetrics;
  readonly journal: Journal;
  readonly snapshots: SnapshotStore;
  readonly registry: PipelineRegistry;
  readonly runner: StageRunnerDeps;
  readonly slots: StageSlots;
  readonly residents: ResidentTasks;
  /** Whether the node's lease is good for a while; no driver starts when it is not. */
  readonly leaseIsGood: () => boolean;
  /** Whether the node is about to hand all its shards over: one that is opened then starts no stage. False when left out. */
  readonly startsNothing?: () => boolean;
  /** The shard can commit no more (fenced, or its journal cannot be trusted) and has closed itself. Called once. */
  readonly onLost: (shard: ShardId, error: EngineError) => void;
  /** How far every projection has read the journal; nothing behind it is trimmed. */
  readonly projectedThrough: () => Sequence;
}

/** A stall of the journal longer than this closes the door to new work. */
const stallLimitMs = 2_000;
/** Longest that a drain waits for its last commits. What is uncommitted then was answered to nobody. */
const commitGraceMs = 5_000;

type Respond = (reply: Reply) => void;

/**
 * One shard's life under one owner: its actors, their commits, and what follows from them.
 *
 * ```
 * open: claim (fences the owner before) ─► recover ─► serving ─► drain ─► closed
 *                                                       └─ commit refused by the server ─► closed (lost)
 * ```
 * Nothing leaves the shard before its commit: a decision changes the actor's state in memory at once, but its effects and its
 * reply wait for the acknowledgement. If the commit is refused, the whole shard is dropped and another owner re-reads it.
 */
export class Shard {
  readonly owner: ShardOwner;
  readonly #deps: ShardDeps;
  readonly #host: ActorHost;
  readonly #commit: GroupCommit;
  readonly #stages: StageHost;
  readonly #waiters: ResultWaiters;
  readonly #finished: FinishedTasks;
  readonly #trimmer: JournalTrimmer;
  readonly #writer: SnapshotWriter;
  readonly #passive = new PassiveTasks();
  readonly #passivation: Passivation;
  #writeBehind: WriteBehind | null = null;
  #phase: 'opening' | 'serving' | 'draining' | 'closed' = 'opening';

  private constructor(deps: ShardDeps, owner: ShardOwner, lastSequence: Sequence) {
    this.#deps = deps;
    this.owner = owner;
    const { clock, random, logger, metrics, journal, config } = deps;
    this.#commit = new GroupCommit(
      {
        journal,
        clock,
        random,
        logger,
        metrics,
        maxCommitBytes: Math.min(config.maxCommitBytes, journal.maximumBodyBytes),
        onLost: (loss) => this.#lose(lossError(owner.shard, loss)),
      },
      { shard: owner.shard, epoch: owner.epoch, lastSequence },
    );
    this.#stages = new StageHost(
      {
        config,
        runner: deps.runner,
        slots: deps.slots,
        metrics,
        leaseIsGood: deps.leaseIsGood,
        onUnsafe: () =>
          this.#lose(new EngineError('OWNERSHIP_LOST', `shard ${owner.shard}: the lease of ${owner.node} is not good`)),
        deliver: (taskId, message) => this.#host.deliverOutcome(taskId, message),
      },
      owner,
    );
    this.#trimmer = new JournalTrimmer(deps, owner.shard);
    this.#waiters = new ResultWaiters(clock);
    this.#finished = new FinishedTasks(
      { store: deps.snapshots, registry: deps.registry, clock, logger, metrics },
      owner.shard,
    );
    this.#writer = deps.snapshots.writer(owner.shard, owner.epoch);
    this.#passivation = new Passivation(
      {
        config,
        clock,
        logger,
        metrics,
        registry: deps.registry,
        writer: this.#writer,
        passive: this.#passive,
        residents: deps.residents,
        residentCount: () => this.#host.residentCount,
        release: (state) => this.#host.release(state),
        wake: (taskId, dueAt) => this.#host.deliverOutcome(taskId, { type: 'timer.fired', dueAt }),
        dropStaleTimers: () => this.#host.dropStaleTimers(),
      },
      owner,
    );
    this.#host = new ActorHost(
      {
        config,
        clock,
        logger,
        metrics,
        registry: deps.registry,
        payloads: deps.runner.payloads,
        commit: this.#commit,
        stages: this.#stages,
        waiters: this.#waiters,
        finished: this.#finished,
        passivation: this.#passivation,
        onChanged: (state, sequence) => this.#writeBehind?.changed(state, sequence),
      },
      owner,
    );
  }

  /**
   * Takes the shard over: appends the claim, which fences every earlier owner, then rebuilds its tasks and lets them go on.
   *
   * @param before - what the owner before has left: the shard's last sequence as its journal's leader has it, and whether that owner was lost
   * @throws EngineError `OWNERSHIP_LOST` when a newer owner was faster, and what {@link recoverShard} throws
   */
  static async open(
    deps: ShardDeps,
    owner: ShardOwner,
    before: { readonly lastSequence: Sequence; readonly isAfterLoss: boolean },
  ): Promise<Shard> {
    const shard = new Shard(deps, owner, before.lastSequence);
    const { epoch, node, incarnation } = owner;
    const startedMs = deps.clock.monotonicMs();
    try {
      const claim = await shard.#commit.claim({ epoch, node, incarnation });
      const recovered = await recoverShard(
        {
          journal: deps.journal,
          snapshots: deps.snapshots,
          writer: shard.#writer,
          passive: shard.#passive,
          registry: deps.registry,
          dedupWindowSize: deps.config.dedupWindowSize,
          maxInterruptions: deps.config.maxInterruptions,
        },
        owner.shard,
        claim,
      );
      shard.#resume(recovered, claim, before.isAfterLoss);
      deps.metrics.recoverySeconds.observe((deps.clock.monotonicMs() - startedMs) / 1_000);
      return shard;
    } catch (error) {
      await shard.close(asError(error));
      throw error;
    }
  }

  /** Whether it has been given up or lost. */
  get isClosed(): boolean {
    return this.#phase === 'closed';
  }

  /** Numbers for a console. */
  get stats(): {
    readonly tasks: number;
    /** Of these, those that are not in memory. */
    readonly passive: number;
    readonly running: number;
    readonly uncommitted: number;
    readonly waiting: number;
    readonly lastSequence: Sequence;
    readonly stalledMs: number;
    readonly snapshotLagMs: number;
    readonly live: Readonly<Record<LiveStatus, number>>;
  } {
    return {
      tasks: this.#host.size,
      passive: this.#passivation.size - this.#passivation.loading,
      running: this.#stages.runningCount,
      uncommitted: this.#commit.uncommittedRecords,
      waiting: this.#host.waitingCommands,
      lastSequence: this.#commit.lastSequence,
      stalledMs: this.#commit.stall?.forMs ?? 0,
      snapshotLagMs: this.#writeBehind?.lagMs ?? 0,
      live: this.#host.liveCounts,
    };
  }

  /** Hands a command to its task; `respond` is called exactly once, after what the answer tells is committed. */
  deliver(command: ShardCommand, respond: Respond): void {
    const refusal = this.#refusal(command);
    if (refusal !== null) return this.#reject(refusal, respond);
    if (command.type === 'task.list') {
      void this.#list(command).then(respond, (error: unknown) => this.#reject(toEngineError(error), respond));
      return;
    }
    this.#host.deliver(command, respond);
  }

  /** Whether the task lives or is within its retention; null when that cannot be told now. */
  async knows(taskId: TaskId): Promise<boolean | null> {
    if (this.#phase !== 'serving') return null;
    if (this.#host.has(taskId)) return true;
    const isFinished = await new Promise<boolean | null>((resolve) => {
      this.#finished.find(taskId, (found) => resolve(found.kind === 'failed' ? null : found.state !== null));
    });
    // It may have been submitted while the store was asked, or the shard lost.
    return this.#phase !== 'serving' ? null : this.#host.has(taskId) || isFinished;
  }

  /**
   * Hands the shard over in good order: no new command, no new stage; running drivers get the grace to finish, the rest is aborted,
   * and the stages whose drivers have stopped are released; all that is committed, and the snapshots are written.
   */
  async drain(graceMs: number): Promise<void> {
    if (this.#phase !== 'serving') return;
    this.#phase = 'draining';
    this.#stages.drain();
    this.#passivation.drain();
    const reason = new EngineError('OWNERSHIP_LOST', `shard ${this.owner.shard} is handed over`);
    const grace = this.#deps.clock.setTimer(graceMs, () => this.#stages.releaseAll(reason));
    // A start that is decided runs when its commit is known, and is waited for as every other.
    await this.#committed(Math.max(graceMs, commitGraceMs));
    await this.#stages.quiet();
    grace.cancel();
    await this.#committed(commitGraceMs);
    await this.#writeBehind?.flush();
    await this.#writeBehind?.flush();
    await this.close(reason);
  }

  /** Starts no stage from here on, which its handover is to go on with: commands are still taken, and what runs may end. */
  startNothing(): void {
    if (this.#phase !== 'serving') return;
    this.#stages.drain();
    this.#passivation.drain();
  }

  /** Ends the grace of a drain that has begun: running drivers are aborted now. */
  abortStages(reason: Error): void {
    if (this.#phase === 'draining') this.#stages.releaseAll(reason);
  }

  /** Stops at once: drops what is uncommitted, aborts drivers, answers who waits. Safe at any moment and more than once. */
  async close(reason: Error): Promise<void> {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#commit.close();
    this.#stages.close(reason);
    this.#finished.close();
    this.#passivation.close();
    this.#trimmer.close();
    const untouched: Reply = { kind: 'error', error: this.#notOwner().toReport() };
    const uncertain: Reply = { kind: 'error', error: this.#ownershipLost().toReport() };
    this.#waiters.close(untouched);
    this.#host.close({ untouched, uncertain });
    await this.#writeBehind?.close();
  }

  /** Resolves when nothing is uncommitted any more, or after `mostMs`: a journal that is gone must not keep a node from stopping. */
  #committed(mostMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#deps.clock.setTimer(mostMs, resolve);
      void this.#commit.drained().finally(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #resume(recovered: RecoveredShard, claim: Sequence, isAfterLoss: boolean): void {
    const { owner } = this;
    const deps = this.#deps;
    this.#writeBehind = new WriteBehind(
      {
        writer: this.#writer,
        maximumSnapshotBytes: deps.snapshots.maximumSnapshotBytes,
        clock: deps.clock,
        logger: deps.logger,
        metrics: deps.metrics,
        config: deps.config,
        onFinished: (taskId, bytes) => this.#finished.add(taskId, bytes),
        onFinishedWritten: (taskId) => {
          this.#finished.written(taskId);
          this.#passivation.finished(taskId);
        },
        onSaved: (state) => this.#passivation.saved(state),
        carryOver: () => this.#passivation.carryOver(),
        onCheckpoint: (sequence) => this.#trimmer.checkpointed(sequence),
        onSuperseded: (error) => this.#lose(error),
      },
      owner.shard,
      claim,
    );
    for (const state of recovered.finished.values()) this.#writeBehind.changed(state, claim);
    this.#phase = 'serving';
    if (deps.startsNothing?.() === true) this.startNothing();
    const interrupted: TaskId[] = [];
    for (const state of recovered.live.values()) {
      this.#writeBehind.changed(state, claim);
      if (this.#host.adopt(state, claim, isAfterLoss)) interrupted.push(state.taskId);
    }
    this.#host.adoptPassive(this.#passive.countByStatus());
    this.#passivation.restored(recovered.checkpointEpoch);
    for (const taskId of interrupted) this.#host.deliverOutcome(taskId, { type: 'owner.changed' });
    deps.metrics.recoveredTasks.add(recovered.live.size + this.#passive.size);
    void this.#finished.fillFilter();
    deps.logger.info(
      {
        shard: owner.shard,
        epoch: owner.epoch,
        live: recovered.live.size,
        passive: this.#passive.size,
        interrupted: interrupted.length,
        replayedRecords: recovered.replayedRecords,
      },
      'the shard is recovered',
    );
  }

  /** Why a command is not taken at all now, or null. */
  #refusal(command: ShardCommand): EngineError | null {
    if (this.#phase !== 'serving') return this.#notOwner();
    // A process that has slept hears of requests before its own timers: what it knows may be another owner's past.
    if (!this.#deps.leaseIsGood()) return this.#notOwner();
    const { stall } = this.#commit;
    const isRead = command.type === 'task.get' || command.type === 'task.result' || command.type === 'task.list';
    if (stall !== null && stall.forMs > stallLimitMs && !isRead) {
      return new EngineError(
        stall.code,
        `shard ${this.owner.shard} has waited ${Math.round(stall.forMs)} ms for its journal`,
        {
          retryAfterMs: 500,
          hint: 'nothing that was accepted is lost; repeat the command with the same id',
        },
      );
    }
    const { maxWaitingMessages } = this.#deps.config;
    if (this.#host.waitingCommands < maxWaitingMessages) return null;
    return new EngineError(
      'OVERLOADED',
      `shard ${this.owner.shard} has ${this.#host.waitingCommands} commands waiting`,
      {
        limit: `${maxWaitingMessages} commands`,
        retryAfterMs: overloadRetryAfterMs,
      },
    );
  }

  #reject(error: EngineError, respond: Respond): void {
    this.#deps.metrics.rejections.add(1, { code: error.code });
    respond({ kind: 'error', error: error.toReport() });
  }

  #notOwner(): EngineError {
    return new EngineError('NO_OWNER', `shard ${this.owner.shard} is not served here`, {
      retryAfterMs: overloadRetryAfterMs,
    });
  }

  /** Unlike {@link #notOwner}: something may have been written. */
  #ownershipLost(): EngineError {
    return new EngineError('OWNERSHIP_LOST', `shard ${this.owner.shard} was given up before its commit was known`, {
      retryAfterMs: overloadRetryAfterMs,
      hint: 'repeat the command with the same id: it takes effect once',
    });
  }

  #list(query: ListQuery): Promise<Reply> {
    return listTasks(query, {
      live: () => liveViews(query, { host: this.#host, passive: this.#passive, passivation: this.#passivation }),
      finished: () => this.#finishedViews(),
    });
  }

  async #finishedViews(): Promise<TaskView[]> {
    const ids: TaskId[] = [];
    for await (const taskId of this.#deps.snapshots.finishedIds(this.owner.shard)) ids.push(taskId);
    const found = await this.#deps.snapshots.findFinished(this.owner.shard, ids);
    const written = [...found].flatMap(([taskId, bytes]) => {
      try {
        return [this.#host.view(decodeSnapshot(taskId, bytes, this.#deps.registry), 'none')];
      } catch (thrown) {
        // One task of a version that this node has no more must not hide all others.
        this.#deps.logger.warn(
          { taskId, shard: this.owner.shard, err: asError(thrown) },
          'a finished task is not listed',
        );
        return [];
      }
    });
    return [...written, ...this.#finished.unwrittenStates().map((state) => this.#host.view(state, 'none'))];
  }

  /** Called by whatever first finds out that this owner may write no more. */
  #lose(error: EngineError): void {
    if (this.#phase === 'closed') return;
    void this.close(error);
    this.#deps.onLost(this.owner.shard, error);
  }
}
