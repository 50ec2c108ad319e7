import type { Locator, Page, WebSocketRoute } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LiveFrame, LiveMessage } from '../../src/admin/live/protocol.ts';
import { eventsOfRecord, type PipelineEvent } from '../../src/projections/cloud-event.ts';
import { comparePositions, type Position } from '../../src/projections/position.ts';
import { logIn, openPage, type WatchedPage } from '../support/browser.ts';
import { startConsoleWorld, type ConsoleWorld } from '../support/console-world.ts';
import { eventually } from '../support/nats-world.ts';

const waitMs = 30_000;

/** A socket of the page that passes through the test, which may break it. */
interface PassedSocket {
  readonly sent: LiveMessage[];
  readonly received: LiveFrame[];
  isClosed: boolean;
  /** Says something to the page. */
  say(frame: LiveFrame): void;
  /** Closes the page's side with that code, as a server would. */
  close(code: number, reason: string): Promise<void>;
}

/** Stands between the page and the server's socket. */
class SocketGate {
  readonly sockets: PassedSocket[] = [];
  /** No socket is let through: each is closed before it has said a word. */
  isShut = false;

  async stand(page: Page): Promise<void> {
    await page.routeWebSocket(/\/api\/live$/, (route) => this.#pass(route));
  }

  get last(): PassedSocket {
    const last = this.sockets.at(-1);
    if (last === undefined) throw new Error('the page has opened no socket');
    return last;
  }

  #pass(route: WebSocketRoute): void {
    if (this.isShut) {
      void route.close({ code: 1013, reason: 'shut' });
      return;
    }
    const server = route.connectToServer();
    const socket: PassedSocket = {
      sent: [],
      received: [],
      isClosed: false,
      say: (frame) => route.send(JSON.stringify(frame)),
      close: async (code, reason) => {
        socket.isClosed = true;
        await server.close();
        await route.close({ code, reason });
      },
    };
    this.sockets.push(socket);
    route.onMessage((message) => {
      socket.sent.push(JSON.parse(String(message)) as LiveMessage);
      server.send(message);
    });
    server.onMessage((message) => {
      if (socket.isClosed) return;
      socket.received.push(JSON.parse(String(message)) as LiveFrame);
      route.send(message);
    });
    route.onClose((code, reason) => {
      socket.isClosed = true;
      void server.close({ code: code ?? 1000, reason: reason ?? '' });
    });
  }
}

describe('the page, fresh by its one socket', () => {
  let world: ConsoleWorld;
  let watched: WatchedPage;
  let page: Page;
  let gate: SocketGate;

  beforeAll(async () => {
    world = await startConsoleWorld();
  });

  afterAll(async () => {
    await world?.stop();
  });

  beforeEach(async () => {
    watched = await openPage(world.url);
    ({ page } = watched);
    page.setDefaultTimeout(waitMs);
    gate = new SocketGate();
    await gate.stand(page);
    await logIn(page, world.url, world.token);
  });

  afterEach(async () => {
    expect(watched.foreignRequests).toEqual([]);
    expect(watched.complaints).toEqual([]);
    await watched.close();
  });

  const badge = (text: string | RegExp): Locator => page.locator('.fresh').getByText(text);

  async function open(path: string, heading: string): Promise<void> {
    await page.goto(`${world.url}${path}`);
    await page.getByRole('heading', { level: 1, name: heading }).waitFor();
    await badge('live').waitFor();
  }

  /** Requests of the page to addresses that begin so, from now on. */
  function requestsTo(path: string): string[] {
    const seen: string[] = [];
    page.on('request', (request) => {
      const { pathname } = new URL(request.url());
      if (pathname.startsWith(path)) seen.push(pathname);
    });
    return seen;
  }

  it('one socket serves all screens, and what it tells is not asked for', async () => {
    await open('/', 'Overview');
    for (const name of ['Cluster', 'Dead letters', 'Tasks', 'Audit', 'Cluster']) {
      await page.getByRole('link', { name, exact: true }).first().click();
      await page.getByRole('heading', { level: 1, name }).waitFor();
    }
    await page.getByText('Every shard is where it should be.').waitFor();
    const asked = requestsTo('/api/cluster');
    await world.client.cluster.cordon('n-2');
    await page.getByRole('cell', { name: 'cordoned' }).first().waitFor();
    await world.client.cluster.uncordon('n-2');
    await page.getByRole('cell', { name: 'cordoned' }).first().waitFor({ state: 'detached' });
    expect(asked).toEqual([]);
    // The one before was of the screen that logs in, and went with its page.
    expect(gate.sockets.filter(({ isClosed }) => !isClosed)).toHaveLength(1);
    const topics = gate.last.sent.flatMap((message) => (message.type === 'subscribe' ? [message.topic] : []));
    expect(new Set(topics)).toEqual(new Set(['overview', 'cluster', 'dead-letters', 'tasks', 'audit']));
  });

  it('Overview draws throughput, and the latency of each stage, from what it is told as attempts end', async () => {
    await open('/', 'Overview');
    const asked = requestsTo('/api/tasks/groups');
    // All the while: what ends before the page has had its first look at the numbers is not told as having just happened.
    const enough = new AbortController();
    const load = (async () => {
      for (let index = 0; !enough.signal.aborted; index += 1) {
        const fault = index % 5 === 0 ? 'flaky' : 'none';
        await world.client.submit('listing', { title: 'charted', workMs: 50, fault });
        await page.waitForTimeout(100);
      }
    })();
    try {
      const chart = page.getByRole('figure').filter({ hasText: 'Latency of stages, p95' });
      await chart.locator('canvas').waitFor();
      await chart.getByText('photos').first().waitFor();
      const row = page
        .getByRole('region', { name: 'Latency of stages' })
        .getByRole('row')
        .filter({ has: page.getByRole('cell', { name: 'photos', exact: true }) });
      await row.getByText(/ %$/).waitFor();
      expect(await row.textContent()).toMatch(/listingphotos[\d.]+[\d.]+ %\d+ ms/);
      await page
        .getByRole('figure')
        .filter({ hasText: 'Ended tasks per second' })
        .getByText(/completed [1-9\d]/)
        .waitFor();
      await page
        .getByRole('figure')
        .filter({ hasText: 'Failed attempts' })
        .getByText(/failed (?:0\.\d*[1-9]|[1-9])/)
        .waitFor();
    } finally {
      enough.abort();
      await load;
    }
    expect(asked).toEqual([]);
  });

  it('draws a machine as it goes on, and lists new tasks, without asking again and again', async () => {
    await open('/tasks?q=drawn-', 'Tasks');
    await page.getByText('No task matches.').waitFor();
    await world.client.submit('listing', { title: 'drawn', workMs: 1_500 }, { taskId: 'drawn-1' });
    await page.getByRole('link', { name: 'drawn-1' }).click();
    await page.getByRole('heading', { level: 1, name: 'Task drawn-1' }).waitFor();
    for (const stage of ['photos', 'publish', 'cleanup'])
      await page.getByRole('img', { name: new RegExp(`the task is in ${stage}\\.running`) }).waitFor();
    await page.locator('.substate.is-active.fill-completed').waitFor();
    const asked = requestsTo('/api/tasks/drawn-1');
    await page.waitForTimeout(2_000);
    expect(asked.filter((path) => path === '/api/tasks/drawn-1')).toEqual([]);
  });

  it('SLOW_CONSUMER: says that it reconnects, goes on after its place, and misses nor repeats an event, across a kill of the owner', async () => {
    const { client } = world;
    await client.submit('listing', { title: 'long', workMs: 2_000 }, { taskId: 'cut-1' });
    await open('/tasks/cut-1', 'Task cut-1');
    const { owner, shard } = await client.get('cut-1');
    for (let round = 0; round < 3; round += 1) {
      const before = gate.sockets.length;
      await eventually(
        'it is told of something',
        () => gate.last.received.some(({ type }) => type === 'delta'),
        waitMs,
      );
      if (round === 1) await world.killNode(owner?.node ?? '');
      gate.isShut = true;
      await gate.last.close(4008, 'SLOW_CONSUMER');
      await badge(/reconnecting since/).waitFor();
      gate.isShut = false;
      await badge('live').waitFor();
      expect(gate.sockets.length).toBe(before + 1);
    }
    await page.locator('.substate.is-active.fill-completed').waitFor();
    const of = gate.sockets.filter(({ sent }) => JSON.stringify(sent).includes('task:cut-1'));
    const subscribes = of.flatMap(({ sent }) =>
      sent.flatMap((message) =>
        message.type === 'subscribe' && message.topic === 'task:cut-1' ? [message.resumeFrom] : [],
      ),
    );
    expect(subscribes[0]).toBeUndefined();
    expect(subscribes.slice(1).every((position) => position !== undefined)).toBe(true);
    const events = of.flatMap(({ sent, received }) => {
      const subscribe = sent.find((message) => message.type === 'subscribe' && message.topic === 'task:cut-1');
      const id = subscribe?.type === 'subscribe' ? subscribe.id : '';
      return received.flatMap((frame) =>
        frame.type === 'delta' && frame.id === id ? (frame.data as readonly PipelineEvent[]) : [],
      );
    });
    const [first] = of[0]?.received.filter(({ type }) => type === 'snapshot') ?? [];
    const begin = (first?.type === 'snapshot' ? first.position : null) as Position;
    expect(events.every(({ id }, index) => comparePositions(id, events[index - 1]?.id ?? begin) > 0)).toBe(true);
    const told = events.map(({ id }) => id);
    const { records } = await client.history('cut-1');
    const all = records
      .flatMap(({ record, ...place }) => eventsOfRecord(record, { namespace: 'cabinet', shard, ...place }))
      .filter(({ id }) => comparePositions(id, begin) > 0);
    expect(told).toEqual(all.map(({ id }) => id));
    await page.locator('.gantt .move').first().waitFor();
    await world.startNode(owner?.node ?? '');
  });

  it('asks again and again only where no socket can be opened, says so, and is live again when one can', async () => {
    gate.isShut = true;
    await page.goto(`${world.url}/tasks?q=polled-`);
    await badge('polling: no live socket').waitFor();
    await world.client.submit('listing', { title: 'polled' }, { taskId: 'polled-1' });
    await page.getByRole('link', { name: 'polled-1' }).waitFor();
    gate.isShut = false;
    await badge('live').waitFor();
    await world.client.submit('listing', { title: 'told' }, { taskId: 'polled-2' });
    await page.getByRole('link', { name: 'polled-2' }).waitFor();
  });

  it('lets its socket go while nobody looks for a minute, and takes its place up again', async () => {
    await page.clock.install();
    await world.client.submit('listing', { title: 'hidden', fault: 'hangs' }, { taskId: 'hidden-1' });
    await open('/tasks/hidden-1', 'Task hidden-1');
    const look = (isHidden: boolean): Promise<void> =>
      page.evaluate((value) => {
        Object.defineProperty(document, 'hidden', { value, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, isHidden);
    const before = gate.last;
    await look(true);
    for (const passedMs of [30_000, 29_000]) {
      await page.clock.fastForward(passedMs);
      // As the server would have said by then, were it in the page's time.
      before.say({ type: 'ping' });
    }
    expect(before.isClosed).toBe(false);
    await page.clock.fastForward(2_000);
    await eventually('the socket is let go', () => before.isClosed, waitMs);
    await page.clock.fastForward(600_000);
    await world.client.cancel('hidden-1', {});
    expect(gate.last).toBe(before);
    await look(false);
    await page.locator('.substate.is-active.fill-canceled').waitFor();
    expect(gate.last).not.toBe(before);
    expect(gate.last.sent).toContainEqual(
      expect.objectContaining({ topic: 'task:hidden-1', resumeFrom: expect.any(String) as string }),
    );
  });

  it('UNAUTHENTICATED: a restart of the server ends the session; whoever logs in again is live again', async () => {
    await open('/tasks', 'Tasks');
    await world.restartAdmin('SIGKILL');
    await page.getByLabel('Access token').waitFor();
    await logIn(page, world.url, world.token);
    await badge('live').waitFor();
  });
});
