import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpStatusByCode } from '../../../src/admin/http-status.ts';
import { buildRouteTable } from '../../../src/admin/route-table.ts';
import { hasRole, roles } from '../../../src/admin/principal.ts';
import { publicPaths, route, type Route } from '../../../src/admin/route.ts';
import { object, text } from '../../../src/admin/schema.ts';
import { errorCatalog } from '../../../src/core/errors.ts';
import { type AdminWorld, startAdminWorld } from '../../support/admin-kit.ts';

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

  it('takes no token from the URL', async () => {
    const answer = await world.ask(`/api/tasks?token=${world.tokens.admin}`, { token: null });
    expect(answer.errorCode).toBe('UNAUTHENTICATED');
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
