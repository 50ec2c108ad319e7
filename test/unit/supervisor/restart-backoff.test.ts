import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  decideRestart,
  restartBackoffDefaults,
  restartDelayMs,
  type RestartDecision,
} from '../../../src/supervisor/restart-backoff.ts';

const limit = { intensity: 3, periodMs: 60_000 };

function decide(crashesMs: readonly number[], nowMs: number, random = 0): RestartDecision {
  return decideRestart({ limit, backoff: restartBackoffDefaults, crashesMs, nowMs, random });
}

describe('restartDelayMs', () => {
  it('doubles from 200 ms up to 10 s', () => {
    const delays = [1, 2, 3, 6, 7, 1_000].map((crashes) => restartDelayMs(restartBackoffDefaults, crashes, 0));
    expect(delays).toEqual([200, 400, 800, 6_400, 10_000, 10_000]);
  });

  it('falls by up to a fifth by chance, so that nodes do not start in step', () => {
    expect(restartDelayMs(restartBackoffDefaults, 1, 0.5)).toBe(180);
    expect(restartDelayMs(restartBackoffDefaults, 1, 0.999_999)).toBe(160);
  });
});

describe('decideRestart', () => {
  it('R-FAIL-1: restarts with a growing delay and gives up past the intensity', () => {
    const first = decide([], 1_000);
    expect(first).toEqual({ kind: 'restart', delayMs: 200, atMs: 1_200, crashesMs: [1_000] });
    const second = decide(first.crashesMs, 2_000);
    expect(second).toMatchObject({ kind: 'restart', delayMs: 400 });
    const third = decide(second.crashesMs, 3_000);
    expect(third).toMatchObject({ kind: 'restart', delayMs: 800, atMs: 3_800 });
    expect(decide(third.crashesMs, 4_000)).toEqual({ kind: 'giveUp', crashesMs: [1_000, 2_000, 3_000, 4_000] });
  });

  it('starts again at once what ran well for a period', () => {
    expect(decide([1_000, 2_000, 3_000], 63_001)).toEqual({
      kind: 'restart',
      delayMs: 200,
      atMs: 63_201,
      crashesMs: [63_001],
    });
  });

  it('R-FAIL-1: for any crashes the delays stay in their range and the restarts within the intensity', () => {
    const waits = fc.array(fc.tuple(fc.nat(40_000), fc.double({ min: 0, max: 0.999_999, noNaN: true })));
    fc.assert(
      fc.property(waits, (all) => {
        let crashesMs: readonly number[] = [];
        let nowMs = 0;
        for (const [waitMs, random] of all) {
          nowMs += waitMs;
          const decision = decide(crashesMs, nowMs, random);
          ({ crashesMs } = decision);
          expect(decision.kind === 'restart').toBe(crashesMs.length <= limit.intensity);
          if (decision.kind === 'giveUp') continue;
          expect(decision.delayMs).toBeGreaterThanOrEqual(160);
          expect(decision.delayMs).toBeLessThanOrEqual(10_000);
        }
      }),
    );
  });
});
