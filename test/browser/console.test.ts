import { AxeBuilder } from '@axe-core/playwright';
import type { Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AdminAuditEntry } from '../../src/admin/audit-sink.ts';
import { logIn, openPage, type WatchedPage } from '../support/browser.ts';
import { startConsoleWorld, type ConsoleWorld } from '../support/console-world.ts';
import { longPipeline } from '../support/console-pipelines.ts';
import { eventually } from '../support/nats-world.ts';

const waitMs = 20_000;
/** The API takes so many questions a second of one token, and the page asks with the same one. */
const askEveryMs = 100;
/** Some thirty looks of axe, of some seconds each where others use the machine too. */
const axeTimeoutMs = 300_000;
/** In a message, a title and a reason: shown as text it does nothing. */
const canary = `<img src=x onerror="window.canaryRan=1"><script>window.canaryRan=1</script>`;
const longId = `long-${'x'.repeat(123)}`;

describe('the console in a real browser, on two nodes', () => {
  let world: ConsoleWorld;
  let watched: WatchedPage;
  let page: Page;
  let url: string;

  beforeAll(async () => {
    world = await startConsoleWorld();
    ({ url } = world);
    const submit = (taskId: string, input: object): Promise<unknown> =>
      world.client.submit('listing', { title: `Card ${taskId}`, ...input }, { taskId });
    await Promise.all([
      ...['done-1', 'done-2', 'done-3'].map((id) => submit(id, { photos: 1 })),
      submit('skipped-1', { photos: 0, title: canary }),
      submit('flaky-1', { fault: 'flaky' }),
      ...['dead-1', 'dead-2', 'dead-3'].map((id) => submit(id, { fault: 'fatal' })),
      submit('canary-1', { fault: 'fatal', message: canary, title: canary }),
      ...['hangs-1', 'hangs-2', 'hangs-3', 'hangs-4'].map((id) => submit(id, { fault: 'hangs' })),
      submit('limited-1', { fault: 'limited' }),
      world.client.submit(longPipeline.name, { a: 1 }, { taskId: longId }),
    ]);
    await eventually(
      'the index has all of them where they come to rest',
      async () => {
        const counts = await world.countByStatus();
        return counts.get('completed') === 6 && counts.get('deadLettered') === 4 && counts.get('running') === 4;
      },
      waitMs,
      askEveryMs,
    );
    watched = await openPage(url);
    ({ page } = watched);
    page.setDefaultTimeout(waitMs);
  });

  afterAll(async () => {
    await watched?.close();
    await world?.stop();
  });

  afterEach(() => {
    const { foreignRequests, complaints } = watched;
    expect(foreignRequests.splice(0), 'requests to other hosts').toEqual([]);
    expect(complaints.splice(0), 'errors in the console').toEqual([]);
  });

  async function open(path: string, heading: string): Promise<void> {
    await page.goto(`${url}${path}`);
    await page.getByRole('heading', { level: 1, name: heading }).waitFor();
  }

  const button = (name: string | RegExp): Locator =>
    page.getByRole('button', { name, exact: typeof name === 'string' });

  interface Confirmation {
    readonly reason: string;
    readonly typed?: string;
    readonly verb: string;
  }

  /** Fills the open dialog in, and runs its action; gives its command id and command line. */
  async function confirm(options: Confirmation): Promise<{ readonly commandId: string; readonly commandLine: string }> {
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill(options.reason);
    const run = dialog.getByRole('button', { name: options.verb, exact: true });
    if (options.typed !== undefined) {
      await eventually('it asks for the word', () => dialog.getByLabel(/^Type .* to confirm/).isVisible(), waitMs);
      expect(await run.isDisabled(), 'a destructive action waits for its word').toBe(true);
      await dialog.getByLabel(/^Type .* to confirm/).fill(options.typed);
    }
    const commandId = ((await dialog.locator('.command-id').textContent()) ?? '').replace('id ', '').trim();
    const line = dialog.locator('.copy code');
    const commandLine = (await line.count()) === 0 ? '' : ((await line.textContent()) ?? '');
    await run.click();
    await dialog.waitFor({ state: 'hidden' });
    return { commandId, commandLine };
  }

  /** The line of the audit log that tells that the action was done. */
  async function audited(action: string, reason: string): Promise<AdminAuditEntry> {
    let found: AdminAuditEntry | undefined;
    await eventually(
      `${action} is in the audit log`,
      async () => {
        const entries = await world.auditOf(action);
        found = entries.find((entry) => entry.reason === reason && entry.outcome === 'done');
        return found !== undefined;
      },
      waitMs,
      askEveryMs,
    );
    return found as AdminAuditEntry;
  }

  async function untilStatus(taskId: string, status: string): Promise<void> {
    await eventually(`${taskId} is ${status}`, async () => (await world.client.get(taskId)).status === status, waitMs);
  }

  it('UNAUTHENTICATED: a wrong token is refused with its code and the request id; the right one logs in', async () => {
    await page.goto(`${url}/tasks`);
    await page.getByLabel('Access token').fill('cbt_wrong');
    await button('Log in').click();
    const alert = page.getByRole('alert');
    expect(await alert.textContent()).toContain('UNAUTHENTICATED');
    expect(await alert.textContent()).toMatch(/Request \S{8,}/);
    await logIn(page, url, world.token);
    expect(await page.context().cookies()).toMatchObject([
      { name: 'cabinet-session', httpOnly: true, sameSite: 'Strict' },
    ]);
  });

  it('Overview shows what the index and the cluster say', async () => {
    await open('/', 'Overview');
    await page.getByText('2 / 2').waitFor();
    const row = (name: string): Locator =>
      page.getByRole('row').filter({ has: page.getByRole('link', { name: `Tasks: ${name}` }) });
    expect(await row('completed').textContent()).toMatch(/6$/);
    expect(await row('dead letter').textContent()).toMatch(/4$/);
    expect(await row('running').textContent()).toMatch(/4$/);
    await page.getByText('live', { exact: true }).waitFor();
    for (const title of ['Ended tasks per second', 'Latency of completed tasks', 'Failed attempts', 'Backlog'])
      await page.getByRole('figure').filter({ hasText: title }).locator('canvas').waitFor();
  });

  it('Tasks has all of them, keeps its filter in the URL, and says what is wrong with one', async () => {
    await open('/tasks', 'Tasks');
    await page.getByText('15 tasks').waitFor();
    const filter = page.getByRole('searchbox', { name: 'Filter' });
    await filter.fill('status:failed dead-');
    await filter.press('Enter');
    await page.getByText('3 tasks').waitFor();
    expect(new URL(page.url()).searchParams.get('q')).toBe('status:failed dead-');
    expect(await page.locator('.grid-body [role=row]').count()).toBe(3);
    await page.reload();
    await page.getByText('3 tasks').waitFor();
    await filter.fill('status:odd');
    await filter.press('Enter');
    await page.getByText(/^status: takes failed/).waitFor();
    await button('Clear').or(button('Filter')).first().waitFor();
    await open('/tasks?q=nobody-has-this', 'Tasks');
    await page.getByText('No task matches.').waitFor();
    await open('/tasks?sort=taskId&order=up', 'Tasks');
    await page.getByText('15 tasks').waitFor();
    expect(await page.locator('.grid-body [role=row]').first().textContent()).toContain('canary-1');
  });

  it('Task shows its way: machine, time, journal; time travel moves the active state, payloads come when opened', async () => {
    await open('/tasks/flaky-1', 'Task flaky-1');
    const journal = page.getByRole('region', { name: 'Journal' });
    await journal.getByText('task.submitted').waitFor();
    expect(await journal.getByText('stage.failed').count()).toBe(2);
    await page.locator('.substate.is-active.fill-completed').waitFor();
    expect(await page.getByRole('img', { name: /the task is in completed/ }).count()).toBe(1);
    expect(await page.locator('.gantt .span.has-failed').count()).toBe(2);
    const slider = page.getByRole('slider', { name: 'Time travel' });
    await slider.focus();
    await slider.press('Home');
    await page.getByText('as of record 1').waitFor();
    await page.getByRole('img', { name: /the task is in parse\.running/ }).waitFor();
    await journal.getByRole('button', { name: 'Show the machine at record 3' }).click();
    await page.getByRole('img', { name: /the task is in photos\.backingOff/ }).waitFor();
    await button('Now').click();
    await page.getByRole('img', { name: /the task is in completed/ }).waitFor();
    expect(await page.getByRole('region', { name: 'Output of parse' }).count()).toBe(0);
    await page.locator('summary', { hasText: 'Output of parse' }).click();
    expect(await page.getByRole('region', { name: 'Output of parse' }).textContent()).toContain(
      'parse of Card flaky-1',
    );
    expect(await page.getByText('Nothing can be done to it.').isVisible()).toBe(true);
  });

  it('Task draws a declared skip that was taken, and names its reason', async () => {
    await open('/tasks/skipped-1', 'Task skipped-1');
    await page.getByText('photos was skipped: the listing has no photos').waitFor();
    expect(await page.locator('.edge.is-skip.is-taken').count()).toBe(1);
  });

  it('TASK_NOT_FOUND: Task says so with its code, and why says what holds a task that waits', async () => {
    await open('/tasks/no-such-task', 'Task no-such-task');
    await page.getByRole('alert').getByText('TASK_NOT_FOUND').first().waitFor();
    await open('/tasks/limited-1', 'Task limited-1');
    const why = page.getByRole('region', { name: 'Why' });
    await why.getByText('a backoff').waitFor();
    await why.getByText(/^in /).waitFor();
  });

  it('shows canaries in titles, messages and inputs as text alone', async () => {
    await open('/tasks/canary-1', 'Task canary-1');
    await page.getByText(canary).first().waitFor();
    await page.locator('summary', { hasText: 'Input' }).click();
    await page.getByRole('region', { name: 'Input' }).waitFor();
    await open('/dead-letters', 'Dead letters');
    await page.getByText('<img src=x').first().waitFor();
    await open('/tasks?q=canary-', 'Tasks');
    await page.getByText('<img src=x').first().waitFor();
    expect(await page.locator('main img, main script').count()).toBe(0);
    expect(await page.evaluate(() => (window as unknown as { readonly canaryRan?: number }).canaryRan)).toBeUndefined();
  });

  it('Pipelines has the machine with the tasks in each state, and starts a task by a form made from the schema', async () => {
    await open('/pipelines', 'Pipelines');
    await page.getByRole('link', { name: 'listing', exact: true }).click();
    await page.getByRole('heading', { level: 1, name: 'Pipeline listing' }).waitFor();
    const publish = page.getByRole('row').filter({ has: page.getByRole('cell', { name: 'publish', exact: true }) });
    await publish.getByRole('link', { name: '4' }).first().waitFor();
    await page.getByLabel('photos', { exact: true }).fill('many');
    await button('Start…').click();
    await page.getByText('must be a whole number').waitFor();
    await page.getByLabel('photos', { exact: true }).fill('1');
    await page.getByLabel(/^title/).fill(canary);
    await page.getByLabel(/^Task id/).fill('formed-1');
    await button('Start…').click();
    const { commandLine } = await confirm({ reason: 'by form', verb: 'Start' });
    expect(commandLine).toMatch(
      /^cabinet task submit listing --input '.*' --pipeline-version 1 --id formed-1 --reason 'by form'$/,
    );
    await page.getByRole('heading', { level: 1, name: 'Task formed-1' }).waitFor();
    await untilStatus('formed-1', 'completed');
    expect(await audited('task.submit', 'by form')).toMatchObject({ target: 'formed-1', principal: 'first-admin' });
  });

  it.each([
    { command: 'pause', label: 'Pause', legal: 'Resume…', from: 'hangs-1' },
    { command: 'resume', label: 'Resume', legal: 'Pause…', from: 'hangs-1' },
  ])(
    'Task: $command takes effect, is in the audit log, and changes what is offered',
    async ({ command, label, legal, from }) => {
      await open(`/tasks/${from}`, `Task ${from}`);
      await button(`${label}…`).click();
      const { commandId, commandLine } = await confirm({ reason: `test of ${command}`, verb: label });
      expect(commandLine).toBe(
        `cabinet task ${command} ${from} --reason 'test of ${command}' --command-id ${commandId}`,
      );
      await button(legal).waitFor();
      expect(await audited(`task.${command}`, `test of ${command}`)).toMatchObject({ target: from, commandId });
    },
  );

  it('Task: cancel by the keyboard alone, from the list to the confirmed end', async () => {
    await open('/tasks?q=hangs-2', 'Tasks');
    await page.locator('.grid-body [role=row]').first().waitFor();
    const focused = (): Promise<string> => page.evaluate(() => document.activeElement?.textContent ?? '');
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Skip to the content');
    await page.keyboard.press('Enter');
    expect(await focused()).toBe('Tasks');
    for (let presses = 0; presses < 40 && !(await focused()).startsWith('hangs-2'); presses += 1)
      await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Task hangs-2' }).waitFor();
    await button('Cancel…').waitFor();
    for (let presses = 0; presses < 40 && (await focused()) !== 'Cancel…'; presses += 1)
      await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    expect(await focused(), 'the focus goes back to what opened the dialog').toBe('Cancel…');
    await page.keyboard.press('Enter');
    const isIn = (selector: string): Promise<boolean> =>
      page.evaluate((text) => document.activeElement?.closest(text) !== null, selector);
    const labelOf = (): Promise<string> =>
      page.evaluate(() => (document.activeElement as HTMLInputElement | null)?.labels?.[0]?.textContent ?? '');
    for (let presses = 0; presses < 10 && !(await labelOf()).startsWith('Reason'); presses += 1)
      await page.keyboard.press('Tab');
    await page.keyboard.type('by keyboard');
    await page.keyboard.press('Tab');
    expect(await labelOf()).toBe('Type cancel to confirm');
    await page.keyboard.type('cancel');
    expect(await isIn('dialog')).toBe(true);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await untilStatus('hangs-2', 'canceled');
    expect(await audited('task.cancel', 'by keyboard')).toMatchObject({ target: 'hangs-2' });
  });

  it('Dead letters: one is redriven from its group', async () => {
    await open('/dead-letters', 'Dead letters');
    const group = page.locator('.group').filter({ hasText: 'the board refused the card' });
    await group.getByRole('button', { name: 'Show tasks' }).click();
    await group.getByRole('button', { name: 'Redrive dead-1' }).click();
    await confirm({ reason: 'one of them', verb: 'Redrive' });
    await untilStatus('dead-1', 'completed');
    expect(await audited('task.redrive', 'one of them')).toMatchObject({ target: 'dead-1' });
  });

  it('Dead letters: a group is counted, confirmed, redriven and followed to its end', async () => {
    await open('/dead-letters', 'Dead letters');
    const group = page.locator('.group').filter({ hasText: 'the board refused the card' });
    await group.getByText('2', { exact: true }).waitFor();
    await group.getByRole('button', { name: 'Redrive group…' }).click();
    const { commandId, commandLine } = await confirm({
      reason: 'the board is back',
      typed: 'redrive 2',
      verb: 'Redrive',
    });
    expect(commandLine).toMatch(
      new RegExp(
        `^cabinet bulk start redrive --status \\S+ --fingerprint [0-9a-f]{16} .*--bulk-id ${commandId} --yes `,
      ),
    );
    expect(commandLine).toContain(`--admin-url ${url} --reason 'the board is back'`);
    await page.getByRole('heading', { level: 1, name: 'Bulk redrive' }).waitFor();
    expect(page.url()).toBe(`${url}/bulk/${commandId}`);
    await page.getByText('2 of 2 sent').waitFor();
    await Promise.all(['dead-2', 'dead-3'].map((id) => untilStatus(id, 'completed')));
    expect(await audited('bulk.redrive', 'the board is back')).toMatchObject({ commandId });
    await open('/bulk', 'Bulk actions');
    await page.getByRole('link', { name: 'redrive 2 tasks' }).waitFor();
  });

  it('Tasks: selected ones are canceled in bulk', async () => {
    await open('/tasks?q=hangs-&sort=taskId&order=up', 'Tasks');
    for (const id of ['hangs-3', 'hangs-4']) await page.getByRole('checkbox', { name: `Select ${id}` }).check();
    await page.getByText('2 selected:', { exact: true }).waitFor();
    await button('Cancel…').click();
    const { commandLine } = await confirm({ reason: 'not wanted', typed: 'cancel 2', verb: 'Cancel' });
    expect(commandLine).toMatch(/^cabinet bulk start cancel --id hangs-3 --id hangs-4 .* --reason 'not wanted'$/);
    await Promise.all(['hangs-3', 'hangs-4'].map((id) => untilStatus(id, 'canceled')));
    expect(await audited('bulk.cancel', 'not wanted')).toMatchObject({ outcome: 'done' });
  });

  it('Bulk: a run is held, goes on, and is ended before its last task, each with a reason', async () => {
    const ids = Array.from({ length: 12 }, (_, index) => `paced-${String(index).padStart(2, '0')}`);
    const submit = (taskId: string): Promise<unknown> =>
      world.client.submit('listing', { title: taskId, fault: 'fatal', message: 'a paced cause' }, { taskId });
    await Promise.all(ids.map(submit));
    await Promise.all(ids.map((id) => untilStatus(id, 'deadLettered')));
    await open('/tasks?q=status:failed+paced-', 'Tasks');
    await page.getByText('12 tasks').waitFor();
    await button('Redrive…').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('12 tasks would be concerned').waitFor();
    await dialog.getByRole('spinbutton', { name: 'First batch' }).fill('2');
    await dialog.getByRole('spinbutton', { name: 'Watch it' }).fill('1');
    await dialog.getByRole('spinbutton', { name: 'Then' }).fill('1');
    const { commandId, commandLine } = await confirm({ reason: 'bit by bit', typed: 'redrive 12', verb: 'Redrive' });
    expect(commandLine).toBe(
      'cabinet bulk start redrive --status deadLettered --id-prefix paced- --first-batch 2 --watch-first 1s --rate 1 ' +
        `--bulk-id ${commandId} --yes --admin-url ${url} --reason 'bit by bit'`,
    );
    await page.getByRole('heading', { level: 1, name: 'Bulk redrive' }).waitFor();
    await page.getByText(/ [3-9] of 12 sent/).waitFor();

    await button('Hold…').click();
    const held = await confirm({ reason: 'let me look', verb: 'Hold' });
    expect(held.commandLine).toBe(`cabinet bulk pause ${commandId} --admin-url ${url} --reason 'let me look'`);
    await page.getByText('held; it').waitFor();
    const progress = page.getByRole('progressbar', { name: 'Tasks that were commanded' });
    const sent = Number(await progress.getAttribute('value'));
    expect(sent).toBeLessThan(12);
    await button('Go on…').click();
    await confirm({ reason: 'looks good', verb: 'Go on' });
    await eventually('it goes on', async () => Number(await progress.getAttribute('value')) > sent, waitMs);
    await button('End…').click();
    await confirm({ reason: 'enough', typed: 'abort', verb: 'End' });
    await page.getByText('aborted', { exact: true }).waitFor();
    expect(Number(await progress.getAttribute('value'))).toBeLessThan(12);
    expect(await button('Hold…').count()).toBe(0);
    for (const [action, reason] of [
      ['bulk.pause', 'let me look'],
      ['bulk.resume', 'looks good'],
      ['bulk.abort', 'enough'],
    ] as const)
      expect(await audited(action, reason)).toMatchObject({ target: commandId, principal: 'first-admin' });
    await open('/bulk', 'Bulk actions');
    await page.getByRole('row').filter({ hasText: 'bit by bit' }).getByText('aborted').waitFor();
  });

  it('Bulk: a run whose tasks fail again stops by itself and says so', async () => {
    const ids = Array.from({ length: 6 }, (_, index) => `broken-${index}`);
    await Promise.all(
      ids.map((taskId) => world.client.submit('listing', { title: taskId, fault: 'broken' }, { taskId })),
    );
    await Promise.all(ids.map((id) => untilStatus(id, 'deadLettered')));
    await open('/tasks?q=status:failed+broken-', 'Tasks');
    await page.getByText('6 tasks').waitFor();
    await button('Redrive…').click();
    await page.getByRole('dialog').getByRole('spinbutton', { name: 'First batch' }).fill('3');
    await confirm({ reason: 'once more', typed: 'redrive 6', verb: 'Redrive' });
    await page.getByText('stopped: too many failures').waitFor();
    await page.getByText('3 of 6 sent').waitFor();
    const tile = page.locator('.tile').filter({ hasText: 'Failed again' });
    expect(Number(await tile.locator('.big').textContent())).toBeGreaterThan(0);
    expect(await page.getByText('Failed commands (0)').count()).toBe(1);
  });

  it('Tokens: one is made, shown once, works with its role, and ends when it is revoked', async () => {
    await open('/tokens', 'Tokens');
    await page.getByRole('row').filter({ hasText: 'first-admin' }).getByText('you').waitFor();
    await button('New token…').click();
    const dialog = page.getByRole('dialog');
    expect(await dialog.getByRole('button', { name: 'Make', exact: true }).isDisabled()).toBe(true);
    await dialog.getByLabel('Name').fill('-odd name-');
    expect(await dialog.getByRole('button', { name: 'Make', exact: true }).isDisabled()).toBe(true);
    await dialog.getByLabel('Name').fill('ci-deploy');
    await dialog.getByRole('radio', { name: /^operator/ }).check();
    await dialog.getByLabel('Expires after').selectOption({ label: '7 days' });
    const { commandLine } = await confirm({ reason: 'for the pipeline', verb: 'Make' });
    expect(commandLine).toMatch(
      /^cabinet token create ci-deploy --role operator --expires \d+d .*--reason 'for the pipeline'$/,
    );
    expect(commandLine).not.toContain('cbt_');
    const shown = page.getByRole('region', { name: 'Token of ci-deploy' });
    const secret = ((await shown.getByLabel('the token of ci-deploy', { exact: true }).textContent()) ?? '').trim();
    expect(secret).toMatch(/^cbt_[0-9a-f]{16}_/);
    await shown.getByRole('button', { name: /^Copy/ }).click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(secret);
    const asWho = async (): Promise<Response> =>
      fetch(`${url}/api/session`, { headers: { authorization: `Bearer ${secret}` } });
    expect(await (await asWho()).json()).toMatchObject({ name: 'ci-deploy', role: 'operator' });
    const row = page.getByRole('row').filter({ hasText: 'ci-deploy' });
    expect(await row.textContent()).toMatch(/in (?:7 d 0 h|6 d 23 h)/);
    await page.reload();
    await row.waitFor();
    expect(await page.content()).not.toContain(secret);

    await button('Revoke ci-deploy').click();
    await confirm({ reason: 'it leaked', typed: 'ci-deploy', verb: 'Revoke' });
    await row.waitFor({ state: 'detached' });
    expect((await asWho()).status).toBe(401);
    expect(await audited('token.create', 'for the pipeline')).toMatchObject({ target: 'ci-deploy' });
    expect(await audited('token.revoke', 'it leaked')).toMatchObject({ outcome: 'done' });
  });

  it('NOT_ALLOWED: Tokens keeps the last admin token, and says why', async () => {
    await open('/tokens', 'Tokens');
    await button('Revoke first-admin').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('It is your own.').waitFor();
    await dialog.getByLabel(/^Type .* to confirm/).fill('first-admin');
    await dialog.getByRole('button', { name: 'Revoke', exact: true }).click();
    await dialog.getByRole('alert').getByText('NOT_ALLOWED').first().waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('row').filter({ hasText: 'first-admin' }).waitFor();
  });

  it('Cluster: cordon, uncordon, move with a preview, and unpin', async () => {
    await open('/cluster', 'Cluster');
    await button('Cordon n-2').click();
    await confirm({ reason: 'a look at it', verb: 'Cordon' });
    await page.getByRole('cell', { name: 'cordoned' }).first().waitFor();
    await button('Uncordon n-2').click();
    await confirm({ reason: 'looked at', verb: 'Uncordon' });
    await button('Cordon n-2').waitFor();
    await audited('node.cordon', 'a look at it');
    await audited('node.uncordon', 'looked at');

    const { shards } = await world.client.cluster.status();
    const shard = shards.find(({ from }) => from === 'n-1')?.shard ?? 0;
    await page.getByRole('option', { name: new RegExp(`^Shard ${shard},`) }).click();
    await button('Move…').click();
    await page.getByRole('dialog').getByLabel('To').selectOption('n-2');
    await page
      .getByRole('dialog')
      .getByText(/would move/)
      .waitFor();
    const { commandLine } = await confirm({ reason: 'nearer', verb: 'Move' });
    expect(commandLine).toBe(`cabinet shard move ${shard} n-2 --reason nearer`);
    await page.getByRole('option', { name: new RegExp(`^Shard ${shard}, owner n-2,.*pinned to n-2`) }).waitFor();
    await button('Unpin…').click();
    await confirm({ reason: 'never mind', verb: 'Unpin' });
    await button('Unpin…').waitFor({ state: 'detached' });
    await audited('shard.move', 'nearer');
    await audited('shard.unpin', 'never mind');
  });

  it('Cluster: drain asks for the name of the node, and hands its shards over', async () => {
    await open('/cluster', 'Cluster');
    await button('Drain n-2').click();
    await confirm({ reason: 'an upgrade', typed: 'n-2', verb: 'Drain' });
    await page.getByRole('cell', { name: 'draining' }).first().waitFor();
    const owned = async (): Promise<number> =>
      (await world.client.cluster.status()).shards.filter(({ from }) => from === 'n-2').length;
    await eventually('it has nothing more', async () => (await owned()) === 0, 30_000);
    await button('Uncordon n-2').click();
    await confirm({ reason: 'upgraded', verb: 'Uncordon' });
    await eventually('it has its part again', async () => (await owned()) > 0, 30_000);
    await audited('node.drain', 'an upgrade');
  });

  it('follows a node that is killed while it is looked at, and the task that lost its owner', async () => {
    // Both nodes have tasks of this kind; one of them is of the node that is killed.
    const ids = Array.from({ length: 8 }, (_, index) => `parks-${index}`);
    await Promise.all(
      ids.map((taskId) => world.client.submit('listing', { title: taskId, fault: 'parks' }, { taskId })),
    );
    await Promise.all(
      ids.map((id) => eventually(`${id} charges`, async () => (await world.client.get(id)).stage === 'charge')),
    );
    const owners = await Promise.all(ids.map(async (id) => ({ id, node: (await world.client.get(id)).owner?.node })));
    const parked = owners.find(({ node }) => node === 'n-1')?.id ?? '';
    await open('/cluster', 'Cluster');
    await page.getByText('2 up').waitFor();
    await world.killNode('n-1');
    await page.getByText('1 up').waitFor();
    await page.getByText('Every shard is where it should be.').waitFor({ timeout: 40_000 });
    expect(await page.getByRole('option', { name: /owner n-1/ }).count()).toBe(0);

    await open(`/tasks/${parked}`, `Task ${parked}`);
    await page.locator('.gantt .move.is-cut').waitFor();
    await page.getByRole('region', { name: 'Journal' }).getByText('owner.changed').first().waitFor();
    await button('Resolve…').click();
    await page.getByLabel('It did not take effect').check();
    await page.getByLabel('It took effect').check();
    await page.getByLabel('Output, as JSON').fill('{"text":"paid"}');
    const { commandLine } = await confirm({ reason: 'seen at the bank', verb: 'Resolve' });
    expect(commandLine).toContain(`cabinet task resolve ${parked} --completed '{"text":"paid"}'`);
    await untilStatus(parked, 'completed');
    expect(await audited('task.resolve', 'seen at the bank')).toMatchObject({ target: parked });
    await world.startNode('n-1');
    await open('/cluster', 'Cluster');
    await page.getByText('2 up').waitFor();
  });

  it('Audit shows every action with who and why, and filters by the server', async () => {
    await open('/audit', 'Audit');
    await page.getByText('seen at the bank').first().waitFor();
    await page.getByPlaceholder('action').fill('node.drain');
    await page.getByPlaceholder('action').press('Enter');
    await page.getByText('an upgrade').first().waitFor();
    expect(await page.getByText('seen at the bank').count()).toBe(0);
  });

  it('a viewer sees the screens and is offered no action; a refusal of the server is not needed', async () => {
    const { token } = await world.ask<{ readonly token: string }>('/api/tokens', {
      method: 'POST',
      body: { name: 'looker', role: 'viewer' },
    });
    const other = await openPage(url);
    try {
      await logIn(other.page, url, token);
      for (const path of [
        '/tasks',
        '/tasks/limited-1',
        '/dead-letters',
        '/cluster',
        '/pipelines/listing',
        '/audit',
        '/tokens',
      ]) {
        await other.page.goto(`${url}${path}`);
        await other.page.getByRole('heading', { level: 1 }).waitFor();
        await other.page.waitForLoadState('networkidle').catch(() => undefined);
        expect(await other.page.locator('main button', { hasText: '…' }).count(), path).toBe(0);
      }
      expect(await other.page.getByRole('link', { name: 'Tokens' }).count()).toBe(0);
      expect(other.complaints).toEqual([]);
    } finally {
      await other.close();
    }
  });

  it.each(['light', 'dark'] as const)(
    'axe finds nothing serious on any screen, %s',
    async (colorScheme) => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const { runs } = (await page.evaluate(async () => (await fetch('/api/bulk')).json())) as {
        readonly runs: readonly { readonly bulkId: string }[];
      };
      const screens = [
        '/',
        '/tasks',
        '/tasks/canary-1',
        '/tasks/limited-1',
        `/tasks/${longId}`,
        '/pipelines',
        '/pipelines/listing',
        '/dead-letters',
        '/bulk',
        `/bulk/${runs[0]?.bulkId ?? ''}`,
        '/cluster',
        '/audit',
        '/tokens',
      ];
      const found: string[] = [];
      // The page has no frames, which is all that the other mode is for; it opens a page beside it each time.
      const check = async (name: string): Promise<void> => {
        const { violations } = await new AxeBuilder({ page }).setLegacyMode().analyze();
        for (const { id, impact, nodes } of violations) {
          if (impact !== 'serious' && impact !== 'critical') continue;
          found.push(
            `${name}: ${id} at ${nodes
              .map(({ target }) => target.join(' '))
              .slice(0, 4)
              .join(', ')}`,
          );
        }
      };
      for (const path of screens) {
        await page.goto(`${url}${path}`);
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page.locator('.loading').first().waitFor({ state: 'detached' });
        await check(path);
      }
      await page.goto(`${url}/tasks/limited-1`);
      await button('Cancel…').click();
      await check('the dialog of a command');
      await page.keyboard.press('Escape');
      await button('Log out').click();
      await page.getByLabel('Access token').waitFor();
      await check('login');
      await logIn(page, url, world.token);
      expect(found).toEqual([]);
    },
    axeTimeoutMs,
  );
});
