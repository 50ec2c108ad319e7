import { afterEach, describe, expect, it } from 'vitest';
import { AccessTokens, maximumTokens } from '../../../src/admin/access-tokens.ts';
import { RateLimiter } from '../../../src/admin/rate-limiter.ts';
import { Sessions } from '../../../src/admin/sessions.ts';
import { ticketLifeMs, Tickets } from '../../../src/admin/tickets.ts';
import { EngineError } from '../../../src/core/errors.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import { MemoryDocumentStore } from '../../../src/store/memory-documents.ts';
import {
  type AdminAnswer,
  type AdminWorld,
  askServer,
  CountingSecrets,
  startAdminWorld,
} from '../../support/admin-kit.ts';

const worlds: AdminWorld[] = [];

async function start(...args: Parameters<typeof startAdminWorld>): Promise<AdminWorld> {
  const world = await startAdminWorld(...args);
  worlds.push(world);
  return world;
}

afterEach(async () => {
  for (const world of worlds.splice(0)) await world.stop();
});

const viewer = { tokenId: '0123456789abcdef', name: 'v', role: 'viewer', via: 'session', sessionId: 's-1' } as const;

async function openTokens(documents = new MemoryDocumentStore()): Promise<{
  tokens: AccessTokens;
  first: string | null;
  clock: VirtualClock;
}> {
  const clock = new VirtualClock();
  const tokens = new AccessTokens({ documents, clock, secrets: new CountingSecrets() });
  return { tokens, first: await tokens.open(), clock };
}

describe('access tokens', () => {
  it('begin with one admin token of 256 random bits, told once and kept as a hash', async () => {
    const documents = new MemoryDocumentStore();
    const { first, tokens } = await openTokens(documents);
    expect(first).toMatch(/^cbt_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/);
    expect(tokens.list()).toMatchObject([{ name: 'first-admin', role: 'admin', expiresAt: null }]);
    const secret = first?.split('_').slice(2).join('_') ?? '';
    expect(JSON.stringify(await documents.get('access-tokens'))).not.toContain(secret);
    const again = await openTokens(documents);
    expect(again.first).toBeNull();
    expect(again.tokens.verify(first ?? '')).toMatchObject({ name: 'first-admin' });
  });

  it('are not verified with a wrong secret, another id, a hash, or any other text', async () => {
    const { first, tokens } = await openTokens();
    const good = first ?? '';
    const stored = tokens.list()[0]?.id ?? '';
    for (const text of [
      '',
      'cbt_',
      stored,
      good.slice(0, -1),
      `${good}A`,
      good.replace(stored, 'f'.repeat(16)),
      ` ${good}`,
      good.toUpperCase(),
    ]) {
      expect([text, tokens.verify(text)]).toEqual([text, null]);
    }
    expect(tokens.verify(good)).not.toBeNull();
  });

  it('end at their time, and when they are revoked', async () => {
    const { tokens, clock } = await openTokens();
    const { text, token } = await tokens.create({ name: 'ci', role: 'viewer', expiresAt: clock.now() + 1_000 });
    expect(tokens.verify(text)).toMatchObject({ name: 'ci' });
    await clock.advance(1_000);
    expect(tokens.verify(text)).toBeNull();
    const other = await tokens.create({ name: 'ci', role: 'operator' });
    await tokens.revoke(other.token.id);
    expect(tokens.verify(other.text)).toBeNull();
    await expect(tokens.revoke(token.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('NOT_ALLOWED: the last admin token without an end cannot be revoked, nor a name be taken twice', async () => {
    const { tokens, clock } = await openTokens();
    const first = tokens.list()[0]?.id ?? '';
    await tokens.create({ name: 'short', role: 'admin', expiresAt: clock.now() + 1 });
    await expect(tokens.revoke(first)).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
    await expect(tokens.create({ name: 'first-admin', role: 'viewer' })).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
    await expect(tokens.create({ name: 'past', role: 'viewer', expiresAt: 1 })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await tokens.create({ name: 'lasting', role: 'admin' });
    await tokens.revoke(first);
    expect(tokens.list().map(({ name }) => name)).not.toContain('first-admin');
  });

  it('NOT_ALLOWED: there is a most of them', async () => {
    const { tokens } = await openTokens();
    for (let index = 1; index < maximumTokens; index += 1) await tokens.create({ name: `n${index}`, role: 'viewer' });
    await expect(tokens.create({ name: 'one-more', role: 'viewer' })).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
  });

  it('are handed out only when they are durable: UNAVAILABLE leaves no token behind', async () => {
    const documents = new MemoryDocumentStore();
    const { tokens } = await openTokens(documents);
    documents.put = () => Promise.reject(new EngineError('UNAVAILABLE', 'the disk is full'));
    await expect(tokens.create({ name: 'lost', role: 'viewer' })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(tokens.list().map(({ name }) => name)).toEqual(['first-admin']);
  });

  it('RECORD_CORRUPT: damaged tokens stop the start, and make no new first token', async () => {
    const documents = new MemoryDocumentStore();
    await documents.put('access-tokens', { tokens: [{ id: 'x' }] });
    await expect(openTokens(documents)).rejects.toMatchObject({ code: 'RECORD_CORRUPT' });
  });
});

describe('a start', () => {
  it('UNAVAILABLE: calls no good token a bad one before it knows them, and no bulk action unknown', async () => {
    const documents = new MemoryDocumentStore();
    const before = await start({ documents });
    const token = before.tokens.admin;
    const { port } = before.admin;
    await before.stop();
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    let listens: () => void = () => undefined;
    const listening = new Promise<void>((resolve) => (listens = resolve));
    // The file of tokens is slow to read.
    const slow = Object.assign(new MemoryDocumentStore(), {
      get: async (key: string) => {
        listens();
        await released;
        return documents.get(key);
      },
    });
    const starting = start({ documents: slow, port });
    await listening;
    const answers: AdminAnswer[] = [];
    for (const path of ['/api/tokens', '/api/bulk/b-1', '/api/tasks']) {
      answers.push(await askServer(port, path, { token }));
    }
    expect(answers.map(({ status, errorCode }) => [status, errorCode])).toEqual(
      answers.map(() => [503, 'UNAVAILABLE']),
    );
    expect(answers[0]?.headers['retry-after']).toBe('1');
    expect((await askServer(port, '/livez', {})).status).toBe(200);
    release();
    const world = await starting;
    expect((await world.ask('/api/tokens', { token })).status).toBe(200);
    expect((await world.ask('/api/bulk/b-1', { token })).errorCode).toBe('NOT_FOUND');
  });
});

describe('sessions', () => {
  const limits = { maximumAgeMs: 10_000, idleMs: 4_000, perToken: 2, total: 3 };
  const make = (): { sessions: Sessions; clock: VirtualClock } => {
    const clock = new VirtualClock();
    return { sessions: new Sessions({ clock, secrets: new CountingSecrets(), limits }), clock };
  };

  it('end when they are not used, when they are old, when they are ended and with their token', async () => {
    const { sessions, clock } = make();
    const idle = sessions.start('a');
    await clock.advance(4_000);
    expect(sessions.use(idle.key)).toBeNull();
    const old = sessions.start('a');
    for (let used = 0; used < 3; used += 1) {
      await clock.advance(3_000);
      expect(sessions.use(old.key)).toMatchObject({ tokenId: 'a' });
    }
    await clock.advance(1_000);
    expect(sessions.use(old.key)).toBeNull();
    const ended = sessions.start('a');
    sessions.end(ended.key);
    expect(sessions.use(ended.key)).toBeNull();
    const revoked = sessions.start('b');
    sessions.endAllOf('b');
    expect(sessions.use(revoked.key)).toBeNull();
    expect(sessions.count).toBe(0);
  });

  it('are bounded: the oldest of the token, or of all, makes room', () => {
    const { sessions } = make();
    const keys = ['a', 'a', 'a', 'b', 'c'].map((tokenId) => sessions.start(tokenId).key);
    expect(keys.map((key) => sessions.use(key) !== null)).toEqual([false, false, true, true, true]);
  });
});

describe('tickets', () => {
  it('are good once, and for 30 s', async () => {
    const clock = new VirtualClock();
    const tickets = new Tickets({ clock, secrets: new CountingSecrets() });
    const { ticket } = tickets.issue(viewer);
    expect(tickets.redeem(ticket)).toEqual(viewer);
    expect(tickets.redeem(ticket)).toBeNull();
    const late = tickets.issue(viewer);
    await clock.advance(ticketLifeMs);
    expect(tickets.redeem(late.ticket)).toBeNull();
    expect(tickets.redeem('made-up')).toBeNull();
  });

  it('are bounded: the oldest makes room', () => {
    const tickets = new Tickets({ clock: new VirtualClock(), secrets: new CountingSecrets() });
    const { ticket } = tickets.issue(viewer);
    const given = new Set(Array.from({ length: 1_000 }, () => tickets.issue(viewer).ticket));
    expect(given.size).toBeGreaterThan(1);
    expect(tickets.redeem(ticket)).toBeNull();
  });
});

describe('a rate limit', () => {
  it('RATE_LIMITED: lets a burst pass, then so many a second, each caller for himself', async () => {
    const clock = new VirtualClock();
    const limiter = new RateLimiter(clock, { perSecond: 2, burst: 3 });
    const take = (key: string): string => {
      try {
        limiter.take(key);
        return 'passed';
      } catch (error) {
        return `${(error as EngineError).code} ${(error as EngineError).retryAfterMs}`;
      }
    };
    expect([take('a'), take('a'), take('a'), take('a'), take('b')]).toEqual([
      'passed',
      'passed',
      'passed',
      'RATE_LIMITED 500',
      'passed',
    ]);
    await clock.advance(500);
    expect([take('a'), take('a')]).toEqual(['passed', 'RATE_LIMITED 500']);
  });
});

/** The cookie that an answer sets, as a browser sends it back. */
function cookieOf(answer: AdminAnswer): string {
  return String(answer.headers['set-cookie']).split(';')[0] ?? '';
}

describe('a browser', () => {
  async function logIn(world: AdminWorld, token: string): Promise<AdminAnswer> {
    return world.ask('/api/session', { method: 'POST', token: null, body: { token } });
  }

  it('gets a cookie for a token that no script can read and no other site sends, and uses it with proof of its origin', async () => {
    const world = await start();
    const login = await logIn(world, world.tokens.operator);
    expect(login).toMatchObject({ status: 200, body: { name: 'a-operator', role: 'operator', via: 'session' } });
    const set = String(login.headers['set-cookie']);
    expect(set).toMatch(/^cabinet-session=[A-Za-z0-9_-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/);
    const cookie = cookieOf(login);
    expect((await world.ask('/api/session', { token: null, headers: { cookie } })).body).toMatchObject({
      via: 'session',
    });

    const cancel = { method: 'POST', token: null, body: {} };
    const unproved = await world.ask('/api/tasks/t-1/cancel', { ...cancel, headers: { cookie } });
    expect(unproved.errorCode).toBe('ORIGIN_REFUSED');
    const origin = `http://127.0.0.1:${world.admin.port}`;
    expect((await world.ask('/api/tasks/t-1/cancel', { ...cancel, headers: { cookie, origin } })).status).toBe(200);
    expect(world.client.named('cancel')[0]?.args).toMatchObject(['t-1', { by: 'a-operator' }]);
  });

  it('is out after it has logged out, and when its token is revoked', async () => {
    const world = await start();
    const origin = `http://127.0.0.1:${world.admin.port}`;
    const first = cookieOf(await logIn(world, world.tokens.viewer));
    const out = await world.ask('/api/session', { method: 'DELETE', token: null, headers: { cookie: first, origin } });
    expect(out.headers['set-cookie']).toEqual([expect.stringContaining('Max-Age=0')]);
    expect((await world.ask('/api/session', { token: null, headers: { cookie: first } })).status).toBe(401);
    const second = cookieOf(await logIn(world, world.tokens.viewer));
    const { tokens } = (await world.ask('/api/tokens')).body as { tokens: { id: string; name: string }[] };
    const id = tokens.find(({ name }) => name === 'a-viewer')?.id;
    expect((await world.ask(`/api/tokens/${id}`, { method: 'DELETE', body: {} })).status).toBe(200);
    expect((await world.ask('/api/session', { token: null, headers: { cookie: second } })).status).toBe(401);
    expect((await world.ask('/api/session', { token: world.tokens.viewer })).status).toBe(401);
  });

  it('is nobody with two cookies of the name, a made-up one, or a bad bearer token beside a good cookie', async () => {
    const world = await start();
    const cookie = cookieOf(await logIn(world, world.tokens.viewer));
    for (const headers of [
      { cookie: `${cookie}; cabinet-session=${'A'.repeat(43)}` },
      { cookie: `cabinet-session=${'A'.repeat(43)}` },
      { cookie: `__Host-${cookie}` },
      { cookie, authorization: 'Bearer nonsense' },
      { cookie, authorization: 'Basic YTpi' },
    ]) {
      expect((await world.ask('/api/session', { token: null, headers })).errorCode).toBe('UNAUTHENTICATED');
    }
  });

  it('UNAUTHENTICATED: is told the same whatever is wrong with its token, and RATE_LIMITED after some failures', async () => {
    const failedLogin = { perSecond: 0.1, burst: 5 };
    const free = { perSecond: 1e6, burst: 1e6 };
    const clock = new VirtualClock();
    const world = await start({ clock, rates: { failedLogin, stranger: free, principal: free } });
    const expired = await world.ask('/api/tokens', {
      method: 'POST',
      body: { name: 'short', role: 'viewer', expiresAt: clock.now() + 1 },
    });
    await clock.advance(10);
    const texts = [
      'x',
      world.tokens.admin.slice(0, -1),
      `cbt_${'0'.repeat(16)}_${'A'.repeat(43)}`,
      (expired.body as { token: string }).token,
    ];
    const answers: { error: Record<string, unknown> }[] = [];
    for (const text of texts) answers.push((await logIn(world, text)).body as { error: Record<string, unknown> });
    for (const { error } of answers) {
      expect(error).toMatchObject({ code: 'UNAUTHENTICATED', message: 'the token is not valid' });
      expect(Object.keys(error).toSorted()).toEqual(['code', 'message', 'requestId', 'retryable']);
    }
    await logIn(world, 'x');
    const limited = await logIn(world, world.tokens.admin);
    expect(limited).toMatchObject({
      status: 429,
      errorCode: 'RATE_LIMITED',
      headers: { 'retry-after': expect.any(String) },
    });
    // Who has a credential is not hindered by those who guess.
    expect((await world.ask('/api/session')).status).toBe(200);
    await clock.advance(10_000);
    expect((await logIn(world, world.tokens.admin)).status).toBe(200);
    expect(world.logger.messages('warn').filter((message) => message === 'a login failed')).toHaveLength(5);
  });

  it('gets a ticket for one handshake', async () => {
    const world = await start();
    const { body } = await world.ask('/api/session/ticket', { method: 'POST', token: world.tokens.viewer });
    const { ticket, lifeMs } = body as { ticket: string; lifeMs: number };
    expect(lifeMs).toBe(30_000);
    expect(world.admin.access.redeem(ticket)).toMatchObject({ name: 'a-viewer', role: 'viewer' });
    expect(world.admin.access.redeem(ticket)).toBeNull();
  });
});

describe('a stranger', () => {
  it('RATE_LIMITED: is not even written down any more when he asks too often', async () => {
    const free = { perSecond: 1e6, burst: 1e6 };
    const clock = new VirtualClock();
    const world = await start({
      clock,
      rates: { stranger: { perSecond: 1, burst: 3 }, principal: free, failedLogin: free },
    });
    const codes: (string | undefined)[] = [];
    for (let tries = 0; tries < 5; tries += 1) {
      codes.push((await world.ask('/api/tasks/t-1/cancel', { method: 'POST', token: null, body: {} })).errorCode);
    }
    expect(codes).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED', 'UNAUTHENTICATED', 'RATE_LIMITED', 'RATE_LIMITED']);
    expect(world.audit.entries.map(({ outcome, code }) => `${outcome} ${code}`)).toEqual(
      Array(3).fill('refused UNAUTHENTICATED'),
    );
    expect((await world.ask('/livez', { token: null })).status).toBe(200);
  });

  it('RATE_LIMITED: a known caller has a limit of his own', async () => {
    const free = { perSecond: 1e6, burst: 1e6 };
    const clock = new VirtualClock();
    const rates = { principal: { perSecond: 1, burst: 4 }, stranger: free, failedLogin: free };
    const world = await start({ clock, rates });
    const asks = Array.from({ length: 6 }, () => world.ask('/api/session', { token: world.tokens.viewer }));
    const codes = (await Promise.all(asks)).map(({ errorCode }) => errorCode);
    expect(codes.filter((code) => code === 'RATE_LIMITED')).toHaveLength(2);
    expect((await world.ask('/api/session', { token: world.tokens.operator })).status).toBe(200);
  });
});

describe('secrets', () => {
  it('I57: no token and no cookie stands in the log, in the audit log or in an answer that is not theirs', async () => {
    const world = await start();
    const login = await world.ask('/api/session', { method: 'POST', token: null, body: { token: world.tokens.admin } });
    const key = cookieOf(login).split('=')[1] ?? '';
    const canaries = [world.tokens.admin, world.tokens.viewer, world.tokens.operator, key].map((text) =>
      text.slice(-40),
    );
    const asks = [
      await world.ask('/api/tokens'),
      await world.ask('/api/audit'),
      await world.ask('/api/session', { token: `${world.tokens.admin}x` }),
      await world.ask('/api/session', { method: 'POST', token: null, body: { token: `${world.tokens.admin}x` } }),
      await world.ask(`/api/tasks/${world.tokens.admin}`, { token: world.tokens.viewer }),
      await world.ask('/api/openapi.json'),
    ];
    const seen = JSON.stringify([world.logger.lines, world.audit.entries, asks.filter((_, index) => index !== 4)]);
    for (const canary of canaries) expect(seen).not.toContain(canary);
  });
});
