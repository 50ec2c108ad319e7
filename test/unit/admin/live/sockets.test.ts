import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WebSocket } from 'ws';
import { LiveServer } from '../../../../src/admin/live/live-server.ts';
import { liveProtocol, protocolsWithTicket, type LiveMessage } from '../../../../src/admin/live/protocol.ts';
import { SystemClock } from '../../../../src/platform/system-clock.ts';
import { ticketLifeMs } from '../../../../src/admin/tickets.ts';
import { startAdminWorld, type AdminWorld } from '../../../support/admin-kit.ts';
import { ArrayJournal, submitted } from '../../../support/array-journal.ts';
import {
  closeOf,
  framesOf,
  handshakeStatus,
  openSocket,
  type HandshakeOptions,
} from '../../../support/live-clients.ts';

/** The system's clock, whose monotonic time a test can move. */
class ShiftedClock extends SystemClock {
  shiftMs = 0;

  override monotonicMs(): number {
    return super.monotonicMs() + this.shiftMs;
  }
}

describe('the socket of the console', () => {
  const journal = new ArrayJournal();
  let clock: ShiftedClock;
  let world: AdminWorld;
  let live: LiveServer;
  const opened: WebSocket[] = [];

  beforeEach(async () => {
    clock = new ShiftedClock();
    world = await startAdminWorld({
      clock,
      onUpgrade: (access, parts) => {
        const limits = { pingMs: 1_000 };
        live = new LiveServer({ ...parts, access, journal, namespace: 'cabinet', limits });
        return live.handleUpgrade;
      },
    });
  });

  afterEach(async () => {
    for (const socket of opened.splice(0)) socket.terminate();
    await live.stop();
    await world.stop();
  });

  const status = (options: HandshakeOptions = {}): Promise<number> =>
    handshakeStatus(world.admin.port, { token: world.tokens.viewer, ...options });

  async function open(token = world.tokens.viewer): Promise<WebSocket> {
    const socket = openSocket(world.admin.port, { token });
    opened.push(socket);
    await new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    return socket;
  }

  const say = (socket: WebSocket, message: LiveMessage): void => socket.send(JSON.stringify(message));

  async function ticket(): Promise<string> {
    const { body } = await world.ask('/api/session/ticket', { method: 'POST', body: {}, token: world.tokens.viewer });
    return (body as { readonly ticket: string }).ticket;
  }

  it('lets in a bearer token, and refuses as ORIGIN_REFUSED who comes from nowhere or from elsewhere', async () => {
    expect(await status()).toBe(101);
    expect(await status({ origin: null })).toBe(403);
    expect(await status({ origin: 'http://evil.example' })).toBe(403);
    expect(await status({ origin: `http://127.0.0.1:${world.admin.port + 1}` })).toBe(403);
    expect(await status({ origin: 'null' })).toBe(403);
  });

  it('refuses as UNAUTHENTICATED who has no credential, a bad one, or a ticket that is used, unknown, over or one of two', async () => {
    expect(await status({ token: null })).toBe(401);
    expect(await status({ token: 'x'.repeat(43) })).toBe(401);
    const good = protocolsWithTicket(await ticket());
    expect(await status({ token: null, protocols: good })).toBe(101);
    expect(await status({ token: null, protocols: good })).toBe(401);
    // A bad ticket is not saved by a good token beside it.
    expect(await status({ protocols: protocolsWithTicket('nonsense') })).toBe(401);
    expect(await status({ protocols: [...protocolsWithTicket(await ticket()), `ticket.${await ticket()}`] })).toBe(401);
    const late = protocolsWithTicket(await ticket());
    clock.shiftMs += ticketLifeMs;
    expect(await status({ token: null, protocols: late })).toBe(401);
  });

  it('takes no ticket in the URL, no other path and no other protocol', async () => {
    expect(await status({ path: `/api/live?ticket=${await ticket()}`, token: null })).toBe(404);
    expect(await status({ path: '/api/live/', token: null }).catch(() => 'ended')).not.toBe(101);
    expect(await status({ path: '/api/other' })).toBe(404);
    expect(await status({ protocols: [] })).toBe(400);
    expect(await status({ protocols: ['cabinet.v2'] })).toBe(400);
  });

  it('refuses the 21st connection of one credential as RATE_LIMITED, and takes another one when one has left', async () => {
    const sockets = await Promise.all(Array.from({ length: 20 }, () => open()));
    expect(await status()).toBe(429);
    expect(await status({ token: world.tokens.operator })).toBe(101);
    sockets[0]?.terminate();
    await vi.waitFor(async () => expect(await status()).toBe(101));
  });

  it('greets, and takes only the protocol that it speaks', async () => {
    const socket = openSocket(world.admin.port, { token: world.tokens.viewer });
    opened.push(socket);
    const frames = framesOf(socket);
    await vi.waitFor(() => expect(frames[0]).toEqual({ type: 'hello', version: 1, name: 'a-viewer', role: 'viewer' }));
    expect(socket.protocol).toBe(liveProtocol);
    expect(socket.extensions).toBe('');
  });

  it('closes who sends binary, too much, too many pieces or too often; what is not JSON is INVALID_MESSAGE', async () => {
    const binary = await open();
    binary.send(Buffer.from('{}'));
    expect((await closeOf(binary)).code).toBe(1003);

    const huge = await open();
    huge.send(' '.repeat(64 * 1024 + 1));
    expect((await closeOf(huge)).code).toBe(1009);

    const pieces = await open();
    for (let index = 0; index < 70; index += 1) pieces.send(' ', { fin: false });
    expect((await closeOf(pieces)).code).toBe(1008);

    const flood = await open();
    for (let index = 0; index < 60; index += 1) say(flood, { type: 'pong' });
    expect(await closeOf(flood)).toEqual({ code: 4429, reason: 'RATE_LIMITED' });

    const pings = await open();
    for (let index = 0; index < 60; index += 1) pings.ping();
    expect(await closeOf(pings)).toEqual({ code: 4429, reason: 'RATE_LIMITED' });

    const text = await open();
    const frames = framesOf(text);
    text.send('not json');
    text.send('{"type":"shout"}');
    text.send('{"type":"pong","__proto__":{}}');
    await vi.waitFor(() => expect(frames.filter(({ type }) => type === 'error')).toHaveLength(3));
    expect(frames.filter(({ type }) => type === 'error')).toMatchObject(
      Array.from({ length: 3 }, () => ({ id: null, code: 'INVALID_MESSAGE' })),
    );
    expect(text.readyState).toBe(text.OPEN);
  });

  it('ends a connection as UNAUTHENTICATED soon after its token is revoked', async () => {
    const made = await world.ask('/api/tokens', { method: 'POST', body: { name: 'short', role: 'viewer' } });
    const { id, token } = made.body as { readonly id: string; readonly token: string };
    const socket = await open(token);
    const closed = closeOf(socket);
    expect((await world.ask(`/api/tokens/${id}`, { method: 'DELETE', body: {} })).status).toBeLessThan(300);
    expect(await closed).toEqual({ code: 4401, reason: 'UNAUTHENTICATED' });
  });

  it('pings, and cuts who gives no sign', async () => {
    const socket = await open();
    const frames = framesOf(socket);
    await vi.waitFor(() => expect(frames.some(({ type }) => type === 'ping')).toBe(true), { timeout: 5_000 });
    socket.pause();
    await vi.waitFor(() => expect(live.connectionCount).toBe(0), { timeout: 10_000 });
  });

  it('tells events to who subscribes, and says so when the server goes', async () => {
    const socket = await open();
    const frames = framesOf(socket);
    say(socket, { type: 'subscribe', id: 'e', topic: 'events' });
    await vi.waitFor(() => expect(frames.some(({ type }) => type === 'snapshot')).toBe(true));
    journal.commit(0, [submitted('t-1')]);
    await vi.waitFor(() => expect(frames.some(({ type }) => type === 'delta')).toBe(true));
    const closed = closeOf(socket);
    await live.stop();
    expect(await closed).toEqual({ code: 1001, reason: 'the server stops' });
    expect(await status()).toBe(503);
  });
});
