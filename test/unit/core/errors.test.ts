import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  asError,
  assert,
  EngineError,
  errorCatalog,
  invalidArgument,
  InvariantViolation,
  maximumEchoLength,
  showValue,
  unreachable,
  type ErrorCode,
} from '../../../src/core/errors.ts';

const codes = Object.keys(errorCatalog) as ErrorCode[];

describe('EngineError', () => {
  it('every code of the catalog is in capitals, has a meaning, and says whether to try again', () => {
    for (const code of codes) {
      expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
      expect(errorCatalog[code].meaning.length).toBeGreaterThan(10);
      expect(new EngineError(code, 'message').retryable).toBe(errorCatalog[code].retryable);
    }
  });

  it('tells by its report what a person needs to mend it', () => {
    const error = new EngineError('OVERLOADED', 'too much work', {
      field: 'taskId',
      limit: '10',
      got: { a: 1 },
      hint: 'wait',
      retryAfterMs: 500,
      cause: new Error('inner'),
    });
    expect(error.name).toBe('EngineError');
    expect(error.cause).toBeInstanceOf(Error);
    expect(error.toReport()).toEqual({
      code: 'OVERLOADED',
      message: 'too much work',
      field: 'taskId',
      limit: '10',
      got: '{"a":1}',
      hint: 'wait',
      retryable: true,
      retryAfterMs: 500,
    });
  });

  it('leaves out of its report what it does not know', () => {
    const error = new EngineError('NO_OWNER', 'nobody');
    expect(error.toReport()).toEqual({ code: 'NO_OWNER', message: 'nobody', retryable: true });
    expect('cause' in error).toBe(false);
  });

  it('is the same on the other side of a wire', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...codes),
        fc.string(),
        fc.record({ field: fc.string(), got: fc.string(), retryAfterMs: fc.nat() }, { requiredKeys: [] }),
        (code, message, options) => {
          const report = new EngineError(code, message, options).toReport();
          const arrived = EngineError.fromReport(JSON.parse(JSON.stringify(report)) as typeof report);
          expect(arrived.toReport()).toMatchObject({
            ...report,
            ...(report.got === undefined ? {} : { got: arrived.got }),
          });
        },
      ),
    );
    const plain = new EngineError('TASK_CONFLICT', 'taken', { got: 'x' }).toReport();
    expect(EngineError.fromReport(plain).toReport()).toEqual(plain);
  });
});

describe('invalidArgument', () => {
  it('is INVALID_ARGUMENT unless a nearer code is given', () => {
    expect(invalidArgument({ field: 'limit', message: 'limit is bad', limit: '1 to 10', got: 11 })).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'limit',
      limit: '1 to 10',
      got: '11',
    });
    expect(invalidArgument({ field: 'taskId', message: 'x', code: 'INVALID_TASK_ID' }).code).toBe('INVALID_TASK_ID');
  });
});

describe('a broken promise', () => {
  it('is INTERNAL: an InvariantViolation', () => {
    const error = new InvariantViolation('attempt 0');
    expect(error).toMatchObject({ name: 'InvariantViolation', code: 'INTERNAL', retryable: false });
    expect(error).toBeInstanceOf(EngineError);
  });

  it('assert throws one only when the condition fails, and builds its message only then', () => {
    expect(() =>
      assert(true, () => {
        throw new Error('built for nothing');
      }),
    ).not.toThrow();
    expect(() => assert(false, () => 'attempt 0')).toThrow(new InvariantViolation('attempt 0'));
  });

  it('unreachable throws one that shows the value', () => {
    expect(() => unreachable({ type: 'new.thing' } as never)).toThrow('unreachable: {"type":"new.thing"}');
    expect(() => unreachable(1 as never)).toThrow(InvariantViolation);
  });
});

describe('showValue', () => {
  it('is one safe line of bounded length for every value', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.string({ unit: 'binary', maxLength: 300 })), (value) => {
        const shown = showValue(value);
        expect(shown.length).toBeLessThanOrEqual(maximumEchoLength);
        expect(shown).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e]/u);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['text', 'text'],
    ['a\nb\u202e', 'a\\u000ab\\u202e'],
    ['\ud800', '\\ud800'],
    [{ a: [1] }, '{"a":[1]}'],
    [null, 'null'],
    [undefined, 'undefined'],
    [1n, 'bigint'],
    [() => 1, 'function'],
    [Symbol('s'), 'symbol'],
    ['x'.repeat(500), 'x'.repeat(maximumEchoLength)],
    ['\n'.repeat(500), '\\u000a'.repeat(maximumEchoLength / 6)],
  ])('shows %o as %s', (value, shown) => {
    expect(showValue(value)).toBe(shown);
  });

  it('shows a value that holds itself by its type', () => {
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    expect(showValue(cyclic)).toBe('object');
  });
});

describe('asError', () => {
  it('keeps an error as it is', () => {
    const error = new TypeError('x');
    expect(asError(error)).toBe(error);
  });

  it.each([
    ['text', 'non-error thrown: text'],
    [undefined, 'non-error thrown: undefined'],
    [{ code: 7 }, 'non-error thrown: {"code":7}'],
  ])('makes an error of the thrown %o', (thrown, message) => {
    expect(asError(thrown)).toEqual(new Error(message));
  });

  it('makes an error of a proxy that refuses every question', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(asError(proxy)).toEqual(new Error('non-error thrown: object'));
  });
});
