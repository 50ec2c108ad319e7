import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { anIndexedTask, startAdminWorld, type AdminWorld } from '../support/admin-kit.ts';
import { logIn, openPage, type WatchedPage } from '../support/browser.ts';
import { eventually } from '../support/nats-world.ts';

const built = resolve(import.meta.dirname, '../../dist/console');
const maximumBytes = 120 * 1024;
const taskCount = 10_000;

describe("the console's page as it is built", () => {
  it('is one HTML file with hashed assets, nothing inline, and under 120 kB gzipped in all', async () => {
    const entries = await readdir(built, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    const sizes = await Promise.all(files.map(async (file) => gzipSync(await readFile(file)).byteLength));
    expect(files.filter((file) => file.endsWith('.html'))).toHaveLength(1);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(maximumBytes);
    const html = await readFile(join(built, 'index.html'), 'utf8');
    expect(html).not.toMatch(/<style|style=|<script(?![^>]*\ssrc=)/i);
    expect([...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1])).toEqual(
      expect.arrayContaining([expect.stringMatching(/^\/assets\/index-[\w-]{8}\.js$/)]) as string[],
    );
  });
});

describe('the list of ten thousand tasks', () => {
  let world: AdminWorld;
  let watched: WatchedPage;

  beforeAll(async () => {
    world = await startAdminWorld();
    world.index.put(
      ...Array.from({ length: taskCount }, (_, index) =>
        anIndexedTask(`t-${String(index).padStart(5, '0')}`, { updatedAt: 1_000_000 - index }),
      ),
    );
    watched = await openPage(world.admin.url);
    await logIn(watched.page, world.admin.url, world.tokens.admin);
  });

  afterAll(async () => {
    await watched?.close();
    await world?.stop();
  });

  it('draws only the rows in sight, moves by the arrow keys, and loads on as it is scrolled to its end', async () => {
    const { page } = watched;
    await page.goto(`${world.admin.url}/tasks`);
    await page.getByText('10\u202f000 tasks').waitFor();
    const rows = page.locator('.grid-body [role=row]');
    await rows.first().waitFor();
    expect(await page.getByRole('grid').getAttribute('aria-rowcount')).toBe(String(taskCount + 1));
    expect(await rows.count()).toBeLessThan(80);
    await rows.first().focus();
    await page.keyboard.press('ArrowDown');
    const active = (): Promise<string | null> =>
      page.evaluate(() => document.activeElement?.getAttribute('aria-rowindex') ?? null);
    expect(await active()).toBe('3');
    await page.keyboard.press('Space');
    await page.getByText('1 selected:', { exact: true }).waitFor();
    await eventually(
      'the last row is drawn',
      async () => {
        await page.locator('.grid').evaluate((grid: HTMLElement) => grid.scrollTo(0, grid.scrollHeight));
        return (await rows.last().getAttribute('aria-rowindex')) === String(taskCount + 1);
      },
      60_000,
    );
    expect(await rows.last().textContent()).toContain('t-09999');
    expect(await rows.count()).toBeLessThan(80);
    await page.getByRole('button', { name: 'Back to the newest' }).click();
    await page.getByRole('link', { name: 't-00000' }).waitFor();
    expect(watched.complaints).toEqual([]);
    expect(watched.foreignRequests).toEqual([]);
  });

  it('keeps the page under 150 MB, with all of them scrolled through', async () => {
    const { page } = watched;
    const session = await page.context().newCDPSession(page);
    await session.send('HeapProfiler.collectGarbage');
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    expect(usedSize).toBeLessThan(150 * 1024 * 1024);
  });
});
