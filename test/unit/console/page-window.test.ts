import { describe, expect, it } from 'vitest';
import type { IndexedTask } from '../../../console/src/api/types.ts';
import {
  beginWindow,
  keptAround,
  missingPage,
  rowAt,
  withChanged,
  withNextPage,
  withPageAgain,
  type PageWindow,
} from '../../../console/src/model/page-window.ts';
import { compareTasks, withChanges } from '../../../console/src/model/task-order.ts';
import { compareTasks as compareInIndex } from '../../../src/store/task-query.ts';
import { anIndexedTask } from '../../support/admin-kit.ts';

function tasksFrom(start: number, count: number): readonly IndexedTask[] {
  return Array.from({ length: count }, (_, index) => anIndexedTask(`t-${start + index}`));
}

/** A list of so many pages of ten; the first has four. */
function windowOf(pages: number): PageWindow {
  let window = beginWindow({ tasks: tasksFrom(0, 4), next: 'c1' });
  for (let page = 1; page < pages; page += 1) {
    window = withNextPage(window, { tasks: tasksFrom(window.count, 10), next: `c${page + 1}` });
  }
  return window;
}

function idAt(window: PageWindow, row: number): string | undefined {
  return rowAt(window, row)?.taskId;
}

describe('a list that is read on page by page', () => {
  it('has each task at its row, over pages of different sizes', () => {
    const window = windowOf(4);
    expect(window.count).toBe(34);
    expect([0, 3, 4, 13, 14, 33, 34].map((row) => idAt(window, row))).toEqual([
      't-0',
      't-3',
      't-4',
      't-13',
      't-14',
      't-33',
      undefined,
    ]);
  });

  it('keeps the pages around what is in sight, and knows which to ask for again', () => {
    const window = keptAround(windowOf(10), 60, 70, 3);
    expect(window.pages.filter(({ tasks }) => tasks !== null)).toHaveLength(3);
    expect([idAt(window, 0), idAt(window, 65)]).toEqual([undefined, 't-65']);
    expect(missingPage(window, 60, 70)).toBeNull();
    expect(missingPage(window, 0, 10)).toBe(0);
    expect(window.pages[missingPage(window, 16, 20) ?? 0]?.cursor).toBe('c2');
    const again = withPageAgain(window, 2, tasksFrom(14, 12));
    expect([idAt(again, 14), idAt(again, 23), idAt(again, 24)]).toEqual(['t-14', 't-23', undefined]);
    expect(again.count).toBe(window.count);
  });

  it('a page that comes back with fewer tasks leaves the rows after it where they were', () => {
    const window = withPageAgain(keptAround(windowOf(10), 90, 93, 3), 1, tasksFrom(4, 7));
    expect([idAt(window, 10), idAt(window, 11), idAt(window, 93)]).toEqual(['t-10', undefined, 't-93']);
  });

  it('shows what tasks have become without moving them', () => {
    const window = windowOf(3);
    const next = withChanged(window, [anIndexedTask('t-5', { status: 'completed' }), anIndexedTask('t-99')]);
    expect(rowAt(next, 5)?.status).toBe('completed');
    expect(next.pages[2]).toBe(window.pages[2]);
    expect(withChanged(window, [anIndexedTask('t-99')])).toBe(window);
  });
});

describe('the first page, while changes come', () => {
  const task = (taskId: string, updatedAt: number): IndexedTask => anIndexedTask(taskId, { updatedAt });
  const order = { sortBy: 'updatedAt', descending: true } as const;

  it('takes changed and new tasks at their places, drops what left, and leaves later pages to be loaded', () => {
    const page = { tasks: [task('a', 9), task('b', 8), task('c', 7)], next: 'more', total: 40 };
    const changes = { changed: [task('c', 12), task('new', 10), task('late', 1)], left: ['b'] };
    const next = withChanges(page, changes, order);
    expect(next.tasks.map(({ taskId }) => taskId)).toEqual(['c', 'new', 'a']);
    expect(next.total).toBe(40);
    const whole = withChanges({ ...page, next: null }, changes, order);
    expect(whole.tasks.map(({ taskId }) => taskId)).toEqual(['c', 'new', 'a', 'late']);
  });

  it('sorts as the index sorts: by every field, in both directions, with missing values last', () => {
    const tasks = [
      anIndexedTask('a', { endedAt: null, attempt: 2, updatedAt: 5 }),
      anIndexedTask('b', { endedAt: 7, attempt: 2, updatedAt: 4 }),
      anIndexedTask('c', { endedAt: 3, attempt: 1, updatedAt: 5 }),
      anIndexedTask('d', { endedAt: null, attempt: 3, updatedAt: 1 }),
    ];
    for (const sortBy of ['updatedAt', 'submittedAt', 'endedAt', 'dueAt', 'taskId', 'attempt'] as const) {
      for (const descending of [true, false]) {
        const by = { sortBy, descending };
        const ids = (compare: typeof compareTasks): readonly string[] =>
          tasks.toSorted((one, other) => compare(one, other, by)).map(({ taskId }) => taskId);
        expect(ids(compareTasks), `${sortBy} ${descending}`).toEqual(ids(compareInIndex));
      }
    }
  });
});
