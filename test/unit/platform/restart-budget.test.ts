import { describe, expect, it } from 'vitest';

import { RestartBudget } from '../../../src/platform/restart-budget.ts';

describe('a restart budget', () => {
  const policy = { intensity: 3, periodMs: 10_000, firstDelayMs: 100, longestDelayMs: 300 };

  it('doubles the delay up to the longest, and gives nothing past its intensity', () => {
    const budget = new RestartBudget(policy);
    expect([0, 1, 2, 3].map((nowMs) => budget.take(nowMs))).toEqual([100, 200, 300, undefined]);
  });

  it('forgets restarts that are older than its period', () => {
    const budget = new RestartBudget(policy);
    for (const nowMs of [0, 1, 2]) budget.take(nowMs);
    expect(budget.take(9_999)).toBeUndefined();
    expect(budget.take(10_001)).toBe(200);
  });
});
