import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineError } from '../../src/core/errors.ts';
import type { TaskId } from '../../src/core/ids.ts';
import { aTask } from '../support/a-task.ts';
import { anIndexedTask } from '../support/admin-kit.ts';
import { logIn, openPage, type WatchedPage } from '../support/browser.ts';
import {
  fillIndex,
  heapBytesOf,
  listedId,
  scrollThrough,
  startLiveAdminWorld,
  type FilledIndex,
  type LiveAdminWorld,
} from '../support/task-list.ts';

const built = resolve(import.meta.dirname, '../../dist/console');
const maximumBytes = 120 * 1024;
const taskCount = 100_000;

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

describe('the list of a hundred thousand tasks', () => {
  let filled: FilledIndex;
  let world: LiveAdminWorld;
  let watched: WatchedPage;

  beforeAll(async () => {
    filled = await fillIndex(taskCount);
    world = await startLiveAdminWorld(filled.index);
    watched = await openPage(world.admin.url);
    await logIn(watched.page, world.admin.url, world.tokens.admin);
  });

  afterAll(async () => {
    await watched?.close();
    await world?.stop();
    await filled?.close();
  });

  it('draws only the rows in sight, moves by the arrow keys, and loads on as it is scrolled to its end', async () => {
    const { page } = watched;
    await page.goto(`${world.admin.url}/tasks`);
    await page.getByText('100\u202f000 tasks').waitFor();
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
    expect(await scrollThrough(page, taskCount)).toBe(taskCount);
    expect(await rows.last().textContent()).toContain(listedId(taskCount - 1));
    expect(await rows.count()).toBeLessThan(80);
  });

  it('keeps the page under 150 MB with all of them scrolled through, and has those of the beginning again', async () => {
    const { page } = watched;
    expect(await heapBytesOf(page)).toBeLessThan(150 * 1024 * 1024);
    await page.locator('.grid').evaluate((grid) => grid.scrollTo(0, 0));
    await page.getByRole('link', { name: listedId(0) }).waitFor();
    await page.getByText('1 selected:', { exact: true }).waitFor();
    expect(await page.getByRole('checkbox', { name: `Select ${listedId(1)}` }).isChecked()).toBe(true);
    await page.getByRole('button', { name: 'Back to the newest' }).click();
    await page.getByRole('link', { name: listedId(0) }).waitFor();
    expect(watched.complaints).toEqual([]);
    expect(watched.foreignRequests).toEqual([]);
  });
});

describe('the page, while the server cannot do what it is asked', () => {
  let world: LiveAdminWorld;
  let watched: WatchedPage;

  beforeAll(async () => {
    world = await startLiveAdminWorld();
    world.index.put(...Array.from({ length: 6 }, (_, index) => anIndexedTask(`t-${index}`)));
    watched = await openPage(world.admin.url);
    await logIn(watched.page, world.admin.url, world.tokens.admin);
  });

  afterAll(async () => {
    await watched?.close();
    await world?.stop();
  });

  it('INTERNAL: says since when it is stale, with code and request id, shows what it has, and goes on by itself', async () => {
    const { page } = watched;
    await page.goto(`${world.admin.url}/tasks`);
    await page.locator('.fresh').getByText('live').waitFor();
    await page.locator('.grid-body [role=row]').first().waitFor();
    world.index.failure = new EngineError('INTERNAL', 'the index is broken for a test');
    // What changes is told by the socket; only then is the list read again.
    world.journal.commit(
      0,
      aTask()
        .running('parse')
        .records.map((record) => ({ ...record, task: 't-1' as TaskId })),
    );
    await page.getByText('stale since').waitFor();
    expect(await page.getByRole('alert').first().textContent()).toMatch(/INTERNAL.*Request \S{8,}/s);
    expect(await page.locator('.grid-body [role=row]').count()).toBe(6);
    world.index.failure = null;
    await page.locator('.fresh').getByText('live').waitFor();
    expect(await page.getByRole('alert').count()).toBe(0);
  });

  it('UNSUPPORTED_VERSION: a bulk action that fails lists the tasks with their errors', async () => {
    const { page } = watched;
    world.client.answers['redrive'] = () => {
      throw new EngineError('UNSUPPORTED_VERSION', 'no node knows version 1 of card');
    };
    await page.goto(`${world.admin.url}/dead-letters`);
    await page.getByRole('button', { name: 'Redrive group…' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(/^Type .* to confirm/).fill('redrive 6');
    await dialog.getByRole('button', { name: 'Redrive', exact: true }).click();
    await page.getByRole('heading', { level: 1, name: 'Bulk redrive' }).waitFor();
    await page.getByText('stopped: too many failures').waitFor();
    await page.getByText('Failed commands (6)').waitFor();
    const failed = page.getByRole('region', { name: 'Failed commands' });
    expect(await failed.getByRole('link').count()).toBe(6);
    expect(await failed.getByText('UNSUPPORTED_VERSION').count()).toBe(6);
    expect(await failed.getByText('no node knows version 1 of card').count()).toBe(6);
  });
});
