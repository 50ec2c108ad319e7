import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { EngineError } from '../../../src/core/errors.ts';
import type { TaskStatus, TaskView } from '../../../src/core/task-view.ts';
import { listTasks } from '../../../src/shard/task-list.ts';

function view(taskId: string, status: TaskStatus = 'running', pipeline = 'card'): TaskView {
  return { taskId, status, pipeline } as unknown as TaskView;
}

function sources(live: readonly TaskView[], finished: readonly TaskView[] = []) {
  let asked = 0;
  return {
    live: () => Promise.resolve(live),
    finished: () => {
      asked += 1;
      return Promise.resolve(finished);
    },
    get asked() {
      return asked;
    },
  };
}

async function idsOf(reply: ReturnType<typeof listTasks>): Promise<[readonly string[], string | null]> {
  const page = await reply;
  if (page.kind !== 'page') throw new Error(`got ${page.kind}`);
  return [page.tasks.map(({ taskId }) => taskId), page.next];
}

describe('a list of tasks', () => {
  it('is in the order of ids and says where the next page goes on', async () => {
    const from = sources([view('c'), view('a'), view('b')]);
    expect(await idsOf(listTasks({ type: 'task.list', limit: 2 }, from))).toEqual([['a', 'b'], 'b']);
    expect(await idsOf(listTasks({ type: 'task.list', limit: 2, after: 'b' }, from))).toEqual([['c'], null]);
  });

  it('has no next page when the last one is full', async () => {
    expect(await idsOf(listTasks({ type: 'task.list', limit: 2 }, sources([view('a'), view('b')])))).toEqual([
      ['a', 'b'],
      null,
    ]);
  });

  it('filters by pipeline and status', async () => {
    const from = sources([view('a', 'running'), view('b', 'held'), view('c', 'running', 'other')]);
    const query = { type: 'task.list', limit: 10, pipeline: 'card', status: 'running' } as const;
    expect(await idsOf(listTasks(query, from))).toEqual([['a'], null]);
  });

  it('asks for finished tasks only when they are wanted', async () => {
    const from = sources([view('a')], [view('b', 'completed')]);
    await listTasks({ type: 'task.list', limit: 10 }, from);
    expect(from.asked).toBe(0);
    expect(await idsOf(listTasks({ type: 'task.list', limit: 10, includeFinished: true }, from))).toEqual([
      ['a', 'b'],
      null,
    ]);
  });

  it('shows a task that ends just now once, as the live one', async () => {
    const from = sources([view('a', 'running')], [view('a', 'completed')]);
    const reply = await listTasks({ type: 'task.list', limit: 10, includeFinished: true }, from);
    expect(reply).toMatchObject({ kind: 'page', tasks: [{ taskId: 'a', status: 'running' }] });
  });

  it('UNAVAILABLE: rejects when the finished ones cannot be read', async () => {
    const error = new EngineError('UNAVAILABLE', 'no store');
    const from = { live: () => Promise.resolve([]), finished: () => Promise.reject(error) };
    await expect(listTasks({ type: 'task.list', limit: 1, includeFinished: true }, from)).rejects.toBe(error);
  });

  it('gives every task exactly once over its pages', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,6}$/), { maxLength: 30 }),
        fc.integer({ min: 1, max: 7 }),
        async (ids, limit) => {
          const from = sources(ids.map((id) => view(id)));
          const seen: string[] = [];
          let after: string | null = null;
          do {
            const query = { type: 'task.list', limit, ...(after === null ? {} : { after }) } as const;
            const [page, next] = await idsOf(listTasks(query, from));
            seen.push(...page);
            after = next;
          } while (after !== null);
          expect(seen).toEqual(ids.toSorted());
        },
      ),
      { numRuns: 50 },
    );
  });
});
