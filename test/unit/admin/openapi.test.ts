import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { readQuery } from '../../../src/admin/query-text.ts';
import {
  anyJson,
  flag,
  integer,
  type JsonSchema,
  listOf,
  nullable,
  number,
  object,
  oneOf,
  optional,
  type Schema,
  text,
  variantsOf,
} from '../../../src/admin/schema.ts';
import { maximumReasonLength } from '../../../src/admin/schemas/fields.ts';
import { maximumReasonLength as engineReasonLength } from '../../../src/transport/parse-command.ts';
import { type AdminWorld, startAdminWorld } from '../../support/admin-kit.ts';

let world: AdminWorld;
let document: {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly [part: string]: unknown;
};

interface Operation {
  readonly operationId: string;
  readonly 'x-role': string;
  readonly security: readonly unknown[];
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema: JsonSchema }[];
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: JsonSchema } } };
  readonly responses: Readonly<Record<string, unknown>>;
}

beforeAll(async () => {
  world = await startAdminWorld();
  document = (await world.ask('/api/openapi.json', { token: world.tokens.viewer })).body as typeof document;
});

afterAll(() => world.stop());

function operationOf(path: string, method: string): Operation | undefined {
  return document.paths[path.replaceAll(/:([a-zA-Z]+)/g, '{$1}')]?.[method.toLowerCase()];
}

describe('the OpenAPI document', () => {
  it('is of version 3.1, has every route and nothing else', () => {
    expect(document).toMatchObject({ openapi: '3.1.0', info: { title: expect.any(String), version: '0.0.0' } });
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{([a-zA-Z]+)\}/g, ':$1')}`),
    );
    expect(described.toSorted()).toEqual(world.admin.routes.map(({ method, path }) => `${method} ${path}`).toSorted());
  });

  it('names each operation once, with its role, its errors and no more security than needed', () => {
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[a-z][A-Za-z0-9]*$/);
    for (const { 'x-role': role, security, responses } of operations) {
      expect([role, security.length]).toEqual([role, role === 'public' || role === 'login' ? 0 : 2]);
      expect(Object.keys(responses)).toEqual(expect.arrayContaining(['401', '403', '500']));
    }
  });

  it('describes every parameter and body by the schema that checks it', () => {
    for (const route of world.admin.routes) {
      const operation = operationOf(route.path, route.method);
      const where = `${route.method} ${route.path}`;
      const of = (place: string): unknown =>
        Object.fromEntries(
          (operation?.parameters ?? []).filter((one) => one.in === place).map(({ name, schema }) => [name, schema]),
        );
      const asJson = (fields: Readonly<Record<string, Schema<unknown>>>): unknown =>
        JSON.parse(JSON.stringify(Object.fromEntries(Object.entries(fields).map(([name, { json }]) => [name, json]))));
      expect([where, of('path')]).toEqual([where, asJson(route.params)]);
      expect([where, of('query')]).toEqual([where, asJson(route.query)]);
      const body = operation?.requestBody?.content['application/json'].schema;
      expect([where, body]).toEqual([
        where,
        route.body === null ? undefined : JSON.parse(JSON.stringify(route.body.json)),
      ]);
    }
  });

  it('has only schemas that another library can read', () => {
    const schemas = world.admin.routes.flatMap(({ params, query, body, answer }) => [
      ...Object.values(params),
      ...Object.values(query),
      ...(body === null ? [] : [body]),
      ...(answer === 'text' ? [] : [answer]),
    ]);
    expect(schemas.length).toBeGreaterThan(100);
    for (const { json } of schemas) expect(() => z.fromJSONSchema(json as never)).not.toThrow();
  });
});

const samples: Readonly<Record<string, Schema<unknown>>> = {
  text: text({ most: 5 }),
  pattern: text({ least: 2, most: 6, pattern: /^[a-c]+$/ }),
  integer: integer(-2, 7),
  number: number(0, 1.5),
  flag: flag(),
  word: oneOf(['a', 'b']),
  list: listOf(integer(0, 3), 2),
  nullable: nullable(text({ most: 2 })),
  object: object({ a: integer(0, 9), b: optional(text({ most: 3 })) }),
  variants: variantsOf('kind', { x: {}, y: { n: integer(0, 1) } }),
};

const anyValue = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.stringMatching(/^[a-d]{0,8}$/),
  fc.integer({ min: -5, max: 12 }),
  fc.double({ min: -1, max: 3, noNaN: true }),
  fc.boolean(),
  fc.constantFrom(null, 'a', 'b', 'x'),
  fc.array(fc.integer({ min: -1, max: 5 }), { maxLength: 4 }),
  fc.record(
    { a: fc.integer({ min: -1, max: 12 }), b: fc.string({ maxLength: 5 }), c: fc.constant(1) },
    { requiredKeys: [] },
  ),
  fc.record({ kind: fc.constantFrom('x', 'y', 'z'), n: fc.integer({ min: -1, max: 3 }) }, { requiredKeys: [] }),
);

describe('a schema', () => {
  it.each(Object.entries(samples))('of a %s lets pass exactly what its JSON Schema allows', (_, schema) => {
    const twin = z.fromJSONSchema(schema.json);
    const reads = (value: unknown): boolean => {
      try {
        schema.read(value, 'value');
        return true;
      } catch {
        return false;
      }
    };
    fc.assert(
      fc.property(anyValue, (value) => {
        // JSON has no lone surrogates and no -0 that matter to us; lengths of text are in code units here and in the twin.
        expect([value, reads(value)]).toEqual([value, twin.safeParse(value).success]);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['a missing field', {}, 'a'],
    ['an unknown field', { a: 1, zzz: 1 }, 'zzz'],
    ['a field of Object.prototype', { a: 1, constructor: 1 }, 'constructor'],
    ['a wrong type', { a: '1' }, 'a'],
    ['a value that is too long', { a: 1, b: 'long' }, 'b'],
  ])('INVALID_ARGUMENT: names the field at fault: %s', (_, value, field) => {
    expect(() => samples['object']?.read(value, 'body')).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', field }),
    );
  });

  it('INVALID_ARGUMENT: names the place within lists', () => {
    expect(() => samples['list']?.read([0, 9], 'ids')).toThrow(
      expect.objectContaining({ field: 'ids[1]', limit: 'an integer from 0 to 3' }),
    );
  });

  it('of any JSON refuses what is not there', () => {
    expect(() => anyJson('x').read(undefined, 'input')).toThrow('input is required');
    expect(anyJson('x').read(null, 'input')).toBeNull();
  });
});

describe('the limits of the API', () => {
  it('are those of the engine', () => {
    expect(maximumReasonLength).toBe(engineReasonLength);
  });
});

describe('a query', () => {
  it('never throws anything but an error that names what is wrong, whatever the URL says', () => {
    const fields = {
      limit: optional(integer(1, 9)),
      flag: optional(flag()),
      words: optional(listOf(oneOf(['a', 'b']), 3)),
    };
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.oneof(fc.constantFrom(...Object.keys(fields), '__proto__'), fc.string()), fc.string()), {
          maxLength: 4,
        }),
        (pairs) => {
          try {
            const read = readQuery(fields, new URLSearchParams(pairs));
            expect(Object.keys(read).every((name) => name in fields)).toBe(true);
          } catch (error) {
            expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field: expect.any(String) });
          }
        },
      ),
    );
    expect(readQuery(fields, new URLSearchParams('limit=3&flag=true&words=a&words=b'))).toEqual({
      limit: 3,
      flag: true,
      words: ['a', 'b'],
    });
  });
});
