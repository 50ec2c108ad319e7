import { AxeBuilder } from '@axe-core/playwright';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { inspectionUpgrade } from '../../src/admin/inspect/inspection-upgrade.ts';
import { type InspectServer, openInspectServer } from '../../src/cli/inspect-server.ts';
import { shardOf } from '../../src/core/hash.ts';
import { machineFinder } from '../../src/inspector/find-machine.ts';
import { InspectionGateway } from '../../src/inspector/inspection-gateway.ts';
import { SeededRandom } from '../../src/platform/seeded-random.ts';
import { SystemClock } from '../../src/platform/system-clock.ts';
import { SystemSecrets } from '../../src/platform/system-secrets.ts';
import { a, aTask, listingPipeline, type TaskInTest } from '../support/a-task.ts';
import { type AdminWorld, startAdminWorld } from '../support/admin-kit.ts';
import type { ArrayJournal } from '../support/array-journal.ts';
import { logIn, openPage, type WatchedPage } from '../support/browser.ts';
import { aJournalOf, appendRecord, claimShard, inspectedShards, inspectedTask } from '../support/inspection-kit.ts';

function gatewayOf(journal: ArrayJournal): InspectionGateway {
  return new InspectionGateway({
    journal,
    clock: new SystemClock(),
    shardOf: (taskId) => shardOf(taskId, inspectedShards),
    findMachine: machineFinder([listingPipeline], async () => []),
    findTask: () => Promise.reject(new Error('the journal has it')),
    lingers: true,
  });
}

describe('the page of cabinet inspect in a real browser', () => {
  let server: InspectServer;
  let task: TaskInTest;
  let journal: ArrayJournal;
  let watched: WatchedPage;

  beforeAll(async () => {
    task = aTask().running('photos', { attempt: 2 });
    journal = aJournalOf(task.records);
    server = await openInspectServer({
      gateway: gatewayOf(journal),
      taskId: inspectedTask,
      port: 0,
      secrets: new SystemSecrets(),
      random: new SeededRandom(1),
    });
    watched = await openPage(new URL(server.pageUrl).origin);
    await watched.page.goto(server.pageUrl);
  });

  afterAll(async () => {
    await watched?.close();
    await server?.close();
  });

  it('draws the machine with the active state, follows it across a move to its end, and asks nobody else for anything', async () => {
    const { page } = watched;
    await page.getByRole('heading', { name: 't-1' }).waitFor();
    const active = page.locator('[data-active]');
    const states = page.locator('.substate.is-active');
    await page.locator('[data-active="photos.running"]').waitFor();
    expect(await states.count()).toBe(1);
    expect(await page.locator('svg .stage').count()).toBe(4);
    await page.getByRole('img', { name: /the task is in photos\.running/ }).waitFor();

    claimShard(journal, 2);
    appendRecord(journal, task.send(a.ownerChange(), { epoch: 2 as never }).record, 2);
    await page.getByRole('cell', { name: 'owner: n-2, epoch 2' }).waitFor();
    appendRecord(journal, task.send(a.grant('photos')).record, 2);
    for (const stage of ['photos', 'publish', 'announce'] as const) {
      const { attempt } = task.known.machine.control;
      appendRecord(journal, task.send(a.completion(stage, attempt)).record, 2);
    }
    await page.locator('[data-active="completed"]').waitFor();
    expect(await active.textContent()).toBe('completed');
    expect(watched.foreignRequests).toEqual([]);
    expect(watched.complaints).toEqual([]);
  });

  it('goes back in time by the slider, the list and the keys, and replays', async () => {
    const { page } = watched;
    await page.getByLabel('Time', { exact: true }).fill('0');
    await page.locator('[data-active="new"]').waitFor();
    await page.getByRole('button', { name: 'Show event 2', exact: true }).click();
    await page.locator('[data-active="parse.running"]').waitFor();
    await page
      .getByRole('region', { name: /^Events/ })
      .last()
      .press('ArrowDown');
    await page.locator('[data-active="photos.running"]').waitFor();
    await page.getByRole('button', { name: 'Newest' }).click();
    await page.locator('[data-active="completed"]').waitFor();
    await page.getByLabel('Speed').selectOption('10');
    await page.locator('[data-active="completed"]').waitFor();
    expect(await page.getByRole('button', { name: 'Show event 2', exact: true }).count()).toBe(1);
  });

  it('has nothing that a screen reader or a keyboard cannot use', async () => {
    const { violations } = await new AxeBuilder({ page: watched.page }).analyze();
    expect(violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')).toEqual([]);
    expect(watched.foreignRequests).toEqual([]);
    expect(watched.complaints).toEqual([]);
  });

  it('shows nothing without the key, and says what to do', async () => {
    const { page } = watched;
    await page.goto('about:blank');
    await page.goto(new URL(server.pageUrl).origin);
    await page.getByText('Open the link that `cabinet inspect` printed').waitFor();
    await page.goto('about:blank');
    await page.goto(`${new URL(server.pageUrl).origin}/#task=t-1&key=wrong`);
    await page.getByText('The stream has ended').waitFor();
    expect(await page.locator('.moments tbody tr').count()).toBe(0);
  });
});

describe('the bridge to a hosted viewer in a real browser', () => {
  const viewerOrigin = 'https://viewer.example';
  /** As the package's own viewer does it: it says that it is there, and takes what its parent posts. */
  const viewerPage = `<!doctype html><title>viewer</title><p id="got">0</p><script>
    const got = [];
    addEventListener('message', (event) => { got.push([event.origin, event.data]); window.got = got;
      document.querySelector('#got').textContent = got.length; });
    parent.postMessage({ type: '@statelyai.connected' }, '*');
  </script>`;
  let world: AdminWorld | undefined;
  let watched: WatchedPage | undefined;

  async function open(hostedViewerUrl: string | undefined): Promise<{ world: AdminWorld; watched: WatchedPage }> {
    const gateway = gatewayOf(aJournalOf(aTask().running('photos').records));
    world = await startAdminWorld({
      onUpgrade: (access) => inspectionUpgrade({ gateway, access, random: new SeededRandom(1) }),
      hostedViewerUrl,
    });
    watched = await openPage(world.admin.url);
    await logIn(watched.page, world.admin.url, world.tokens.viewer);
    return { world, watched };
  }

  afterEach(async () => {
    await watched?.close();
    await world?.stop();
  });

  it('is off: its address says how to turn it on', async () => {
    const opened = await open(undefined);
    const answer = await opened.watched.page.goto(`${opened.world.admin.url}/inspect/t-1/stately`);
    expect(answer?.status()).toBe(404);
    expect(await answer?.text()).toContain('set inspector.hostedViewerUrl');
  });

  it('gives the messages to the viewer of that origin, only once it is opened, and asks nobody else', async () => {
    const opened = await open(`${viewerOrigin}/inspect`);
    const { page } = opened.watched;
    const asked: string[] = [];
    await page.route(`${viewerOrigin}/**`, async (route) => {
      asked.push(route.request().url());
      await route.fulfill({ contentType: 'text/html', body: viewerPage });
    });
    const answer = await page.goto(`${opened.world.admin.url}/inspect/t-1/stately`);
    expect(answer?.headers()['content-security-policy']).toContain(`frame-src ${viewerOrigin};`);
    await page.getByText('Values of payloads are not sent.').waitFor();
    expect(asked).toEqual([]);
    await page.getByRole('button', { name: 'Open the viewer' }).click();
    await page.getByText('9 messages given to https://viewer.example; connected.').waitFor();
    const frame = page.frames().find((one) => one.url().startsWith(viewerOrigin));
    const got = (await frame?.evaluate('window.got')) as readonly (readonly [string, { readonly type: string }])[];
    expect(new Set(got.map(([origin]) => origin))).toEqual(new Set([opened.world.admin.url]));
    expect(got[0]?.[1]).toMatchObject({ type: '@xstate.actor', sessionId: 't-1', _version: '0.7.2' });
    expect(got.at(-1)?.[1]).toMatchObject({ snapshot: { value: { photos: 'running' } } });
    expect(asked).toEqual([`${viewerOrigin}/inspect`]);
    expect(opened.watched.foreignRequests).toEqual([]);
  });
});
