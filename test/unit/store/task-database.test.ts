import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sequence, ShardId, TaskId } from '../../../src/core/ids.ts';
import {
  taskSortFields,
  type IndexedTask,
  type TaskFilter,
  type TaskListQuery,
} from '../../../src/ports/task-index.ts';
import { TaskDatabase } from '../../../src/store/task-database.ts';
import { TaskFacets } from '../../../src/store/task-facets.ts';
import { conditionsOf, planSegment, type Segment, type SegmentPlan } from '../../../src/store/task-plan.ts';
import { compareTasks, matchesTask } from '../../../src/store/task-query.ts';
import { anIndexedTask } from '../../contract/task-index.contract.ts';

// As many tasks as it takes to have each way of finding them chosen; what they give must not differ.

const taskCount = 12_000;

/** Old tasks are completed, young ones run, a few in the middle are dead letters: the order and the filters go together. */
function aTask(number: number): IndexedTask {
  const isOld = number < taskCount * 0.7;
  const isDead = number % 97 === 0;
  const at = 1_000 + number;
  const id = `${(number * 7_919) % taskCount}`.padStart(6, '0');
  const place = isDead
    ? ({ status: 'deadLettered', state: 'deadLettered.photos', endedAt: at } as const)
    : isOld
      ? ({ status: 'completed', state: 'completed', stage: null, endedAt: at, attempt: 0 } as const)
      : ({ status: 'running', state: 'photos.running', dueAt: number % 11 === 0 ? at + 5 : null } as const);
  return anIndexedTask({
    id: `t${id}`,
    shard: (number % 7) as ShardId,
    submittedAt: at - 500 + (number % 13),
    updatedAt: at,
    attempt: 1 + (number % 3),
    ...place,
  });
}

const tasks = Array.from({ length: taskCount }, (_, number) => aTask(number));
let database: TaskDatabase;

beforeAll(() => {
  database = new TaskDatabase(':memory:');
  const rows = tasks.map((task) => ({ task, sequence: 1 as Sequence }));
  database.apply({ position: '1-1-1', after: null, rows, deletes: [] });
});

afterAll(() => database.close());

function expectedOf(query: TaskListQuery): readonly TaskId[] {
  return tasks
    .filter((task) => matchesTask(task, query.filter))
    .toSorted((a, b) => compareTasks(a, b, query))
    .map(({ taskId }) => taskId);
}

const instant = fc.integer({ min: 400, max: 1_000 + taskCount });
const filters = fc
  .record({
    statuses: fc.option(fc.subarray(['completed', 'running', 'deadLettered'] as const, { minLength: 1 }), {
      nil: undefined,
    }),
    shards: fc.option(fc.subarray([0, 1, 2, 3, 4, 5, 6], { minLength: 1 }), { nil: undefined, freq: 3 }),
    submittedFrom: fc.option(instant, { nil: undefined, freq: 4 }),
    updatedFrom: fc.option(instant, { nil: undefined, freq: 4 }),
    updatedBefore: fc.option(instant, { nil: undefined, freq: 4 }),
    taskIdPrefix: fc.option(fc.constantFrom('t', 't0', 't00', 't001', 't0050'), { nil: undefined, freq: 4 }),
  })
  .map((given) => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as TaskFilter);

describe('the database of the task index', { timeout: 60_000 }, () => {
  it('gives the same pages whichever way it finds them', () => {
    fc.assert(
      fc.property(
        filters,
        fc.constantFrom(...taskSortFields),
        fc.boolean(),
        fc.constantFrom(1, 20, 300),
        (filter, sortBy, descending, limit) => {
          const query = { filter, sortBy, descending, limit };
          const expected = expectedOf(query);
          const first = database.list(query);
          expect(first.tasks.map(({ taskId }) => taskId)).toEqual(expected.slice(0, limit));
          expect(first.next === null).toBe(expected.length <= limit);
          expect(database.count(filter)).toBe(expected.length);
          if (first.next === null) return;
          const second = database.list({ ...query, cursor: first.next });
          expect(second.tasks.map(({ taskId }) => taskId)).toEqual(expected.slice(limit, 2 * limit));
        },
      ),
      { numRuns: 250 },
    );
  });

  it('finds matches that all lie at the far end of an order, where a walk gives up', () => {
    const filter: TaskFilter = { statuses: ['running'], shards: [3 as ShardId] };
    for (const sortBy of taskSortFields) {
      for (const descending of [false, true]) {
        const query = { filter, sortBy, descending, limit: 25 };
        const { tasks: found } = database.list(query);
        expect(found.map(({ taskId }) => taskId)).toEqual(expectedOf(query).slice(0, 25));
      }
    }
  });
});

describe('the plan of a page', () => {
  const facets = new TaskFacets([]);
  for (const task of tasks) facets.count(facets.idOf(task), 1);

  function planOf(filter: TaskFilter, segment: Partial<Segment> = {}, rangeCount = 500): SegmentPlan {
    const selection = facets.select(filter);
    const conditions = conditionsOf(filter, selection, facets.taskCount, () => rangeCount);
    if (conditions === null) throw new Error('nothing can hold');
    const whole: Segment = {
      sortBy: 'updatedAt',
      descending: true,
      hasValue: true,
      after: null,
      wanted: 100,
      ...segment,
    };
    return planSegment(whole, conditions, selection);
  }

  function sqlOf(plan: SegmentPlan): string {
    return plan.kind === 'merge' ? (plan.statements[0]?.sql ?? '') : plan.statement.sql;
  }

  it('walks the index of the order when nothing is filtered', () => {
    for (const sortBy of taskSortFields) {
      const plan = planOf({}, { sortBy });
      expect(plan.kind).toBe('one');
      expect(sqlOf(plan)).toContain(sortBy === 'taskId' ? 'NOT INDEXED' : `task_${sortBy}`);
    }
  });

  it('merges the facets when they are few and in the order asked for', () => {
    expect(planOf({ statuses: ['deadLettered'] }).kind).toBe('merge');
  });

  it('gathers what a narrow condition leaves', () => {
    const plan = planOf({ statuses: ['running'], taskIdPrefix: 't005' }, { sortBy: 'submittedAt' }, 10);
    expect(plan.kind).toBe('one');
    expect(sqlOf(plan)).toContain('NOT INDEXED');
    expect(sqlOf(planOf({ taskIds: ['t000001' as TaskId] }))).toContain('json_each');
  });

  it('tries a walk with an end to it when the matches may lie anywhere', () => {
    const plan = planOf({ statuses: ['running'] }, { sortBy: 'submittedAt', wanted: 20 });
    expect(plan.kind).toBe('tried');
    if (plan.kind !== 'tried') return;
    expect(plan.statement.sql).toContain('LIMIT 2000)');
    expect(plan.otherwise.sql).toContain('task_facet');
  });

  it('nothing can hold: no statement at all', () => {
    for (const filter of [{ statuses: [] }, { taskIds: [] }, { taskIdPrefix: "'" }, { statuses: ['held'] }] as const) {
      expect(conditionsOf(filter, facets.select(filter), facets.taskCount, () => 1)).toBeNull();
    }
    const range = { updatedFrom: 5 };
    expect(conditionsOf(range, facets.select(range), facets.taskCount, () => 0)).toBeNull();
  });
});
