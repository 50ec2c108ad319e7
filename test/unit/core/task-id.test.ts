import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parsePipelineName, parseTaskId } from '../../../src/core/ids.ts';
import { chooseTaskId, deriveTaskId, maximumIdempotencyKeyLength } from '../../../src/core/task-id.ts';

const card = parsePipelineName('card');
const newId = (): string => '0190-new';

describe('deriveTaskId', () => {
  it('R-IDEM-2: gives the same task id for the same pipeline and key, as any language can derive it', () => {
    const hash = createHash('sha256').update('card\norder 17/é').digest('hex');
    expect(deriveTaskId(card, 'order 17/é')).toBe(`key-${hash.slice(0, 40)}`);
    expect(deriveTaskId(card, 'order 17/é')).toBe(deriveTaskId(card, 'order 17/é'));
  });

  it('keeps its value for ever: a repeat across an upgrade finds its task', () => {
    expect(deriveTaskId(card, 'order-1')).toBe('key-161958e9a6d599d3e6a5ac66c24566aac975a6cb');
  });

  it('tells apart keys, and equal keys of other pipelines', () => {
    const ids = [deriveTaskId(card, 'a'), deriveTaskId(card, 'b'), deriveTaskId(parsePipelineName('cards'), 'a')];
    expect(new Set(ids).size).toBe(3);
  });

  it('gives a valid task id for every well-formed key', () => {
    const key = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 });
    fc.assert(fc.property(key, (text) => parseTaskId(deriveTaskId(card, text)).length === 44));
  });

  it.each([
    ['empty', ''],
    ['too long', 'x'.repeat(maximumIdempotencyKeyLength + 1)],
    ['a lone surrogate', 'a\ud800'],
    ['a number', 7],
    ['null', null],
  ])('refuses a key that is %s with INVALID_ARGUMENT', (_, key) => {
    expect(() => deriveTaskId(card, key as string)).toThrowError(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', field: 'idempotencyKey' }),
    );
  });
});

describe('chooseTaskId', () => {
  it('takes the given id, the key’s id, or a new one, and only the new one is fresh', () => {
    expect(chooseTaskId(card, { taskId: 'mine' }, newId)).toEqual({ taskId: 'mine', fresh: false });
    expect(chooseTaskId(card, { idempotencyKey: 'k' }, newId)).toEqual({
      taskId: deriveTaskId(card, 'k'),
      fresh: false,
    });
    expect(chooseTaskId(card, {}, newId)).toEqual({ taskId: '0190-new', fresh: true });
  });

  it('refuses an id and a key together with INVALID_ARGUMENT', () => {
    expect(() => chooseTaskId(card, { taskId: 'mine', idempotencyKey: 'k' }, newId)).toThrowError(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', field: 'idempotencyKey' }),
    );
  });

  it('refuses a bad id with INVALID_TASK_ID', () => {
    expect(() => chooseTaskId(card, { taskId: 'a.b' }, newId)).toThrowError(
      expect.objectContaining({
        code: 'INVALID_TASK_ID',
        message: "taskId may hold only A–Z a–z 0–9 _ -; found '.' at 1",
      }),
    );
  });
});
