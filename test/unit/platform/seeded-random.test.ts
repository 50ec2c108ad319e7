import { describe, expect, it } from 'vitest';

import { SeededRandom } from '../../../src/platform/seeded-random.ts';

const draw = (seed: number, count: number): readonly number[] => {
  const random = new SeededRandom(seed);
  return Array.from({ length: count }, () => random.next());
};

describe('SeededRandom', () => {
  it('gives the same numbers and ids for the same seed, today and on any machine', () => {
    const random = new SeededRandom(8_123);
    expect([random.next(), random.next(), random.id()]).toEqual([
      0.8419349632367358,
      0.01615459099940897,
      '00000000-0001-7d76-b33e-2114e7e205a7',
    ]);
    expect(draw(8_123, 100)).toEqual(draw(8_123, 100));
  });

  it('gives other numbers for near seeds, and for seeds that differ above 2^32 only', () => {
    const firsts = [1, 2, 3, 2 ** 32 + 1, 2 ** 33 + 1].map((seed) => draw(seed, 1)[0]);
    expect(new Set(firsts).size).toBe(firsts.length);
  });

  it.each([-1, 1.5, Number.NaN, 2 ** 53])('refuses the seed %s as a bug: INTERNAL', (seed) => {
    expect(() => new SeededRandom(seed)).toThrow(expect.objectContaining({ code: 'INTERNAL' }) as Error);
  });
});
