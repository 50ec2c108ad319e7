import { describe, expect, it } from 'vitest';
import { explainTask, type ExplainedTask } from '../../../src/projections/explain-task.ts';

function aTask(changes: Partial<ExplainedTask>): ExplainedTask {
  const task = {
    taskId: 't-1',
    shard: 3,
    state: 'print.running',
    status: 'running',
    stage: 'print',
    attempt: 2,
    dueAt: null,
    pausing: false,
    legalCommands: [],
    failure: null,
  };
  return { ...task, ...changes } as ExplainedTask;
}

const stage = { concurrency: 4, port: 'printer', timeoutMs: 1_000 };
const now = 10_000;

describe('why a task stands where it stands', () => {
  it('says the driver that works on it, and that nobody can tell when it ends', () => {
    expect(explainTask(aTask({}), { now, hasOwner: true, stage })).toMatchObject({
      sentence: 'The driver of stage print works on attempt 2.',
      holds: [{ kind: 'driver', timeoutMs: 1_000 }],
      movers: ['driver'],
      movesAt: null,
    });
  });

  it('says when a backoff is over, which an operator may cut short where that is legal', () => {
    const task = aTask({ status: 'backingOff', state: 'print.backingOff', dueAt: 14_500, legalCommands: ['cancel'] });
    expect(explainTask(task, { now, hasOwner: true, stage })).toMatchObject({
      sentence: 'Stage print failed at attempt 2 and goes on in 5 s.',
      holds: [{ kind: 'timer', dueAt: 14_500 }],
      movers: ['itself', 'operator'],
      movesAt: 14_500,
    });
  });

  it('never says that it moves in the past', () => {
    const task = aTask({ status: 'backingOff', dueAt: 9_000 });
    expect(explainTask(task, { now, hasOwner: true })).toMatchObject({
      movesAt: now,
      sentence: expect.stringContaining('in 0 s'),
    });
  });

  it('says the limit, and the breaker of the stage’s integration, which keep a queued stage for nobody knows how long', () => {
    const task = aTask({ status: 'queued', state: 'print.queued' });
    expect(explainTask(task, { now, hasOwner: true, stage })).toMatchObject({
      holds: [{ kind: 'limit', concurrency: 4 }],
      movers: ['itself'],
      movesAt: null,
    });
    const broken = { now, hasOwner: true, stage, openBreakers: new Set(['printer']) };
    expect(explainTask(task, broken).holds).toEqual([
      { kind: 'limit', concurrency: 4 },
      { kind: 'breaker', port: 'printer' },
    ]);
    const backing = aTask({ status: 'backingOff', dueAt: 20_000 });
    expect(explainTask(backing, broken)).toMatchObject({ movers: ['itself'], movesAt: null });
    expect(explainTask(aTask({}), broken).holds).toHaveLength(1);
  });

  it('says a pause, and one that is only asked for', () => {
    const held = aTask({ status: 'held', state: 'print.held', legalCommands: ['resume', 'cancel'] });
    expect(explainTask(held, { now, hasOwner: true })).toMatchObject({
      holds: [{ kind: 'pause', isPending: false }],
      movers: ['operator'],
    });
    const asked = aTask({ pausing: true });
    expect(explainTask(asked, { now, hasOwner: true })).toMatchObject({
      holds: [{ kind: 'driver' }, { kind: 'pause', isPending: true }],
      movers: ['driver'],
      sentence: expect.stringContaining('An operator has asked for a pause'),
    });
  });

  it('says that only an operator can move an unknown outcome or a dead letter', () => {
    const unknown = aTask({ status: 'unknown', state: 'print.unknown', legalCommands: ['resolve'] });
    expect(explainTask(unknown, { now, hasOwner: true })).toMatchObject({
      holds: [{ kind: 'unknownOutcome' }],
      movers: ['operator'],
      movesAt: null,
    });
    const dead = aTask({
      status: 'deadLettered',
      failure: { class: 'fatal', code: 'PAPER' },
      legalCommands: ['redrive'],
    });
    expect(explainTask(dead, { now, hasOwner: true })).toMatchObject({
      sentence: 'Stage print was given up (PAPER); an operator can redrive it.',
      movers: ['operator'],
    });
  });

  it('says first that nobody serves the shard', () => {
    const task = aTask({ status: 'backingOff', dueAt: 20_000 });
    expect(explainTask(task, { now, hasOwner: false })).toMatchObject({
      sentence: 'Nobody serves shard 3 now; a node takes it over by itself.',
      holds: [{ kind: 'noOwner' }, { kind: 'timer' }],
      movers: ['cluster', 'itself'],
      movesAt: null,
    });
  });

  it.each([
    ['completed', 'The task has completed.'],
    ['canceled', 'The task was canceled.'],
  ] as const)('says that nobody moves a task that is %s', (status, sentence) => {
    const task = aTask({ status, state: status, stage: null });
    expect(explainTask(task, { now, hasOwner: true })).toMatchObject({
      sentence,
      holds: [{ kind: 'ended' }],
      movers: ['nobody'],
      movesAt: null,
    });
  });
});
