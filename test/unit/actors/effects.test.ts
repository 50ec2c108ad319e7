import { describe, expect, it } from 'vitest';
import { effectsBetween } from '../../../src/actors/effects.ts';
import { a, aTask, type TaskInTest } from '../../support/a-task.ts';

/** What a new owner does for a task that it takes over. */
function effectsForOwner(task: TaskInTest, hasLookup = false) {
  return effectsBetween(null, task.known, hasLookup);
}

describe('the effects that a new owner derives from a state', () => {
  it('R-CORE-3: are what the task needs to go on', () => {
    const backingOff = aTask().backingOff('photos');
    expect(effectsForOwner(aTask().queued('photos'))).toEqual([{ type: 'slot.await', stage: 'photos' }]);
    expect(effectsForOwner(backingOff)).toEqual([{ type: 'timer.set', dueAt: backingOff.dueAt }]);
    expect(effectsForOwner(aTask().running('photos', { attempt: 2 }))).toEqual([
      { type: 'stage.start', stage: 'photos', attempt: 2 },
    ]);
    expect(effectsForOwner(aTask().unknown('announce'), true)).toEqual([
      { type: 'lookup.start', stage: 'announce', attempt: 1 },
    ]);
  });

  it.each([
    ['held', () => aTask().held('photos')],
    ['parked for an operator', () => aTask().unknown('publish')],
    ['dead-lettered', () => aTask().deadLettered('photos')],
    ['completed', () => aTask().completed()],
    ['canceled', () => aTask().canceled()],
  ])('R-IDEM-3: are none for a task that is %s', (_what, come) => {
    expect(effectsForOwner(come())).toEqual([]);
  });

  it.each([
    ['queued', () => aTask().running('parse'), a.completion('parse'), { mayStart: () => false }],
    ['running', () => aTask().running('parse'), a.completion('parse'), {}],
    ['backing off', () => aTask().running('parse'), a.failing('parse'), {}],
    ['asked about', () => aTask().running('announce'), a.ownerChange(), {}],
    ['completed', () => aTask().running('announce'), a.completion('announce'), {}],
  ])('R-CORE-3: are those of the record that led there, when it is %s', (_what, come, message, fields) => {
    const task = come();
    const { effects } = task.send(message, fields);
    expect(effectsForOwner(task, true)).toEqual(effects);
  });
});

describe('the effects between two states', () => {
  it('are none when nothing outside is needed: a checkpoint, a pause that is asked, an answer that knows nothing', () => {
    const running = aTask().running('photos');
    expect(running.send(a.checkpoint('photos')).effects).toEqual([]);
    expect(running.send(a.pause()).effects).toEqual([]);
    expect(running.send(a.resume()).effects).toEqual([]);
  });

  it('leave the line when a queued task is held, canceled or put aside, and not when it starts', () => {
    expect(aTask().queued('photos').send(a.pause()).effects).toEqual([{ type: 'slot.leave' }]);
    expect(aTask().queued('photos').send(a.cancel()).effects).toEqual([{ type: 'slot.leave' }]);
    expect(aTask().queued('photos').send(a.quarantine()).effects).toEqual([{ type: 'slot.leave' }]);
    expect(aTask().queued('photos').send(a.grant('photos')).effects).toEqual([
      { type: 'stage.start', stage: 'photos', attempt: 1 },
    ]);
  });
});
