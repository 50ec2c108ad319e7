import { describe, expect, it } from 'vitest';

import { simulate } from '../../src/simulation/simulate.ts';
import type { SimulationOptions } from '../../src/simulation/simulation-options.ts';

/** Seeds that once broke a promise, with what was wrong. The code has moved on, and so have their runs; they stay for what they may find again. */
const regressions: readonly (SimulationOptions & { readonly found: string })[] = [];

describe('seeds that found a bug', () => {
  it.each(regressions)('seed $seed: $found', async ({ found: _found, ...options }) => {
    expect((await simulate(options)).violations).toEqual([]);
  });
});
