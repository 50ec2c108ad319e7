import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { FinishedFilter } from '../../../src/shard/finished-filter.ts';

const taskId = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/);

describe('the filter of finished tasks', () => {
  it('R-IDEM-1: never denies an id that was added', () => {
    fc.assert(
      fc.property(fc.array(taskId, { maxLength: 300 }), (ids) => {
        const filter = new FinishedFilter(2 ** 12);
        for (const id of ids) filter.add(id);
        expect(ids.filter((id) => !filter.mayHave(id))).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });

  it('knows nothing at first', () => {
    const filter = new FinishedFilter(2 ** 12);
    fc.assert(
      fc.property(taskId, (id) => !filter.mayHave(id)),
      { numRuns: 200 },
    );
  });

  it('sends about one unknown id in a hundred to a look-up, at ten bits an id', () => {
    const bits = 2 ** 17;
    const filter = new FinishedFilter(bits);
    const added = Math.floor(bits / 10);
    for (let index = 0; index < added; index += 1) filter.add(`order-${index}`);
    const asked = 20_000;
    let falsePositives = 0;
    for (let index = 0; index < asked; index += 1) if (filter.mayHave(`new-${index}`)) falsePositives += 1;
    expect(falsePositives / asked).toBeLessThan(0.015);
    expect(falsePositives / asked).toBeGreaterThan(0.004);
    expect(filter.count).toBe(added);
  });

  it('keeps that rate for ids that differ in their last characters only', () => {
    const filter = new FinishedFilter(2 ** 17);
    const uuid = (index: number): string => `01930000-0000-7000-8000-${index.toString(16).padStart(12, '0')}`;
    for (let index = 0; index < 13_000; index += 1) filter.add(uuid(index));
    let falsePositives = 0;
    for (let index = 13_000; index < 33_000; index += 1) if (filter.mayHave(uuid(index))) falsePositives += 1;
    expect(falsePositives / 20_000).toBeLessThan(0.02);
  });
});
