import { positionOf, type TaskState } from '../actors/task-state.ts';
import type { EngineConfig } from '../core/config.ts';
import type { Epoch, Millis, ShardId, TaskId } from '../core/ids.ts';
import type { TaskStatus } from '../core/task-view.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { SnapshotWriter } from '../ports/snapshots.ts';
import { CarryOver } from './carry-over.ts';
import { IdleTasks } from './idle-tasks.ts';
import { wakesAt, type PassiveTasks, type PassiveTimer } from './passive-tasks.ts';
import type { ResidentTasks } from './resident-tasks.ts';
import type { ShardMetrics } from './shard-metrics.ts';
import { loadRetryMs, SnapshotLoads, type LoadOutcome } from './snapshot-loads.ts';
import { TimerHeap } from './timer-heap.ts';

/** Tasks that are let go in one turn of the event loop. */
const sweepSize = 2_000;
/** Least time between two looks at tasks that could not be let go. */
const leastSweepMs = 100;
/** Recovered tasks are copied after that: a node that takes over many shards serves all of them first. */
const carryOverDelayMs = 3_000;
/** Timers that count no more are dropped when there are so many more of them than of tasks. */
const mostStaleTimers = 64;
/** What a task waits in without anything of it under way. Of a queued one its place in the line is. */
const waitingStatuses: readonly TaskStatus[] = ['backingOff', 'held', 'unknown', 'deadLettered'];

/** What {@link Passivation} asks of the outside. */
export interface PassivationDeps {
  readonly config: Pick<EngineConfig, 'passivateAfterMs' | 'maxResidentTasks'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ShardMetrics;
  readonly registry: PipelineRegistry;
  readonly writer: SnapshotWriter;
  readonly passive: PassiveTasks;
  readonly residents: ResidentTasks;
  /** Tasks of this shard in memory. */
  readonly residentCount: () => number;
  /**
   * Drops the task from memory if that state is all that there is of it: `changed` when its committed state is another one, `busy`
   * when something of it is under way.
   */
  readonly release: (state: TaskState) => 'released' | 'busy' | 'changed';
  /** A passive task's due time has come. */
  readonly wake: (taskId: TaskId, dueAt: Millis) => void;
  /** Drops the timers of tasks that are not in memory. */
  readonly dropStaleTimers: () => void;
}

/**
 * Keeps tasks that wait out of memory.
 *
 * ```
 * in memory ──(waits, its snapshot is acknowledged; then idle for passivateAfterMs, or too many are in memory)──► passive
 *     ▲                                                                                                             │
 *     └───────── loaded, with the very record that it was let go with ◄── a command, or its due time ───────────────┘
 * ```
 * A load that fails leaves the task passive: commands are answered with the failure, a due time is tried again.
 */
export class Passivation {
  readonly #deps: PassivationDeps;
  readonly #idle = new IdleTasks();
  readonly #loads: SnapshotLoads;
  readonly #timers: TimerHeap<PassiveTimer>;
  readonly #exclude: () => void;
  #carryOver: CarryOver | null = null;
  #restoredMs = 0;
  /** Tasks whose due time has come, from {@link #dueIndex} on still to be woken. */
  #due: TaskId[] = [];
  #dueIndex = 0;
  /** Timers of tasks that were let go, which their shard still has. */
  #staleTimers = 0;
  #sweepTimer: TimerHandle | null = null;
  #isSweepDeferred = false;
  #closed = false;

  constructor(deps: PassivationDeps, owner: { readonly shard: ShardId; readonly epoch: Epoch }) {
    this.#deps = deps;
    this.#loads = new SnapshotLoads(deps, owner);
    this.#timers = new TimerHeap(deps.clock, (timer) => this.#onDue(timer));
    this.#exclude = deps.residents.include(deps.residentCount);
  }

  /** Tasks that are not in memory; those that are loaded now are among them. */
  get size(): number {
    return this.#deps.passive.size;
  }

  /** Passive tasks that are on their way back. */
  get loading(): number {
    return this.#loads.pending;
  }

  has(taskId: TaskId): boolean {
    return this.#deps.passive.has(taskId);
  }

  /** The states of passive tasks, which stay passive. @throws EngineError `UNAVAILABLE` */
  async read(taskIds: readonly TaskId[]): Promise<ReadonlyMap<TaskId, TaskState>> {
    const states = await this.#loads.read(taskIds);
    for (const taskId of taskIds) {
      if (this.has(taskId) && !this.#loads.isLoading(taskId)) this.#deps.writer.forget(taskId);
    }
    return states;
  }

  /** The recovery is over: its passive tasks are to be woken in their time. @param epoch - the one that their snapshots are under */
  restored(epoch: Epoch | null): void {
    const { passive, clock } = this.#deps;
    this.#restoredMs = clock.monotonicMs();
    this.#loads.recoveredFrom(epoch);
    const isLoading = (taskId: TaskId): boolean => this.#loads.isLoading(taskId);
    this.#carryOver = new CarryOver({ ...this.#deps, isLoading, onSaved: (state) => this.#waits(state) }, epoch);
    for (const taskId of passive.taskIds()) this.#arm(taskId, 0);
  }

  /** Brings recovered tasks under the owner's own epoch, when it is time for that. @returns whether all of them are. @throws as {@link CarryOver.step} */
  async carryOver(): Promise<boolean> {
    const carryOver = this.#carryOver;
    if (carryOver === null || carryOver.isDone) return true;
    if (this.#deps.clock.monotonicMs() - this.#restoredMs < carryOverDelayMs) return false;
    await carryOver.step();
    return carryOver.isDone;
  }

  /** That state of a live task is acknowledged by the store, under the owner's own epoch. */
  saved(state: TaskState): void {
    this.#carryOver?.written(state.taskId);
    this.#waits(state);
  }

  /** A task has finished, and its snapshot is acknowledged. */
  finished(taskId: TaskId): void {
    this.#carryOver?.written(taskId);
  }

  /**
   * Loads a passive task. Once it is loaded it is passive no more and whoever asked holds it; a failure leaves all as it was. Answers in
   * a later turn, and not after {@link close}.
   */
  load(taskId: TaskId, by: 'command' | 'timer', answer: (outcome: LoadOutcome) => void): void {
    this.#loads.load(taskId, (outcome) => {
      if (outcome.kind === 'failed') this.#arm(taskId, loadRetryMs);
      else this.#activate(outcome.state, by);
      answer(outcome);
      this.#wakeDue();
    });
  }

  /** Wakes nothing any more. */
  drain(): void {
    this.#timers.close();
    this.#due = [];
    this.#dueIndex = 0;
  }

  close(): void {
    this.#closed = true;
    this.drain();
    this.#sweepTimer?.cancel();
    this.#loads.close();
    this.#carryOver?.close();
    this.#idle.clear();
    this.#deps.passive.clear();
    this.#exclude();
  }

  #activate(state: TaskState, by: 'command' | 'timer'): void {
    const { passive, metrics } = this.#deps;
    const { taskId } = state;
    const isCarried = passive.get(taskId)?.isCarried === true;
    passive.remove(taskId);
    metrics.activations.add(1, { by });
    // The store has it under the own epoch, or will when it is carried over.
    if (isCarried) this.#waits(state);
    else this.#carryOver?.woken(state);
  }

  /** The task is in memory, in that state when it was last heard of, and the store has it. */
  #waits(state: TaskState): void {
    if (this.#closed || !waitingStatuses.includes(positionOf(state.machine.value).status)) return;
    const { clock, config, residents } = this.#deps;
    this.#idle.add(state, clock.monotonicMs());
    if (config.passivateAfterMs === 0 || residents.total > config.maxResidentTasks) this.#sweepSoon();
    else this.#armSweep();
  }

  #sweepSoon(): void {
    if (this.#isSweepDeferred || this.#closed) return;
    this.#isSweepDeferred = true;
    this.#deps.clock.defer(() => {
      this.#isSweepDeferred = false;
      this.#sweep();
    });
  }

  /** A look when the one that has waited longest has done so for long enough. */
  #armSweep(): void {
    const sinceMs = this.#idle.oldestSinceMs;
    if (this.#sweepTimer !== null || sinceMs === null || this.#closed) return;
    const { clock, config } = this.#deps;
    const delayMs = Math.max(leastSweepMs, sinceMs + config.passivateAfterMs - clock.monotonicMs());
    this.#sweepTimer = clock.setTimer(delayMs, () => {
      this.#sweepTimer = null;
      this.#sweep();
    });
  }

  #sweep(): void {
    if (this.#closed) return;
    const { clock, config, residents } = this.#deps;
    const nowMs = clock.monotonicMs();
    const over = residents.total - config.maxResidentTasks;
    const taken = this.#idle.take({ sinceMs: nowMs - config.passivateAfterMs, over, most: sweepSize });
    for (const state of taken) {
      const outcome = this.#deps.release(state);
      if (outcome === 'busy') this.#idle.add(state, nowMs);
      if (outcome === 'released') this.#passivate(state);
    }
    if (this.#staleTimers > this.#deps.residentCount() + mostStaleTimers) {
      this.#staleTimers = 0;
      this.#deps.dropStaleTimers();
    }
    if (taken.length === sweepSize) this.#sweepSoon();
    else this.#armSweep();
  }

  #passivate(state: TaskState): void {
    const { passive, writer, metrics } = this.#deps;
    passive.add(state, true);
    // What is written of it next follows on what is read then.
    writer.forget(state.taskId);
    metrics.passivations.add();
    if (wakesAt(state) !== null) this.#staleTimers += 1;
    this.#arm(state.taskId, 0);
  }

  /** Sets the task's timer, if it wants one; not before `leastDelayMs`. */
  #arm(taskId: TaskId, leastDelayMs: number): void {
    const { passive } = this.#deps;
    const wanted = passive.newTimer(taskId);
    if (wanted === null) return;
    this.#timers.set(wanted.timer, wanted.dueAt, leastDelayMs);
    if (this.#timers.size > 2 * passive.size + mostStaleTimers) {
      this.#timers.retain((timer) => passive.taskOf(timer) !== null);
    }
  }

  #onDue(timer: PassiveTimer): void {
    const task = this.#deps.passive.taskOf(timer);
    if (task === null) return;
    this.#due.push(task.taskId);
    this.#wakeDue();
  }

  /** Wakes those that are due, as far as there is room for loads: however many are due at once, few are in memory for it. */
  #wakeDue(): void {
    while (this.#dueIndex < this.#due.length && !this.#loads.isBusy && !this.#closed) {
      const taskId = this.#due[this.#dueIndex] as TaskId;
      this.#dueIndex += 1;
      const task = this.#deps.passive.get(taskId);
      // A task that a command has woken meanwhile has a timer of its own in memory, or gets one when it is loaded.
      if (task === null || task.dueAt === null || this.#loads.isLoading(taskId)) continue;
      this.#deps.wake(taskId, task.dueAt);
    }
    if (this.#dueIndex < this.#due.length) return;
    this.#due = [];
    this.#dueIndex = 0;
  }
}
