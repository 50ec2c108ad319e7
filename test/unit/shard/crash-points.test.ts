import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { crashScenarios } from '../../support/crash-scenarios.ts';
import { pointsOf, runCrashes, samplePairs, sides, type CrashRun } from '../../support/crash-sweep.ts';

/** Second deaths of each scenario that are run here; `npm run crash-sweep -- --pairs` runs all of them. */
const pairSampleSize = 60;

describe.each(crashScenarios)('$name', (scenario) => {
  it(
    'R-CORE-3 R-WRK-2 R-IDEM-1 R-SUM-1: survives a crash before and after every port call, and a sample of crashes while it recovers',
    { timeout: 600_000 },
    async () => {
      const points = await pointsOf(scenario);
      const singles: CrashRun[] = [];
      for (const point of points) singles.push(await runCrashes(scenario, [point]));
      const { pairs, kinds, allKinds, allPairs } = samplePairs(singles, pairSampleSize);
      const seconds: CrashRun[] = [];
      for (const pair of pairs) seconds.push(await runCrashes(scenario, pair));
      console.log(
        `${scenario.name}: ${points.length} points; ${pairs.length} of ${allPairs} pairs, ${kinds} of ${allKinds} kinds`,
      );
      expect([...singles, ...seconds].flatMap(({ violations }) => violations)).toEqual([]);
      expect(points.length).toBeGreaterThan(60);
      expect(pairs.length).toBeGreaterThanOrEqual(pairSampleSize);
      expect(singles.reduce((missed, run) => missed + run.missed, 0)).toBe(0);
      expect(seconds.reduce((missed, run) => missed + run.missed, 0)).toBeLessThan(pairs.length / 10);
    },
  );
});

describe('a process that dies while it recovers', () => {
  it(
    'R-CORE-3 R-WRK-2: is survived up to ten times in a row, at moments drawn at random',
    { timeout: 120_000 },
    async () => {
      const deaths = fc.array(fc.record({ at: fc.integer({ min: 4, max: 60 }), when: fc.constantFrom(...sides) }), {
        minLength: 2,
        maxLength: 10,
      });
      const ofOneNode = crashScenarios.filter(({ nodes }) => nodes === undefined);
      await fc.assert(
        fc.asyncProperty(deaths, fc.constantFrom(...ofOneNode), async (drawn, scenario) => {
          const points = drawn.map((death, process) => ({ process, ...death }));
          const { violations } = await runCrashes(scenario, points);
          expect(violations).toEqual([]);
        }),
        { numRuns: 60 },
      );
    },
  );
});
