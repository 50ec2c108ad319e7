import { describe, expect, it } from 'vitest';
import type { Decision } from '../../../src/actors/decide.ts';
import type { ActorMessage } from '../../../src/actors/messages.ts';
import { contentHash } from '../../../src/core/hash.ts';
import { a, aTask, wayAfter, type TaskInTest } from '../../support/a-task.ts';

const places: Readonly<Record<string, () => TaskInTest>> = {
  new: () => aTask(),
  queued: () => aTask().queued('announce'),
  running: () => aTask().running('announce'),
  pausing: () => {
    const task = aTask().running('announce');
    task.send(a.pause('c-early'));
    return task;
  },
  backingOff: () => aTask().backingOff('announce'),
  held: () => aTask().held('announce'),
  unknown: () => aTask().unknown('announce'),
  deadLettered: () => aTask().deadLettered('announce'),
  completed: () => aTask().completed(),
  canceled: () => aTask().canceled(),
};

const messages: Readonly<Record<string, (task: TaskInTest) => ActorMessage>> = {
  submit: () => a.submit(),
  'other submit': () => a.submit({ photos: 4 }),
  pause: () => a.pause('c-new'),
  resume: () => a.resume('c-new'),
  cancel: () => a.cancel('c-new'),
  redrive: () => a.redrive('c-new'),
  'resolve done': () => a.resolve({ kind: 'completed', ...wayAfter('announce') }, 'c-new'),
  'resolve not done': () => a.resolve({ kind: 'notDone' }, 'c-new'),
  'resolve failed': () =>
    a.resolve({ kind: 'failed', failure: { class: 'fatal', code: 'X', name: 'X', message: 'no' } }, 'c-new'),
  grant: () => a.grant('announce'),
  completion: () => a.completion('announce'),
  failing: () => a.failing('announce'),
  checkpoint: () => a.checkpoint('announce'),
  timer: (task) => a.timer(task.state?.machine.control.dueAt ?? 1),
  'lookup done': () => a.lookup('announce', 'done'),
  'lookup not done': () => a.lookup('announce', 'notDone'),
  'lookup unknown': () => a.lookup('announce', 'unknown'),
  'owner change': () => a.ownerChange(),
  quarantine: () => a.quarantine(),
};

/** A decision in a word or two: where it leads, what is answered without a write, or that it was dropped. */
function inShort(decision: Decision): string {
  switch (decision.kind) {
    case 'moved':
      return decision.record.to.replace('announce.', '');
    case 'answered':
      return decision.reply.kind === 'error' ? decision.reply.error.code : decision.reply.kind;
    default:
      return '-';
  }
}

describe('decide', () => {
  it('has one answer for every message in every place of a task', () => {
    const table = Object.entries(messages).map(([message, build]) => {
      const answers = Object.values(places).map((come) => {
        const task = come();
        return inShort(task.decide(build(task)));
      });
      return `${message}: ${answers.join(' ')}`;
    });
    expect(`in: ${Object.keys(places).join(' ')}`).toBe(
      'in: new queued running pausing backingOff held unknown deadLettered completed canceled',
    );
    expect(table).toMatchInlineSnapshot(`
      [
        "submit: parse.running existing existing existing existing existing existing existing existing existing",
        "other submit: parse.running TASK_CONFLICT TASK_CONFLICT TASK_CONFLICT TASK_CONFLICT TASK_CONFLICT TASK_CONFLICT TASK_CONFLICT TASK_CONFLICT TASK_CONFLICT",
        "pause: TASK_NOT_FOUND held running NOT_ALLOWED held NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED",
        "resume: TASK_NOT_FOUND NOT_ALLOWED NOT_ALLOWED running NOT_ALLOWED queued NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED",
        "cancel: TASK_NOT_FOUND canceled canceled canceled canceled canceled canceled NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED",
        "redrive: TASK_NOT_FOUND NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED queued queued NOT_ALLOWED NOT_ALLOWED",
        "resolve done: TASK_NOT_FOUND NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED completed NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED",
        "resolve not done: TASK_NOT_FOUND NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED queued NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED",
        "resolve failed: TASK_NOT_FOUND NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED deadLettered.announce NOT_ALLOWED NOT_ALLOWED NOT_ALLOWED",
        "grant: - running - - - - - - - -",
        "completion: - - completed completed - - - - - -",
        "failing: - - backingOff held - - - - - -",
        "checkpoint: - - running running - - - - - -",
        "timer: - - - - running - - - - -",
        "lookup done: - - - - - - completed - - -",
        "lookup not done: - - - - - - queued - - -",
        "lookup unknown: - - - - - - unknown - - -",
        "owner change: - - unknown unknown - - unknown - - -",
        "quarantine: - deadLettered.announce deadLettered.announce deadLettered.announce deadLettered.announce deadLettered.announce deadLettered.announce - - -",
      ]
    `);
  });

  it('is pure: it changes neither the state nor the message, and says the same again', () => {
    for (const [, come] of Object.entries(places)) {
      const task = come();
      const before = structuredClone({ ...task.state, machine: task.state?.machine.control });
      for (const [, build] of Object.entries(messages)) {
        const message = build(task);
        const { definition: _definition, ...plain } = message as ActorMessage & { definition?: unknown };
        const sent = structuredClone(plain);
        expect(task.decide(message)).toEqual(task.decide(message));
        expect(plain).toEqual(sent);
      }
      expect(structuredClone({ ...task.state, machine: task.state?.machine.control })).toEqual(before);
    }
  });

  it('R-BAN-1: there are no other commands: none chooses a stage, runs a driver or changes data', () => {
    const types = Object.values(messages).map((build) => build(aTask()).type);
    expect([...new Set(types)].filter((type) => type.startsWith('task.'))).toEqual([
      'task.submit',
      'task.pause',
      'task.resume',
      'task.cancel',
      'task.redrive',
      'task.resolve',
    ]);
    expect(() => aTask().decide({ type: 'task.goto', stage: 'publish' } as never)).toThrow(
      expect.objectContaining({ code: 'INTERNAL' }),
    );
  });
});

describe('a submit', () => {
  it('R-JOB-2, R-SUM-1: of a new task is a record with its first start, whose effect is for after the commit', () => {
    const { record, effects, reply } = aTask().send(a.submit());
    expect(record).toMatchObject({
      task: 't-1',
      seq: 1,
      to: 'parse.running',
      pipeline: 'listing',
      version: 2,
      event: { type: 'task.submitted', start: true, origin: { commandId: 'c-submit' } },
    });
    expect(effects).toEqual([{ type: 'stage.start', stage: 'parse', attempt: 1 }]);
    expect(reply).toEqual({ kind: 'accepted', taskId: 't-1', state: 'parse.running' });
  });

  it('without a free slot waits for one', () => {
    const { record, effects } = aTask().send(a.submit(), { mayStart: () => false });
    expect(record).toMatchObject({ to: 'parse.queued', event: { start: false } });
    expect(effects).toEqual([{ type: 'slot.await', stage: 'parse' }]);
  });

  it('R-STAGE-2: notes the stages that a declared skip passes over', () => {
    const task = aTask().running('parse');
    const skipped = [{ stage: 'photos' as never, reason: 'the card has no photos' }];
    const { record } = task.send({
      ...a.completion('parse'),
      result: { kind: 'completed', output: { json: 1 }, next: 'publish' as never, skipped },
    } as ActorMessage);
    expect(record).toMatchObject({ to: 'publish.running', event: { skipped } });
    expect(task.known.stages.map(({ stage, status }) => `${stage} ${status}`)).toEqual([
      'parse completed',
      'photos skipped',
      'publish running',
    ]);
  });

  it('R-IDEM-2: of a known task with the same input is existing, in every place and with any command id', () => {
    for (const [place, come] of Object.entries(places)) {
      if (place === 'new') continue;
      const task = come();
      expect(task.decide(a.submit({ photos: 3 }, 'c-another'))).toEqual({
        kind: 'answered',
        reply: { kind: 'existing', taskId: 't-1', state: task.value },
      });
    }
  });

  it('R-IDEM-2: TASK_CONFLICT with another input shows both hashes, and with another pipeline names it', () => {
    const task = aTask().running('parse');
    expect(task.ask(a.submit({ photos: 4 }))).toMatchObject({
      kind: 'error',
      error: {
        code: 'TASK_CONFLICT',
        message: 'task t-1 exists with another input',
        limit: `input hash ${contentHash({ photos: 3 })}`,
        got: `input hash ${contentHash({ photos: 4 })}`,
        retryable: false,
      },
    });
    const submit = a.submit();
    const elsewhere = { ...submit, definition: { ...submit.definition, name: 'other' as never } };
    expect(task.ask(elsewhere)).toMatchObject({ error: { message: 'task t-1 exists with pipeline listing' } });
  });
});

describe('a command', () => {
  it('R-IDEM-2: with an id that took effect gets the recorded answer and has no effect, wherever the task is by now', () => {
    const task = aTask().queued('parse');
    expect(task.send(a.pause('c-1')).reply).toMatchObject({ kind: 'done', state: 'parse.held', repeated: false });
    task.send(a.resume('c-2'));
    task.send(a.grant('parse'));
    const seq = task.known.seq;
    expect(task.decide(a.pause('c-1'))).toEqual({
      kind: 'answered',
      reply: { kind: 'done', taskId: 't-1', state: 'parse.held', repeated: true },
    });
    task.send(a.cancel('c-3'));
    expect(task.ask(a.cancel('c-3'))).toMatchObject({ state: 'canceled', repeated: true });
    expect(task.ask(a.pause('c-1'))).toMatchObject({ state: 'parse.held', repeated: true });
    expect(task.known.seq).toBe(seq + 1);
  });

  it('R-IDEM-2: a redrive that is sent twice, such as by a double click, redrives once', () => {
    const task = aTask().deadLettered('parse');
    expect(task.send(a.redrive('c-1')).reply).toMatchObject({ kind: 'done', repeated: false });
    const { seq } = task.known;
    expect(task.decide(a.redrive('c-1'))).toMatchObject({ kind: 'answered', reply: { kind: 'done', repeated: true } });
    expect(task.known.seq).toBe(seq);
  });

  it.each([
    ['a pause', () => a.pause('c-1'), 'pause'],
    ['a submit', () => a.submit({ photos: 3 }, 'c-1'), 'submit'],
  ])('R-IDEM-2: INVALID_ARGUMENT for an id that %s of the task has used', (_what, first, name) => {
    const task = aTask();
    if (name === 'submit') task.send(first());
    else task.queued('parse').send(first());
    expect(task.ask(a.cancel('c-1'))).toMatchObject({
      kind: 'error',
      error: {
        code: 'INVALID_ARGUMENT',
        field: 'commandId',
        got: 'c-1',
        message: `command id was used for ${name} of this task`,
      },
    });
  });

  it('R-IDEM-2: that was refused is not remembered: its id may be used again', () => {
    const task = aTask().running('parse');
    expect(task.ask(a.resume('c-1'))).toMatchObject({ error: { code: 'NOT_ALLOWED' } });
    expect(task.send(a.pause('c-1')).reply).toMatchObject({ kind: 'done', repeated: false });
  });

  it('is remembered within the window only, the oldest forgotten first', () => {
    const task = aTask().queued('parse');
    const window = { dedupWindowSize: 2 };
    for (const round of [1, 2]) {
      task.send(a.pause(`c-pause-${round}`), window);
      task.send(a.resume(`c-resume-${round}`), window);
    }
    expect(task.known.commands.map(({ commandId }) => commandId)).toEqual(['c-pause-2', 'c-resume-2']);
    expect(task.ask(a.pause('c-pause-2'), window)).toMatchObject({ repeated: true });
    expect(task.ask(a.pause('c-pause-1'), window)).toMatchObject({ repeated: false });
  });

  it('NOT_ALLOWED: that was given for an earlier state names both counts of records, and changes nothing', () => {
    const task = aTask().deadLettered('announce');
    const { seq } = task.known;
    expect(task.ask({ ...a.redrive('c-late'), expectedSeq: seq - 1 } as ActorMessage)).toEqual({
      kind: 'error',
      error: {
        code: 'NOT_ALLOWED',
        message: `task t-1 has ${seq} records, and the command expects ${seq - 1}`,
        field: 'expectedSeq',
        limit: String(seq),
        got: String(seq - 1),
        hint: 'the task has changed since you looked: it is deadLettered.announce now',
        retryable: false,
      },
    });
    expect(task.send({ ...a.redrive('c-right'), expectedSeq: seq } as ActorMessage).reply).toMatchObject({
      kind: 'done',
    });
  });

  it('R-IDEM-2: that took effect is answered as it was, though the task has moved on from what it expected', () => {
    const task = aTask().deadLettered('announce');
    const redrive = { ...a.redrive('c-1'), expectedSeq: task.known.seq } as ActorMessage;
    expect(task.send(redrive).reply).toMatchObject({ kind: 'done', repeated: false });
    expect(task.ask(redrive)).toMatchObject({ kind: 'done', repeated: true });
  });

  it.each([
    ['pause', 'queued', a.pause('c-1')],
    ['resume', 'held', a.resume('c-1')],
    ['cancel', 'running', a.cancel('c-1')],
    ['redrive', 'unknown', a.redrive('c-1')],
    ['resolve', 'unknown', a.resolve({ kind: 'notDone' }, 'c-1')],
  ])('NOT_ALLOWED: a %s takes the state that it expects and no other', (_name, place, message) => {
    const task = places[place]?.() ?? aTask();
    const { seq } = task.known;
    for (const expectedSeq of [seq - 1, seq + 1]) {
      const asked = { ...message, expectedSeq } as ActorMessage;
      expect(task.ask(asked)).toMatchObject({ error: { code: 'NOT_ALLOWED', field: 'expectedSeq' } });
    }
    expect(task.ask({ ...message, expectedSeq: seq } as ActorMessage)).toMatchObject({ kind: 'done' });
  });

  it.each([
    ['queued', a.resume(), 'task t-1 is announce.queued: the task is not paused', 'it accepts pause, cancel'],
    ['pausing', a.pause(), 'task t-1 is announce.running: a pause was asked already', 'it accepts resume, cancel'],
    [
      'unknown',
      a.pause(),
      'task t-1 is announce.unknown: the outcome of announce is unknown; resolve it first',
      'it accepts cancel, redrive, resolve',
    ],
    [
      'deadLettered',
      a.cancel(),
      'task t-1 is deadLettered.announce: the task is dead-lettered in announce; only a redrive sends it back to work',
      'it accepts redrive',
    ],
    ['running', a.resolve(), 'task t-1 is announce.running: no outcome is unknown', 'it accepts pause, cancel'],
    ['completed', a.cancel(), 'task t-1 is completed: the task has completed', 'it accepts no command any more'],
  ])('NOT_ALLOWED in %s for %o says why and what is legal', (place, message, text, hint) => {
    const task = places[place]?.() ?? aTask();
    expect(task.ask(message)).toMatchObject({
      kind: 'error',
      error: { code: 'NOT_ALLOWED', message: text, hint, got: task.value, retryable: false },
    });
  });

  it('TASK_NOT_FOUND for a task that does not exist', () => {
    for (const message of [a.pause(), a.resume(), a.cancel(), a.redrive(), a.resolve()]) {
      expect(aTask().ask(message)).toMatchObject({ error: { code: 'TASK_NOT_FOUND', field: 'taskId', got: 't-1' } });
    }
  });

  it('keeps who asked and why in its record', () => {
    const task = aTask().queued('parse');
    const { record } = task.send({ ...a.pause(), reason: 'the shop is closed' } as ActorMessage);
    expect(record.event).toEqual({
      type: 'task.paused',
      origin: { commandId: 'c-pause', by: 'ops', reason: 'the shop is closed' },
    });
  });
});

describe('a pause', () => {
  it('of a running stage lets it finish and takes hold before the next start, though a slot is free', () => {
    const task = aTask().running('parse');
    expect(task.send(a.pause())).toMatchObject({ record: { to: 'parse.running' }, effects: [] });
    const { record, effects } = task.send(a.completion('parse'));
    expect(record).toMatchObject({ to: 'photos.held', event: { start: false } });
    expect(effects).toEqual([]);
    expect(task.known.stages.at(-1)).toMatchObject({ stage: 'photos', status: 'held', attempts: 0, startedAt: null });
  });

  it('of a running stage that then fails holds the retry with its due time', () => {
    const task = aTask().running('photos');
    task.send(a.pause());
    expect(task.send(a.failing('photos'))).toMatchObject({ record: { to: 'photos.held' }, effects: [] });
    const { dueAt } = task;
    expect(task.send(a.resume()).effects).toEqual([{ type: 'timer.set', dueAt }]);
  });

  it('of a backoff keeps it: a resume waits for what is left, a late one queues', () => {
    const task = aTask().backingOff('photos');
    const { dueAt } = task;
    task.send(a.pause());
    expect(task.decide(a.timer(dueAt), { now: dueAt })).toMatchObject({ kind: 'straggler' });
    expect(task.decide(a.resume(), { now: dueAt - 1 })).toMatchObject({
      record: { to: 'photos.backingOff' },
      effects: [{ type: 'timer.set', dueAt }],
    });
    expect(task.decide(a.resume(), { now: dueAt })).toMatchObject({
      record: { to: 'photos.queued' },
      effects: [{ type: 'slot.await', stage: 'photos' }],
    });
  });

  it('of a queued stage leaves the line', () => {
    expect(aTask().queued('photos').send(a.pause()).effects).toEqual([{ type: 'slot.leave' }]);
  });
});

describe('a cancel', () => {
  it('aborts the running driver, and what that returns is dropped', () => {
    const task = aTask().running('photos');
    expect(task.send(a.cancel())).toMatchObject({ record: { to: 'canceled' }, effects: [{ type: 'stage.abort' }] });
    expect(task.decide(a.completion('photos'))).toMatchObject({ kind: 'straggler' });
    expect(task.decide(a.checkpoint('photos'))).toMatchObject({ kind: 'straggler' });
    expect(task.known.stages.at(-1)).toMatchObject({ stage: 'photos', status: 'canceled' });
    expect(task.known.endedAt).toBe(task.known.updatedAt);
  });

  it('of a queued stage leaves the line', () => {
    expect(aTask().queued('photos').send(a.cancel()).effects).toEqual([{ type: 'slot.leave' }]);
  });
});

describe('a redrive', () => {
  it('R-RETRY-1: gives a fresh budget, with attempt numbers that go on', () => {
    const task = aTask().backingOff('photos');
    task.send(a.timer(task.dueAt), { now: task.dueAt });
    expect(task.send(a.failing('photos', 2)).record).toMatchObject({ event: { decision: { kind: 'deadLetter' } } });
    task.send(a.redrive('c-1'));
    expect(task.value).toBe('photos.queued');
    expect(task.send(a.grant('photos')).effects).toEqual([{ type: 'stage.start', stage: 'photos', attempt: 3 }]);
    expect(task.send(a.failing('photos', 3)).record).toMatchObject({ event: { decision: { kind: 'retry' } } });
    task.send(a.timer(task.dueAt), { now: task.dueAt });
    expect(task.send(a.failing('photos', 4)).record).toMatchObject({
      to: 'deadLettered.photos',
      event: { decision: { kind: 'deadLetter', reason: 'attemptsExhausted' } },
    });
  });

  it('R-RETRY-1: gives a fresh deadline too, and keeps the checkpoints', () => {
    const task = aTask().running('photos');
    task.send(a.checkpoint('photos'));
    task.now += 9_500;
    task.send(a.failing('photos'));
    expect(task.value).toBe('deadLettered.photos');
    task.send(a.redrive());
    task.send(a.grant('photos'));
    expect(task.known.checkpoints).toEqual({ 'photo-7': { json: 7 } });
    expect(task.send(a.failing('photos', 2)).record.to).toBe('photos.backingOff');
  });
});
