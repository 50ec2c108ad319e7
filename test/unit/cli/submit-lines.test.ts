import { describe, expect, it } from 'vitest';
import { readItem } from '../../../src/cli/submit-lines.ts';

describe('a line of many submits', () => {
  it('is an input', () => {
    expect(readItem('{"n":1}', { by: 'me' })).toEqual({ input: { n: 1 }, by: 'me', reason: undefined });
    expect(readItem('5', {})).toMatchObject({ input: 5 });
  });

  it('has its idempotency key in a field, text or number', () => {
    expect(readItem('{"source":"cards/42"}', { keyField: 'source' })).toMatchObject({ idempotencyKey: 'cards/42' });
    expect(readItem('{"n":42}', { keyField: 'n' })).toMatchObject({ idempotencyKey: '42' });
  });

  it('is an envelope around the input, when asked', () => {
    const line = '{"input":{"n":1},"taskId":"a","by":"line"}';
    expect(readItem(line, { envelope: true, by: 'all' })).toMatchObject({ input: { n: 1 }, taskId: 'a', by: 'line' });
  });

  it.each([
    ['{"n":}', {}, /input: invalid JSON at byte 5/],
    ['{"n":1} x', {}, /something follows the value/],
    ['{"n":1}', { keyField: 'source' }, /no text or number in source/],
    ['[1]', { keyField: 'n' }, /no text or number in n/],
    ['{"n":1}', { envelope: true }, /an envelope is an object with an input/],
    ['[1]', { envelope: true }, /an envelope is an object with an input/],
    ['{"input":1,"id":"a"}', { envelope: true }, /an envelope has no field id/],
  ])('INVALID_ARGUMENT: %s with %j', (text, options, says) => {
    expect(readItem(text, options)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(says) as string,
    });
  });
});
