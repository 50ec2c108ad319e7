import { describe, expect, it } from 'vitest';

import { resolveOptions } from '../../src/simulation/simulation-options.ts';
import { shrinkFaults } from '../../src/simulation/shrink.ts';
import { simulate } from '../../src/testing.ts';
import { aPipeline } from '../support/shard-kit.ts';
import { neverHappened, sometimes } from './sometimes.ts';

describe('a simulation', () => {
  it('keeps every promise under the faults of some seeds', async () => {
    for (let seed = 100; seed < 112; seed += 1) {
      const { violations } = await simulate({ seed, minutes: 1, tasks: 20 });
      expect(violations, `seed ${seed}`).toEqual([]);
    }
  });

  it('without faults completes, parks or dead-letters all that is submitted, and loses no lease', async () => {
    const report = await simulate({ seed: 1, minutes: 1, tasks: 20, faults: [] });
    expect(report.violations).toEqual([]);
    expect(report.tasks).toBe(20);
    expect(report.counters['metric lease_lost_total'] ?? 0).toBe(0);
  });

  it('runs the pipelines of a user, with inputs of theirs', async () => {
    const pipeline = aPipeline({ stages: ['parse', 'publish'] });
    const report = await simulate({
      seed: 3,
      minutes: 1,
      tasks: 10,
      pipelines: [pipeline],
      inputOf: ({ index }) => `card ${index}`,
    });
    expect(report.violations).toEqual([]);
    expect(report.tasks).toBe(10);
  });

  it('sees a promise that is broken: without a node no shard has its owner, with or without faults', async () => {
    const options = { seed: 5, minutes: 0.2, tasks: 3, nodes: 0 };
    const failed = await simulate(options);
    expect(failed.violations.map(({ id }) => id)).toContain('I22');
    const { report, maskedFaults } = await shrinkFaults(options, failed, 20);
    expect(report.violations.map(({ id }) => id)).toContain('I22');
    expect(maskedFaults).toHaveLength(failed.plan.length);
  });

  it('has defaults for all that is left out', () => {
    expect(resolveOptions({})).toMatchObject({ seed: 1, minutes: 5, usesWorld: true });
  });

  it('says which situation of the list never came', () => {
    expect(neverHappened(new Map(sometimes.map(({ counter }) => [counter, 1])))).toEqual([]);
    expect(neverHappened(new Map())).toHaveLength(sometimes.length);
  });
});
