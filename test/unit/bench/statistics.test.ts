import { describe, expect, it } from 'vitest';
import { median, percentile, ratiosOf, rounded, spreadsOf } from '../../../bench/statistics.ts';

describe('statistics of runs', () => {
  it('takes the middle of an odd number of runs and the mean of the two in the middle of an even one', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 10, 2])).toBe(3);
  });

  it('has no median and no percentile of nothing', () => {
    expect(median([])).toBeNaN();
    expect(percentile([], 0.99)).toBeNaN();
  });

  it('keeps a percentile within the list', () => {
    expect([percentile([1, 2, 3, 4], 0), percentile([1, 2, 3, 4], 0.5), percentile([1, 2, 3, 4], 1)]).toEqual([
      1, 3, 4,
    ]);
  });

  it('tells median, least and most of each figure, and leaves a run out that lacks one', () => {
    expect(spreadsOf([{ rate: 100, p99Ms: 4 }, { rate: 300 }, { rate: 200, p99Ms: 8 }])).toEqual({
      rate: { median: 200, least: 100, most: 300 },
      p99Ms: { median: 6, least: 4, most: 8 },
    });
  });

  it('gives ratios of medians only for figures that both sides have and that are not 0', () => {
    const runs = [{ rate: 300, failed: 0, fresh: 1 }];
    expect(
      ratiosOf(runs, [
        { rate: 100, failed: 0 },
        { rate: 200, failed: 0 },
        { rate: 900, failed: 0 },
      ]),
    ).toEqual({
      rate: 1.5,
    });
  });

  it('rounds to what a measurement is good for', () => {
    expect([rounded(1_234.56), rounded(99.126), rounded(-250.4)]).toEqual([1_235, 99.13, -250]);
  });
});
