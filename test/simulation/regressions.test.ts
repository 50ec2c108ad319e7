import { describe, expect, it } from 'vitest';

import { simulate } from '../../src/simulation/simulate.ts';
import type { SimulationOptions } from '../../src/simulation/simulation-options.ts';

/** Seeds that once broke a promise, with what was wrong. The code has moved on, and so have their runs; they stay for what they may find again. */
const regressions: readonly (SimulationOptions & { readonly found: string })[] = [
  { seed: 4, minutes: 1.5, found: 'replicas that lagged made every node hold the others to be gone for good' },
  {
    seed: 24,
    minutes: 1,
    tasks: 25,
    found: 'a node that drained went on starting stages while its last look took its time',
  },
  { seed: 1036, minutes: 1, tasks: 25, found: 'a shard that was opened in a drain started its interrupted stages' },
  {
    seed: 5245,
    minutes: 1,
    tasks: 25,
    found: 'a replica that showed an earlier life of a node ended the later one for good',
  },
];

describe('seeds that found a bug', () => {
  it.each(regressions)('seed $seed: $found', async ({ found: _found, ...options }) => {
    expect((await simulate(options)).violations).toEqual([]);
  });
});
