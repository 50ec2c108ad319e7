import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WebSocket } from 'ws';
import { CredentialWatch } from '../../../src/admin/credential-watch.ts';
import { inspectionUpgrade } from '../../../src/admin/inspect/inspection-upgrade.ts';
import { LiveServer } from '../../../src/admin/live/live-server.ts';
import { protocolsWithTicket } from '../../../src/admin/live/protocol.ts';
import type { Principal } from '../../../src/admin/principal.ts';
import { shardOf } from '../../../src/core/hash.ts';
import { machineFinder } from '../../../src/inspector/find-machine.ts';
import { InspectionGateway } from '../../../src/inspector/inspection-gateway.ts';
import { isInspectionUrl } from '../../../src/inspector/inspection-request.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { SystemClock } from '../../../src/platform/system-clock.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import { aTask, listingPipeline } from '../../support/a-task.ts';
import { type AdminWorld, startAdminWorld } from '../../support/admin-kit.ts';
import { aJournalOf, inspectedShards, inspectedTask } from '../../support/inspection-kit.ts';
import { closeOf, openSocket, type HandshakeOptions } from '../../support/live-clients.ts';

/** How soon a socket must be closed after what it came with has ended. */
const limitMs = 1_000;
const sessionLimits = { maximumAgeMs: 60_000, idleMs: 30_000, perToken: 2, total: 10 };

/** The system's clock, whose times a test can move. */
class ShiftedClock extends SystemClock {
  shiftMs = 0;

  override monotonicMs(): number {
    return super.monotonicMs() + this.shiftMs;
  }

  override now(): number {
    return super.now() + this.shiftMs;
  }
}

describe('sockets that a session or a token has opened', () => {
  let clock: ShiftedClock;
  let world: AdminWorld;
  let live: LiveServer;
  let gateway: InspectionGateway;
  const opened: WebSocket[] = [];

  beforeEach(async () => {
    clock = new ShiftedClock();
    const journal = aJournalOf(aTask().running('photos').records);
    gateway = new InspectionGateway({
      journal,
      clock,
      shardOf: (taskId) => shardOf(taskId, inspectedShards),
      findMachine: machineFinder([listingPipeline], () => Promise.reject(new Error('no engine'))),
      findTask: () => Promise.reject(new Error('no engine')),
    });
    world = await startAdminWorld({
      clock,
      sessionLimits,
      onUpgrade: (access, parts) => {
        live = new LiveServer({ ...parts, access, journal, namespace: 'cabinet' });
        const inspect = inspectionUpgrade({ gateway, access, random: new SeededRandom(1) });
        return (request, socket, head) => {
          if (isInspectionUrl(request.url ?? '')) inspect(request, socket, head);
          else live.handleUpgrade(request, socket, head);
        };
      },
    });
  });

  afterEach(async () => {
    for (const socket of opened.splice(0)) socket.terminate();
    gateway.close();
    await live.stop();
    await world.stop();
  });

  const origin = (): string => `http://127.0.0.1:${world.admin.port}`;
  const inspectPath = `/api/inspect/${inspectedTask}`;

  async function logIn(token = world.tokens.viewer): Promise<string> {
    const login = await world.ask('/api/session', { method: 'POST', token: null, body: { token } });
    expect(login.status).toBe(200);
    return String(login.headers['set-cookie']).split(';')[0] ?? '';
  }

  async function open(options: HandshakeOptions): Promise<WebSocket> {
    const socket = openSocket(world.admin.port, options);
    opened.push(socket);
    await new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    return socket;
  }

  async function ticketOf(cookie: string): Promise<string> {
    const headers = { cookie, origin: origin() };
    const { body } = await world.ask('/api/session/ticket', { method: 'POST', token: null, body: {}, headers });
    return (body as { readonly ticket: string }).ticket;
  }

  /** Of both servers, by the cookie itself and by a ticket that was had by it. */
  async function openAllOf(cookie: string): Promise<readonly WebSocket[]> {
    return [
      await open({ cookie }),
      await open({ protocols: protocolsWithTicket(await ticketOf(cookie)) }),
      await open({ cookie, path: inspectPath, protocols: [] }),
      await open({ path: `${inspectPath}?ticket=${await ticketOf(cookie)}`, protocols: [], origin: null }),
      await open({ path: inspectPath, protocols: ['cabinet.inspect.v1', `ticket.${await ticketOf(cookie)}`] }),
    ];
  }

  /** Expects that all of them are closed as UNAUTHENTICATED within the limit from `act` on. */
  async function expectClosed(sockets: readonly WebSocket[], act: () => Promise<unknown>): Promise<void> {
    const closes = sockets.map(closeOf);
    await act();
    const actedAt = performance.now();
    const ended = await Promise.all(closes);
    expect(performance.now() - actedAt).toBeLessThan(limitMs);
    expect(ended).toEqual(sockets.map(() => ({ code: 4401, reason: 'UNAUTHENTICATED' })));
  }

  const areOpen = (sockets: readonly WebSocket[]): boolean =>
    sockets.every((socket) => socket.readyState === socket.OPEN);

  it('end within a second of the logout, with the tickets that wait, and no others of the same token do', async () => {
    const cookie = await logIn();
    const sockets = await openAllOf(cookie);
    const others = [
      ...(await openAllOf(await logIn())),
      await open({ token: world.tokens.viewer }),
      await open({ token: world.tokens.viewer, path: inspectPath, protocols: [] }),
    ];
    const waiting = await ticketOf(cookie);
    await expectClosed(sockets, async () => {
      const headers = { cookie, origin: origin() };
      const out = await world.ask('/api/session', { method: 'DELETE', token: null, headers });
      expect(out.body).toEqual({ ended: 1 });
    });
    expect(world.admin.access.redeem(waiting)).toBeNull();
    expect(areOpen(others)).toBe(true);
    await vi.waitFor(() => expect([live.connectionCount, gateway.sessionCount]).toEqual([3, 4]));
  });

  it('end within a second when the token is revoked, those of its sessions and its own', async () => {
    const made = await world.ask('/api/tokens', { method: 'POST', body: { name: 'short', role: 'viewer' } });
    const { id, token } = made.body as { readonly id: string; readonly token: string };
    const sockets = [
      ...(await openAllOf(await logIn(token))),
      await open({ token }),
      await open({ token, path: inspectPath, protocols: [] }),
    ];
    const others = await openAllOf(await logIn());
    await expectClosed(sockets, () => world.ask(`/api/tokens/${id}`, { method: 'DELETE', body: {} }));
    expect(areOpen(others)).toBe(true);
  });

  it.each([
    ['at its age, however much it is used', sessionLimits.maximumAgeMs],
    ['unused: a socket that is open is no use of it', sessionLimits.idleMs],
  ])('end within a second when the session ends %s', async (_, lifeMs) => {
    const cookie = await logIn();
    const sockets = await openAllOf(cookie);
    const steps = lifeMs === sessionLimits.maximumAgeMs ? 3 : 1;
    for (let step = 1; step < steps; step += 1) {
      clock.shiftMs += 25_000;
      expect((await world.ask('/api/session', { token: null, headers: { cookie } })).status).toBe(200);
    }
    expect(areOpen(sockets)).toBe(true);
    await expectClosed(sockets, async () => (clock.shiftMs += lifeMs - (steps - 1) * 25_000));
  });

  it('end within a second when the token expires', async () => {
    const expiresAt = Date.now() + 3_600_000;
    const made = await world.ask('/api/tokens', { method: 'POST', body: { name: 'short', role: 'viewer', expiresAt } });
    const { token } = made.body as { readonly token: string };
    const sockets = [await open({ token }), await open({ token, path: inspectPath, protocols: [] })];
    await expectClosed(sockets, async () => (clock.shiftMs += 3_600_000));
  });

  it('end within a second when a newer session makes the oldest of the token end', async () => {
    const sockets = await openAllOf(await logIn());
    const kept = await openAllOf(await logIn());
    await expectClosed(sockets, () => logIn());
    expect(areOpen(kept)).toBe(true);
  });
});

describe('the watch of credentials', () => {
  const viewer: Principal = { tokenId: 't', name: 'v', role: 'viewer', via: 'bearer' };

  it('tells each change once, nothing after the end, and keeps no timer for nobody', async () => {
    const clock = new VirtualClock();
    let now: Principal | null = viewer;
    const watch = new CredentialWatch({ clock, recheck: () => now });
    const seen: (string | null)[] = [];
    watch.watch(viewer, (principal) => seen.push(principal?.role ?? null));
    const unwatch = watch.watch(viewer, () => seen.push('never'));
    unwatch();
    unwatch();
    await clock.advance(2_000);
    expect(seen).toEqual([]);
    now = { ...viewer, role: 'admin' };
    await clock.advance(500);
    await clock.advance(2_000);
    expect(seen).toEqual(['admin']);
    now = null;
    watch.check();
    watch.check();
    await clock.advance(2_000);
    expect(seen).toEqual(['admin', null]);
    expect(clock.pendingTimers).toBe(0);
  });
});
