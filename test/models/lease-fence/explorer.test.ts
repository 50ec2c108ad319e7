import { describe, expect, it } from 'vitest';

import { explore, type ExplorableModel } from './explorer.ts';

/** A counter that goes up to `most`, by one or by two. */
function counter(most: number, change: Partial<ExplorableModel<number>> = {}): ExplorableModel<number> {
  return {
    initial: 0,
    steps: (count) => [1, 2].filter((by) => count + by <= most).map((by) => ({ label: `+${by}`, next: count + by })),
    keyOf: String,
    check: () => null,
    isEnd: (count) => count === most,
    ...change,
  };
}

describe('the explorer of models', () => {
  it('meets each state once and counts each step', () => {
    expect(explore(counter(4), 100)).toEqual({ states: 5, steps: 7, depth: 3, counterexample: null });
  });

  it('tells the shortest way to a state that is wrong', () => {
    const check = (count: number): string | null => (count === 3 ? 'three' : null);
    expect(explore(counter(4, { check }), 100).counterexample).toEqual({
      kind: 'broken',
      what: 'three',
      trace: ['+1', '+2'],
    });
  });

  it('tells of a first state that is wrong', () => {
    expect(explore(counter(1, { check: () => 'nothing is right' }), 100).counterexample?.trace).toEqual([]);
  });

  it('tells of a step that is wrong, though the state after it is known', () => {
    const steps: ExplorableModel<number>['steps'] = (count) =>
      count < 2 ? [{ label: '+1', next: count + 1 }] : [{ label: 'back', next: 0, broken: 'it goes back' }];
    expect(explore(counter(2, { steps }), 100).counterexample).toEqual({
      kind: 'broken',
      what: 'it goes back',
      trace: ['+1', '+1', 'back'],
    });
  });

  it('tells of a state from which no end can be reached, also when it has steps', () => {
    const steps: ExplorableModel<number>['steps'] = (count) => {
      if (count === 0)
        return [
          { label: 'good', next: 1 },
          { label: 'bad', next: 7 },
        ];
      return count === 7 ? [{ label: 'round', next: 8 }] : count === 8 ? [{ label: 'round', next: 7 }] : [];
    };
    expect(explore(counter(1, { steps }), 100).counterexample).toMatchObject({ kind: 'stuck', trace: ['bad'] });
  });

  it('throws rather than to say that it has looked at all, when there are too many states', () => {
    expect(() => explore(counter(1_000), 100)).toThrow('more than 100 states');
  });
});
