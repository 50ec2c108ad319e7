import { describe, expect, it } from 'vitest';
import { createMachine } from 'xstate';
import { checkMachine, edgesOf } from '../../../src/pipeline/check-machine.ts';
import { cardPipeline } from './card-pipeline.ts';

/** A small machine that passes, with other states laid over it. */
function machineWith(states: object, root: object = {}) {
  return createMachine({
    id: 'm',
    initial: 'new',
    states: {
      new: { on: { 'task.submitted': 'work' } },
      work: { on: { 'stage.completed': 'completed' } },
      completed: { type: 'final' },
      ...states,
    },
    ...root,
  } as never);
}

function stageOf(value: string): string | undefined {
  return value.split('.')[0];
}

function guarded(type: string): object {
  return { target: 'wait', guard: { type } };
}

describe('checkMachine', () => {
  it("R-STAGE-2: a pipeline's own machine passes", () => {
    expect(() => checkMachine(cardPipeline.machine)).not.toThrow();
    expect(() => checkMachine(machineWith({}))).not.toThrow();
  });

  it('R-STAGE-2: the only ways between two stages are those that the definition declares', () => {
    const ways = edgesOf(cardPipeline.machine)
      .filter(({ event }) => event === 'stage.completed' || event === 'outcome.resolved' || event === 'task.submitted')
      .filter(({ from, to }) => stageOf(from) !== stageOf(to) && !to.startsWith('deadLettered'))
      .map(({ from, to }) => `${stageOf(from)} ${stageOf(to)}`);
    expect(new Set(ways)).toEqual(
      new Set([
        'new parse',
        'parse photos',
        'parse publish',
        'photos publish',
        'publish export',
        'publish completed',
        'export completed',
      ]),
    );
  });

  it('R-RETRY-2: PIPELINE_INVALID for a cycle without a counted bound, which it spells out', () => {
    const looping = machineWith({
      work: { on: { 'stage.completed': 'completed', 'stage.failed': 'wait' } },
      wait: { on: { 'retry.due': 'work' } },
    });
    expect(() => checkMachine(looping)).toThrow('the cycle work → wait → work has no counted bound');
  });

  it('R-RETRY-2: a cycle that is counted by attempts, by interruptions or by an operator passes', () => {
    for (const on of [
      { 'stage.failed': guarded('retriesWithinBudget') },
      { 'owner.changed': guarded('interruptedWithinLimit') },
      { 'task.paused': 'wait' },
    ]) {
      const machine = machineWith({
        work: { on: { 'stage.completed': 'completed', ...on } },
        wait: { on: { 'retry.due': 'work' } },
      });
      expect(() => checkMachine(machine)).not.toThrow();
    }
  });

  it('R-RETRY-2: a cycle whose guard counts nothing is PIPELINE_INVALID', () => {
    const machine = machineWith({
      work: {
        on: { 'stage.completed': 'completed', 'stage.failed': { target: 'work', guard: { type: 'isPausing' } } },
      },
    });
    expect(() => checkMachine(machine)).toThrow('machine.work: the cycle work → work has no counted bound');
  });

  it('PIPELINE_INVALID for an event that leaves the state as it is without being a mere note', () => {
    const machine = machineWith({ work: { on: { 'stage.completed': 'completed', 'stage.failed': {} } } });
    expect(() => checkMachine(machine)).toThrow('machine.work: stage.failed leads nowhere');
  });

  it('PIPELINE_INVALID for a state that cannot be reached', () => {
    const machine = machineWith({ island: { on: { 'stage.completed': 'completed' } } });
    expect(() => checkMachine(machine)).toThrow('machine.island: it cannot be reached from new');
  });

  it('PIPELINE_INVALID for a state from which completed cannot be reached', () => {
    const machine = machineWith({ work: { on: { 'stage.completed': 'completed', 'stage.failed': 'pit' } }, pit: {} });
    expect(() => checkMachine(machine)).toThrow('machine.pit: completed cannot be reached from it');
  });

  it('PIPELINE_INVALID for a machine that has no completed state at all', () => {
    const machine = createMachine({ id: 'm', initial: 'new', states: { new: {} } });
    expect(() => checkMachine(machine)).toThrow('machine.new: completed cannot be reached from it');
  });

  it.each([
    ['after', { after: { 1_000: 'completed' } }],
    ['invoke', { invoke: { src: 'anything' } }],
    ['always', { always: 'completed' }],
    ['entry', { entry: 'note' }],
    ['exit', { exit: 'note' }],
  ])('PIPELINE_INVALID for a state with %s', (what, config) => {
    const machine = machineWith({ work: { on: { 'stage.completed': 'completed' }, ...config } });
    expect(() => checkMachine(machine)).toThrow(
      expect.objectContaining({ code: 'PIPELINE_INVALID', field: 'machine.work' }),
    );
    expect(() => checkMachine(machine)).toThrow(what);
  });

  it('PIPELINE_INVALID for parallel and history states', () => {
    expect(() => checkMachine(machineWith({ work: { type: 'parallel', states: { a: {}, b: {} } } }))).toThrow(
      'parallel',
    );
    expect(() => checkMachine(machineWith({ work: { type: 'history' } }))).toThrow('history');
  });

  it('PIPELINE_INVALID names the machine itself when its root is at fault', () => {
    expect(() => checkMachine(machineWith({}, { invoke: { src: 'x' } }))).toThrow(
      expect.objectContaining({ code: 'PIPELINE_INVALID', field: 'machine' }),
    );
  });
});
