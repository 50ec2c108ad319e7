import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { logIn, openPage } from '../test/support/browser.ts';
import { fillIndex, heapBytesOf, scrollThrough, startLiveAdminWorld } from '../test/support/task-list.ts';

// What the console's page holds while its list of tasks is scrolled from the first of so many finished tasks to the last one, in a
// real browser, over a real task index. Needs the page: `npm run build` before it.

const { values } = parseArgs({ options: { rows: { type: 'string', default: '1000000' } } });
const rows = Number(values.rows);
const megabyte = 1024 * 1024;

/** Of this process, which is the admin server and the task index. */
function serverMegabytes(): number {
  const [, kilobytes = '0'] = /VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Math.round(Number(kilobytes) / 1024);
}

const filled = await fillIndex(rows);
const world = await startLiveAdminWorld(filled.index);
const watched = await openPage(world.admin.url);
try {
  const { page } = watched;
  await logIn(page, world.admin.url, world.tokens.admin);
  await page.goto(`${world.admin.url}/tasks`);
  await page.locator('.grid-body [role=row]').first().waitFor();
  const before = await heapBytesOf(page);
  const begunAt = performance.now();
  let most = before;
  let told = 0;
  const last = await scrollThrough(page, rows, async (row) => {
    if (row < told + rows / 10 && row < rows) return;
    told = row;
    const used = await heapBytesOf(page);
    most = Math.max(most, used);
    console.log(`row ${row}: ${(used / megabyte).toFixed(1)} MiB of the page, ${serverMegabytes()} MiB of the server`);
  });
  const seconds = (performance.now() - begunAt) / 1_000;
  console.log(
    `${last} of ${rows} rows in ${seconds.toFixed(0)} s: ${(before / megabyte).toFixed(1)} MiB before, at most ${(most / megabyte).toFixed(1)} MiB`,
  );
  if (last !== rows) throw new Error('the list did not come to its end');
  await page.locator('.grid-body [role=row]').first().waitFor();
} finally {
  await watched.close();
  await world.stop();
  await filled.close();
}
