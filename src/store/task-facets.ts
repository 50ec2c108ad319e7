import { assert } from '../core/errors.ts';
import type { IndexedTask, TaskFilter } from '../ports/task-index.ts';
import { isOneOf } from './task-query.ts';

/** What many tasks have in common: all of a task that has few values. Tasks are stored with the number of theirs. */
export interface Facet extends Pick<
  IndexedTask,
  'pipeline' | 'version' | 'shard' | 'status' | 'state' | 'stage' | 'failureFingerprint'
> {
  readonly id: number;
  readonly failure: Pick<NonNullable<IndexedTask['failure']>, 'class'> | null;
  readonly isEnded: boolean;
  readonly isDue: boolean;
  /** The tasks that have it. */
  readonly count: number;
}

/** A facet as it is stored. */
export type StoredFacet = readonly [id: number, key: string, count: number];

/** Facets that a filter means. */
export interface FacetSelection {
  readonly facets: readonly Facet[];
  /** Tasks of all of them. */
  readonly taskCount: number;
  /** Whether no other task exists. */
  readonly isAll: boolean;
}

/**
 * The facets of an index with their counts, in memory: a few hundred where tasks are many. So counts by them need no look at any
 * task, and how many tasks a filter leaves is known before the first one is read.
 */
export class TaskFacets {
  readonly #byKey = new Map<string, MutableFacet>();
  readonly #byId = new Map<number, MutableFacet>();
  readonly #dirty = new Set<MutableFacet>();
  #lastId = 0;
  #taskCount = 0;

  constructor(stored: readonly StoredFacet[]) {
    for (const [id, key, count] of stored) {
      this.#add(parseFacet(id, key, count), key);
      this.#taskCount += count;
    }
  }

  /** Tasks in the index. */
  get taskCount(): number {
    return this.#taskCount;
  }

  /** The facet of that number. */
  get(id: number): Facet {
    const facet = this.#byId.get(id);
    assert(facet !== undefined, () => `the task index has no facet ${id}`);
    return facet;
  }

  /** The number of the task's facet, a new one for the first task that has it. */
  idOf(task: IndexedTask): number {
    const key = keyOf(task);
    const known = this.#byKey.get(key);
    if (known !== undefined) return known.id;
    const facet = parseFacet(this.#lastId + 1, key, 0);
    this.#add(facet, key);
    this.#dirty.add(facet);
    return facet.id;
  }

  /** A task has come to a facet (`by` 1) or has left it (`by` -1). */
  count(id: number, by: 1 | -1): void {
    const facet = this.get(id) as MutableFacet;
    facet.count += by;
    this.#taskCount += by;
    this.#dirty.add(facet);
  }

  /** What must be stored since the last call; a count of 0 removes the facet. */
  takeChanges(): readonly StoredFacet[] {
    const changes = [...this.#dirty].map((facet): StoredFacet => [facet.id, facet.key, facet.count]);
    this.#dirty.clear();
    for (const [id, key, count] of changes) {
      if (count > 0) continue;
      this.#byId.delete(id);
      this.#byKey.delete(key);
    }
    return changes;
  }

  /** The facets with tasks that the filter's members about facets mean. */
  select(filter: TaskFilter, needs: { readonly isEnded?: boolean; readonly isDue?: boolean } = {}): FacetSelection {
    const facets: Facet[] = [];
    let taskCount = 0;
    for (const facet of this.#byId.values()) {
      const isMeant =
        facet.count > 0 &&
        (needs.isEnded === undefined || facet.isEnded === needs.isEnded) &&
        (needs.isDue === undefined || facet.isDue === needs.isDue) &&
        isOneOf(filter.pipelines, facet.pipeline) &&
        isOneOf(filter.versions, facet.version) &&
        isOneOf(filter.statuses, facet.status) &&
        isOneOf(filter.stages, facet.stage) &&
        isOneOf(filter.shards, facet.shard) &&
        isOneOf(filter.failureClasses, facet.failure?.class ?? null) &&
        isOneOf(filter.failureFingerprints, facet.failureFingerprint);
      if (!isMeant) continue;
      facets.push(facet);
      taskCount += facet.count;
    }
    return { facets, taskCount, isAll: taskCount === this.#taskCount };
  }

  #add(facet: MutableFacet, key: string): void {
    this.#byKey.set(key, facet);
    this.#byId.set(facet.id, facet);
    this.#lastId = Math.max(this.#lastId, facet.id);
  }
}

type MutableFacet = Omit<Facet, 'count'> & { count: number; readonly key: string };

function keyOf(task: IndexedTask): string {
  const { pipeline, version, shard, status, state, stage, failure, failureFingerprint } = task;
  const isEnded = task.endedAt !== null;
  const isDue = task.dueAt !== null;
  return JSON.stringify([
    pipeline,
    version,
    shard,
    status,
    state,
    stage,
    failure?.class ?? null,
    failureFingerprint,
    isEnded,
    isDue,
  ]);
}

function parseFacet(id: number, key: string, count: number): MutableFacet {
  const [pipeline, version, shard, status, state, stage, failureClass, failureFingerprint, isEnded, isDue] = JSON.parse(
    key,
  ) as [
    Facet['pipeline'],
    number,
    Facet['shard'],
    Facet['status'],
    string,
    Facet['stage'],
    NonNullable<Facet['failure']>['class'] | null,
    string | null,
    boolean,
    boolean,
  ];
  const failure = failureClass === null ? null : { class: failureClass };
  return {
    id,
    key,
    count,
    pipeline,
    version,
    shard,
    status,
    state,
    stage,
    failure,
    failureFingerprint,
    isEnded,
    isDue,
  };
}
