import type { IndexedTask } from '../api/types.ts';

/** A page as the API gives it. */
export interface TaskPage {
  readonly tasks: readonly IndexedTask[];
  /** Of the page after it; null at the end. */
  readonly next: string | null;
}

interface WindowPage {
  /** What gives the page again; null: the first. */
  readonly cursor: string | null;
  /** The number of its first row. */
  readonly start: number;
  readonly count: number;
  /** Null: let go, as it is far from what is in sight. */
  readonly tasks: readonly IndexedTask[] | null;
}

/**
 * A list that is read on page by page, of which only the pages around what is in sight are kept. The others are known by the cursor
 * that gives them again, so that a list of a million tasks takes no more of the page's memory than one of thousands.
 */
export interface PageWindow {
  readonly pages: readonly WindowPage[];
  readonly count: number;
  readonly next: string | null;
}

/** Most pages that are kept. */
export const mostKeptPages = 24;

/** A list of which the first page is there. */
export function beginWindow({ tasks, next }: TaskPage): PageWindow {
  return { pages: [{ cursor: null, start: 0, count: tasks.length, tasks }], count: tasks.length, next };
}

/** The list with the page after its last one. */
export function withNextPage(window: PageWindow, { tasks, next }: TaskPage): PageWindow {
  const page = { cursor: window.next, start: window.count, count: tasks.length, tasks };
  return { pages: [...window.pages, page], count: window.count + tasks.length, next };
}

/** The list with a page that had been let go. Its rows keep their numbers, whatever has become of the tasks. */
export function withPageAgain(window: PageWindow, index: number, tasks: readonly IndexedTask[]): PageWindow {
  const pages = window.pages.map((page, at) => (at === index ? { ...page, tasks: tasks.slice(0, page.count) } : page));
  return { ...window, pages };
}

/** The list without the pages that are farthest from these rows, where there are more than may be kept. */
export function keptAround(window: PageWindow, first: number, last: number, most: number = mostKeptPages): PageWindow {
  const kept = window.pages.filter(({ tasks }) => tasks !== null);
  if (kept.length <= most) return window;
  const distance = ({ start, count }: WindowPage): number => Math.max(0, first - (start + count), start - last);
  const near = new Set(kept.toSorted((one, other) => distance(one) - distance(other)).slice(0, most));
  const pages = window.pages.map((page) => (page.tasks === null || near.has(page) ? page : { ...page, tasks: null }));
  return { ...window, pages };
}

/** The task of that row; undefined when its page is not there. */
export function rowAt(window: PageWindow, row: number): IndexedTask | undefined {
  const page = window.pages[pageOf(window, row)];
  return page?.tasks?.[row - page.start];
}

/** The first page that these rows need and that was let go; null when all are there. */
export function missingPage(window: PageWindow, first: number, last: number): number | null {
  for (let index = pageOf(window, first); index < window.pages.length; index += 1) {
    const page = window.pages[index];
    if (page === undefined || page.start > last) return null;
    if (page.tasks === null) return index;
  }
  return null;
}

/** The list with these tasks as they are now, where they are in it. None changes its place. */
export function withChanged(window: PageWindow, changed: readonly IndexedTask[]): PageWindow {
  const byId = new Map(changed.map((task) => [task.taskId, task]));
  let hasChanged = false;
  const pages = window.pages.map((page) => {
    if (page.tasks?.some(({ taskId }) => byId.has(taskId)) !== true) return page;
    hasChanged = true;
    return { ...page, tasks: page.tasks.map((task) => byId.get(task.taskId) ?? task) };
  });
  return hasChanged ? { ...window, pages } : window;
}

/** The page that the row is on, by halving: pages differ in size. */
function pageOf({ pages }: PageWindow, row: number): number {
  let [low, high] = [0, pages.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((pages[middle]?.start ?? 0) <= row) low = middle;
    else high = middle - 1;
  }
  return low;
}
