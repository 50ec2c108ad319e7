import { describe, expect, it, vi } from 'vitest';
import { classifyThrown, failureOf, type ClassifyingStage } from '../../../src/actors/classify.ts';
import { maximumBackoffMs } from '../../../src/core/backoff.ts';
import { FatalError, RateLimitedError, RetryableError, UncertainError } from '../../../src/core/driver-errors.ts';
import { EngineError } from '../../../src/core/errors.ts';
import {
  failureClasses,
  maximumCauseDepth,
  maximumFailureMessageLength,
  type Failure,
} from '../../../src/core/failures.ts';
import { assembleCommit, decodeCommit, encodeRecord } from '../../../src/core/commit-codec.ts';
import type { Classify } from '../../../src/ports/driver.ts';
import { aRecord } from '../../support/array-journal.ts';

const idempotent: ClassifyingStage = { classify: null, effect: 'idempotent' };
const atMostOnce: ClassifyingStage = { classify: null, effect: 'atMostOnce' };

function coded(code: string): Error {
  return Object.assign(new Error('the network'), { code });
}

function withStatus(status: number): Error {
  return Object.assign(new Error('the server'), { status });
}

function byStage(classify: (error: Error) => unknown): ClassifyingStage {
  return { classify: classify as Classify, effect: 'idempotent' };
}

/** Whether the journal gives the failure back as it is. */
function expectRecordable(failure: Failure): void {
  const record = aRecord('t-1', 1, { type: 'task.quarantined', failure }, 'deadLettered.parse');
  const bytes = assembleCommit({ format: 1, epoch: 1 as never, batch: 1, at: 1 }, [encodeRecord(record)]);
  expect(decodeCommit(bytes).records).toEqual([record]);
}

describe('the class of a thrown error', () => {
  it.each<[string, unknown, string, string, string]>([
    ['a RetryableError', new RetryableError('x', { code: 'BUSY' }), 'retryable', 'retryable', 'BUSY'],
    ['a FatalError', new FatalError('x'), 'fatal', 'fatal', 'FATAL'],
    ['a RateLimitedError', new RateLimitedError('x', 5), 'rateLimited', 'rateLimited', 'RATE_LIMITED'],
    ['a refused connection', coded('ECONNREFUSED'), 'retryable', 'retryable', 'ECONNREFUSED'],
    ['a name that is not resolved now', coded('EAI_AGAIN'), 'retryable', 'retryable', 'EAI_AGAIN'],
    [
      'a connection that took too long',
      coded('UND_ERR_CONNECT_TIMEOUT'),
      'retryable',
      'retryable',
      'UND_ERR_CONNECT_TIMEOUT',
    ],
    ['a connection that was reset', coded('ECONNRESET'), 'retryable', 'unexpected', 'ECONNRESET'],
    ['a broken pipe', coded('EPIPE'), 'retryable', 'unexpected', 'EPIPE'],
    [
      'an answer that never came',
      coded('UND_ERR_HEADERS_TIMEOUT'),
      'retryable',
      'unexpected',
      'UND_ERR_HEADERS_TIMEOUT',
    ],
    [
      'fetch, which hides the code in its cause',
      new TypeError('fetch failed', { cause: coded('ECONNREFUSED') }),
      'retryable',
      'retryable',
      'ECONNREFUSED',
    ],
    ['a file that is missing', coded('ENOENT'), 'unexpected', 'unexpected', 'ENOENT'],
    ['HTTP 400', withStatus(400), 'fatal', 'fatal', 'HTTP_400'],
    ['HTTP 404', withStatus(404), 'fatal', 'fatal', 'HTTP_404'],
    ['HTTP 408', withStatus(408), 'retryable', 'retryable', 'HTTP_408'],
    ['HTTP 425', withStatus(425), 'retryable', 'retryable', 'HTTP_425'],
    ['HTTP 429', withStatus(429), 'retryable', 'retryable', 'HTTP_429'],
    ['HTTP 500', withStatus(500), 'retryable', 'unexpected', 'HTTP_500'],
    ['HTTP 501', withStatus(501), 'fatal', 'fatal', 'HTTP_501'],
    ['HTTP 503', withStatus(503), 'retryable', 'unexpected', 'HTTP_503'],
    [
      'statusCode instead of status',
      Object.assign(new Error('x'), { statusCode: 502 }),
      'retryable',
      'unexpected',
      'HTTP_502',
    ],
    ['a status that is no failure', withStatus(200), 'unexpected', 'unexpected', 'UNEXPECTED'],
    ['a bug', new TypeError('x is undefined'), 'unexpected', 'unexpected', 'UNEXPECTED'],
    [
      'a link that broke after the request',
      new UncertainError('x', { code: 'WORKER_DIED' }),
      'retryable',
      'unexpected',
      'WORKER_DIED',
    ],
    ["the engine's store being away", new EngineError('UNAVAILABLE', 'x'), 'retryable', 'unexpected', 'UNAVAILABLE'],
    ['a value that JSON cannot keep', new EngineError('UNSERIALIZABLE', 'x'), 'contract', 'contract', 'UNSERIALIZABLE'],
  ])(
    'R-RETRY-1, R-FAIL-1: of %s is known for idempotent and at-most-once stages',
    (_what, error, idempotently, once, code) => {
      expect(classifyThrown(error, idempotent)).toMatchObject({ class: idempotently, code });
      expect(classifyThrown(error, atMostOnce)).toMatchObject({ class: once, code });
    },
  );

  it('R-IDEM-1: no default of an atMostOnce stage is retryable when the request may have gone through', () => {
    const doubtful = ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_SOCKET'];
    for (const code of doubtful) expect(classifyThrown(coded(code), atMostOnce).class).toBe('unexpected');
    for (const status of [500, 502, 503, 504])
      expect(classifyThrown(withStatus(status), atMostOnce).class).toBe('unexpected');
  });

  it.each([
    [1_500, 1_500],
    [0.2, 1],
    [-5, 0],
    [Number.NaN, 0],
    [Number.POSITIVE_INFINITY, maximumBackoffMs],
    [1e300, maximumBackoffMs],
    ['soon' as never, 0],
  ])('R-RETRY-1: a rate limit of %d ms is recorded as %d', (asked, recorded) => {
    const failure = classifyThrown(new RateLimitedError('x', asked), idempotent);
    expect(failure.retryAfterMs).toBe(recorded);
    expectRecordable(failure);
  });
});

describe("a stage's own classify", () => {
  it("goes before the defaults and after the driver's own word", () => {
    const classify = vi.fn(() => ({ class: 'fatal' as const, code: 'GONE' }));
    expect(classifyThrown(withStatus(503), byStage(classify))).toMatchObject({
      class: 'fatal',
      code: 'GONE',
      message: 'the server',
    });
    expect(classifyThrown(new RetryableError('x'), byStage(classify))).toMatchObject({ class: 'retryable' });
    expect(classify).toHaveBeenCalledTimes(1);
  });

  it('may say something of an error, or leave it to the defaults', () => {
    expect(
      classifyThrown(
        withStatus(503),
        byStage(() => undefined),
      ),
    ).toMatchObject({ class: 'retryable', code: 'HTTP_503' });
    expect(
      classifyThrown(
        coded('E7'),
        byStage(() => ({ class: 'retryable' })),
      ),
    ).toMatchObject({ class: 'retryable', code: 'E7' });
    expect(
      classifyThrown(
        new Error('x'),
        byStage(() => ({ class: 'retryable' })),
      ),
    ).toMatchObject({ code: 'CLASSIFIED' });
    const whole = { class: 'rateLimited', code: 'SLOW', name: 'SlowDown', message: 'later', retryAfterMs: 2.5 };
    expect(
      classifyThrown(
        new Error('x'),
        byStage(() => whole),
      ),
    ).toEqual({ ...whole, retryAfterMs: 3 });
  });

  it('for an atMostOnce stage has the last word', () => {
    const stage: ClassifyingStage = { classify: () => ({ class: 'retryable' }), effect: 'atMostOnce' };
    expect(classifyThrown(withStatus(503), stage).class).toBe('retryable');
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('classify is broken');
      },
    ],
    [
      'throws what cannot be read',
      () => {
        throw hostile();
      },
    ],
    ['gives a class that does not exist', () => ({ class: 'sad' })],
    ['gives nothing of a failure', () => 7],
    ['gives null', () => null],
  ])('R-FAIL-1: that %s fails visibly, and the failure can be recorded', (_what, classify) => {
    const failure = classifyThrown(new Error('the real one'), byStage(classify));
    expect(failure).toMatchObject({ class: 'unexpected', code: 'CLASSIFY_FAILED', message: 'the real one' });
    expect(failure.causes?.[0]).toMatch(/^classify: /);
    expectRecordable(failure);
  });

  it('R-FAIL-1: that throws hides the original error not', () => {
    const failure = classifyThrown(
      new Error('the real one'),
      byStage(() => {
        throw new Error('broken');
      }),
    );
    expect(failure).toMatchObject({
      code: 'CLASSIFY_FAILED',
      message: 'the real one',
      causes: ['classify: broken'],
    });
  });

  it.each([
    [{ class: 'retryable', code: 7, name: null, message: {} }],
    [{ class: 'retryable', retryAfterMs: -1 }],
    [{ class: 'retryable', retryAfterMs: 'soon', causes: 'none', extra: () => 1 }],
    [{ class: 'retryable', code: 'x'.repeat(9_999), name: 'y'.repeat(9_999), message: 'z'.repeat(9_999) }],
  ])('R-CORE-1: cannot write a failure that the journal could not give back: %#', (own) => {
    expectRecordable(
      classifyThrown(
        new Error('x'),
        byStage(() => own),
      ),
    );
  });
});

/** An object whose every property throws, and which says it is an Error. */
function hostile(): Error {
  return new Proxy(new Error('x'), {
    get() {
      throw new Error('no');
    },
  });
}

describe('a thrown thing that is no proper error', () => {
  const cyclic = new Error('cyclic');
  cyclic.cause = cyclic;
  const { proxy: revoked, revoke } = Proxy.revocable({}, {});
  revoke();
  it.each<[string, unknown, string]>([
    ['undefined', undefined, 'UNEXPECTED'],
    ['null', null, 'UNEXPECTED'],
    ['a text', 'no', 'UNEXPECTED'],
    ['a number', 7, 'UNEXPECTED'],
    ['a symbol', Symbol('x'), 'UNEXPECTED'],
    ['a BigInt', 7n, 'UNEXPECTED'],
    ['an object', { status: 503 }, 'UNEXPECTED'],
    ['a function', () => 1, 'UNEXPECTED'],
    ['a proxy that throws for every property', hostile(), 'UNREADABLE_ERROR'],
    ['a proxy that was revoked', revoked, 'UNEXPECTED'],
    [
      'an error whose message throws',
      Object.defineProperty(new Error(), 'message', {
        get: () => {
          throw new Error('no');
        },
      }),
      'UNREADABLE_ERROR',
    ],
    [
      'an error whose message throws what cannot be read',
      Object.defineProperty(new Error(), 'message', {
        get: () => {
          throw hostile();
        },
      }),
      'UNREADABLE_ERROR',
    ],
    ['an error without texts', Object.assign(new Error(), { name: 7, message: null, code: {} }), 'UNEXPECTED'],
    ['an error that is its own cause', cyclic, 'UNEXPECTED'],
    ['an error with a strange cause', new Error('x', { cause: 7n }), 'UNEXPECTED'],
    ['an error with a named symbol', Object.assign(new Error('x'), { name: Symbol('n') }), 'UNEXPECTED'],
  ])('R-FAIL-1: %s is captured, classified and can be recorded', (_what, thrown, code) => {
    const failure = classifyThrown(thrown, idempotent);
    expect(failure).toMatchObject({ class: 'unexpected', code });
    expectRecordable(failure);
  });
});

describe('failureOf', () => {
  it('keeps the chain of causes, outermost first, up to its depth', () => {
    let error = new Error('cause 0');
    for (let depth = 1; depth <= maximumCauseDepth + 3; depth += 1)
      error = new Error(`cause ${depth}`, { cause: error });
    const { causes } = failureOf(error, 'unexpected', 'X');
    expect(causes).toHaveLength(maximumCauseDepth);
    expect(causes?.[0]).toBe(`Error: cause ${maximumCauseDepth + 2}`);
  });

  it('ends the chain at a cause that is no error', () => {
    expect(failureOf(new Error('x', { cause: { a: 1 } }), 'fatal', 'X').causes).toEqual(['{"a":1}']);
    expect(failureOf(new Error('x'), 'fatal', 'X')).not.toHaveProperty('causes');
  });

  it('R-CORE-1: cuts a long message between characters, so that it comes back from the journal as it was', () => {
    const failure = failureOf(new Error('x'.repeat(maximumFailureMessageLength - 2) + '🎈🎈'), 'fatal', 'X');
    expect(failure.message).toHaveLength(maximumFailureMessageLength);
    expect(failure.message.isWellFormed()).toBe(true);
    expectRecordable(failure);
    expectRecordable(failureOf(new Error('\ud800'), 'fatal', 'X'));
  });

  it('can be recorded with every class', () => {
    for (const failureClass of failureClasses) expectRecordable(failureOf(new Error('x'), failureClass, 'X'));
  });
});
