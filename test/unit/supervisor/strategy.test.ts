import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { errorCatalog, EngineError, InvariantViolation, type ErrorCode } from '../../../src/core/errors.ts';
import {
  directiveFor,
  superviseFailure,
  type Directive,
  type SupervisionDecision,
  type SupervisorStrategy,
} from '../../../src/supervisor/strategy.ts';

const children = ['first', 'second', 'third', 'fourth'];

function supervise(
  directive: Directive,
  options: { strategy?: SupervisorStrategy; failed?: string; crashesMs?: readonly number[]; nowMs?: number } = {},
): SupervisionDecision<string> {
  const { strategy = 'oneForOne', failed = 'second', crashesMs = [], nowMs = 1_000 } = options;
  return superviseFailure({
    policy: { strategy, limit: { intensity: 2, periodMs: 10_000 } },
    children,
    failed,
    directive,
    crashesMs,
    nowMs,
  });
}

describe('superviseFailure', () => {
  it('R-FAIL-1: one-for-one restarts only the child that failed', () => {
    expect(supervise('restart')).toEqual({ kind: 'restart', stop: ['second'], start: ['second'], crashesMs: [1_000] });
  });

  it('rest-for-one restarts the failed child and those started after it, stopped in reverse', () => {
    expect(supervise('restart', { strategy: 'restForOne' })).toEqual({
      kind: 'restart',
      stop: ['fourth', 'third', 'second'],
      start: ['second', 'third', 'fourth'],
      crashesMs: [1_000],
    });
    expect(supervise('restart', { strategy: 'restForOne', failed: 'fourth' })).toMatchObject({ start: ['fourth'] });
  });

  it('one-for-all restarts every child', () => {
    expect(supervise('restart', { strategy: 'oneForAll', failed: 'third' })).toMatchObject({
      stop: ['fourth', 'third', 'second', 'first'],
      start: children,
    });
  });

  it('resumes and ends without counting a crash', () => {
    expect(supervise('resume', { crashesMs: [900] })).toEqual({ kind: 'resume', crashesMs: [900] });
    expect(supervise('stop', { crashesMs: [900] })).toEqual({ kind: 'stop', stop: ['second'], crashesMs: [900] });
  });

  it('escalates by directive, stopping all children in reverse', () => {
    expect(supervise('escalate')).toEqual({
      kind: 'escalate',
      stop: ['fourth', 'third', 'second', 'first'],
      why: 'directive',
      crashesMs: [],
    });
  });

  it('R-FAIL-1: escalates instead of restarting more often than the intensity within the period', () => {
    expect(supervise('restart', { crashesMs: [500] })).toMatchObject({ kind: 'restart' });
    expect(supervise('restart', { crashesMs: [500, 700] })).toMatchObject({
      kind: 'escalate',
      why: 'intensityExceeded',
    });
    expect(supervise('restart', { crashesMs: [500, 700], nowMs: 10_600 })).toMatchObject({
      kind: 'restart',
      crashesMs: [700, 10_600],
    });
  });

  it('throws InvariantViolation for a child that it does not have', () => {
    expect(() => supervise('restart', { failed: 'fifth' })).toThrow(InvariantViolation);
  });

  it('R-FAIL-1: for any crashes there are never more restarts in a period than the intensity', () => {
    const strategies = fc.constantFrom<SupervisorStrategy>('oneForOne', 'restForOne', 'oneForAll');
    const gaps = fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 60 });
    fc.assert(
      fc.property(strategies, gaps, fc.nat({ max: 4 }), (strategy, waits, intensity) => {
        let crashesMs: readonly number[] = [];
        let nowMs = 0;
        const restarts: number[] = [];
        for (const waitMs of waits) {
          nowMs += waitMs;
          const limit = { intensity, periodMs: 5_000 };
          const failed = 'second';
          const input = { policy: { strategy, limit }, children, failed, crashesMs, nowMs };
          const decision = superviseFailure({ ...input, directive: 'restart' });
          ({ crashesMs } = decision);
          if (decision.kind !== 'restart') continue;
          restarts.push(nowMs);
          expect(decision.start.toReversed()).toEqual(decision.stop);
          expect(restarts.filter((atMs) => nowMs - atMs <= limit.periodMs).length).toBeLessThanOrEqual(intensity);
        }
      }),
    );
  });
});

describe('directiveFor', () => {
  it('ends what another node owns and what is damaged, for it alone', () => {
    for (const code of ['OWNERSHIP_LOST', 'CANCELED', 'RECORD_CORRUPT', 'REPLAY_DIVERGED'] as const) {
      expect(directiveFor(new EngineError(code, 'x'))).toBe('stop');
    }
  });

  it('escalates what no restart can mend', () => {
    for (const code of ['CONFIG_INVALID', 'SELF_TEST_FAILED', 'LOG_REGRESSED', 'STREAM_MISCONFIGURED'] as const) {
      expect(directiveFor(new EngineError(code, 'x'))).toBe('escalate');
    }
  });

  it('R-FAIL-1: restarts for a bug, for the unknown, and for everything that may pass', () => {
    expect(directiveFor(new InvariantViolation('x'))).toBe('restart');
    expect(directiveFor(new TypeError('x'))).toBe('restart');
    const passing = (Object.keys(errorCatalog) as ErrorCode[]).filter(
      (code) => errorCatalog[code].retryable && code !== 'OWNERSHIP_LOST',
    );
    expect(passing.map((code) => directiveFor(new EngineError(code, 'x')))).toEqual(passing.map(() => 'restart'));
  });
});
