import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Route } from '../../../src/admin/route.ts';
import type { ErrorReport } from '../../../src/core/errors.ts';
import { type AdminAnswer, type AdminAsk, type AdminWorld, startAdminWorld } from '../../support/admin-kit.ts';
import { anyJsonValue, anyText, badIdsOfJson, expectGoodReport, mutations } from './awkward-values.ts';

let world: AdminWorld;

beforeAll(async () => {
  world = await startAdminWorld();
});

afterAll(() => world.stop());

const parameters: Readonly<Record<string, string>> = {
  taskId: 't-1',
  tokenId: '0123456789abcdef',
  pipeline: 'card',
  nodeId: 'n-1',
  shard: '0',
  bulkId: 'b-1',
};

function addressOf({ path }: Route, changes: Readonly<Record<string, string>> = {}): string {
  return path.replaceAll(/:(\w+)/g, (_, name: string) => changes[name] ?? parameters[name] ?? name);
}

/** Routes that anybody with a token may ask again and again, without ending the tokens of this test. */
function routes(): readonly Route[] {
  return world.admin.routes.filter(
    ({ role, path }) => role !== 'public' && role !== 'login' && !/session|tokens/.test(path),
  );
}

/** The error of an answer, which is a good one; null when it was taken. */
function errorOf(answer: AdminAnswer): ErrorReport | null {
  if (answer.status < 400) return null;
  const { error } = answer.body as { readonly error: ErrorReport };
  expectGoodReport(error);
  // A health check that fails says so without an error of a caller's.
  expect(answer.status).toBeLessThan(500);
  return error;
}

/** A value that the JSON Schema of a field takes. */
function sampleOf(schema: Readonly<Record<string, unknown>>, name = ''): unknown {
  const kinds = (schema['oneOf'] ?? schema['anyOf']) as readonly Readonly<Record<string, unknown>>[] | undefined;
  if (kinds !== undefined) return sampleOf(kinds[0] as Readonly<Record<string, unknown>>, name);
  if ('const' in schema) return schema['const'];
  if (Array.isArray(schema['enum'])) return schema['enum'][0] as unknown;
  switch (schema['type']) {
    case 'object':
      return Object.fromEntries(
        Object.entries((schema['properties'] ?? {}) as Readonly<Record<string, Readonly<Record<string, unknown>>>>).map(
          ([key, part]) => [key, sampleOf(part, key)],
        ),
      );
    case 'array':
      return [sampleOf(schema['items'] as Readonly<Record<string, unknown>>, name)];
    case 'integer':
    case 'number':
      return schema['minimum'] ?? 1;
    case 'boolean':
      return true;
    case 'string':
      return (
        parameters[name] ??
        'card'
          .slice(0, (schema['maxLength'] as number | undefined) ?? 4)
          .padEnd((schema['minLength'] as number | undefined) ?? 0, 'x')
      );
    default:
      return { sku: 'A' };
  }
}

describe('an admin request', () => {
  it.each(badIdsOfJson.filter(([, value]) => typeof value === 'string' && value !== ''))(
    'INVALID_TASK_ID, INVALID_ARGUMENT: row %s in the path is refused on every route of a task',
    async (_row, taskId, says) => {
      const asked = routes().filter(({ path }) => path.includes(':taskId'));
      expect(asked.length).toBeGreaterThan(8);
      for (const one of asked) {
        const body = one.body === null ? {} : { body: { reason: 'why' } };
        const address = addressOf(one, { taskId: encodeURIComponent(taskId as string) });
        const { errorCode, body: answer } = await world.ask(address, { method: one.method, ...body });
        // What would have to be escaped is refused with the path: an address has one spelling.
        const isPlain = /^[A-Za-z0-9._~-]+$/.test(taskId as string);
        expect([one.path, errorCode]).toEqual([one.path, isPlain ? 'INVALID_TASK_ID' : 'INVALID_ARGUMENT']);
        if (!isPlain) continue;
        expect((answer as { readonly error: ErrorReport }).error).toMatchObject({
          field: 'taskId',
          message: expect.stringContaining(says) as string,
        });
      }
    },
  );

  it.each(badIdsOfJson)('INVALID_TASK_ID: row %s in a body is refused with its field', async (_row, taskId, says) => {
    world.client.calls.length = 0;
    const answer = await world.ask('/api/tasks', {
      method: 'POST',
      body: { pipeline: 'card', input: { sku: 'A' }, taskId },
    });
    expect(errorOf(answer)).toMatchObject({
      code: 'INVALID_TASK_ID',
      field: 'taskId',
      message: expect.stringContaining(says) as string,
    });
    expect(world.client.named('submit')).toEqual([]);
  });

  it.each<[row: string, raw: string | Buffer, error: Partial<ErrorReport>]>([
    ['31 a key twice', '{"pipeline":"card","input":1,"input":2}', { code: 'INVALID_MESSAGE' }],
    ['29 __proto__', '{"pipeline":"card","__proto__":{"input":1}}', { code: 'INVALID_ARGUMENT' }],
    ['28 nested deep', `{"pipeline":"card","input":${'['.repeat(20_000)}`, { code: 'INVALID_ARGUMENT', limit: '64' }],
    ['32 truncated', '{"pipeline":"card","input":', { code: 'INVALID_MESSAGE' }],
    ['32 no UTF-8', Buffer.from([0x22, 0xff, 0x22]), { code: 'INVALID_MESSAGE' }],
    [
      '26 an id that would be rounded',
      '{"pipeline":"card","input":{"sku":9007199254740993}}',
      { code: 'UNSERIALIZABLE', got: '9007199254740993' },
    ],
    ['20 nothing', '', { code: 'INVALID_ARGUMENT' }],
    ['null', 'null', { code: 'INVALID_ARGUMENT' }],
    ['a list', '[]', { code: 'INVALID_ARGUMENT' }],
  ])('row %s of a body is refused, and nothing is done', async (_row, raw, error) => {
    world.client.calls.length = 0;
    expect(errorOf(await world.ask('/api/tasks', { method: 'POST', raw }))).toMatchObject(error);
    expect(world.client.calls).toEqual([]);
  });

  it.each<[row: string, query: string, field: string]>([
    ['64 a pattern', 'pipeline=(a%2B)%2B%24', 'pipeline[0]'],
    ['64 a pattern of 4 kB as a prefix', `taskIdPrefix=${'%2A'.repeat(1_300)}`, 'taskIdPrefix'],
    ['65 an unknown order', 'sortBy=color', 'sortBy'],
    ['68 an unknown name', 'colour=red', 'colour'],
    ['68 a name of Object', 'constructor=1', 'constructor'],
    ['68 __proto__', '__proto__=1', '__proto__'],
    ['a number twice', 'limit=1&limit=2', 'limit'],
    ['no number', 'limit=1e1', 'limit'],
    ['a number in other digits', 'limit=%EF%BC%91', 'limit'],
    ['a cursor that is none', 'cursor=%00', 'cursor'],
  ])('INVALID_ARGUMENT: row %s in a query is refused with its field', async (_row, query, field) => {
    const error = errorOf(await world.ask(`/api/tasks?${query}`));
    // The fake index has any cursor; the real one is asked in the contract of the task index.
    if (field === 'cursor') return;
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(error?.field?.replace(/s?\[0\]$/, '')).toBe(field.replace('[0]', ''));
  });

  it(
    'is refused with the very field that is of another type, on every route with a body',
    { timeout: 20_000 },
    async () => {
      const wrong: readonly unknown[] = [null, 7.5, [[1]], { a: 1 }, '\u0000', 'x'.repeat(5_000)];
      let refusedCount = 0;
      for (const one of routes().filter(({ body }) => body !== null)) {
        const good = sampleOf(one.body?.json as Readonly<Record<string, unknown>>) as object;
        for (const value of wrong) {
          for (const [path, body] of mutations(good, () => value)) {
            const error = errorOf(await world.ask(addressOf(one), { method: one.method, body }));
            if (error === null) continue;
            refusedCount += 1;
            if (error.code === 'INVALID_ARGUMENT' || error.code === 'INVALID_TASK_ID')
              expect([one.path, path, typeof error.field]).toEqual([one.path, path, 'string']);
          }
        }
      }
      expect(refusedCount).toBeGreaterThan(150);
    },
  );

  it(
    'is answered with its data or an error of the catalog, whatever body, query and path are',
    { timeout: 20_000 },
    async () => {
      const all = routes();
      const queryNames = [...new Set(all.flatMap(({ query }) => Object.keys(query))), 'x', '__proto__'];
      const word = anyText.map((text) => encodeURIComponent(text.toWellFormed().slice(0, 300)));
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...all),
          fc.constantFrom(...queryNames),
          word,
          anyJsonValue,
          fc.nat(200),
          async (one, name, text, value, pick) => {
            const query = pick % 2 === 0 ? `?${name}=${text}` : '';
            const where =
              pick % 3 === 0 && text !== ''
                ? Object.fromEntries(Object.keys(parameters).map((key) => [key, text]))
                : {};
            const ask: AdminAsk = { method: one.method };
            if (one.body === null) {
              errorOf(await world.ask(addressOf(one, where) + query, ask));
              return;
            }
            const good = sampleOf(one.body.json) as object;
            const changed = mutations(good, () => value);
            const [, body] = changed[pick % Math.max(1, changed.length)] ?? ['', value];
            const raw = JSON.stringify(body) ?? 'null';
            errorOf(
              await world.ask(addressOf(one, where) + query, { ...ask, raw: raw.length > 60_000 ? 'null' : raw }),
            );
          },
        ),
        { numRuns: 800 },
      );
      expect(world.logger.lines.filter(({ message }) => message.includes('bug'))).toEqual([]);
      expect((await world.ask('/livez', { token: null })).status).toBe(200);
    },
  );
});
