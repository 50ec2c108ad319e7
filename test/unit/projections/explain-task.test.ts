import { describe, expect, it } from 'vitest';
import type { StageWait, TaskOutlook } from '../../../src/core/task-outlook.ts';
import { explainTask } from '../../../src/projections/explain-task.ts';
import type { ExplainedTask } from '../../../src/projections/task-hold.ts';

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

function outlookWith(changes: Partial<TaskOutlook>): TaskOutlook {
  const stage = { concurrency: 4, port: 'printer', timeoutMs: 1_000 };
  return { stage, legalEvents: [], waits: [], lookup: 'none', ...changes } as TaskOutlook;
}

function queued(...waits: readonly object[]): ExplainedTask {
  const outlook = outlookWith({ waits: waits as readonly StageWait[] });
  return aTask({ status: 'queued', state: 'print.queued', outlook });
}

const stage = { concurrency: 4, port: 'printer', timeoutMs: 1_000 };
const now = 10_000;
const byOwner = { now, source: 'owner', stage } as const;

describe('why a task stands where it stands', () => {
  it('says the driver that works on it, and that nobody can tell when it ends', () => {
    expect(explainTask(aTask({}), byOwner)).toMatchObject({
      sentence: 'The driver of stage print works on attempt 2.',
      source: 'owner',
      holds: [{ kind: 'driver', timeoutMs: 1_000 }],
      movers: ['driver'],
      movesAt: null,
    });
  });

  it('says when a backoff is over, which an operator may cut short where that is legal', () => {
    const task = aTask({ status: 'backingOff', state: 'print.backingOff', dueAt: 14_500, legalCommands: ['cancel'] });
    expect(explainTask(task, byOwner)).toMatchObject({
      sentence: 'Stage print failed at attempt 2 and goes on in 5 s.',
      holds: [{ kind: 'timer', dueAt: 14_500 }],
      movers: ['itself', 'operator'],
      movesAt: 14_500,
    });
  });

  it('never says that it moves in the past', () => {
    const task = aTask({ status: 'backingOff', dueAt: 9_000 });
    expect(explainTask(task, byOwner)).toMatchObject({
      movesAt: now,
      sentence: expect.stringContaining('in 0 s') as string,
    });
  });

  it('says of a limit whether it is the stage’s own or its node’s, and how far it is used', () => {
    expect(explainTask(queued({ kind: 'stageLimit', running: 4, limit: 4 }), byOwner)).toMatchObject({
      sentence: 'Stage print waits for a free slot: 4 of it run on its node, and 4 may.',
      holds: [{ kind: 'limit', of: 'stage', concurrency: 4, running: 4, limit: 4 }],
      movers: ['itself'],
      movesAt: null,
    });
    const both = queued({ kind: 'stageLimit', running: 4, limit: 4 }, { kind: 'nodeLimit', running: 256, limit: 256 });
    expect(explainTask(both, byOwner)).toMatchObject({
      holds: [{ of: 'stage' }, { of: 'node', running: 256, limit: 256 }],
      sentence: expect.stringContaining('Besides, stage print waits for a free slot: its node runs 256') as string,
    });
  });

  it('says of an owner that does not tell only that there is a limit', () => {
    expect(explainTask(aTask({ status: 'queued', state: 'print.queued' }), byOwner)).toMatchObject({
      sentence: 'Stage print waits for a free slot.',
      holds: [{ kind: 'limit', of: null, concurrency: 4, running: null, limit: null }],
    });
  });

  it('says that a port fails, and when one attempt tries it, which is when it moves at the earliest', () => {
    expect(explainTask(queued({ kind: 'breaker', port: 'printer', probeAt: 14_000 }), byOwner)).toMatchObject({
      sentence: 'Stage print is held back: its integration printer fails, and one attempt tries it in 4 s.',
      holds: [{ kind: 'breaker', port: 'printer', probeAt: 14_000 }],
      movers: ['itself'],
      movesAt: 14_000,
    });
    expect(explainTask(queued({ kind: 'breaker', port: 'printer', probeAt: null }), byOwner)).toMatchObject({
      sentence: expect.stringContaining('one attempt tries it now') as string,
      movesAt: null,
    });
  });

  it('waits for the later of a backoff and a probe', () => {
    const waits = [{ kind: 'breaker', port: 'printer', probeAt: 30_000 }] as unknown as readonly StageWait[];
    const task = aTask({ status: 'backingOff', dueAt: 20_000, outlook: outlookWith({ waits }) });
    expect(explainTask(task, byOwner)).toMatchObject({
      holds: [{ kind: 'timer' }, { kind: 'breaker' }],
      movers: ['itself'],
      movesAt: 30_000,
      sentence: expect.stringContaining('goes on in 10 s. Besides, its integration printer fails') as string,
    });
  });

  it('says that a suspect starts apart from others, and nobody can tell when', () => {
    expect(explainTask(queued({ kind: 'suspect', losses: 2, isAlone: false }), byOwner)).toMatchObject({
      sentence:
        'Stage print ran at 2 losses of its node, so it starts when the suspect before it has passed its probation.',
      holds: [{ kind: 'suspect', losses: 2, isAlone: false }],
      movers: ['itself'],
      movesAt: null,
    });
    const alone = explainTask(queued({ kind: 'suspect', losses: 5, isAlone: true }), byOwner);
    expect(alone.sentence).toContain('when no other suspect runs');
  });

  it('says that nothing is in its way but its turn, also while its start is on its way', () => {
    const turn = { holds: [{ kind: 'turn' }], movers: ['itself'], movesAt: now };
    expect(explainTask(queued({ kind: 'turn' }), byOwner)).toMatchObject(turn);
    expect(explainTask(queued(), byOwner)).toMatchObject(turn);
  });

  it('says that its shard is handed over, and that the cluster moves it', () => {
    expect(explainTask(queued({ kind: 'handover' }), byOwner)).toMatchObject({
      sentence: 'Shard 3 is handed over; its next owner starts stage print.',
      movers: ['cluster'],
      movesAt: null,
    });
  });

  it('says a pause, and one that is only asked for', () => {
    const held = aTask({ status: 'held', state: 'print.held', legalCommands: ['resume', 'cancel'] });
    expect(explainTask(held, byOwner)).toMatchObject({
      holds: [{ kind: 'pause', isPending: false }],
      movers: ['operator'],
    });
    expect(explainTask(aTask({ pausing: true }), byOwner)).toMatchObject({
      holds: [{ kind: 'driver' }, { kind: 'pause', isPending: true }],
      movers: ['driver'],
      sentence: expect.stringContaining('An operator has asked for a pause') as string,
    });
  });

  it('says of an unknown outcome who can tell: its driver while it is asked, else only an operator', () => {
    const unknown = (lookup?: TaskOutlook['lookup']): ExplainedTask =>
      aTask({
        status: 'unknown',
        state: 'print.unknown',
        legalCommands: ['resolve'],
        ...(lookup === undefined ? {} : { outlook: outlookWith({ lookup }) }),
      });
    const operator = { movers: ['operator'], sentence: expect.stringContaining('an operator must say') as string };
    expect(explainTask(unknown(), byOwner)).toMatchObject({ ...operator, holds: [{ lookup: null }] });
    expect(explainTask(unknown('none'), byOwner)).toMatchObject({ ...operator, holds: [{ lookup: 'none' }] });
    expect(explainTask(unknown('asking'), byOwner)).toMatchObject({
      movers: ['driver', 'operator'],
      sentence: expect.stringContaining('its driver is being asked') as string,
    });
    expect(explainTask(unknown('inLine'), byOwner).sentence).toContain('may be what ends nodes');
  });

  it('says that only an operator can move a dead letter', () => {
    const failure = { class: 'fatal', code: 'PAPER' };
    const dead = aTask({ status: 'deadLettered', failure, legalCommands: ['redrive'] });
    expect(explainTask(dead, byOwner)).toMatchObject({
      sentence: 'Stage print was given up (PAPER); an operator can redrive it.',
      movers: ['operator'],
    });
  });

  it('says first that nobody serves the shard, and what the cluster says of it', () => {
    const task = aTask({ status: 'backingOff', dueAt: 20_000 });
    const unseen = { now, source: 'journal', absence: { expected: null, why: null } } as const;
    expect(explainTask(task, unseen)).toMatchObject({
      sentence: 'Nobody serves shard 3 now; a node takes it over by itself.',
      source: 'journal',
      holds: [{ kind: 'noOwner' }, { kind: 'timer' }],
      movers: ['cluster', 'itself'],
      movesAt: null,
    });
    const seen = explainTask(task, { ...unseen, absence: { expected: 'n-2' as never, why: 'n-1 is down' } });
    expect(seen.sentence).toContain('(node n-2 should have it; n-1 is down)');
  });

  it.each([
    ['completed', 'The task has completed.'],
    ['canceled', 'The task was canceled.'],
  ] as const)('says that nobody moves a task that is %s', (status, sentence) => {
    const task = aTask({ status, state: status, stage: null });
    expect(explainTask(task, byOwner)).toMatchObject({
      sentence,
      holds: [{ kind: 'ended' }],
      movers: ['nobody'],
      movesAt: null,
      moves: [],
    });
  });
});

describe('the commands that move a task', () => {
  it('are those that are legal, as they are typed, first what lets it go on', () => {
    const held = aTask({ status: 'held', state: 'print.held', legalCommands: ['cancel', 'resume'] });
    expect(explainTask(held, byOwner).moves.map(({ cli }) => cli)).toEqual([
      'cabinet task resume t-1',
      'cabinet task cancel t-1',
    ]);
  });

  it('are three ways to resolve an unknown outcome', () => {
    const unknown = aTask({ status: 'unknown', legalCommands: ['resolve', 'redrive', 'cancel'] });
    expect(explainTask(unknown, byOwner).moves.map(({ cli }) => cli)).toEqual([
      'cabinet task redrive t-1',
      "cabinet task resolve t-1 --completed '<json>'",
      'cabinet task resolve t-1 --not-done',
      "cabinet task resolve t-1 --failed '<why>'",
      'cabinet task cancel t-1',
    ]);
  });
});

describe('the events that a task takes', () => {
  it('are those of its owner, which knows the guards, before those of a definition at hand', () => {
    const told = aTask({ outlook: outlookWith({ legalEvents: ['stage.completed'] }) });
    expect(explainTask(told, { ...byOwner, legalEvents: ['task.paused'] }).legalEvents).toEqual(['stage.completed']);
    expect(explainTask(aTask({}), { ...byOwner, legalEvents: ['task.paused'] }).legalEvents).toEqual(['task.paused']);
    expect(explainTask(aTask({}), byOwner).legalEvents).toEqual([]);
  });
});
