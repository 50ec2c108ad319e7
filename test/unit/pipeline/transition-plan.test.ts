import { describe, expect, it } from 'vitest';
import { createMachine } from 'xstate';
import { InvariantViolation } from '../../../src/core/errors.ts';
import { buildMachine } from '../../../src/pipeline/machine.ts';
import { planOf, selectTransition } from '../../../src/pipeline/transition-plan.ts';
import { aControl, an, cardPipeline } from './card-pipeline.ts';

function planWith(submitted: object) {
  return planOf(
    createMachine({
      initial: 'new',
      states: { new: { on: { 'task.submitted': submitted } }, completed: { type: 'final' } },
    } as never) as never,
  );
}

describe('planOf', () => {
  it('knows of each state which stage it belongs to and what it is', () => {
    const facts = ['new', 'photos.running', 'deadLettered.photos', 'canceled'].map((value) => {
      const node = cardPipeline.plan.nodes.get(value);
      return [node?.value, node?.stage, node?.status];
    });
    expect(facts).toEqual([
      ['new', null, 'new'],
      ['photos.running', 'photos', 'running'],
      ['deadLettered.photos', 'photos', 'deadLettered'],
      ['canceled', null, 'canceled'],
    ]);
  });

  it("asks a state's own transitions before its parent's, as XState does", () => {
    const machine = createMachine({
      initial: 'a',
      states: {
        a: {
          initial: 'b',
          on: { 'task.canceled': 'parents', 'retry.due': 'parents' },
          states: { b: { on: { 'task.canceled': '#own' } } },
        },
        own: { id: 'own' },
        parents: {},
      },
    });
    const { initial } = planOf(machine as never);
    expect(initial.value).toBe('a.b');
    expect(selectTransition(initial, aControl(), an.cancel(), 1)?.target.value).toBe('own');
    expect(selectTransition(initial, aControl(), an.due('a', 1), 1)?.target.value).toBe('parents');
    expect(selectTransition(initial, aControl(), an.pause(), 1)).toBeNull();
  });

  it('a guard or an assignment that does not exist is an InvariantViolation that names it', () => {
    const guarded = { target: 'completed', guard: { type: 'isFullMoon' } };
    expect(() => planWith(guarded)).toThrow(InvariantViolation);
    expect(() => planWith(guarded)).toThrow('there is no guard isFullMoon');
    const acting = { target: 'completed', actions: [{ type: 'toString' }] };
    expect(() => planWith(acting)).toThrow('there is no assignment toString');
  });
});

describe('buildMachine', () => {
  it('without stages is an InvariantViolation', () => {
    expect(() => buildMachine('card' as never, 1, [])).toThrow(new InvariantViolation('pipeline card has no stages'));
  });
});
