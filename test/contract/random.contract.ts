import { describe, expect, it } from 'vitest';

import type { Random } from '../../src/ports/random.ts';

const uuidVersion7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** What every source of chance must do. */
export function describeRandom(name: string, make: () => Random): void {
  describe(`Random: ${name}`, () => {
    it('gives numbers from 0 up to but not 1, spread evenly', () => {
      const random = make();
      const numbers = Array.from({ length: 20_000 }, () => random.next());
      expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...numbers)).toBeLessThan(1);
      const counts = Array.from({ length: 10 }, () => 0);
      for (const number of numbers) counts[Math.floor(number * 10)] = (counts[Math.floor(number * 10)] ?? 0) + 1;
      // 2,000 expected in each tenth, standard deviation 42: six of them is beyond chance.
      for (const count of counts) expect(Math.abs(count - 2_000)).toBeLessThan(6 * 42);
    });

    it('gives ids of the form of UUID version 7', () => {
      const random = make();
      for (let count = 0; count < 100; count += 1) expect(random.id()).toMatch(uuidVersion7);
    });

    it('gives ids that differ and sort in order of creation', () => {
      const random = make();
      const ids = Array.from({ length: 5_000 }, () => random.id());
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.toSorted((left, right) => (left < right ? -1 : 1))).toEqual(ids);
    });
  });
}
