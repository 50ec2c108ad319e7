import { describe, expect, it } from 'vitest';
import { attemptsUsed, type StageControl } from '../../../src/pipeline/control.ts';
import type { TaskEvent } from '../../../src/core/records.ts';
import { initialStep, restore, step, type StepResult } from '../../../src/pipeline/machine-step.ts';
import { aControl, an, cardPipeline, onTo } from './card-pipeline.ts';

const now = 2_000;

function after(value: string, control: StageControl, event: TaskEvent): StepResult {
  return step(cardPipeline, restore(cardPipeline, value, control), event, now);
}

function expectMove(result: StepResult, value: string, control: StageControl): void {
  if (result.kind === 'refused') expect.fail(`refused: ${result.reason}`);
  expect({ value: result.state.value, control: result.state.control }).toEqual({ value, control });
}

const entered = (attempt: number): StageControl => aControl({ attempt, enteredAt: now });

describe('R-STAGE-1: a task goes through the stages in their order', () => {
  it('from new to completed, a stage taking over the slot of the one before', () => {
    const events = [
      an.submit(onTo('parse', { start: true })),
      an.completion('parse', 1, onTo('photos', { start: true })),
      an.completion('photos', 1, onTo('publish', { start: true })),
      an.completion('publish', 1, onTo('export', { start: true })),
      an.completion('export', 1, onTo(null)),
    ];
    const values = ['parse.running', 'photos.running', 'publish.running', 'export.running', 'completed'];
    let state = initialStep(cardPipeline);
    expect(state.value).toBe('new');
    events.forEach((event, index) => {
      const result = step(cardPipeline, state, event, index);
      if (result.kind === 'refused') expect.fail(result.reason);
      ({ state } = result);
      expect(state.value).toBe(values[index]);
    });
    expect(state.control).toEqual(aControl({ attempt: 1, enteredAt: 3 }));
  });

  it('a stage that gets no slot queues, and starts with its next attempt', () => {
    const unborn = aControl({ enteredAt: 0 });
    expectMove(after('new', unborn, an.submit(onTo('parse'))), 'parse.queued', entered(0));
    expectMove(after('parse.queued', aControl(), an.start('parse', 1)), 'parse.running', aControl({ attempt: 1 }));
    expectMove(
      after('parse.running', aControl({ attempt: 3, interruptions: 1 }), an.completion('parse', 3, onTo('photos'))),
      'photos.queued',
      entered(0),
    );
  });

  it('a checkpoint leaves the stage running', () => {
    const control = aControl({ attempt: 2 });
    expectMove(after('photos.running', control, an.checkpoint('photos', 2)), 'photos.running', control);
  });
});

describe('R-STAGE-2: a stage is passed over only where the definition says so', () => {
  it('the stage with a declared skip is passed over when the record names it', () => {
    const result = after(
      'parse.running',
      aControl({ attempt: 1 }),
      an.completion('parse', 1, onTo('publish', { start: true, skipped: ['photos'] })),
    );
    expectMove(result, 'publish.running', entered(1));
  });

  it('a skipped last stage ends the task', () => {
    const result = after(
      'publish.running',
      aControl({ attempt: 1, pausing: true }),
      an.completion('publish', 1, onTo(null, { skipped: ['export'] })),
    );
    expectMove(result, 'completed', aControl({ attempt: 1 }));
  });

  it.each([
    ['new', an.submit(onTo('photos')), 'no way from new to photos is declared'],
    ['new', an.submit(onTo(null)), 'no way from new to the end is declared'],
    ['parse.running', an.completion('parse', 1, onTo('export')), 'no way from parse to export is declared'],
    ['parse.running', an.completion('parse', 1, onTo('parse')), 'no way from parse to parse is declared'],
    ['parse.running', an.completion('parse', 1, onTo(null)), 'no way from parse to the end is declared'],
    [
      'parse.running',
      an.completion('parse', 1, onTo('publish')),
      'the way from parse to publish skips photos, not nothing',
    ],
    [
      'parse.running',
      an.completion('parse', 1, onTo('photos', { skipped: ['photos'] })),
      'the way from parse to photos skips nothing, not photos',
    ],
    [
      'publish.running',
      an.completion('publish', 1, onTo(null, { skipped: ['photos'] })),
      'the way from publish to the end skips export, not photos',
    ],
  ])('in %s another way on is refused: %o', (value, event, reason) => {
    expect(after(value, aControl({ attempt: 1 }), event)).toEqual({ kind: 'refused', reason });
  });
});

describe('a failed attempt', () => {
  it('backs off until the recorded instant, and its retry starts or queues', () => {
    const waiting = aControl({ attempt: 1, dueAt: 5_000 });
    expectMove(after('parse.running', aControl({ attempt: 1 }), an.retry('parse', 1)), 'parse.backingOff', waiting);
    expectMove(after('parse.backingOff', waiting, an.due('parse', 2, true)), 'parse.running', aControl({ attempt: 2 }));
    expectMove(after('parse.backingOff', waiting, an.due('parse', 2)), 'parse.queued', aControl({ attempt: 1 }));
  });

  it('is held, with its due time, when a pause was asked', () => {
    const control = aControl({ attempt: 1, pausing: true });
    const held = aControl({ attempt: 1, dueAt: 5_000 });
    expectMove(after('parse.running', control, an.retry('parse', 1)), 'parse.held', held);
  });

  it('dead-letters the task in its stage when it is given up', () => {
    const control = aControl({ attempt: 2, pausing: true });
    expectMove(after('parse.running', control, an.giveUp('parse', 2)), 'deadLettered.parse', aControl({ attempt: 2 }));
  });

  it.each([
    ['parse.backingOff', an.due('parse', 1, true), 'attempt 1 is not the next one (2)'],
    ['parse.backingOff', an.due('photos', 2), 'stage photos is not the current one (parse)'],
    ['parse.held', an.due('parse', 2), 'no retry is waiting'],
  ])('in %s a retry that is not the next is refused: %o', (value, event, reason) => {
    expect(after(value, aControl({ attempt: 1, dueAt: 5_000 }), event)).toEqual({ kind: 'refused', reason });
  });

  it('of another attempt is a straggler, refused', () => {
    expect(after('parse.running', aControl({ attempt: 3 }), an.retry('parse', 2))).toEqual({
      kind: 'refused',
      reason: 'attempt 2 is not the current one (3)',
    });
  });
});

describe('a pause', () => {
  it('holds a queued stage at once, and a resume queues it again', () => {
    expectMove(after('photos.queued', aControl(), an.pause()), 'photos.held', aControl());
    expectMove(after('photos.held', aControl(), an.resume()), 'photos.queued', aControl());
  });

  it('of a running stage takes hold before the next start, even of one that has its slot', () => {
    const pausing = aControl({ attempt: 1, pausing: true });
    expectMove(after('parse.running', aControl({ attempt: 1 }), an.pause()), 'parse.running', pausing);
    const completion = an.completion('parse', 1, onTo('photos', { start: true }));
    expectMove(after('parse.running', pausing, completion), 'photos.held', entered(0));
    expectMove(after('parse.running', pausing, an.resume()), 'parse.running', aControl({ attempt: 1 }));
  });

  it('keeps the due time of a backoff: a resume before it waits on, a later one queues', () => {
    const early = aControl({ attempt: 1, dueAt: now + 1 });
    const late = aControl({ attempt: 1, dueAt: now });
    expectMove(after('photos.backingOff', early, an.pause()), 'photos.held', early);
    expectMove(after('photos.held', early, an.resume()), 'photos.backingOff', early);
    expectMove(after('photos.held', late, an.resume()), 'photos.queued', aControl({ attempt: 1 }));
  });

  it.each([
    ['photos.running', aControl({ attempt: 1, pausing: true }), an.pause(), 'a pause was asked already'],
    ['photos.held', aControl(), an.pause(), 'the task is paused already'],
    ['photos.unknown', aControl({ attempt: 1 }), an.pause(), 'the outcome of photos is unknown; resolve it first'],
    ['photos.queued', aControl(), an.resume(), 'the task is not paused'],
    ['photos.running', aControl({ attempt: 1 }), an.resume(), 'the task is not paused'],
  ])('in %s with %o is refused: %o', (value, control, event, reason) => {
    expect(after(value, control, event)).toEqual({ kind: 'refused', reason });
  });
});

describe('an interruption', () => {
  const running = aControl({ attempt: 1 });
  const interrupted = aControl({ attempt: 1, interruptions: 1 });

  it('queues the stage again and does not use up an attempt', () => {
    expectMove(after('photos.running', running, an.ownerChange('photos', 1, 'rerun')), 'photos.queued', interrupted);
    // Two attempts are allowed; three were started, one of which was interrupted.
    const third = aControl({ attempt: 2, interruptions: 1 });
    expectMove(
      after('photos.running', third, an.retry('photos', 2)),
      'photos.backingOff',
      aControl({ attempt: 2, interruptions: 1, dueAt: 5_000 }),
    );
  });

  it('is held when a pause was asked', () => {
    const control = aControl({ attempt: 1, pausing: true });
    expectMove(after('photos.running', control, an.ownerChange('photos', 1, 'rerun')), 'photos.held', interrupted);
  });

  it('parks the stage for a lookup or an operator, and stays parked under the next owner', () => {
    expectMove(
      after('publish.running', running, an.ownerChange('publish', 1, 'lookup')),
      'publish.unknown',
      interrupted,
    );
    expectMove(after('publish.running', running, an.ownerChange('publish', 1, 'park')), 'publish.unknown', interrupted);
    expectMove(
      after('publish.unknown', interrupted, an.ownerChange('publish', 1, 'park')),
      'publish.unknown',
      interrupted,
    );
  });

  it('dead-letters the stage that kills its owners', () => {
    expectMove(
      after('photos.running', running, an.ownerChange('photos', 1, 'deadLetter')),
      'deadLettered.photos',
      interrupted,
    );
  });

  it.each([
    ['photos.queued', an.ownerChange('photos', 1, 'rerun'), 'no stage was running'],
    ['photos.unknown', an.ownerChange('photos', 1, 'rerun'), 'the outcome of photos is unknown already'],
    ['photos.unknown', an.ownerChange('photos', 1, 'deadLetter'), 'the outcome of photos is unknown already'],
    ['photos.running', an.ownerChange('photos', 2, 'rerun'), 'attempt 2 is not the current one (1)'],
    ['photos.running', an.ownerChange('parse', 1, 'park'), 'stage parse is not the current one (photos)'],
  ])('in %s is refused: %o', (value, event, reason) => {
    expect(after(value, aControl({ attempt: 1 }), event)).toEqual({ kind: 'refused', reason });
  });

  it('is held against the stage until a probation has cleared it, and a clearance without one is refused', () => {
    const cleared = aControl({ attempt: 1, interruptions: 1, clearances: 1 });
    expectMove(after('photos.running', interrupted, an.clearance('photos', 1)), 'photos.running', cleared);
    expect(after('photos.running', cleared, an.clearance('photos', 1))).toEqual({
      kind: 'refused',
      reason: 'nothing is held against the stage',
    });
    expect(after('photos.queued', interrupted, an.clearance('photos', 1))).toMatchObject({
      reason: 'no stage is running',
    });
  });

  it('beyond the limit of interruptions is refused unless it dead-letters', () => {
    const worn = aControl({ attempt: 1_001, interruptions: 1_000 });
    expect(after('photos.running', worn, an.ownerChange('photos', 1_001, 'rerun'))).toEqual({
      kind: 'refused',
      reason: 'all 1000 interruptions are used up',
    });
    expect(after('photos.running', worn, an.ownerChange('photos', 1_001, 'deadLetter')).kind).toBe('moved');
  });
});

describe('a release at a handover', () => {
  const running = aControl({ attempt: 1 });
  const released = aControl({ attempt: 1, handovers: 1 });

  it('R-RETRY-2: queues, holds or parks the stage, and uses up neither an attempt nor an interruption', () => {
    expectMove(after('photos.running', running, an.release('photos', 1, 'rerun')), 'photos.queued', released);
    const pausing = aControl({ attempt: 1, pausing: true });
    expectMove(after('photos.running', pausing, an.release('photos', 1, 'rerun')), 'photos.held', released);
    for (const kind of ['lookup', 'park'] as const) {
      expectMove(after('publish.running', running, an.release('publish', 1, kind)), 'publish.unknown', released);
    }
    expect(attemptsUsed(released)).toBe(0);
  });

  it.each([
    ['photos.queued', running, an.release('photos', 1, 'rerun'), 'no stage is running'],
    ['photos.running', running, an.release('photos', 2, 'rerun'), 'attempt 2 is not the current one (1)'],
    [
      'photos.running',
      aControl({ attempt: 10_001, handovers: 10_000 }),
      an.release('photos', 10_001, 'rerun'),
      'all 10000 handovers are used up',
    ],
  ])('in %s with %o is refused: %o', (value, control, event, reason) => {
    expect(after(value, control, event)).toEqual({ kind: 'refused', reason });
  });
});

describe('an unknown outcome', () => {
  const parked = aControl({ attempt: 2, interruptions: 1 });
  const pausing = aControl({ attempt: 2, interruptions: 1, pausing: true });

  it('that turns out completed goes on as a completion does', () => {
    const completed = an.resolveCompleted('publish', 2, onTo('export', { start: true }));
    expectMove(after('publish.unknown', parked, completed), 'export.running', entered(1));
    expectMove(after('publish.unknown', pausing, completed), 'export.held', entered(0));
    const last = an.resolveCompleted('publish', 2, onTo(null, { skipped: ['export'] }));
    expectMove(after('publish.unknown', parked, last), 'completed', parked);
  });

  it('that turns out not done runs again, or is held when a pause was asked', () => {
    expectMove(after('publish.unknown', parked, an.resolve('publish', 2, 'notDone')), 'publish.queued', parked);
    expectMove(after('publish.unknown', pausing, an.resolve('publish', 2, 'notDone')), 'publish.held', parked);
  });

  it('that stays unknown stays parked', () => {
    expectMove(after('publish.unknown', parked, an.resolve('publish', 2, 'unknown')), 'publish.unknown', parked);
  });

  it('that an operator gives up is dead-lettered', () => {
    expectMove(after('publish.unknown', pausing, an.resolve('publish', 2, 'failed')), 'deadLettered.publish', parked);
  });

  it('can be redriven with a fresh budget', () => {
    const redriven = aControl({ attempt: 2, attemptBase: 2, enteredAt: now });
    expectMove(after('publish.unknown', pausing, an.redrive()), 'publish.queued', redriven);
  });

  it('cannot be resolved into a way that is not declared', () => {
    expect(after('publish.unknown', parked, an.resolveCompleted('publish', 2, onTo('parse')))).toEqual({
      kind: 'refused',
      reason: 'no way from publish to parse is declared',
    });
  });

  it.each([
    [an.resolve('publish', 1, 'notDone'), 'attempt 1 is not the current one (2)'],
    [an.resolveCompleted('publish', 3, onTo('export')), 'attempt 3 is not the current one (2)'],
    [an.resolve('photos', 2, 'unknown'), 'stage photos is not the current one (publish)'],
    [an.ownerChange('publish', 1, 'park'), 'attempt 1 is not the current one (2)'],
  ])('of another attempt is refused: %o', (event, reason) => {
    expect(after('publish.unknown', parked, event)).toEqual({ kind: 'refused', reason });
  });

  it('is the only state that takes a resolution', () => {
    expect(after('publish.running', aControl({ attempt: 1 }), an.resolve('publish', 1, 'notDone'))).toEqual({
      kind: 'refused',
      reason: 'no outcome is unknown',
    });
  });
});

describe('a dead letter', () => {
  it('leaves only by a redrive, to the stage that failed, with a fresh budget and the attempt numbers going on', () => {
    const dead = aControl({ attempt: 2, attemptBase: 0, interruptions: 1 });
    const redriven = aControl({ attempt: 2, attemptBase: 2, enteredAt: now });
    expectMove(after('deadLettered.photos', dead, an.redrive()), 'photos.queued', redriven);
    expectMove(after('photos.queued', redriven, an.start('photos', 3)), 'photos.running', { ...redriven, attempt: 3 });
    expectMove(after('photos.running', { ...redriven, attempt: 3 }, an.retry('photos', 3)), 'photos.backingOff', {
      ...redriven,
      attempt: 3,
      dueAt: 5_000,
    });
  });

  it('is made by a quarantine from every state of a stage', () => {
    for (const state of ['queued', 'running', 'backingOff', 'held', 'unknown']) {
      const control = aControl({ attempt: 1, dueAt: 9_000, pausing: true });
      expectMove(after(`export.${state}`, control, an.quarantine()), 'deadLettered.export', aControl({ attempt: 1 }));
    }
  });

  it('refuses everything else', () => {
    expect(after('deadLettered.photos', aControl(), an.cancel())).toEqual({
      kind: 'refused',
      reason: 'the task is dead-lettered in photos; only a redrive sends it back to work',
    });
  });
});

describe('a cancellation', () => {
  it('ends the task from every state of a stage', () => {
    for (const state of ['queued', 'running', 'backingOff', 'held', 'unknown']) {
      const control = aControl({ attempt: 1, dueAt: 9_000, pausing: true });
      expectMove(after(`parse.${state}`, control, an.cancel()), 'canceled', aControl({ attempt: 1 }));
    }
  });

  it.each([
    ['new', 'the task was not submitted yet'],
    ['completed', 'the task has completed'],
    ['canceled', 'the task was canceled'],
  ])('is refused in %s', (value, reason) => {
    expect(after(value, aControl(), an.cancel())).toEqual({ kind: 'refused', reason });
  });
});
