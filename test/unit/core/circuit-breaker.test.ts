import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  breakerDefaults,
  breakerOutcomeOf,
  closedBreaker,
  ended,
  mayPass,
  passed,
  type BreakerState,
} from '../../../src/core/circuit-breaker.ts';

const policy = { failureThreshold: 3, openMs: 100, maxOpenMs: 300 };

function fail(state: BreakerState, times: number, nowMs = 0): BreakerState {
  let next = state;
  for (let count = 0; count < times; count += 1) next = ended(policy, next, 'failed', nowMs);
  return next;
}

describe('what a failure says of its integration', () => {
  it.each([
    ['retryable', 'failed'],
    ['rateLimited', 'failed'],
    ['timeout', 'failed'],
    ['heartbeatTimeout', 'failed'],
    ['unexpected', 'failed'],
    ['fatal', 'succeeded'],
    ['contract', 'succeeded'],
    ['interrupted', 'unknown'],
    ['poison', 'unknown'],
  ] as const)('R-FAIL-2: of class %s is that it has %s', (failureClass, outcome) => {
    expect(breakerOutcomeOf(failureClass)).toBe(outcome);
  });
});

describe('a circuit breaker', () => {
  it('R-FAIL-2: opens after the threshold of failures in a row and lets nothing pass until its time is over', () => {
    expect(fail(closedBreaker, 2)).toEqual({ kind: 'closed', failures: 2 });
    const open = fail(closedBreaker, 3, 1_000);
    expect(open).toEqual({ kind: 'open', untilMs: 1_100, openMs: 100 });
    expect(mayPass(open, 1_099)).toBe(false);
    expect(mayPass(open, 1_100)).toBe(true);
  });

  it('forgets its failures at a success', () => {
    const almost = fail(closedBreaker, 2);
    expect(fail(ended(policy, almost, 'succeeded', 0), 2)).toEqual({ kind: 'closed', failures: 2 });
  });

  it('counts nothing for an attempt that says nothing about the integration', () => {
    expect(ended(policy, fail(closedBreaker, 2), 'unknown', 0)).toEqual({ kind: 'closed', failures: 2 });
  });

  it('lets one probe pass and nothing beside it', () => {
    const probing = passed(fail(closedBreaker, 3));
    expect(probing).toEqual({ kind: 'probing', openMs: 100 });
    expect(mayPass(probing, 1e9)).toBe(false);
  });

  it('closes when the probe succeeds', () => {
    expect(ended(policy, passed(fail(closedBreaker, 3)), 'succeeded', 500)).toEqual(closedBreaker);
  });

  it('opens twice as long when the probe fails, up to its limit', () => {
    const once = ended(policy, passed(fail(closedBreaker, 3)), 'failed', 500);
    expect(once).toEqual({ kind: 'open', untilMs: 700, openMs: 200 });
    const twice = ended(policy, passed(once), 'failed', 1_000);
    expect(twice).toEqual({ kind: 'open', untilMs: 1_300, openMs: 300 });
  });

  it('lets the next probe try at once when a probe says nothing', () => {
    const state = ended(policy, passed(fail(closedBreaker, 3)), 'unknown', 500);
    expect(mayPass(state, 500)).toBe(true);
  });

  it('closes at the late success of an attempt from before it opened', () => {
    expect(ended(policy, fail(closedBreaker, 3), 'succeeded', 1)).toEqual(closedBreaker);
  });

  it('always lets something pass in the end, whatever happens', () => {
    const outcome = fc.constantFrom('succeeded' as const, 'failed' as const, 'unknown' as const);
    fc.assert(
      fc.property(fc.array(fc.tuple(outcome, fc.nat(1_000)), { maxLength: 50 }), (steps) => {
        let state: BreakerState = closedBreaker;
        let nowMs = 0;
        for (const [result, waitMs] of steps) {
          nowMs += waitMs;
          if (mayPass(state, nowMs)) state = ended(breakerDefaults, passed(state), result, nowMs);
        }
        expect(mayPass(state, nowMs + breakerDefaults.maxOpenMs)).toBe(true);
      }),
    );
  });
});
