// Takes a picture of each screen of the console on a running cluster, into docs/screenshots. Needs `npm run build` before it.
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import sharp from 'sharp';

import { logIn, openPage } from '../test/support/browser.ts';
import { longPipeline } from '../test/support/console-pipelines.ts';
import { startConsoleWorld } from '../test/support/console-world.ts';

const folder = resolve(import.meta.dirname, '../docs/screenshots');
const settleMs = 3_000;
const trafficMs = 30_000;

await mkdir(folder, { recursive: true });
const world = await startConsoleWorld();
const { url, client } = world;
let count = 0;
const submit = (input: object, taskId?: string): Promise<unknown> => {
  count += 1;
  return client.submit('listing', { title: `Card ${count}`, ...input }, taskId === undefined ? {} : { taskId });
};
for (let index = 0; index < 12; index += 1) await submit({ fault: index % 3 === 0 ? 'limited' : 'hangs' });
for (let index = 0; index < 5; index += 1) await submit({ fault: 'fatal' });
await submit({ fault: 'fatal', message: 'the shop has closed its account: HTTP 410' });
await submit({ fault: 'flaky', workMs: 400, photos: 3 }, 'card-4711');
await submit({ fault: 'hangs' }, 'card-4712');
await client.pause((await client.submit('listing', { title: 'held', fault: 'limited' })).taskId);
await client.submit(longPipeline.name, {}, { taskId: 'long-1' });
const traffic = setInterval(
  () => void submit({ workMs: 30 + ((count * 37) % 400), photos: count % 4 }).catch(() => {}),
  120,
);
const watched = await openPage(url, { colorScheme: 'light', reducedMotion: 'reduce' });
const { page } = watched;

async function take(name: string, prepare: () => Promise<unknown>, isFull = false): Promise<void> {
  await prepare();
  await page.waitForTimeout(settleMs);
  const picture = await page.screenshot({ fullPage: isFull });
  await sharp(picture)
    .png({ palette: true, colours: 128, effort: 10 })
    .toFile(join(folder, `${name}.png`));
  process.stdout.write(`${name}\n`);
}

const open = (path: string) => (): Promise<unknown> => page.goto(`${url}${path}`);
try {
  await take('login', open('/'));
  await logIn(page, url, world.token);
  await page.waitForTimeout(trafficMs);
  await take('overview', () => page.waitForTimeout(trafficMs / 2));
  await take('tasks', open('/tasks?q=status:active,completed,failed'));
  await take('task', open('/tasks/card-4711'), true);
  await take('task-time-travel', async () => {
    await page.getByRole('button', { name: 'Show the machine at record 3' }).click();
    await page.evaluate('document.querySelector(".machine").scrollIntoView({ block: "center" })');
  });
  await take('task-cancel', async () => {
    await page.goto(`${url}/tasks/card-4712`);
    await page.getByRole('button', { name: 'Cancel…' }).click();
    await page.getByLabel('Reason').fill('the card was sold');
  });
  await take('pipelines', open('/pipelines'));
  await take(
    'pipeline',
    async () => {
      await page.goto(`${url}/pipelines/listing`);
      // Rates are of what the page has seen itself.
      await page.waitForTimeout(trafficMs / 2);
    },
    true,
  );
  await take('dead-letters', async () => {
    await page.goto(`${url}/dead-letters`);
    await page.getByRole('button', { name: 'Show tasks' }).first().click();
  });
  await take('bulk-redrive', async () => {
    await page.getByRole('button', { name: 'Redrive group…' }).first().click();
    await page.getByText('would be concerned').waitFor();
  });
  await page.getByLabel('Reason').fill('the board is back');
  await page.getByLabel(/^Type .* to confirm/).fill('redrive 5');
  await page.getByRole('dialog').getByRole('button', { name: 'Redrive', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: 'Bulk redrive' }).waitFor();
  await take('bulk', async () => undefined);
  await client.cluster.moveShard(3, 'n-2');
  await client.cluster.cordon('n-1');
  await take('cluster', async () => {
    await page.goto(`${url}/cluster`);
    await page.getByRole('option', { name: /^Shard 3,/ }).click();
  });
  await client.cluster.uncordon('n-1');
  await take('audit', open('/audit'));
  for (const [name, role] of [
    ['anna', 'operator'],
    ['ci-deploy', 'operator'],
    ['wall-screen', 'viewer'],
  ]) {
    const expiresAt = Date.now() + 30 * 86_400_000;
    await world.ask('/api/tokens', { method: 'POST', body: { name, role, expiresAt } });
  }
  await take('tokens', open('/tokens'));
  await take('token-new', async () => {
    await page.getByRole('button', { name: 'New token…' }).click();
    await page.getByLabel('Name').fill('night-shift');
    await page.getByRole('radio', { name: /^operator/ }).check();
    await page.getByLabel('Reason').fill('they redrive what fails at night');
  });
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.goto(url);
  await take('overview-dark', () => page.waitForTimeout(trafficMs));
  await take('tasks-dark', open('/tasks?q=status:active,completed,failed'));
  await take('task-dark', open('/tasks/card-4711'), true);
  await take(
    'pipeline-dark',
    async () => {
      await page.goto(`${url}/pipelines/listing`);
      await page.waitForTimeout(trafficMs / 2);
    },
    true,
  );
  await take('dead-letters-dark', open('/dead-letters'));
  await take('bulk-dark', open('/bulk'));
  await take('cluster-dark', open('/cluster'));
  await take('audit-dark', open('/audit'));
  await take('tokens-dark', open('/tokens'));
} finally {
  clearInterval(traffic);
  await watched.close();
  await world.stop();
}
