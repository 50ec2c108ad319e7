import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PipelineName, Sequence, ShardId, StageName, TaskId } from '../../src/core/ids.ts';
import type { TaskStatus } from '../../src/core/task-view.ts';
import {
  maximumTaskPageSize,
  taskGroupFields,
  taskSortFields,
  type IndexedTask,
  type TaskFilter,
  type TaskIndexStore,
  type TaskListQuery,
  type TaskRow,
} from '../../src/ports/task-index.ts';
import { expectEngineError } from '../support/nats-store-kit.ts';

/** A task for an index; fields that depend on others are the test's own concern. */
export function anIndexedTask(fields: Partial<IndexedTask> & { readonly id?: string } = {}): IndexedTask {
  const { id = 't-1', ...rest } = fields;
  return {
    taskId: id as TaskId,
    pipeline: 'listing' as PipelineName,
    version: 1,
    shard: 0 as ShardId,
    status: 'running',
    state: 'photos.running',
    stage: 'photos' as StageName,
    attempt: 1,
    submittedAt: 1_000,
    updatedAt: 2_000,
    endedAt: null,
    dueAt: null,
    seq: 2,
    failureCount: 0,
    interruptionCount: 0,
    failure: null,
    failureFingerprint: null,
    ...rest,
  };
}

/** Puts tasks into an index, in one step. */
export async function put(index: TaskIndexStore, tasks: readonly IndexedTask[], gone: readonly string[] = []) {
  const rows = tasks.map((task): TaskRow => ({ task, sequence: 7 as Sequence }));
  const step = Number(index.position?.split('-')[0] ?? 0) + 1;
  await index.apply({ position: `${step}-1-1`, after: index.position, rows, deletes: gone as TaskId[] });
}

const everything: TaskListQuery = { filter: {}, sortBy: 'taskId', descending: false, limit: 1_000 };

/** The ids of all pages of a query, with `between` run after each page. */
async function idsOf(
  index: TaskIndexStore,
  query: Partial<TaskListQuery> = {},
  between: (page: number) => Promise<void> = () => Promise.resolve(),
): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < 200; page += 1) {
    const { tasks, next } = await index.list({ ...everything, ...query, ...(cursor === undefined ? {} : { cursor }) });
    ids.push(...tasks.map(({ taskId }) => taskId));
    if (next === null) return ids;
    cursor = next;
    await between(page);
  }
  throw new Error('the list does not end');
}

const statuses: readonly TaskStatus[] = [
  'queued',
  'running',
  'backingOff',
  'held',
  'unknown',
  'completed',
  'canceled',
  'deadLettered',
];
const instants = fc.integer({ min: 1, max: 6 });

/** Tasks with few values of each kind, so that filters and ties meet many. */
const tasks = fc.uniqueArray(
  fc
    .record({
      id: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,3}$/),
      pipeline: fc.constantFrom('listing', 'card'),
      version: fc.integer({ min: 1, max: 2 }),
      shard: fc.integer({ min: 0, max: 2 }),
      status: fc.constantFrom(...statuses),
      stage: fc.constantFrom('parse', 'photos', null),
      attempt: fc.integer({ min: 0, max: 2 }),
      submittedAt: instants,
      updatedAt: instants,
      endedAt: fc.option(instants),
      dueAt: fc.option(instants),
      failure: fc.option(
        fc.record({
          class: fc.constantFrom('fatal' as const, 'retryable' as const),
          code: fc.option(fc.string()),
          message: fc.string({ unit: 'binary' }),
        }),
      ),
      failureFingerprint: fc.option(fc.constantFrom('f1', "f'2")),
    })
    .map((fields) => anIndexedTask(fields as unknown as Partial<IndexedTask>)),
  { selector: ({ taskId }) => taskId, maxLength: 30 },
);

function some<Value>(...values: readonly Value[]) {
  return fc.option(fc.subarray([...values]), { nil: undefined, freq: 3 });
}

const filters = fc
  .record({
    pipelines: some('listing', 'card', "x' OR 1"),
    versions: some(1, 2),
    statuses: some(...statuses),
    stages: some('parse', 'photos'),
    shards: some(0, 1, 2),
    failureClasses: some('fatal', 'retryable'),
    failureFingerprints: some('f1', "f'2"),
    taskIds: fc.option(fc.array(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,1}$/)), { nil: undefined, freq: 2 }),
    taskIdPrefix: fc.option(fc.stringMatching(/^[A-Za-z0-9_-]{0,1}$/), { nil: undefined }),
    submittedFrom: fc.option(instants, { nil: undefined }),
    submittedBefore: fc.option(instants, { nil: undefined }),
    updatedFrom: fc.option(instants, { nil: undefined }),
    updatedBefore: fc.option(instants, { nil: undefined }),
  })
  .map(
    (members) => Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as TaskFilter,
  );

/** What a filter means, said another way than the adapters do. */
function isMeant(task: IndexedTask, filter: TaskFilter): boolean {
  const lists: readonly [readonly unknown[] | undefined, unknown][] = [
    [filter.pipelines, task.pipeline],
    [filter.versions, task.version],
    [filter.statuses, task.status],
    [filter.stages, task.stage],
    [filter.shards, task.shard],
    [filter.failureClasses, task.failure?.class],
    [filter.failureFingerprints, task.failureFingerprint],
    [filter.taskIds, task.taskId],
  ];
  if (lists.some(([list, value]) => list !== undefined && !list.includes(value))) return false;
  if (filter.taskIdPrefix !== undefined && task.taskId.slice(0, filter.taskIdPrefix.length) !== filter.taskIdPrefix)
    return false;
  if (filter.submittedFrom !== undefined && task.submittedAt < filter.submittedFrom) return false;
  if (filter.submittedBefore !== undefined && task.submittedAt >= filter.submittedBefore) return false;
  if (filter.updatedFrom !== undefined && task.updatedAt < filter.updatedFrom) return false;
  return filter.updatedBefore === undefined || task.updatedAt < filter.updatedBefore;
}

/** The order of a list, said another way: values as texts of one width. */
function sortedIds(
  given: readonly IndexedTask[],
  { sortBy, descending }: Pick<TaskListQuery, 'sortBy' | 'descending'>,
) {
  const keyed = given.map((task) => {
    const value = sortBy === 'taskId' ? 0 : task[sortBy];
    return {
      taskId: task.taskId,
      isLast: value === null,
      key: `${String(value ?? 0).padStart(20, '0')} ${task.taskId}`,
    };
  });
  const inOrder = (isLast: boolean): string[] => {
    const part = keyed.filter((one) => one.isLast === isLast).toSorted((a, b) => (a.key < b.key ? -1 : 1));
    return (descending ? part.toReversed() : part).map(({ taskId }) => taskId);
  };
  return [...inOrder(false), ...inOrder(true)];
}

/** The promises of a task index, for each of its adapters. */
export function taskIndexContract(name: string, open: () => Promise<TaskIndexStore>, { runs = 60 } = {}): void {
  describe(`task index: ${name}`, () => {
    const filled = async (given: readonly IndexedTask[]): Promise<TaskIndexStore> => {
      const index = await open();
      await put(index, given);
      return index;
    };

    it('is empty at first, with no position', async () => {
      const index = await open();
      expect(index.position).toBeNull();
      expect(index.rowCount).toBe(0);
      expect(await index.get('t-1' as TaskId)).toBeNull();
      expect(await index.list(everything)).toEqual({ tasks: [], next: null });
      expect(await index.count({})).toBe(0);
      expect(await index.countBy('status', {}, 10)).toEqual([]);
    });

    it('R-EVT-2: holds what was applied, whole, and the position with it; a later row replaces an earlier one', async () => {
      const index = await open();
      const failure = { class: 'fatal', code: null, message: 'no such card' } as const;
      const task = anIndexedTask({ failure, failureFingerprint: 'f1', failureCount: 3, interruptionCount: 1 });
      await put(index, [task, anIndexedTask({ id: 't-2' })]);
      expect(index.position).toBe('1-1-1');
      expect(await index.get('t-1' as TaskId)).toEqual(task);
      const later = anIndexedTask({ status: 'completed', state: 'completed', stage: null, endedAt: 9, attempt: 0 });
      await put(index, [later], ['t-2', 'never-there']);
      expect(await index.get('t-1' as TaskId)).toEqual(later);
      expect(await index.get('t-2' as TaskId)).toBeNull();
      expect(index.position).toBe('2-1-1');
      expect(index.rowCount).toBe(1);
      expect(await index.countBy('status', {}, 10)).toEqual([{ key: 'completed', count: 1 }]);
    });

    it('INTERNAL: a change that builds on another position changes nothing', async () => {
      const index = await filled([anIndexedTask()]);
      const change = { position: '9-1-1', rows: [], deletes: ['t-1' as TaskId] };
      await expectEngineError(index.apply({ ...change, after: null }), 'INTERNAL');
      await expectEngineError(index.apply({ ...change, after: '2-1-1' }), 'INTERNAL');
      expect(index.position).toBe('1-1-1');
      expect(index.rowCount).toBe(1);
    });

    it('every filter, order and page size gives what the tasks say, and counts and groups agree with it', async () => {
      const query = fc.record({
        filter: filters,
        sortBy: fc.constantFrom(...taskSortFields),
        descending: fc.boolean(),
        limit: fc.integer({ min: 1, max: 8 }),
      });
      await fc.assert(
        fc.asyncProperty(tasks, fc.array(query, { minLength: 6, maxLength: 6 }), async (given, queries) => {
          const index = await filled(given);
          for (const one of queries) {
            const meant = given.filter((task) => isMeant(task, one.filter));
            expect(await idsOf(index, one)).toEqual(sortedIds(meant, one));
            expect(await index.count(one.filter)).toBe(meant.length);
            for (const field of taskGroupFields) {
              const groups = await index.countBy(field, one.filter, 100);
              const total = groups.reduce((sum, { count }) => sum + count, 0);
              expect(total).toBe(meant.length);
              const keys = meant.map((task) =>
                field === 'failureClass' ? (task.failure?.class ?? null) : task[field],
              );
              for (const { key, count } of groups) expect(keys.filter((own) => own === key)).toHaveLength(count);
              expect(groups.map(({ count }) => count)).toEqual(
                groups.map(({ count }) => count).toSorted((a, b) => b - a),
              );
            }
          }
          await index.close();
        }),
        { numRuns: runs },
      );
    });

    it('a random history of changes leaves the last row of each task, and counts that agree', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(tasks, { maxLength: 5 }), fc.infiniteStream(fc.nat(3)), async (steps, chance) => {
          const index = await open();
          const model = new Map<string, IndexedTask>();
          for (const step of steps) {
            const gone = [...model.keys()].filter(
              (id) => chance.next().value === 0 && !step.some(({ taskId }) => taskId === id),
            );
            await put(index, step, gone);
            for (const id of gone) model.delete(id);
            for (const task of step) model.set(task.taskId, task);
          }
          const rows = await index.scan(null, 1_000);
          const ids = [...model.keys()].toSorted();
          expect(rows.map(({ task }) => task)).toEqual(ids.map((id) => model.get(id)));
          const kept = await index.rowsOf([...model.keys(), 'never-there'] as TaskId[]);
          expect([...kept.keys()].toSorted()).toEqual(ids);
          expect(index.rowCount).toBe(model.size);
          for (const { key, count } of await index.countBy('shard', {}, 100)) {
            expect([...model.values()].filter(({ shard }) => shard === key)).toHaveLength(count);
          }
          await index.close();
        }),
        { numRuns: runs / 2 },
      );
    });

    it.each(taskSortFields.flatMap((sortBy) => [false, true].map((descending) => ({ sortBy, descending }))))(
      'tasks that come, change and go between two pages neither repeat nor hide others: %o',
      async (order) => {
        const given = Array.from({ length: 40 }, (_, number) =>
          anIndexedTask({
            id: `k-${String(number).padStart(2, '0')}`,
            attempt: number % 3,
            submittedAt: number % 7,
            updatedAt: number % 5,
            endedAt: number % 2 === 0 ? number % 4 : null,
            dueAt: number % 3 === 0 ? number % 4 : null,
          }),
        );
        const index = await filled(given);
        const moving = new Set(['k-03', 'k-17', 'k-30', 'k-38']);
        const seen = await idsOf(index, { ...order, limit: 7 }, async (page) => {
          const moved = [...moving].map((id) =>
            anIndexedTask({ id, updatedAt: page * 3, attempt: page, endedAt: page % 2 === 0 ? null : page }),
          );
          await put(
            index,
            [...moved, anIndexedTask({ id: `new-${page}`, updatedAt: page, attempt: 1 })],
            [`new-${page - 1}`],
          );
        });
        const still = sortedIds(given, order).filter((id) => !moving.has(id));
        expect(seen.filter((id) => id.startsWith('k-') && !moving.has(id))).toEqual(still);
        expect(new Set(seen.filter((id) => !moving.has(id))).size).toBe(seen.filter((id) => !moving.has(id)).length);
      },
    );

    it('a cursor goes on behind its task also when that task is gone', async () => {
      const index = await filled(['a', 'b', 'c', 'd'].map((id) => anIndexedTask({ id })));
      const { next } = await index.list({ ...everything, limit: 2 });
      await put(index, [], ['b', 'c']);
      const page = await index.list({ ...everything, limit: 2, cursor: next ?? '' });
      expect(page.tasks.map(({ taskId }) => taskId)).toEqual(['d']);
      expect(page.next).toBeNull();
    });

    it('the last page has no next, also when it is full', async () => {
      const index = await filled(['a', 'b', 'c', 'd'].map((id) => anIndexedTask({ id })));
      const first = await index.list({ ...everything, limit: 2 });
      expect(first.next).not.toBeNull();
      const second = await index.list({ ...everything, limit: 2, cursor: first.next ?? '' });
      expect(second.tasks).toHaveLength(2);
      expect(second.next).toBeNull();
    });

    it.each([
      ['another sort field', { sortBy: 'updatedAt' as const }],
      ['another direction', { descending: true }],
    ])('INVALID_ARGUMENT for a cursor of %s', async (_what, other) => {
      const index = await filled(['a', 'b', 'c'].map((id) => anIndexedTask({ id })));
      const { next } = await index.list({ ...everything, limit: 1 });
      const error = await expectEngineError(
        index.list({ ...everything, ...other, cursor: next ?? '' }),
        'INVALID_ARGUMENT',
      );
      expect(error.field).toBe('cursor');
    });

    it.each([
      '',
      'x',
      '%',
      "' OR 1=1 --",
      Buffer.from('[]').toString('base64url'),
      Buffer.from('["taskId",false,{},7]').toString('base64url'),
      '\u0000',
      'null',
    ])('INVALID_ARGUMENT for a cursor that none is: %j', async (cursor) => {
      const index = await filled([anIndexedTask()]);
      await expectEngineError(index.list({ ...everything, cursor }), 'INVALID_ARGUMENT');
    });

    it.each([0, -1, 1.5, maximumTaskPageSize + 1, Number.NaN, Number.POSITIVE_INFINITY])(
      'INVALID_ARGUMENT for a limit of %s',
      async (limit) => {
        const index = await filled([anIndexedTask()]);
        const error = await expectEngineError(index.list({ ...everything, limit }), 'INVALID_ARGUMENT');
        expect(error.field).toBe('limit');
      },
    );

    it.each([
      "'",
      '"',
      '%',
      '_',
      '\\',
      'a\u0000b',
      '\u{1F600}',
      '\uD800',
      '--',
      ';DROP TABLE task',
      '*',
      '\u007f',
      'ä',
    ])('a hostile text %j matches nothing that it is not, and breaks nothing', async (text) => {
      const index = await filled(['a', 'a_b', 'aXb', 'B'].map((id) => anIndexedTask({ id })));
      const meant = text === '_' ? ['a_b'] : [];
      expect(await idsOf(index, { filter: { taskIdPrefix: text } })).toEqual([]);
      expect(await idsOf(index, { filter: { taskIdPrefix: `a${text}` } })).toEqual(meant);
      for (const filter of [
        { taskIds: [text as TaskId] },
        { pipelines: [text as PipelineName] },
        { stages: [text as StageName] },
        { failureFingerprints: [text] },
      ]) {
        expect(await idsOf(index, { filter })).toEqual([]);
        expect(await index.count(filter)).toBe(0);
      }
      expect(await index.get(text as TaskId)).toBeNull();
      const failure = { class: 'unexpected', code: text, message: `${text} \u0000 ${text}` } as const;
      const hurt = anIndexedTask({ id: 'hurt', failure, failureFingerprint: 'f' });
      await put(index, [hurt]);
      expect(await index.get('hurt' as TaskId)).toEqual(hurt);
      expect(await index.count({})).toBe(5);
    });

    it('an empty list never holds', async () => {
      const index = await filled([anIndexedTask()]);
      for (const member of [
        'pipelines',
        'versions',
        'statuses',
        'stages',
        'shards',
        'failureClasses',
        'taskIds',
      ] as const) {
        expect(await index.count({ [member]: [] }), member).toBe(0);
        expect((await index.list({ ...everything, filter: { [member]: [] } })).tasks, member).toEqual([]);
      }
    });

    it('groups come largest first, equal ones by key, and no more than asked for', async () => {
      const index = await filled([
        ...['a', 'b'].map((id) => anIndexedTask({ id, shard: 2 as ShardId })),
        ...['c', 'd'].map((id) => anIndexedTask({ id, shard: 1 as ShardId })),
        ...['e', 'f', 'g'].map((id) => anIndexedTask({ id, shard: 10 as ShardId, stage: null })),
      ]);
      expect(await index.countBy('shard', {}, 2)).toEqual([
        { key: 10, count: 3 },
        { key: 1, count: 2 },
      ]);
      expect(await index.countBy('stage', { updatedFrom: 1 }, 9)).toEqual([
        { key: 'photos', count: 4 },
        { key: null, count: 3 },
      ]);
    });

    it('expire forgets completed and canceled tasks that ended before, in bounded steps, and never a dead letter', async () => {
      const ended = (id: string, status: TaskStatus, endedAt: number): IndexedTask =>
        anIndexedTask({ id, status, state: status, stage: null, endedAt, updatedAt: endedAt });
      const index = await filled([
        ...Array.from({ length: 5 }, (_, number) => ended(`done-${number}`, 'completed', 10 + number)),
        ended('canceled', 'canceled', 9),
        ended('dead', 'deadLettered', 1),
        anIndexedTask({ id: 'running' }),
        ended('young', 'completed', 50),
      ]);
      expect(await index.expire(50, 4)).toBe(4);
      expect(await index.expire(50, 4)).toBe(2);
      expect(await index.expire(50, 4)).toBe(0);
      expect(await idsOf(index)).toEqual(['dead', 'running', 'young']);
      expect(index.rowCount).toBe(3);
      expect(index.position).toBe('1-1-1');
    });

    it('an index beside is built while this one answers, and takes its place', async () => {
      const index = await filled([anIndexedTask({ id: 'old' })]);
      const next = await index.beside();
      expect(next.position).toBeNull();
      await put(next, [anIndexedTask({ id: 'new' })]);
      await put(next, [anIndexedTask({ id: 'newer' })]);
      expect(await idsOf(index)).toEqual(['old']);
      const answers = [index.count({}), index.adopt(next).then(() => -1), index.count({})];
      expect(await Promise.all(answers)).toEqual([1, -1, 2]);
      expect(await idsOf(index)).toEqual(['new', 'newer']);
      expect(index.position).toBe('2-1-1');
      expect(index.rowCount).toBe(2);
      await expectEngineError(next.count({}), 'UNAVAILABLE');
      const again = await index.beside();
      expect(await again.count({})).toBe(0);
      await again.close();
    });

    it('UNAVAILABLE: a closed index answers nothing', async () => {
      const index = await filled([anIndexedTask()]);
      await index.close();
      await index.close();
      const calls = [
        () => index.get('t-1' as TaskId),
        () => index.list(everything),
        () => index.count({}),
        () => index.countBy('status', {}, 1),
        () => index.rowsOf([]),
        () => index.scan(null, 1),
        () => put(index, []),
        () => index.expire(0, 1),
        () => index.beside(),
      ];
      for (const call of calls) await expectEngineError(call(), 'UNAVAILABLE');
    });
  });
}
