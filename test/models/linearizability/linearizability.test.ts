import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { checkEachKey, checkLinearizable, type Operation, type SequentialModel } from './linearizability.ts';
import { lockModel, stageModel, taskIdModel, type LockAnswer, type LockInput } from './sequential-models.ts';

/** A register of small numbers with read, write and compare-and-set. */
type RegisterInput = readonly ['read'] | readonly ['write', number] | readonly ['swap', number, number];

const register: SequentialModel<number, RegisterInput, number | boolean> = {
  initial: 0,
  step: (state, input, output) => {
    switch (input[0]) {
      case 'read':
        return output === null || output === state ? state : null;
      case 'write':
        return output === null || output === true ? input[1] : null;
      case 'swap': {
        const isSwapped = state === input[1];
        if (output !== null && output !== isSwapped) return null;
        return isSwapped ? input[2] : state;
      }
      default:
        return input satisfies never;
    }
  },
  keyOf: String,
};

type RegisterOperation = Operation<RegisterInput, number | boolean>;

function op(
  invokedAt: number,
  returnedAt: number,
  input: RegisterInput,
  output: number | boolean | null,
): RegisterOperation {
  return { invokedAt, returnedAt, input, output };
}

/** Every order of every subset that has all the operations with an answer: no search, no memory, nothing shared with the checker. */
function isLinearizableByForce<State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
): boolean {
  const answered = history.filter(({ output }) => output !== null);
  const open = history.filter(({ output }) => output === null);
  return subsetsOf(open).some((some) => ordersOf([...answered, ...some]).some((order) => isAllowed(model, order)));
}

function isAllowed<State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  order: readonly Operation<Input, Output>[],
): boolean {
  let state: State | null = model.initial;
  for (const [at, { input, output, invokedAt }] of order.entries()) {
    // One that comes later in the order must not have returned before this one was asked.
    if (order.slice(at + 1).some((later) => later.output !== null && later.returnedAt < invokedAt)) return false;
    state = model.step(state, input, output);
    if (state === null) return false;
  }
  return true;
}

function subsetsOf<Value>(values: readonly Value[]): Value[][] {
  return values.reduce<Value[][]>((subsets, value) => [...subsets, ...subsets.map((one) => [...one, value])], [[]]);
}

function ordersOf<Value>(values: readonly Value[]): Value[][] {
  if (values.length === 0) return [[]];
  return values.flatMap((value, at) => ordersOf(values.toSpliced(at, 1)).map((order) => [value, ...order]));
}

describe('the checker of linearizability', () => {
  it('finds an order of operations that overlap', () => {
    const history = [op(0, 10, ['write', 1], true), op(1, 3, ['read'], 0), op(4, 6, ['read'], 1)];
    const verdict = checkLinearizable(register, history);
    expect(verdict.kind === 'linearizable' && verdict.order.map(({ input }) => input[0])).toEqual([
      'read',
      'write',
      'read',
    ]);
  });

  it('refuses a stale read, and tells how far an order goes', () => {
    const history = [op(0, 1, ['write', 1], true), op(2, 3, ['read'], 0)];
    expect(checkLinearizable(register, history)).toEqual({
      kind: 'violated',
      longest: [history[0]],
      next: [history[1]],
    });
  });

  it('refuses reads that go back, though each of them alone overlaps the write', () => {
    const history = [op(0, 10, ['write', 1], true), op(1, 2, ['read'], 1), op(3, 4, ['read'], 0)];
    expect(checkLinearizable(register, history).kind).toBe('violated');
  });

  it('lets an operation of unknown outcome take effect late, once, or never', () => {
    const unknown = op(0, 0, ['write', 1], null);
    const late = [unknown, op(5, 6, ['read'], 0), op(7, 8, ['read'], 1)];
    expect(checkLinearizable(register, late).kind).toBe('linearizable');
    expect(checkLinearizable(register, [unknown, op(5, 6, ['read'], 0)])).toMatchObject({ order: [{ output: 0 }] });
    const twice = [...late, op(9, 10, ['write', 0], true), op(11, 12, ['read'], 1)];
    expect(checkLinearizable(register, twice).kind).toBe('violated');
  });

  it('lets no operation of unknown outcome take effect before it is asked', () => {
    const history = [op(0, 1, ['read'], 1), op(2, 2, ['write', 1], null)];
    expect(checkLinearizable(register, history).kind).toBe('violated');
  });

  it('refuses two winners of one compare-and-set', () => {
    const history = [op(0, 5, ['swap', 0, 1], true), op(0, 5, ['swap', 0, 2], true)];
    expect(checkLinearizable(register, history).kind).toBe('violated');
  });

  it('throws for an operation that returns before it is asked', () => {
    expect(() => checkLinearizable(register, [op(2, 1, ['read'], 0)])).toThrow('returns before it is asked');
  });

  it('judges each key on its own', () => {
    const on = (key: string, output: number): Operation<{ readonly key: string }, number> => ({
      invokedAt: 0,
      returnedAt: 1,
      input: { key },
      output,
    });
    const model: SequentialModel<number, { readonly key: string }, number> = {
      initial: 0,
      step: (state, _input, output) => (output === state ? state : null),
      keyOf: String,
    };
    const verdicts = checkEachKey(model, [on('good', 0), on('bad', 1), on('good', 0)], ({ key }) => key);
    expect([...verdicts].map(([key, { kind }]) => [key, kind])).toEqual([
      ['good', 'linearizable'],
      ['bad', 'violated'],
    ]);
  });

  it('tries a crowd that asks the same once: forty operations at one time end soon', () => {
    const writes = Array.from({ length: 39 }, () => op(0, 100, ['write', 1], true));
    const started = process.hrtime.bigint();
    expect(checkLinearizable(register, [...writes, op(0, 100, ['read'], 2)]).kind).toBe('violated');
    expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(20_000);
  }, 300_000);
});

/** Operations of a model at random times, with answers at random: most histories are near the border between good and bad. */
function histories<Input, Output>(
  input: fc.Arbitrary<Input>,
  output: fc.Arbitrary<Output | null>,
): fc.Arbitrary<readonly Operation<Input, Output>[]> {
  return fc.array(
    fc
      .record({ input, output, invokedAt: fc.nat({ max: 8 }), lasts: fc.nat({ max: 6 }) })
      .map(({ lasts, ...operation }) => ({ ...operation, returnedAt: operation.invokedAt + lasts })),
    { minLength: 1, maxLength: 5 },
  );
}

const value = fc.nat({ max: 2 });
const registerInput: fc.Arbitrary<RegisterInput> = fc.oneof(
  fc.constant(['read'] as const),
  fc.tuple(fc.constant('write' as const), value),
  fc.tuple(fc.constant('swap' as const), value, value),
);

/** How many histories of each kind the checker is compared on. */
const runs = 3_000;

function compare<State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  input: fc.Arbitrary<Input>,
  output: fc.Arbitrary<Output | null>,
): void {
  const counts = { linearizable: 0, violated: 0 };
  fc.assert(
    fc.property(histories(input, output), (history) => {
      const { kind } = checkLinearizable(model, history);
      counts[kind] += 1;
      expect(kind === 'linearizable').toBe(isLinearizableByForce(model, history));
    }),
    { numRuns: runs },
  );
  process.stdout.write(`${runs} histories: ${counts.linearizable} linearizable, ${counts.violated} not\n`);
  expect(counts.linearizable).toBeGreaterThan(runs / 50);
  expect(counts.violated).toBeGreaterThan(runs / 50);
}

describe('the checker says what brute force says', () => {
  it('of a register with compare-and-set', () => {
    const answer = fc.oneof(value, fc.boolean(), fc.constant(null));
    compare(
      register,
      registerInput,
      fc.oneof({ weight: 3, arbitrary: answer }, { weight: 2, arbitrary: fc.constant(true) }),
    );
  }, 300_000);

  it('of a task id', () => {
    const input = fc.record({ taskId: fc.constant('t'), inputHash: fc.constantFrom('a', 'b') });
    compare(taskIdModel, input, fc.constantFrom('accepted', 'existing', 'conflict', 'existing', null));
  }, 300_000);

  it('of a stage', () => {
    const input = fc.oneof(
      fc.record({ kind: fc.constant('commit' as const), stage: fc.constant('s'), commitId: fc.constantFrom('x', 'y') }),
      fc.record({ kind: fc.constant('look' as const), stage: fc.constant('s') }),
    );
    compare(stageModel, input, fc.constantFrom('committed', 'refused', 'done', 'notDone', null));
  }, 300_000);

  it('of a lock', () => {
    const input: fc.Arbitrary<LockInput> = fc.oneof(
      fc.record({ kind: fc.constant('read' as const), shard: fc.constant(0) }),
      fc.record({
        kind: fc.constant('write' as const),
        shard: fc.constant(0),
        value: fc.constantFrom('a', 'b'),
        expectedRevision: fc.nat({ max: 2 }),
      }),
    );
    const answer: fc.Arbitrary<LockAnswer | null> = fc.oneof(
      fc.record({
        kind: fc.constant('read' as const),
        value: fc.constantFrom('a', 'b', 'free'),
        revision: fc.nat({ max: 3 }),
      }),
      fc.record({ kind: fc.constant('held' as const), revision: fc.integer({ min: 1, max: 3 }) }),
      fc.constant({ kind: 'lost' as const }),
      fc.constant(null),
    );
    compare(lockModel, input, answer);
  }, 300_000);
});
