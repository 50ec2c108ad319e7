import { isFinished, positionOf, type TaskState } from '../actors/task-state.ts';
import { assert } from '../core/errors.ts';
import type { Millis, PipelineName, TaskId } from '../core/ids.ts';
import type { TaskStatus } from '../core/task-view.ts';

/** What is kept of a task that is not in memory: its state is in the snapshot store. */
export interface PassiveTask {
  readonly taskId: TaskId;
  /** The `seq` of its last record, which its snapshot must have. */
  readonly seq: number;
  /** When it wants to be woken, or null. */
  readonly dueAt: Millis | null;
  readonly kind: PassiveKind;
  /** Whether its snapshot is under its owner's own epoch; else it is under the epoch that was recovered from. */
  readonly isCarried: boolean;
}

/** What tasks have in common that stand in the same place of the same pipeline. */
export interface PassiveKind {
  readonly pipeline: PipelineName;
  readonly version: number;
  /** Of the machine, such as `photos.backingOff`. */
  readonly state: string;
  readonly status: TaskStatus;
}

/** A timer of a passive task: one number, which names no other task when its place is given to another one. */
export type PassiveTimer = number;

const firstCapacity = 64;
/** Timers carry the place's generation above the place itself: 2^32 places, 2^20 generations, exact in a double. */
const placeLimit = 2 ** 32;
const generationLimit = 2 ** 20;

/**
 * The tasks of one shard that wait and are not in memory, in about 150 bytes each: a number a task, and typed arrays of what is
 * known of it. The largest part of it is the id.
 */
export class PassiveTasks {
  readonly #places = new Map<TaskId, number>();
  readonly #ids: (TaskId | null)[] = [];
  #seqs = new Uint32Array(firstCapacity);
  #kinds = new Uint32Array(firstCapacity);
  #generations = new Uint32Array(firstCapacity);
  /** NaN: it wants no waking. */
  #dueAts = new Float64Array(firstCapacity);
  #carried = new Uint8Array(firstCapacity);
  readonly #free: number[] = [];
  readonly #kindTable: PassiveKind[] = [];
  readonly #kindIndexes = new Map<string, number>();
  #uncarried = 0;

  get size(): number {
    return this.#places.size;
  }

  /** Tasks whose snapshot is under an earlier epoch. */
  get uncarried(): number {
    return this.#uncarried;
  }

  has(taskId: TaskId): boolean {
    return this.#places.has(taskId);
  }

  get(taskId: TaskId): PassiveTask | null {
    const place = this.#places.get(taskId);
    return place === undefined ? null : this.#taskAt(place);
  }

  /** Keeps what is needed of a state whose snapshot is stored; in place of what was kept of the task before. */
  add(state: TaskState, isCarried: boolean): void {
    assert(!isFinished(state), () => `task ${state.taskId}: a task that has ended waits for nothing`);
    const known = this.#places.get(state.taskId);
    const place = known ?? this.#takePlace(state.taskId);
    if (known !== undefined && this.#carried[known] === 0) this.#uncarried -= 1;
    if (!isCarried) this.#uncarried += 1;
    this.#seqs[place] = state.seq;
    this.#kinds[place] = this.#kindOf(state);
    this.#generations[place] = ((this.#generations[place] ?? 0) + 1) % generationLimit;
    this.#dueAts[place] = wakesAt(state) ?? Number.NaN;
    this.#carried[place] = isCarried ? 1 : 0;
  }

  remove(taskId: TaskId): void {
    const place = this.#places.get(taskId);
    if (place === undefined) return;
    if (this.#carried[place] === 0) this.#uncarried -= 1;
    this.#places.delete(taskId);
    this.#ids[place] = null;
    this.#generations[place] = ((this.#generations[place] ?? 0) + 1) % generationLimit;
    this.#free.push(place);
  }

  /** The task's snapshot with that `seq` is under its owner's own epoch now. */
  carried(taskId: TaskId, seq: number): void {
    const place = this.#places.get(taskId);
    if (place === undefined || this.#seqs[place] !== seq) return;
    if (this.#carried[place] === 0) this.#uncarried -= 1;
    this.#carried[place] = 1;
  }

  /** A timer of the task as it is now; null when it wants none. Those given out before count no more. */
  newTimer(taskId: TaskId): { readonly timer: PassiveTimer; readonly dueAt: Millis } | null {
    const place = this.#places.get(taskId);
    const dueAt = place === undefined ? Number.NaN : (this.#dueAts[place] ?? Number.NaN);
    if (place === undefined || Number.isNaN(dueAt)) return null;
    const generation = ((this.#generations[place] ?? 0) + 1) % generationLimit;
    this.#generations[place] = generation;
    return { timer: generation * placeLimit + place, dueAt };
  }

  /** The task that the timer was given out for, or null when the timer counts no more. */
  taskOf(timer: PassiveTimer): PassiveTask | null {
    const place = timer % placeLimit;
    if (this.#generations[place] !== Math.floor(timer / placeLimit) || (this.#ids[place] ?? null) === null) return null;
    return this.#taskAt(place);
  }

  /** Up to `most` tasks whose snapshot is under an earlier epoch, from that place on; and the place to go on at, null at the end. */
  uncarriedFrom(place: number, most: number): { readonly taskIds: readonly TaskId[]; readonly next: number | null } {
    const taskIds: TaskId[] = [];
    for (let at = place; at < this.#ids.length; at += 1) {
      const taskId = this.#ids[at] ?? null;
      if (taskId === null || this.#carried[at] === 1) continue;
      if (taskIds.length === most) return { taskIds, next: at };
      taskIds.push(taskId);
    }
    return { taskIds, next: null };
  }

  /** The ids of all tasks of the kinds that match, in no order. */
  *idsOf(matches: (kind: PassiveKind) => boolean): Generator<TaskId, void, undefined> {
    const isWanted = this.#kindTable.map(matches);
    for (const [taskId, place] of this.#places) if (isWanted[this.#kinds[place] ?? 0] === true) yield taskId;
  }

  /** How many tasks there are in each status. */
  countByStatus(): ReadonlyMap<TaskStatus, number> {
    const counts = new Map<TaskStatus, number>();
    for (const place of this.#places.values()) {
      const { status } = this.#kindTable[this.#kinds[place] ?? 0] as PassiveKind;
      counts.set(status, (counts.get(status) ?? 0) + 1);
    }
    return counts;
  }

  taskIds(): IterableIterator<TaskId> {
    return this.#places.keys();
  }

  clear(): void {
    this.#places.clear();
    this.#ids.length = 0;
    this.#free.length = 0;
    this.#uncarried = 0;
  }

  #taskAt(place: number): PassiveTask {
    const dueAt = this.#dueAts[place] ?? Number.NaN;
    return {
      taskId: this.#ids[place] as TaskId,
      seq: this.#seqs[place] ?? 0,
      dueAt: Number.isNaN(dueAt) ? null : dueAt,
      kind: this.#kindTable[this.#kinds[place] ?? 0] as PassiveKind,
      isCarried: this.#carried[place] === 1,
    };
  }

  #takePlace(taskId: TaskId): number {
    const place = this.#free.pop() ?? this.#ids.length;
    if (place >= this.#seqs.length) this.#grow();
    const own = ownCopy(taskId);
    this.#ids[place] = own;
    this.#places.set(own, place);
    return place;
  }

  /** By half: what stands empty is memory too. */
  #grow(): void {
    const capacity = Math.ceil(this.#seqs.length * 1.5);
    this.#seqs = grown(new Uint32Array(capacity), this.#seqs);
    this.#kinds = grown(new Uint32Array(capacity), this.#kinds);
    this.#generations = grown(new Uint32Array(capacity), this.#generations);
    this.#dueAts = grown(new Float64Array(capacity), this.#dueAts);
    this.#carried = grown(new Uint8Array(capacity), this.#carried);
  }

  #kindOf({ pipeline, version, machine }: TaskState): number {
    const name = `${pipeline} ${version} ${machine.value}`;
    const known = this.#kindIndexes.get(name);
    if (known !== undefined) return known;
    const index = this.#kindTable.length;
    this.#kindTable.push({ pipeline, version, state: machine.value, status: positionOf(machine.value).status });
    this.#kindIndexes.set(name, index);
    return index;
  }
}

function grown<Column extends { set(from: Column): void }>(to: Column, from: Column): Column {
  to.set(from);
  return to;
}

/** When a waiting task wants to be woken, or null. Pure. */
export function wakesAt({ machine }: TaskState): Millis | null {
  return positionOf(machine.value).status === 'backingOff' ? machine.control.dueAt : null;
}

/** The same text in memory of its own: a piece of a larger text would keep all of that. Ids are ASCII. */
function ownCopy(taskId: TaskId): TaskId {
  return Buffer.from(taskId, 'latin1').toString('latin1') as TaskId;
}
