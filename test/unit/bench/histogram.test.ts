import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Histogram, largestValue } from '../../../bench/histogram.ts';

function histogramOf(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

/** What a quantile is by definition: the value at that rank of the sorted values. */
function quantileOf(values: readonly number[], part: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.max(1, Math.ceil(part * sorted.length)) - 1] ?? Number.NaN;
}

describe('Histogram', () => {
  it('has no quantile and a count of 0 while nothing was recorded', () => {
    const histogram = new Histogram();
    expect(histogram.quantile(0.5)).toBeNaN();
    expect([histogram.count, histogram.most]).toEqual([0, 0]);
  });

  it('gives quantiles of values below 2,048 exactly', () => {
    const values = fc.array(fc.nat({ max: 2_047 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (given, part) => {
        expect(histogramOf(given).quantile(part)).toBe(quantileOf(given, part));
      }),
    );
  });

  it('gives any quantile never too small and at most a thousandth too large', () => {
    const values = fc.array(fc.nat({ max: largestValue }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (given, part) => {
        const right = quantileOf(given, part);
        const told = histogramOf(given).quantile(part);
        expect(told).toBeGreaterThanOrEqual(right);
        expect(told).toBeLessThanOrEqual(right * 1.001);
      }),
    );
  });

  it('tells the largest value exactly, at the ends of its slots too', () => {
    for (const value of [2_047, 2_048, 4_095, 4_096, 2 ** 31 - 1, 2 ** 31, largestValue]) {
      expect(histogramOf([1, value]).quantile(1)).toBe(value);
      expect(histogramOf([1, value]).most).toBe(value);
    }
  });

  it('counts what is below 0 as 0 and what is over its range as the end of it', () => {
    const histogram = histogramOf([-5, 2 ** 40]);
    expect([histogram.quantile(0.5), histogram.quantile(1), histogram.count]).toEqual([0, largestValue, 2]);
  });

  it('finds one slow answer among 999 fast ones only above p99.9', () => {
    const histogram = histogramOf([...Array.from({ length: 999 }, () => 10), 900_000]);
    expect([histogram.quantile(0.5), histogram.quantile(0.999), histogram.quantile(0.9995)]).toEqual([10, 10, 900_000]);
  });
});
