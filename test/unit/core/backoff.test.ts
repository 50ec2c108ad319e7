import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  backoffDelayMs,
  decideRetry,
  maximumAttemptsLimit,
  maximumBackoffMs,
  resolveRetryPolicy,
  retryDefaults,
  type RetryPolicy,
} from '../../../src/core/backoff.ts';
import {
  neverRetriedClasses,
  type Failure,
  type FailureClass,
  type RetryDecision,
} from '../../../src/core/failures.ts';

const policies = fc
  .record({
    maxAttempts: fc.integer({ min: 1, max: maximumAttemptsLimit }),
    initialDelayMs: fc.integer({ min: 1, max: 100_000 }),
    extraMs: fc.integer({ min: 0, max: 10_000_000 }),
    factor: fc.double({ min: 1, max: 100, noNaN: true }),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ extraMs, ...policy }): RetryPolicy => ({
    ...retryDefaults,
    ...policy,
    maxDelayMs: policy.initialDelayMs + extraMs,
  }));

const attempts = fc.integer({ min: 1, max: maximumAttemptsLimit });
const units = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

function aPolicy(fields: Partial<RetryPolicy> = {}): RetryPolicy {
  return { ...retryDefaults, maxAttempts: 3, jitter: 0, ...fields };
}

function aFailure(failureClass: FailureClass, retryAfterMs?: number): Failure {
  const failure = { class: failureClass, code: 'X', name: 'Error', message: 'failed' };
  return retryAfterMs === undefined ? failure : { ...failure, retryAfterMs };
}

function decideAfter(retryAfterMs: number): RetryDecision {
  return decideRetry({ ...asked, policy: aPolicy(), failure: aFailure('rateLimited', retryAfterMs) });
}

const asked = { used: 1, now: 10_000, random: 0, deadlineAt: null };

describe('resolveRetryPolicy', () => {
  it('R-RETRY-1: lays what is given over the defaults', () => {
    expect(resolveRetryPolicy({ maxAttempts: 5, factor: 3 }, 'retry')).toEqual({
      ...retryDefaults,
      maxAttempts: 5,
      factor: 3,
    });
  });

  it('R-RETRY-1: accepts the ends of every range', () => {
    const least = { maxAttempts: 1, initialDelayMs: 1, maxDelayMs: 1, factor: 1, jitter: 0, retryOn: [] };
    const most = {
      maxAttempts: maximumAttemptsLimit,
      initialDelayMs: maximumBackoffMs,
      maxDelayMs: maximumBackoffMs,
      factor: 100,
      jitter: 1,
    };
    expect(resolveRetryPolicy(least, 'retry')).toEqual(least);
    expect(resolveRetryPolicy(most, 'retry')).toMatchObject(most);
  });

  it.each([
    ['maxAttempts', 0],
    ['maxAttempts', maximumAttemptsLimit + 1],
    ['maxAttempts', 1.5],
    ['maxAttempts', Infinity],
    ['maxAttempts', Number.NaN],
    ['maxAttempts', undefined],
    ['initialDelayMs', 0],
    ['initialDelayMs', 0.5],
    ['initialDelayMs', maximumBackoffMs + 1],
    ['maxDelayMs', 999],
    ['maxDelayMs', maximumBackoffMs + 1],
    ['factor', 0.99],
    ['factor', 101],
    ['factor', '2'],
    ['jitter', -0.1],
    ['jitter', 1.1],
  ])('R-RETRY-2: RETRY_POLICY_INVALID names %s when it is %o', (field, value) => {
    const partial = { maxAttempts: 3, [field]: value } as Partial<RetryPolicy> & Pick<RetryPolicy, 'maxAttempts'>;
    expect(() => resolveRetryPolicy(partial, 'stages.photos.retry')).toThrow(
      expect.objectContaining({ code: 'RETRY_POLICY_INVALID', field: `stages.photos.retry.${field}` }),
    );
  });

  it.each(neverRetriedClasses.map((failureClass) => [failureClass]))(
    "R-RETRY-2: RETRY_POLICY_INVALID for a policy that retries '%s'",
    (failureClass) => {
      expect(() => resolveRetryPolicy({ maxAttempts: 2, retryOn: ['timeout', failureClass] }, 'retry')).toThrow(
        expect.objectContaining({ code: 'RETRY_POLICY_INVALID', field: 'retry.retryOn', got: failureClass }),
      );
    },
  );
});

describe('backoffDelayMs', () => {
  it('R-RETRY-1: grows by the factor up to its cap', () => {
    const policy = aPolicy({ initialDelayMs: 100, factor: 2, maxDelayMs: 500 });
    expect([1, 2, 3, 4, 1_000].map((attempt) => backoffDelayMs(policy, attempt, 0.7))).toEqual([
      100, 200, 400, 500, 500,
    ]);
  });

  it('R-RETRY-1: falls by up to the jitter part of the cap', () => {
    const policy = aPolicy({ initialDelayMs: 1_000, jitter: 0.5 });
    expect(backoffDelayMs(policy, 1, 0)).toBe(1_000);
    expect(backoffDelayMs(policy, 1, 0.5)).toBe(750);
    expect(backoffDelayMs(policy, 1, 0.999_999)).toBe(500);
  });

  it('R-RETRY-1: is for every policy a whole number within its range', () => {
    fc.assert(
      fc.property(policies, attempts, units, (policy, attempt, random) => {
        const delayMs = backoffDelayMs(policy, attempt, random);
        const cap = Math.min(policy.maxDelayMs, policy.initialDelayMs * policy.factor ** (attempt - 1));
        expect(Number.isInteger(delayMs)).toBe(true);
        expect(delayMs).toBeLessThanOrEqual(policy.maxDelayMs);
        expect(delayMs).toBeLessThanOrEqual(Math.round(cap));
        expect(delayMs).toBeGreaterThanOrEqual(Math.floor(cap * (1 - policy.jitter)));
      }),
    );
  });

  it('R-RETRY-1: never shrinks from one attempt to the next, with the same chance', () => {
    fc.assert(
      fc.property(policies, fc.integer({ min: 1, max: maximumAttemptsLimit - 1 }), units, (policy, attempt, random) => {
        expect(backoffDelayMs(policy, attempt + 1, random)).toBeGreaterThanOrEqual(
          backoffDelayMs(policy, attempt, random),
        );
      }),
    );
  });
});

describe('decideRetry', () => {
  it('R-RETRY-1: retries a class that the policy lists, at the due time of its backoff', () => {
    expect(decideRetry({ ...asked, policy: aPolicy(), failure: aFailure('retryable') })).toEqual({
      kind: 'retry',
      delayMs: 1_000,
      dueAt: 11_000,
    });
  });

  it('R-RETRY-2: not every failure is retried: a class that is not listed is dead-lettered at once', () => {
    const notRetryable = { kind: 'deadLetter', reason: 'notRetryable' };
    for (const failureClass of neverRetriedClasses) {
      expect(decideRetry({ ...asked, policy: aPolicy(), failure: aFailure(failureClass) })).toEqual(notRetryable);
    }
    const narrow = aPolicy({ retryOn: ['timeout'] });
    expect(decideRetry({ ...asked, policy: narrow, failure: aFailure('unexpected') })).toEqual(notRetryable);
  });

  it('R-RETRY-2: the last attempt is not retried', () => {
    const failure = aFailure('retryable');
    expect(decideRetry({ ...asked, policy: aPolicy(), failure, used: 2 }).kind).toBe('retry');
    for (const used of [3, 4]) {
      expect(decideRetry({ ...asked, policy: aPolicy(), failure, used })).toEqual({
        kind: 'deadLetter',
        reason: 'attemptsExhausted',
      });
    }
  });

  it('R-RETRY-1: what the other side asks for is a floor of the delay, and has the limit of all delays', () => {
    expect(decideAfter(30_000)).toMatchObject({ delayMs: 30_000, dueAt: 40_000 });
    expect(decideAfter(10)).toMatchObject({ delayMs: 1_000 });
    expect(decideAfter(Number.MAX_SAFE_INTEGER)).toMatchObject({ delayMs: maximumBackoffMs });
  });

  it('R-RETRY-1: a retry that would be due after the deadline is dead-lettered instead', () => {
    const failing = { ...asked, policy: aPolicy(), failure: aFailure('retryable') };
    expect(decideRetry({ ...failing, deadlineAt: 11_000 }).kind).toBe('retry');
    expect(decideRetry({ ...failing, deadlineAt: 10_999 })).toEqual({ kind: 'deadLetter', reason: 'deadlineExceeded' });
  });

  it('R-RETRY-2: for every policy the retries are finite and the same on every day', () => {
    fc.assert(
      fc.property(policies, units, (policy, random) => {
        const decide = (used: number) => decideRetry({ ...asked, policy, failure: aFailure('timeout'), used, random });
        let used = 1;
        while (decide(used).kind === 'retry') {
          expect(decide(used)).toEqual(decide(used));
          used += 1;
        }
        expect(used).toBe(policy.maxAttempts);
      }),
      { numRuns: 50 },
    );
  });
});
