import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gzipSync } from 'node:zlib';
import { httpStatusByCode } from '../../../src/admin/http-status.ts';
import { buildRouteTable } from '../../../src/admin/route-table.ts';
import { hasRole, roles } from '../../../src/admin/principal.ts';
import { maximumBodyBytes } from '../../../src/admin/request-guard.ts';
import { publicPaths, route, type Route } from '../../../src/admin/route.ts';
import { object, text } from '../../../src/admin/schema.ts';
import { errorCatalog } from '../../../src/core/errors.ts';
import { type AdminAsk, type AdminWorld, startAdminWorld, talkRaw } from '../../support/admin-kit.ts';

let world: AdminWorld;

beforeAll(async () => {
  world = await startAdminWorld();
});

afterAll(() => world.stop());

/** The address with values for its parameters. */
function addressOf({ path }: Route): string {
  return path
    .replace(':taskId', 't-1')
    .replace(':tokenId', '0123456789abcdef')
    .replace(':pipeline', 'card')
    .replace(':nodeId', 'n-1')
    .replace(':shard', '0')
    .replace(':bulkId', 'b-1');
}

describe('the matrix of roles, routes and methods', () => {
  it('has a role for every route, and lets exactly the health paths answer without a credential', () => {
    const open = world.admin.routes.filter(({ role }) => role === 'public').map(({ path }) => path);
    expect(open.toSorted()).toEqual([...publicPaths].toSorted());
    expect(world.admin.routes.length).toBeGreaterThan(40);
  });

  it('answers UNAUTHENTICATED to every route without a credential, FORBIDDEN to a lower role, and neither to a sufficient one', async () => {
    for (const one of world.admin.routes.filter(({ role }) => role !== 'public' && role !== 'login')) {
      const ask = { method: one.method, ...(one.body === null ? {} : { body: {} }) };
      const where = `${one.method} ${one.path}`;
      expect([where, (await world.ask(addressOf(one), { ...ask, token: null })).errorCode]).toEqual([
        where,
        'UNAUTHENTICATED',
      ]);
      for (const role of roles) {
        // The admin's own token and session stay: what they would end is asked of others.
        const { status, errorCode } = await world.ask(addressOf(one), { ...ask, token: world.tokens[role] });
        const isEnough = hasRole(role, one.role as typeof role);
        if (isEnough) expect([where, role, [401, 403].includes(status)]).toEqual([where, role, false]);
        else expect([where, role, errorCode]).toEqual([where, role, 'FORBIDDEN']);
      }
    }
  });

  it('answers METHOD_NOT_ALLOWED with the methods that are, for every method that a path does not have', async () => {
    const paths = new Set(world.admin.routes.map(({ path }) => path));
    expect(paths.size).toBeGreaterThan(30);
    for (const path of paths) {
      const routes = world.admin.routes.filter((one) => one.path === path);
      const [first] = routes;
      if (first === undefined || first.role === 'public') continue;
      for (const method of ['GET', 'POST', 'DELETE', 'PUT', 'PATCH', 'OPTIONS']) {
        if (routes.some((one) => one.method === method)) continue;
        const answer = await world.ask(addressOf(first), { method });
        expect([first.path, method, answer.errorCode]).toEqual([first.path, method, 'METHOD_NOT_ALLOWED']);
        expect(String(answer.headers['allow']).split(', ').toSorted()).toEqual(
          routes.map((one) => one.method).toSorted(),
        );
      }
    }
  });

  it('answers a stranger UNAUTHENTICATED and a known caller NOT_FOUND where there is nothing', async () => {
    expect((await world.ask('/api/nothing', { token: null })).errorCode).toBe('UNAUTHENTICATED');
    expect((await world.ask('/api/nothing')).errorCode).toBe('NOT_FOUND');
  });

  it('answers the health paths without a credential, and nothing else of them', async () => {
    for (const path of publicPaths) {
      expect(await world.ask(path, { token: null })).toMatchObject({ status: 200, body: { ok: true } });
      const later = await world.ask(`/api/tasks${path}`, { token: null });
      expect(later.errorCode).toBe('UNAUTHENTICATED');
      expect((await world.ask(`${path}/x`, { token: null })).errorCode).toBe('UNAUTHENTICATED');
    }
  });

  it('answers nobody without a credential but on the health paths, whatever the method and wherever there might be something', async () => {
    const places = new Set([
      ...world.admin.routes.map(addressOf),
      '/api',
      '/api/',
      '/api/nothing',
      '/metrics',
      '/api/live',
      '/api/inspect/t-1',
      '/admin',
      '/.env',
      '/livez/x',
    ]);
    for (const path of places) {
      for (const method of ['GET', 'HEAD', 'POST', 'DELETE', 'PUT', 'PATCH', 'OPTIONS']) {
        const { status } = await world.ask(path, { method, token: null });
        const isHealth = publicPaths.has(path) && (method === 'GET' || method === 'HEAD');
        expect([method, path, isHealth ? status === 200 : status >= 400]).toEqual([method, path, true]);
      }
    }
    expect(world.client.named('submit')).toEqual([]);
  });

  it('takes no token from the URL', async () => {
    const answer = await world.ask(`/api/tasks?token=${world.tokens.admin}`, { token: null });
    expect(answer.errorCode).toBe('UNAUTHENTICATED');
  });
});

/** What a route of any role answers to a request that is not as it must be, from somebody who may do everything. */
const bothDoors: readonly (readonly [string, AdminAsk, string])[] = [
  ['another host', { headers: { host: 'evil.example' } }, 'HOST_REFUSED'],
  ['the host of another port', { headers: { host: '127.0.0.1:1' } }, 'HOST_REFUSED'],
  ['another origin', { headers: { origin: 'https://evil.example' } }, 'ORIGIN_REFUSED'],
  ['the origin null', { headers: { origin: 'null' } }, 'ORIGIN_REFUSED'],
  ['a cross-site page', { headers: { 'sec-fetch-site': 'cross-site' } }, 'ORIGIN_REFUSED'],
  ['too many headers', { headers: manyHeaders() }, 'HEADERS_TOO_LARGE'],
];
const mutationDoors: readonly (readonly [string, AdminAsk, string])[] = [
  ['no custom header', { headers: { 'x-cabinet-request': null } }, 'ORIGIN_REFUSED'],
  ['another value of the custom header', { headers: { 'x-cabinet-request': 'true' } }, 'ORIGIN_REFUSED'],
  [
    'a form',
    { raw: 'a=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    'MEDIA_TYPE_UNSUPPORTED',
  ],
  ['JSON as text', { raw: '{}', headers: { 'content-type': 'text/plain' } }, 'MEDIA_TYPE_UNSUPPORTED'],
  ['no content type', { raw: '{}', headers: { 'content-type': null } }, 'MEDIA_TYPE_UNSUPPORTED'],
  ['a packed body', { raw: gzipSync('{}'), headers: { 'content-encoding': 'gzip' } }, 'MEDIA_TYPE_UNSUPPORTED'],
  ['a body that is too large', { raw: `"${'x'.repeat(maximumBodyBytes)}"` }, 'PAYLOAD_TOO_LARGE'],
];
const readingDoors: readonly (readonly [string, AdminAsk, string])[] = [
  ['a body', { raw: '{}', headers: { 'content-type': 'application/json' } }, 'INVALID_ARGUMENT'],
];

function manyHeaders(): Record<string, string> {
  return Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`x-${index}`, '1']));
}

describe('the matrix of routes and of requests that are not as they must be', () => {
  it.each([...bothDoors, ...mutationDoors])(
    'refuses a mutation with %s, on every route, and nothing is done or written down as allowed',
    async (_, ask, code) => {
      world.audit.entries.length = 0;
      world.client.calls.length = 0;
      const mutations = world.admin.routes.filter(({ method }) => method !== 'GET');
      expect(mutations.length).toBeGreaterThan(15);
      for (const one of mutations) {
        const token = one.role === 'login' ? null : world.tokens.admin;
        const { errorCode } = await world.ask(addressOf(one), { method: one.method, token, ...ask });
        expect([one.method, one.path, errorCode]).toEqual([one.method, one.path, code]);
      }
      expect(world.client.calls).toEqual([]);
      expect(world.audit.entries.filter(({ outcome }) => outcome !== 'refused')).toEqual([]);
    },
  );

  it.each([...bothDoors, ...readingDoors])('refuses to read with %s, on every route', async (_, ask, code) => {
    world.client.calls.length = 0;
    const readings = world.admin.routes.filter(({ method, role }) => method === 'GET' && role !== 'public');
    expect(readings.length).toBeGreaterThan(15);
    for (const one of readings) {
      const { errorCode } = await world.ask(addressOf(one), ask);
      expect([one.path, errorCode]).toEqual([one.path, code]);
    }
    expect(world.client.calls).toEqual([]);
  });

  it('REQUEST_TIMEOUT: ends a request whose headers do not end, on every route', async () => {
    const slow = await startAdminWorld({ http: { headersTimeoutMs: 300 } });
    const { port, routes } = slow.admin;
    const answers = await Promise.all(
      routes.map((one) =>
        talkRaw(port, (send) =>
          send(`${one.method} ${addressOf(one)} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Slow: `),
        ),
      ),
    );
    await slow.stop();
    expect(answers.filter((answer) => !answer.includes('408 Request Timeout'))).toEqual([]);
    expect(slow.client.calls).toEqual([]);
  });
});

describe('a table of routes', () => {
  const good = {
    method: 'GET',
    path: '/api/things/:id',
    role: 'viewer',
    tag: 'things',
    summary: 'A thing',
    params: { id: text({ most: 9 }) },
    answer: object({}),
    handler: async () => ({}),
  } as const;
  const bad = (changes: object): Route => ({ ...route(good), ...changes });

  it.each([
    ['without a role', bad({ role: undefined }), 'has no role'],
    ['with a made-up role', bad({ role: 'root' }), 'has no role'],
    ['that is open and no health path', bad({ role: 'public' }), 'must not answer without a credential'],
    ['that takes a credential and is not the login', bad({ role: 'login' }), 'is not the login'],
    ['that changes something unaudited', bad({ method: 'POST' }), 'is a mutation that is not audited'],
    ['that reads a body on GET', bad({ body: object({}) }), 'takes a body'],
    ['with a parameter that no schema checks', bad({ params: {} }), 'has other parameters than its path'],
    ['with a path of another form', bad({ path: '/api/../x' }), 'has a path of another form'],
  ])('does not start with a route %s: CONFIG_INVALID', (_, one, message) => {
    expect(() => buildRouteTable([one])).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(() => buildRouteTable([one])).toThrow(message);
  });

  it('does not start with two routes of one address: CONFIG_INVALID', () => {
    expect(() => buildRouteTable([route(good), route(good)])).toThrow('is there twice');
  });
});

describe('the table of statuses', () => {
  it('has a row for every error code', () => {
    expect(Object.keys(errorCatalog).filter((code) => !Object.hasOwn(httpStatusByCode, code))).toEqual([]);
  });
});
