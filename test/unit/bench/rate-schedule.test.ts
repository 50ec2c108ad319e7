import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dueCount, intendedMs, scheduleOf } from '../../../bench/rate-schedule.ts';

describe('a schedule of arrivals', () => {
  it('begins at once and has one arrival less than the next whole second brings', () => {
    const schedule = scheduleOf(100, 2);
    expect([dueCount(schedule, 0), dueCount(schedule, 9.9), dueCount(schedule, 10), dueCount(schedule, 1_000)]).toEqual(
      [1, 1, 2, 101],
    );
  });

  it('ends with its last arrival, however late it is', () => {
    expect(dueCount(scheduleOf(100, 2), 1e9)).toBe(200);
  });

  it('has nothing due before it began', () => {
    expect(dueCount(scheduleOf(100, 2), -0.1)).toBe(0);
  });

  it('has at least one arrival at the lowest rate', () => {
    expect(scheduleOf(1, 0.1).count).toBe(1);
  });

  it('intends arrivals by the rate alone: a stall of the sender moves none of them', () => {
    const schedule = scheduleOf(250, 60);
    expect([intendedMs(schedule, 0), intendedMs(schedule, 1), intendedMs(schedule, 250)]).toEqual([0, 4, 1_000]);
  });

  it('sends no arrival before it is meant to be, and none later than the next look', () => {
    const rates = fc.integer({ min: 1, max: 100_000 });
    fc.assert(
      fc.property(rates, fc.double({ min: 0, max: 10_000, noNaN: true }), (rate, elapsedMs) => {
        const schedule = scheduleOf(rate, 3_600);
        const due = dueCount(schedule, elapsedMs);
        expect(intendedMs(schedule, due - 1)).toBeLessThanOrEqual(elapsedMs + 1e-6);
        expect(intendedMs(schedule, due)).toBeGreaterThan(elapsedMs - 1e-6);
      }),
    );
  });
});
