import type { StandardSchemaV1 } from '@standard-schema/spec';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { maximumIssues, maximumIssueMessageLength, validateWith } from '../../../src/pipeline/validate.ts';

function schemaOf(validate: (value: unknown) => unknown): StandardSchemaV1 {
  return { '~standard': { version: 1, vendor: 'test', validate: validate as never } };
}

describe('validateWith', () => {
  it('gives the value as the schema gives it out', async () => {
    const schema = z.object({ size: z.number().default(3) });
    expect(await validateWith(schema, { extra: true })).toEqual({ ok: true, value: { size: 3 } });
  });

  it('waits for a schema that validates asynchronously', async () => {
    const schema = schemaOf(async (value) => Promise.resolve({ value: [value] }));
    expect(await validateWith(schema, 1)).toEqual({ ok: true, value: [1] });
  });

  it('tells where each thing is that is wrong', async () => {
    const schema = z.object({ photos: z.array(z.object({ url: z.string() })), 'my-key': z.number() });
    expect(await validateWith(schema, { photos: [{ url: 'a' }, { url: 7 }], 'my-key': 'x' })).toMatchObject({
      ok: false,
      issues: [{ path: '$.photos[1].url' }, { path: '$["my-key"]' }],
    });
    expect(await validateWith(z.string(), 7)).toMatchObject({ ok: false, issues: [{ path: '$' }] });
  });

  it('understands path segments that are objects', async () => {
    const schema = schemaOf(() => ({
      issues: [{ message: 'bad', path: [{ key: 'photos' }, { key: 2 }, Symbol('s')] }],
    }));
    expect(await validateWith(schema, 1)).toEqual({
      ok: false,
      issues: [{ path: '$.photos[2]["Symbol(s)"]', message: 'bad' }],
    });
  });

  it('reports a bounded number of issues, of bounded length', async () => {
    const path = ['k'.repeat(10_000)];
    const schema = schemaOf(() => ({
      issues: Array.from({ length: 100 }, () => ({ message: 'x'.repeat(10_000), path })),
    }));
    const result = await validateWith(schema, 1);
    if (result.ok) expect.fail('it passed');
    expect(result.issues).toHaveLength(maximumIssues);
    expect(result.issues[0]?.message).toHaveLength(maximumIssueMessageLength);
    expect(JSON.stringify(result.issues).length).toBeLessThan(50_000);
  });

  it('a schema that throws or rejects has refused the value', async () => {
    const throwing = schemaOf(() => {
      throw new Error('broken');
    });
    const rejecting = schemaOf(async () => Promise.reject(new Error('broken')));
    const refused = { ok: false, issues: [{ path: '$', message: 'the schema threw: broken' }] };
    expect(await validateWith(throwing, 1)).toEqual(refused);
    expect(await validateWith(rejecting, 1)).toEqual(refused);
  });
});
