import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { classifyThrown } from '../../../src/actors/classify.ts';
import { FatalError, RateLimitedError, RetryableError, UncertainError } from '../../../src/core/driver-errors.ts';
import { EngineError } from '../../../src/core/errors.ts';
import { fromWireError, toWireError } from '../../../src/drivers/wire-error.ts';

const stages = [
  { classify: null, effect: 'idempotent' },
  { classify: null, effect: 'atMostOnce' },
] as const;

/** The error as it is after a way over a wire. */
function cross(thrown: unknown): Error {
  return fromWireError(JSON.parse(JSON.stringify(toWireError(thrown))));
}

describe('a wire error', () => {
  it.each([
    new RetryableError('later', { code: 'LATER', cause: new Error('deep', { cause: new TypeError('deeper') }) }),
    new FatalError('never'),
    new RateLimitedError('slowly', 1_234, { code: 'HTTP_429' }),
    Object.assign(new Error('reset'), { code: 'ECONNRESET' }),
    new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } }),
    Object.assign(new Error('bad gateway'), { status: 502 }),
    Object.assign(new Error('teapot'), { statusCode: 418 }),
    Object.assign(new Error('locked'), { name: 'CardError', code: 'CARD_LOCKED' }),
    new EngineError('UNSERIALIZABLE', 'a Map'),
    new EngineError('PAYLOAD_TOO_LARGE', 'huge'),
    new RangeError('Maximum call stack size exceeded'),
  ])('R-FAIL-1: is classified as %s was before it crossed', (error) => {
    for (const stage of stages) {
      const { causes: _near, ...near } = classifyThrown(error, stage);
      const { causes: _far, ...far } = classifyThrown(cross(error), stage);
      expect(far).toEqual(near);
    }
  });

  it('keeps the chain of causes', () => {
    const error = new RetryableError('later', { cause: new Error('deep', { cause: new TypeError('deeper') }) });
    expect(classifyThrown(cross(error), stages[0]).causes).toEqual(['Error: deep', 'TypeError: deeper']);
  });

  it('takes errors of another copy of this package for what their names say', () => {
    const foreign = Object.assign(new Error('never'), { name: 'FatalError', code: 'NEVER' });
    expect(cross(foreign)).toBeInstanceOf(FatalError);
  });

  it('tells an uncertain failure from a retryable one', () => {
    const error = cross(new UncertainError('the link broke', { code: 'HTTP_503', status: 503 }));
    expect(error).toBeInstanceOf(UncertainError);
    expect(classifyThrown(error, stages[0])).toMatchObject({ class: 'retryable', code: 'HTTP_503' });
    expect(classifyThrown(error, stages[1])).toMatchObject({ class: 'unexpected' });
    expect(cross(new EngineError('UNAVAILABLE', 'no store'))).toBeInstanceOf(UncertainError);
  });

  it('cuts a cause that is its own cause', () => {
    const error = new Error('round');
    error.cause = error;
    expect(JSON.stringify(toWireError(error)).length).toBeLessThan(12_000);
  });

  it('cuts what is too long', () => {
    const wire = toWireError(Object.assign(new Error('x'.repeat(1_000_000)), { code: 'y'.repeat(1_000_000) }));
    expect(JSON.stringify(wire).length).toBeLessThan(20_000);
  });

  it('never lets a contract error become a retryable one', () => {
    const error = fromWireError({ class: 'contract', code: 'UNAVAILABLE', message: 'x' });
    expect(classifyThrown(error, stages[0])).toMatchObject({ class: 'contract' });
  });

  it('is read from any JSON at all, and is an Error', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(fromWireError(value)).toBeInstanceOf(Error);
      }),
    );
    fc.assert(
      fc.property(
        fc.record(
          {
            class: fc.oneof(
              fc.constantFrom('retryable', 'uncertain', 'rateLimited', 'fatal', 'contract'),
              fc.jsonValue(),
            ),
            message: fc.jsonValue(),
            code: fc.jsonValue(),
            name: fc.jsonValue(),
            retryAfterMs: fc.jsonValue(),
            status: fc.jsonValue(),
            cause: fc.jsonValue(),
          },
          { requiredKeys: [] },
        ),
        (value) => {
          for (const stage of stages) expect(classifyThrown(fromWireError(value), stage).class).toBeTypeOf('string');
        },
      ),
    );
  });

  it('is made of anything that can be thrown', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true }), (value) => {
        expect(toWireError(value).class).toBe('unexpected');
      }),
    );
  });
});
