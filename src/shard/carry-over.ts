import { decodeSnapshot, encodeSnapshot } from '../actors/snapshot-codec.ts';
import type { TaskState } from '../actors/task-state.ts';
import { EngineError } from '../core/errors.ts';
import type { Epoch, TaskId } from '../core/ids.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';
import type { SnapshotWrite, SnapshotWriter } from '../ports/snapshots.ts';
import type { PassiveTasks } from './passive-tasks.ts';
import type { ShardMetrics } from './shard-metrics.ts';

/** Tasks in one read and one write. */
const batchSize = 1_000;
/** Tasks that are carried over between two rounds of what changes meanwhile. */
const stepSize = 50_000;

/** What {@link CarryOver} asks of the outside. */
export interface CarryOverDeps {
  readonly writer: SnapshotWriter;
  readonly registry: PipelineRegistry;
  readonly metrics: ShardMetrics;
  readonly passive: PassiveTasks;
  /** Whether the task is on its way back into memory, so that its writer must go on knowing of it. */
  readonly isLoading: (taskId: TaskId) => boolean;
  /** The task is in memory, and this state of it is under the owner's own epoch now. */
  readonly onSaved: (state: TaskState) => void;
}

/**
 * Copies the snapshots of tasks that a recovery left passive from the epoch that they are under to the owner's own, before its first
 * checkpoint: a recovery reads one epoch only.
 *
 * A task that is woken before its turn came is copied as it was then, unless a newer state of it, or its end, was written first. Its
 * calls stand in one line with all other writes of the owner, so that no older state follows a newer one.
 */
export class CarryOver {
  readonly #deps: CarryOverDeps;
  readonly #epoch: Epoch | null;
  /** As they were when they were woken. */
  readonly #woken = new Map<TaskId, TaskState>();
  #place = 0;
  #failure: EngineError | null = null;
  #closed = false;

  /** @param epoch - the epoch that was recovered from; null when there was none */
  constructor(deps: CarryOverDeps, epoch: Epoch | null) {
    this.#deps = deps;
    this.#epoch = epoch;
  }

  /** Whether every task of the recovery is under the owner's own epoch. */
  get isDone(): boolean {
    return this.#deps.passive.uncarried === 0 && this.#woken.size === 0;
  }

  /** The task is taken into memory before it was carried over. */
  woken(state: TaskState): void {
    this.#woken.set(state.taskId, state);
  }

  /** A newer state of the task, or its end, is stored by its owner. */
  written(taskId: TaskId): void {
    this.#woken.delete(taskId);
  }

  close(): void {
    this.#closed = true;
  }

  /**
   * Carries some over.
   *
   * @throws EngineError as the store does; `UNAVAILABLE` when a snapshot is missing or not the one it must be, after all others are
   *   carried over
   */
  async step(): Promise<void> {
    const { passive, writer } = this.#deps;
    const epoch = this.#epoch;
    for (let count = 0; count < stepSize && !this.isDone && !this.#closed; count += batchSize) {
      const woken = [...this.#woken.values()].slice(0, batchSize);
      if (woken.length > 0) {
        await writer.write(
          woken.map((state) => ({ kind: 'live', taskId: state.taskId, bytes: encodeSnapshot(state) })),
        );
        for (const state of woken) this.#saved(state.taskId, state.seq);
        continue;
      }
      const { taskIds, next } = passive.uncarriedFrom(this.#place, batchSize);
      if (epoch !== null && taskIds.length > 0) await this.#copy(taskIds, epoch);
      this.#place = next ?? 0;
      if (next !== null || this.#failure === null) continue;
      const failure = this.#failure;
      this.#failure = null;
      throw failure;
    }
  }

  async #copy(taskIds: readonly TaskId[], epoch: Epoch): Promise<void> {
    const { passive, writer, metrics, isLoading } = this.#deps;
    const found = await writer.read(taskIds, epoch);
    const writes: { readonly write: SnapshotWrite; readonly seq: number }[] = [];
    for (const taskId of taskIds) {
      const task = passive.get(taskId);
      // One that was woken meanwhile is among those that are written by themselves.
      if (task === null || task.isCarried) continue;
      const bytes = found.get(taskId);
      const seq = bytes === undefined ? 0 : decodeSnapshot(taskId, bytes, this.#deps.registry).seq;
      if (bytes !== undefined && seq === task.seq) {
        writes.push({ write: { kind: 'live', taskId, bytes }, seq });
        continue;
      }
      metrics.activationFailures.add(1, { reason: bytes === undefined ? 'missing' : 'stale' });
      const what = bytes === undefined ? 'is missing' : `stands for record ${seq} and not for ${task.seq}`;
      this.#failure = new EngineError('UNAVAILABLE', `the snapshot of task ${taskId} under epoch ${epoch} ${what}`);
    }
    if (this.#closed) return;
    await writer.write(writes.map(({ write }) => write));
    for (const { write, seq } of writes) {
      this.#saved(write.taskId, seq);
      if (passive.has(write.taskId) && !isLoading(write.taskId)) writer.forget(write.taskId);
    }
  }

  /** That state of the task is under the own epoch, whether the task is in memory by now or not. */
  #saved(taskId: TaskId, seq: number): void {
    this.#deps.passive.carried(taskId, seq);
    const woken = this.#woken.get(taskId);
    if (woken?.seq !== seq) return;
    this.#woken.delete(taskId);
    this.#deps.onSaved(woken);
  }
}
