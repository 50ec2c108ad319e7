import { describe, expect, it } from 'vitest';
import { InvariantViolation } from '../../../src/core/errors.ts';
import type { TaskEvent } from '../../../src/core/records.ts';
import { restore, step } from '../../../src/pipeline/machine-step.ts';
import { explainRefusal } from '../../../src/pipeline/refusals.ts';
import { aControl, an, at, cardPipeline, onTo } from './card-pipeline.ts';

function refusal(value: string, event: TaskEvent): string {
  const result = step(cardPipeline, restore(cardPipeline, value, aControl({ attempt: 1 })), event, 2_000);
  return result.kind === 'refused' ? result.reason : `moved to ${result.state.value}`;
}

describe('a refusal', () => {
  it.each([
    ['new', an.start('parse', 1), 'the task was not submitted yet'],
    ['photos.queued', an.submit(onTo('parse')), 'the task was submitted already'],
    ['photos.queued', an.start('parse', 2), 'stage parse is not the current one (photos)'],
    ['photos.queued', an.start('photos', 1), 'attempt 1 is not the next one (2)'],
    ['photos.running', an.start('photos', 2), 'photos runs already, attempt 1'],
    ['photos.held', an.start('photos', 2), 'photos is not queued'],
    ['photos.queued', an.checkpoint('photos', 1), 'no stage is running'],
    ['photos.running', an.checkpoint('parse', 1), 'stage parse is not the current one (photos)'],
    ['photos.running', an.completion('photos', 2, onTo('publish')), 'attempt 2 is not the current one (1)'],
    ['photos.running', an.due('photos', 2), 'no retry is waiting'],
    ['photos.running', an.redrive(), 'only a dead letter or an unknown outcome can be redriven'],
    ['completed', an.redrive(), 'the task has completed'],
    ['canceled', an.resume(), 'the task was canceled'],
  ])('in %s says why %o cannot be: %s', (value, event, reason) => {
    expect(refusal(value, event)).toBe(reason);
  });

  it.each([
    ['photos.running', { type: 'task.teleported' }, 'there is no event task.teleported'],
    ['photos.running', { ...an.retry('photos', 1), decision: { kind: 'hope' } }, 'there is no decision hope'],
    [
      'photos.running',
      { ...an.ownerChange('photos', 1, 'park'), decision: { kind: 'guess' } },
      'there is no decision guess',
    ],
    [
      'photos.unknown',
      { ...an.resolve('photos', 1, 'notDone'), resolution: { kind: 'maybe' } },
      'there is no resolution maybe',
    ],
    ['photos.running', an.completion('photos', 1, onTo('x\u0000')), 'no way from photos to x\\u0000 is declared'],
  ])('in %s is also given to an event that no build of ours writes: %o', (value, event, reason) => {
    expect(refusal(value, event as TaskEvent)).toBe(reason);
  });

  it('of a state of another pipeline says which stage is missing', () => {
    const { node } = restore(cardPipeline, 'photos.running', aControl());
    expect(explainRefusal(node, aControl(), at(1, an.due('photos', 1)), [])).toBe('the pipeline has no stage photos');
  });

  it('of an event that the machine does not take and nothing explains is an InvariantViolation', () => {
    const state = restore(cardPipeline, 'photos.queued', aControl());
    const deaf = { ...state, node: { ...state.node, transitions: new Map() } };
    expect(() => step(cardPipeline, deaf, an.cancel(), 1)).toThrow(InvariantViolation);
    expect(() => step(cardPipeline, deaf, an.cancel(), 1)).toThrow(
      'card neither accepts nor refuses task.canceled in photos.queued',
    );
  });
});
