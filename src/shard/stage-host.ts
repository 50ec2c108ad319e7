import type { ActorMessage } from '../actors/messages.ts';
import type { Effect } from '../actors/effects.ts';
import { runLookup } from '../actors/lookup-run.ts';
import { StageRun, type StageJob, type StageRunnerDeps } from '../actors/stage-runner.ts';
import { isSuspectLookup } from '../actors/lookup-suspicion.ts';
import { probationOf } from '../actors/suspicion.ts';
import type { TaskState } from '../actors/task-state.ts';
import type { EngineConfig } from '../core/config.ts';
import { asError, assert, EngineError, unreachable } from '../core/errors.ts';
import type { Epoch, Millis, Sequence, ShardId, StageName, TaskId } from '../core/ids.ts';
import type { LookupStanding, StageWait } from '../core/task-outlook.ts';
import type { TaskStatus } from '../core/task-view.ts';
import type { PipelineDefinition, StageSpec } from '../pipeline/definition.ts';
import type { ShardMetrics } from './shard-metrics.ts';
import type { LookupTurn } from './lookup-line.ts';
import type { Slot, SlotWaiter, StageSlots } from './stage-slots.ts';
import { TimerHeap } from './timer-heap.ts';

/** What {@link StageHost} asks of the outside. */
export interface StageHostDeps {
  readonly config: Pick<EngineConfig, 'maxInterruptions' | 'suspectAfterInterruptions'>;
  readonly runner: StageRunnerDeps;
  readonly slots: StageSlots;
  readonly metrics: ShardMetrics;
  /** Whether the node's lease is good for a while: asked before every start. */
  readonly leaseIsGood: () => boolean;
  /** A start was refused because it is not: another node may own the shard by now. */
  readonly onUnsafe: () => void;
  /** Puts an outcome into the task's mailbox. */
  readonly deliver: (taskId: TaskId, message: ActorMessage) => void;
}

/** A timer of a task in memory: when it fires, the task is told which due time it was set for. */
interface TaskTimer {
  readonly taskId: TaskId;
  readonly dueAt: Millis;
}

/**
 * Runs the effects of a shard's tasks: stage drivers, lookups, slots and timers. It decides nothing; every outcome goes back
 * into the task's mailbox.
 */
export class StageHost {
  readonly #deps: StageHostDeps;
  readonly #shard: ShardId;
  readonly #epoch: Epoch;
  readonly #runs = new Map<TaskId, StageRun>();
  readonly #lookups = new Map<TaskId, AbortController>();
  /** Places in the line of suspect lookups, and the turn of the one that is asked. */
  readonly #lookupTurns = new Map<TaskId, LookupTurn>();
  /** Committed starts that wait until the driver before them has stopped. */
  readonly #startsAfter = new Map<
    TaskId,
    { readonly stage: StageName; readonly begin: () => void; readonly release: () => void }
  >();
  readonly #waiters = new Map<TaskId, SlotWaiter>();
  readonly #timers: TimerHeap<TaskTimer>;
  /** Slots by key that are taken for stages whose driver does not run yet: their grant or their start is on its way. */
  readonly #reserved = new Map<string, Slot[]>();
  /** The same for suspects, by task: the probation belongs to the stage that it was given to. */
  readonly #reservedForSuspects = new Map<TaskId, Slot>();
  #draining = false;
  /** Why drivers are aborted while their last words are still heard; null before. */
  #handoverReason: Error | null = null;
  #closed = false;
  #onQuiet: (() => void)[] = [];

  constructor(deps: StageHostDeps, owner: { readonly shard: ShardId; readonly epoch: Epoch }) {
    this.#deps = deps;
    this.#shard = owner.shard;
    this.#epoch = owner.epoch;
    this.#timers = new TimerHeap(deps.runner.clock, ({ taskId, dueAt }) =>
      deps.deliver(taskId, { type: 'timer.fired', dueAt }),
    );
  }

  /** Whether anything of the task is under way here: a driver that runs or is being stopped, a lookup, a place in a line. */
  isBusy(taskId: TaskId): boolean {
    return (
      this.#runs.has(taskId) ||
      this.#lookups.has(taskId) ||
      this.#lookupTurns.has(taskId) ||
      this.#waiters.has(taskId) ||
      this.#startsAfter.has(taskId) ||
      this.#reservedForSuspects.has(taskId)
    );
  }

  /** Wakes the task at that instant. */
  wakeAt(taskId: TaskId, dueAt: Millis): void {
    this.#timers.set({ taskId, dueAt }, dueAt);
  }

  /** Drops timers that count no more. */
  retainTimers(isNeeded: (timer: TaskTimer) => boolean): void {
    this.#timers.retain(isNeeded);
  }

  /** Whether nothing starts here any more. */
  get isDraining(): boolean {
    return this.#draining;
  }

  /** Drivers of this shard that run. */
  get runningCount(): number {
    return this.#runs.size;
  }

  /**
   * Whether the stage may start at once; never while the shard drains, so that nothing new starts.
   *
   * @param goesOn - the task comes from its stage before and keeps its slot; anyone else goes behind those who wait
   */
  mayStart(definition: PipelineDefinition, spec: StageSpec, goesOn: boolean): boolean {
    if (this.#draining) return false;
    const { slots } = this.#deps;
    const key = slotKey(definition, spec.name);
    return goesOn ? slots.isFree(key, spec) : slots.mayEnter(key, spec);
  }

  /** Takes the slot that {@link mayStart} said is free, for a stage that is decided to start. */
  takeSlot(definition: PipelineDefinition, stage: StageName): void {
    this.#reserve(this.#deps.slots.take(slotKey(definition, stage), definition.stage(stage)));
    this.#deps.metrics.stageQueueSeconds.observe(0, { pipeline: definition.name, stage });
  }

  /** Gives a granted slot back: its stage is not queued any more. */
  returnSlot(taskId: TaskId, definition: PipelineDefinition, stage: StageName): void {
    if (this.#closed) return;
    this.#deps.slots.release(this.#useReserved(taskId, slotKey(definition, stage)), 'unknown');
    this.#grantSoon();
  }

  /** What keeps the task's stage from its start: empty when it is not about to start, or its start is on its way. */
  waitsOf(taskId: TaskId, status: TaskStatus, spec: StageSpec): readonly StageWait[] {
    const { slots } = this.#deps;
    if (status === 'backingOff') {
      const breaker = slots.breakerWait(spec);
      return breaker === null ? [] : [breaker];
    }
    if (status !== 'queued') return [];
    if (this.#draining) return [{ kind: 'handover' }];
    const waiter = this.#waiters.get(taskId);
    return waiter === undefined ? [] : slots.waitsOf(waiter);
  }

  /** How far the question is what became of the task's interrupted attempt. */
  lookupOf(taskId: TaskId): LookupStanding {
    if (this.#lookups.has(taskId)) return 'asking';
    return this.#lookupTurns.has(taskId) ? 'inLine' : 'none';
  }

  /** Runs one effect of a committed record. `sequence` is that commit's, and so the fence of a stage it starts. */
  run(effect: Effect, state: TaskState, definition: PipelineDefinition, sequence: Sequence): void {
    if (this.#closed) return;
    const { taskId } = state;
    switch (effect.type) {
      case 'stage.start':
        return this.#start(state, definition, effect.stage, effect.attempt, sequence);
      case 'stage.abort': {
        const waiting = this.#startsAfter.get(taskId);
        this.#startsAfter.delete(taskId);
        if (waiting !== undefined) this.returnSlot(taskId, definition, waiting.stage);
        this.#runs.get(taskId)?.abort(new EngineError('CANCELED', `task ${taskId} was canceled`));
        return;
      }
      case 'slot.await':
        return this.#awaitSlot(state, definition, effect.stage);
      case 'slot.leave': {
        const waiter = this.#waiters.get(taskId);
        if (waiter !== undefined) this.#deps.slots.leave(waiter);
        this.#waiters.delete(taskId);
        return;
      }
      case 'timer.set':
        return this.wakeAt(taskId, effect.dueAt);
      case 'lookup.start':
        return this.#lookUp(state, definition, effect.stage, effect.attempt, sequence);
      default:
        unreachable(effect);
    }
  }

  /** The task's outcome is not unknown any more: its lookup, if one runs, asks no further. */
  endLookup(taskId: TaskId): void {
    this.#endLookupTurn(taskId);
    this.#lookups.get(taskId)?.abort(new EngineError('CANCELED', `the outcome of task ${taskId} is known`));
    this.#lookups.delete(taskId);
  }

  /** Calls `onTurn` when no other lookup of this node is asked that may be what kills it; the turn ends with the lookup. */
  awaitLookupTurn(taskId: TaskId, onTurn: () => void): void {
    if (this.#draining) return; // The next owner asks.
    this.#endLookupTurn(taskId);
    this.#lookupTurns.set(taskId, this.#deps.slots.suspectLookups.enter(onTurn));
  }

  #endLookupTurn(taskId: TaskId): void {
    const turn = this.#lookupTurns.get(taskId);
    this.#lookupTurns.delete(taskId);
    if (turn !== undefined) this.#deps.slots.suspectLookups.end(turn);
  }

  /** A checkpoint of the task's running stage is committed, or was dropped as a straggler. */
  checkpointSettled(taskId: TaskId, name: string, committed: boolean): void {
    const run = this.#runs.get(taskId);
    if (committed) run?.checkpointCommitted(name);
    else run?.checkpointDropped(name);
  }

  /** Starts nothing any more; what runs may end. Queued stages leave the line and stay queued for the next owner. */
  drain(): void {
    this.#draining = true;
    for (const waiter of this.#waiters.values()) this.#deps.slots.leave(waiter);
    this.#waiters.clear();
    this.#timers.close();
  }

  /**
   * Aborts what runs because the shard is handed over. A driver that stops says so with a `stage.released`, for the record; one
   * that does not stop in time says nothing, and its stage is found running by the next owner.
   */
  releaseAll(reason: Error): void {
    if (this.#closed || this.#handoverReason !== null) return;
    this.drain();
    this.#handoverReason = reason;
    for (const { release } of this.#startsAfter.values()) release();
    this.#startsAfter.clear();
    for (const run of this.#runs.values()) run.release(reason);
  }

  /** Resolves when no driver of this shard runs. */
  quiet(): Promise<void> {
    if (this.#runs.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onQuiet.push(resolve));
  }

  /** Aborts what runs; nothing of it reaches a mailbox any more. Slots of stages that will not start here are given back. */
  close(reason: Error): void {
    if (this.#closed) return;
    this.drain();
    this.#closed = true;
    for (const slot of [...this.#reserved.values()].flat()) this.#deps.slots.release(slot, 'unknown');
    this.#reserved.clear();
    for (const slot of this.#reservedForSuspects.values()) this.#deps.slots.release(slot, 'unknown');
    this.#reservedForSuspects.clear();
    this.#startsAfter.clear();
    this.#grantSoon();
    for (const run of this.#runs.values()) run.abort(reason);
    for (const lookup of this.#lookups.values()) lookup.abort(reason);
    this.#lookups.clear();
    for (const taskId of this.#lookupTurns.keys()) this.#endLookupTurn(taskId);
  }

  #start(
    state: TaskState,
    definition: PipelineDefinition,
    stage: StageName,
    attempt: number,
    sequence: Sequence,
  ): void {
    const { taskId } = state;
    const { metrics, slots, deliver, runner, leaseIsGood, onUnsafe } = this.#deps;
    if (!leaseIsGood()) return onUnsafe();
    // Its start was on its way to the journal when the grace ran out.
    if (this.#handoverReason !== null) return this.#releaseStart(taskId, definition, stage, attempt);
    // An aborted driver of this task may still be stopping: two attempts never run beside each other (R-LOCK-1).
    if (this.#runs.has(taskId)) return this.#startLater(state, definition, stage, attempt, sequence);
    const slot = this.#useReserved(taskId, slotKey(definition, stage));
    const startedMs = runner.clock.monotonicMs();
    const run = StageRun.start(this.#jobOf(state, definition, stage, attempt, sequence), runner, {
      onOutcome: (message) => {
        if (message.type === 'stage.settled') {
          const seconds = (runner.clock.monotonicMs() - startedMs) / 1_000;
          metrics.stageSeconds.observe(seconds, { pipeline: definition.name, stage, outcome: message.result.kind });
        }
        if (!this.#closed) deliver(taskId, message);
      },
      onEnd: (end, integration) => {
        if (this.#runs.get(taskId) === run) this.#runs.delete(taskId);
        if (end === 'abandoned') metrics.abandonedDrivers.add(1, { pipeline: definition.name, stage });
        slots.release(slot, integration);
        this.#grantSoon();
        const next = this.#startsAfter.get(taskId);
        this.#startsAfter.delete(taskId);
        if (!this.#closed) next?.begin();
        if (this.#runs.size > 0) return;
        for (const wake of this.#onQuiet.splice(0)) wake();
      },
    });
    if (run.isEnded) return;
    this.#runs.set(taskId, run);
    if (slot.probation !== null) metrics.suspectStarts.add(1, { pipeline: definition.name, stage });
    slots.startProbation(slot, () => {
      if (!this.#closed) deliver(taskId, { type: 'probation.passed', stage, attempt });
    });
  }

  #startLater(
    state: TaskState,
    definition: PipelineDefinition,
    stage: StageName,
    attempt: number,
    sequence: Sequence,
  ): void {
    const { taskId } = state;
    this.#startsAfter.set(taskId, {
      stage,
      begin: () => this.#start(state, definition, stage, attempt, sequence),
      release: () => this.#releaseStart(taskId, definition, stage, attempt),
    });
  }

  /** The shard is handed over before the attempt's driver was called. */
  #releaseStart(taskId: TaskId, definition: PipelineDefinition, stage: StageName, attempt: number): void {
    this.returnSlot(taskId, definition, stage);
    this.#deps.deliver(taskId, { type: 'stage.released', stage, attempt, untouched: true });
  }

  #awaitSlot({ taskId, machine }: TaskState, definition: PipelineDefinition, stage: StageName): void {
    if (this.#draining) return;
    const { metrics, runner } = this.#deps;
    const sinceMs = runner.clock.monotonicMs();
    const probation = probationOf(machine.control, this.#deps.config);
    const waiter: SlotWaiter = {
      spec: definition.stage(stage),
      key: slotKey(definition, stage),
      probation,
      onGranted: (slot) => {
        this.#waiters.delete(taskId);
        const waitedMs = runner.clock.monotonicMs() - sinceMs;
        metrics.stageQueueSeconds.observe(waitedMs / 1_000, { pipeline: definition.name, stage });
        if (probation === null) this.#reserve(slot);
        else this.#reservedForSuspects.set(taskId, slot);
        this.#deps.deliver(taskId, { type: 'slot.granted', stage });
      },
    };
    this.#waiters.set(taskId, waiter);
    this.#deps.slots.wait(waiter);
    this.#grantSoon();
  }

  #lookUp(
    state: TaskState,
    definition: PipelineDefinition,
    stage: StageName,
    attempt: number,
    sequence: Sequence,
  ): void {
    const { taskId, lookupLosses = 0 } = state;
    if (this.#draining) return this.#endLookupTurn(taskId); // The next owner asks.
    if (isSuspectLookup(lookupLosses, this.#deps.config) && !this.#lookupTurns.has(taskId)) {
      this.awaitLookupTurn(taskId, () => this.#lookUp(state, definition, stage, attempt, sequence));
      return;
    }
    const controller = new AbortController();
    this.#lookups.get(taskId)?.abort(new Error('asked again'));
    this.#lookups.set(taskId, controller);
    const job = this.#jobOf(state, definition, stage, attempt, sequence);
    runLookup(job, this.#deps.runner, controller.signal, (message) => this.#deps.deliver(taskId, message))
      .catch((thrown: unknown) => {
        // The lookup itself cannot reject; this is a bug of ours, and the task stays parked where an operator sees it.
        this.#deps.runner.logger.error({ taskId, stage, err: asError(thrown) }, 'a lookup crashed');
      })
      .finally(() => {
        if (this.#lookups.get(taskId) !== controller) return;
        this.#lookups.delete(taskId);
        this.#endLookupTurn(taskId);
      });
  }

  #jobOf(
    state: TaskState,
    definition: PipelineDefinition,
    stage: StageName,
    attempt: number,
    sequence: Sequence,
  ): StageJob {
    return {
      taskId: state.taskId,
      definition,
      spec: definition.stage(stage),
      attempt,
      input: state.input,
      outputs: state.outputs,
      checkpoints: state.checkpoints,
      fence: { shard: this.#shard, epoch: this.#epoch, sequence },
      traceparent: state.traceparent,
    };
  }

  /** Notes a slot that is taken and not used yet. */
  #reserve(slot: Slot): void {
    const known = this.#reserved.get(slot.key);
    if (known === undefined) this.#reserved.set(slot.key, [slot]);
    else known.push(slot);
  }

  /** A reserved slot, which is used or given back now. Those of one key are alike: which task it was taken for does not matter. */
  #useReserved(taskId: TaskId, key: string): Slot {
    const ofSuspect = this.#reservedForSuspects.get(taskId);
    this.#reservedForSuspects.delete(taskId);
    const slot = ofSuspect ?? this.#reserved.get(key)?.shift();
    assert(slot !== undefined, () => `shard ${this.#shard}: no slot is reserved for ${key}`);
    return slot;
  }

  /** After this turn: a task that goes on to its next stage takes the slot over before those who wait. */
  #grantSoon(): void {
    const { slots } = this.#deps;
    if (slots.waiting > 0) slots.grantSoon();
  }
}

function slotKey(definition: PipelineDefinition, stage: StageName): string {
  return `${definition.name}/${stage}`;
}
