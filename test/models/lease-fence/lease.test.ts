import { describe, expect, it } from 'vitest';

import { explore, type Exploration } from './explorer.ts';
import { leaseModel, type LeaseMutant, type LeaseOptions } from './lease-model.ts';

// A margin of a fifth, as `leaseMarginPart` has it: five ticks of lease, four of use.
const size: LeaseOptions = { ttlTicks: 5, horizonTicks: 12, losesOneTickIn: 5 };
const maxStates = 1_500_000;

function exploreLease(options: Partial<LeaseOptions> = {}): Exploration {
  return explore(leaseModel({ ...size, ...options }), maxStates);
}

describe('the model of a lease by two clocks', () => {
  it('R-LOCK-2: no driver starts under a lease that another node may have taken the shard from, while the clocks differ by the margin', () => {
    const found = exploreLease();
    process.stdout.write(`lease: ${found.states} states, ${found.steps} steps, depth ${found.depth}\n`);
    expect(found.counterexample).toBeNull();
    expect(found.states).toBeGreaterThan(1_000);
  }, 300_000);

  it('does not hold once the holder’s clock loses more than the margin: that is what the margin is for, and the fence beyond it', () => {
    const { counterexample } = exploreLease({ losesOneTickIn: 2 });
    expect(counterexample?.what).toMatch(/after another node has taken/);
  }, 300_000);

  const mutants: readonly LeaseMutant[] = [
    'noMargin',
    'countsFromAnswer',
    'trustsUnanswered',
    'takesBeforeExpiry',
    'keepsShardsOverExpiry',
    'startsUnasked',
  ];

  it.each(mutants)(
    'is caught: %s',
    (mutant) => {
      const { counterexample } = exploreLease({ mutant });
      process.stdout.write(`${mutant}\n${(counterexample?.trace ?? []).map((label) => `  ${label}`).join('\n')}\n`);
      expect(counterexample?.what).toBe('the holder starts a driver after another node has taken the shard');
      expect(counterexample?.trace.length).toBeLessThan(40);
    },
    60_000,
  );
});
