import { rm, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { LiveServer } from '../../src/admin/live/live-server.ts';
import type { Sequence } from '../../src/core/ids.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { SqliteTaskIndex } from '../../src/store/sqlite-task-index.ts';
import { anIndexedTask, startAdminWorld, type AdminWorld } from './admin-kit.ts';
import { ArrayJournal } from './array-journal.ts';

/** The admin server over fakes, with its socket over a journal in an array. */
export interface LiveAdminWorld extends AdminWorld {
  readonly journal: ArrayJournal;
}

/** Starts one; with an index of its own instead of the fake. */
export async function startLiveAdminWorld(index?: SqliteTaskIndex): Promise<LiveAdminWorld> {
  const journal = new ArrayJournal();
  let live: LiveServer | undefined;
  const world = await startAdminWorld({
    ...(index === undefined ? {} : { index }),
    onUpgrade: (access, parts) => {
      live = new LiveServer({ ...parts, access, journal, namespace: 'cabinet' });
      return live.handleUpgrade;
    },
  });
  const stop = async (): Promise<void> => {
    await live?.stop();
    await world.stop();
  };
  return { ...world, journal, stop };
}

/** A task index in a file of its own. */
export interface FilledIndex {
  readonly index: SqliteTaskIndex;
  close(): Promise<void>;
}

const rowsOfChange = 5_000;
/** The index's thread runs from its sources. */
const execArgv = ['--import', new URL('../fixtures/drivers/register-tsx.mjs', import.meta.url).href];

/** An index of so many finished tasks, the first of them changed last. */
export async function fillIndex(rows: number): Promise<FilledIndex> {
  const folder = await mkdtemp(join(tmpdir(), 'cabinet-list-'));
  const index = await SqliteTaskIndex.open({ file: join(folder, 'tasks.db'), logger: new MemoryLogger(), execArgv });
  const endedAt = Date.now();
  for (let from = 0; from < rows; from += rowsOfChange) {
    const count = Math.min(rowsOfChange, rows - from);
    await index.apply({
      after: index.position,
      position: `${from + count}-1-1`,
      deletes: [],
      rows: Array.from({ length: count }, (_, place) => {
        const at = endedAt - 10 * (from + place);
        const times = { submittedAt: at - 4_000, updatedAt: at, endedAt: at };
        const changes = {
          status: 'completed',
          state: 'completed',
          stage: null,
          failure: null,
          failureFingerprint: null,
        };
        const task = anIndexedTask(listedId(from + place), { ...times, ...changes } as object);
        return { task, sequence: (from + place + 1) as Sequence };
      }),
    });
  }
  return {
    index,
    close: async () => {
      await index.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The task in that row of an index of {@link fillIndex}, as long as ids usually are. */
export function listedId(row: number): string {
  return `01890000-0000-7000-8000-${String(row).padStart(12, '0')}`;
}

/** What the page's scripts hold, after what they do not hold any more was collected. */
export async function heapBytesOf(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  await session.detach();
  return usedSize;
}

// Some pages in one go: what is measured is the page, and not the talk with it.
const scrollOn = `(async () => {
  const grid = document.querySelector('.grid');
  for (const until = performance.now() + 2000; performance.now() < until; ) {
    grid.scrollTo(0, grid.scrollHeight);
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  return Number(document.querySelector('.grid-body [role=row]:last-child').getAttribute('aria-rowindex')) - 1;
})()`;
/** Looks at a list that does not grow, after which it counts as at its end. */
const mostStanding = 10;

/**
 * Scrolls the list of tasks to its end, as fast as it loads on; gives the number of its last row then.
 *
 * @param onRow - told how far it is, every few seconds
 */
export async function scrollThrough(page: Page, rows: number, onRow?: (row: number) => Promise<void>): Promise<number> {
  let [row, standing] = [0, 0];
  while (row < rows && standing < mostStanding) {
    const next = await page.evaluate<number>(scrollOn);
    standing = next > row ? 0 : standing + 1;
    row = next;
    await onRow?.(row);
  }
  return row;
}
