import { describe, expect, it } from 'vitest';
import { decideRetry } from '../../../src/core/backoff.ts';
import { unitHash } from '../../../src/core/hash.ts';
import type { Epoch } from '../../../src/core/ids.ts';
import type { ActorMessage } from '../../../src/actors/messages.ts';
import { a, aFailure, aTask, listingPipeline, stageOf, wayAfter } from '../../support/a-task.ts';

describe('R-JOB-1: the record that starts an attempt', () => {
  it.each([
    ['a submit', () => aTask().running('parse'), 'parse', 1],
    ['a completion', () => aTask().running('photos'), 'photos', 1],
    ['a retry that is due', () => aTask().running('photos', { attempt: 2 }), 'photos', 2],
    [
      'a granted slot',
      () => {
        const task = aTask().queued('photos');
        task.send(a.grant('photos'));
        return task;
      },
      'photos',
      1,
    ],
    [
      'a resolved outcome',
      () => {
        const task = aTask().unknown('publish');
        task.send(a.resolve({ kind: 'completed', ...wayAfter('publish') }));
        return task;
      },
      'announce',
      1,
    ],
  ])('%s names task, stage, attempt and version', (_what, come, stage, attempt) => {
    const task = come();
    expect(task.records.at(-1)).toMatchObject({ task: 't-1', to: `${stage}.running`, pipeline: 'listing', version: 2 });
    expect(task.known.machine.control.attempt).toBe(attempt);
    expect(task.known.stages.at(-1)).toMatchObject({ stage, attempts: attempt });
  });
});

describe('a straggler', () => {
  const running = () => aTask().running('photos', { attempt: 2 });

  it.each<[string, ActorMessage]>([
    ['a result of an earlier attempt', a.completion('photos', 1)],
    ['a result of an attempt to come', a.completion('photos', 3)],
    ['a failure of an earlier attempt', a.failing('photos', 1)],
    ['a result of an earlier stage', a.completion('parse', 2)],
    ['a checkpoint of an earlier attempt', a.checkpoint('photos', 1)],
    ['a checkpoint of another stage', a.checkpoint('publish', 2)],
    ['a slot for a stage that runs', a.grant('photos')],
    ['a slot for another stage', a.grant('parse')],
    ['a timer', a.timer(1)],
    ['an answer of a lookup', a.lookup('photos', 'done', 2)],
  ])('R-IDEM-1, R-LOCK-1: %s changes nothing', (_what, message) => {
    expect(running().decide(message)).toEqual({ kind: 'straggler', reason: expect.stringMatching(/^the /) });
  });

  it('R-LOCK-1: a timer of another due time does not start the attempt early', () => {
    const task = aTask().backingOff('photos');
    expect(task.decide(a.timer(task.dueAt - 1), { now: task.dueAt })).toMatchObject({ kind: 'straggler' });
    expect(task.decide(a.timer(task.dueAt), { now: task.dueAt })).toMatchObject({ kind: 'moved' });
  });

  it('R-IDEM-3: an answer about an earlier attempt says nothing of the one whose outcome is unknown now', () => {
    const task = aTask().unknown('announce');
    task.send(a.redrive());
    task.send(a.grant('announce'));
    task.send(a.ownerChange());
    expect(task.value).toBe('announce.unknown');
    for (const kind of ['done', 'notDone', 'unknown'] as const) {
      expect(task.decide(a.lookup('announce', kind, 1))).toMatchObject({ kind: 'straggler' });
      expect(task.decide(a.lookup('announce', kind, 2))).toMatchObject({ kind: 'moved' });
    }
  });

  it('of a task that is not known is dropped too', () => {
    for (const message of [a.completion('parse'), a.timer(1), a.ownerChange(), a.quarantine(), a.grant('parse')]) {
      expect(aTask().decide(message)).toMatchObject({ kind: 'straggler' });
    }
  });
});

describe('a failed attempt', () => {
  it('R-RETRY-2: is recorded with its decision, which is the pure one of policy, attempt and jitter of its name', () => {
    const task = aTask().running('parse');
    const { now } = task;
    const { record, effects } = task.send(a.failing('parse'));
    const decision = decideRetry({
      policy: listingPipeline.stage(stageOf('parse')).retry,
      failure: aFailure(),
      used: 1,
      now,
      random: unitHash('t-1/parse/1'),
      deadlineAt: null,
    });
    expect(decision).toMatchObject({ kind: 'retry', delayMs: expect.any(Number) });
    expect(record).toMatchObject({ to: 'parse.backingOff', event: { attempt: 1, failure: aFailure(), decision } });
    expect(effects).toEqual([{ type: 'timer.set', dueAt: task.dueAt }]);
  });

  it('R-RETRY-2: gets the same delay on any day and node, another one for each attempt', () => {
    const delayOf = (now: number, attempt: number): number => {
      const task = aTask();
      task.now = now;
      task.running('parse', { attempt });
      const failedAt = task.now;
      task.send(a.failing('parse', attempt));
      return task.dueAt - failedAt;
    };
    expect(delayOf(1_000, 1)).toBe(delayOf(9_999_000, 1));
    expect(delayOf(1_000, 1)).toBeGreaterThanOrEqual(500);
    expect(delayOf(1_000, 1)).toBeLessThanOrEqual(1_000);
    expect(delayOf(1_000, 2)).not.toBe(delayOf(1_000, 1));
  });

  it('R-RETRY-1: waits at least as long as a rate limit asks', () => {
    const limited = (retryAfterMs: number) => {
      const task = aTask().running('photos');
      const { now } = task;
      task.send(a.failing('photos', 1, aFailure({ class: 'rateLimited', retryAfterMs })));
      return task.dueAt - now;
    };
    expect(limited(7_000)).toBe(7_000);
    expect(limited(10)).toBe(1_000);
  });

  it.each([
    ['its last attempt', 2, aFailure(), 0, 'attemptsExhausted'],
    ['a fatal error', 1, aFailure({ class: 'fatal' }), 0, 'notRetryable'],
    ['a broken contract', 1, aFailure({ class: 'contract' }), 0, 'notRetryable'],
    ['a retry that would be due after the deadline', 1, aFailure(), 9_500, 'deadlineExceeded'],
    [
      'a rate limit beyond the deadline',
      1,
      aFailure({ class: 'rateLimited', retryAfterMs: 60_000 }),
      0,
      'deadlineExceeded',
    ],
  ] as const)(
    'R-RETRY-1, R-FAIL-1: dead-letters the task for %s, with failure and reason',
    (_what, attempt, failure, waitedMs, reason) => {
      const task = aTask().running('photos', { attempt });
      task.now += waitedMs;
      const { record, effects } = task.send(a.failing('photos', attempt, failure));
      expect(record).toMatchObject({
        to: 'deadLettered.photos',
        event: { failure, decision: { kind: 'deadLetter', reason } },
      });
      expect(effects.map(({ type }) => type)).toEqual(['stage.abort']);
      expect(task.known).toMatchObject({ failure, endedAt: task.known.updatedAt });
      expect(task.known.stages.at(-1)).toMatchObject({ stage: 'photos', status: 'failed' });
    },
  );

  it.each(['timeout', 'heartbeatTimeout', 'unexpected'] as const)(
    'R-IDEM-1: of an atMostOnce stage for %s is not retried: its effect may have happened',
    (failureClass) => {
      const task = aTask().running('publish');
      expect(task.send(a.failing('publish', 1, aFailure({ class: failureClass }))).record).toMatchObject({
        to: 'deadLettered.publish',
        event: { decision: { reason: 'notRetryable' } },
      });
    },
  );

  it('a retry that finds no slot queues, and the granted slot starts the attempt that the record named', () => {
    const task = aTask().backingOff('photos');
    const { record, effects } = task.send(a.timer(task.dueAt), { now: task.dueAt, mayStart: () => false });
    expect(record).toMatchObject({ to: 'photos.queued', event: { stage: 'photos', attempt: 2, start: false } });
    expect(effects).toEqual([{ type: 'slot.await', stage: 'photos' }]);
    expect(task.send(a.grant('photos'))).toMatchObject({
      record: { event: { type: 'stage.started', attempt: 2 } },
      effects: [{ type: 'stage.start', stage: 'photos', attempt: 2 }],
    });
  });
});

describe('a completion', () => {
  it('hands its slot on to the next stage in the same record', () => {
    const task = aTask().running('parse');
    const asked: string[] = [];
    const { record, effects } = task.send(a.completion('parse'), {
      mayStart: ({ name }) => {
        asked.push(name);
        return true;
      },
    });
    expect(asked).toEqual(['photos']);
    expect(record).toMatchObject({ to: 'photos.running', event: { next: 'photos', start: true } });
    expect(effects).toEqual([{ type: 'stage.start', stage: 'photos', attempt: 1 }]);
    expect(task.known.outputs).toEqual({ parse: { json: 'parse-output' } });
  });

  it('of the last stage completes the task and asks for no slot', () => {
    const task = aTask().running('announce');
    const { record, effects } = task.send(a.completion('announce'), {
      mayStart: () => {
        throw new Error('no stage is to start');
      },
    });
    expect(record).toMatchObject({ to: 'completed', event: { next: null, start: false } });
    expect(effects).toEqual([]);
    expect(Object.keys(task.known.outputs)).toEqual(['parse', 'photos', 'publish', 'announce']);
  });

  it('drops the checkpoints and the failure of its stage', () => {
    const task = aTask().running('photos');
    task.send(a.checkpoint('photos'));
    task.send(a.failing('photos'));
    task.send(a.timer(task.dueAt), { now: task.dueAt });
    expect(task.known).toMatchObject({ checkpoints: { 'photo-7': { json: 7 } }, failure: aFailure() });
    task.send(a.completion('photos', 2));
    expect(task.known).toMatchObject({ checkpoints: {}, failure: null });
  });
});

describe('an interruption', () => {
  it.each([
    ['photos', 'rerun', 'photos.queued', [{ type: 'slot.await', stage: 'photos' }]],
    ['publish', 'park', 'publish.unknown', []],
    ['announce', 'lookup', 'announce.unknown', [{ type: 'lookup.start', stage: 'announce', attempt: 1 }]],
  ])('R-IDEM-1, R-IDEM-3: of %s is decided by its definition: %s', (stage, kind, to, effects) => {
    const task = aTask().running(stage);
    const decision = task.send(a.ownerChange(), { epoch: 7 as Epoch });
    expect(decision.record).toMatchObject({ to, event: { stage, attempt: 1, epoch: 7, decision: { kind } } });
    expect(decision.effects).toEqual(effects);
    expect(task.known.stages.at(-1)).toMatchObject({ interruptions: 1, attempts: 1 });
  });

  it('R-RETRY-1: uses up no attempt; attempt numbers go on', () => {
    const task = aTask().running('photos');
    for (const attempt of [2, 3]) {
      task.send(a.ownerChange());
      task.send(a.grant('photos'));
      expect(task.known.machine.control).toMatchObject({ attempt, interruptions: attempt - 1 });
    }
    expect(task.send(a.failing('photos', 3)).record).toMatchObject({ event: { decision: { kind: 'retry' } } });
  });

  it('R-FAIL-1: past its own limit dead-letters the stage, with a failure that tells the count', () => {
    const task = aTask().running('photos');
    for (let round = 1; round <= 2; round += 1) {
      task.send(a.ownerChange(), { maxInterruptions: 2 });
      task.send(a.grant('photos'));
    }
    const failure = {
      class: 'interrupted',
      code: 'INTERRUPTED_TOO_OFTEN',
      name: 'Interruption',
      message: 'stage photos was running at 3 losses of its owner',
    };
    expect(task.send(a.ownerChange(), { maxInterruptions: 2 }).record).toMatchObject({
      to: 'deadLettered.photos',
      event: { attempt: 3, decision: { kind: 'deadLetter', reason: 'interruptedTooOften', failure } },
    });
    expect(task.known.failure).toEqual(failure);
  });

  it('R-FAIL-1: at limit 0 the first one dead-letters', () => {
    expect(aTask().running('photos').send(a.ownerChange(), { maxInterruptions: 0 }).record.to).toBe(
      'deadLettered.photos',
    );
  });

  it('I32, R-FAIL-1: makes a stage a suspect: after its backoff it waits for a probation, although a slot is free', () => {
    const task = aTask().running('photos');
    for (let round = 1; round <= 2; round += 1) {
      task.send(a.ownerChange());
      task.send(a.grant('photos'));
    }
    task.send(a.failing('photos', 3));
    const due = { now: task.dueAt, mayStart: () => true };
    expect(task.decide(a.timer(task.dueAt), due)).toMatchObject({
      record: { to: 'photos.queued', event: { start: false } },
    });
    expect(task.decide(a.timer(task.dueAt), { ...due, suspectAfterInterruptions: 3 })).toMatchObject({
      record: { to: 'photos.running' },
    });
  });

  it('I32: is held against a stage until it has come through a probation, as often as interruptions are allowed', () => {
    const task = aTask().running('photos');
    for (let round = 1; round <= 3; round += 1) {
      task.send(a.ownerChange());
      task.send(a.grant('photos'));
      expect(task.send(a.probation('photos', round + 1)).effects).toEqual([]);
      expect(task.known.machine.control).toMatchObject({ interruptions: round, clearances: round });
    }
    task.send(a.ownerChange());
    task.send(a.grant('photos'));
    expect(task.decide(a.probation('photos', 5))).toEqual({
      kind: 'straggler',
      reason: 'the stage was cleared too often',
    });
  });

  it('I32: a probation that was not the current attempt’s clears nothing', () => {
    const task = aTask().running('photos');
    task.send(a.ownerChange());
    expect(task.decide(a.probation('photos', 1)).kind).toBe('straggler');
    task.send(a.grant('photos'));
    expect(task.decide(a.probation('photos', 1)).kind).toBe('straggler');
  });

  it('of a stage that is to pause holds it', () => {
    const task = aTask().running('photos');
    task.send(a.pause());
    expect(task.send(a.ownerChange()).record.to).toBe('photos.held');
  });
});

describe('a loss of the owner while the driver is asked about an outcome', () => {
  it('R-IDEM-3, I32: is counted and asks again, until that was lost too often: then it is parked and asks no more', () => {
    const task = aTask().running('announce');
    const config = { maxInterruptions: 2 };
    expect(task.send(a.ownerChange(), config).effects).toMatchObject([{ type: 'lookup.start' }]);
    for (const lookupLosses of [1, 2]) {
      const lost = task.send(a.ownerChange(), config);
      expect(lost.record).toMatchObject({
        to: 'announce.unknown',
        event: { attempt: 1, decision: { kind: 'lookup' } },
      });
      expect(lost.effects).toMatchObject([{ type: 'lookup.start', stage: 'announce', attempt: 1 }]);
      expect(task.known).toMatchObject({ lookupLosses, machine: { control: { attempt: 1, interruptions: 1 } } });
    }
    const parked = task.send(a.ownerChange(), config);
    expect(parked.record).toMatchObject({ to: 'announce.unknown', event: { decision: { kind: 'park' } } });
    expect(parked.effects).toEqual([]);
    expect(task.decide(a.ownerChange(), config)).toEqual({
      kind: 'straggler',
      reason: 'nobody is asked about the outcome',
    });
  });

  it('R-IDEM-3: is forgotten with an answer, also one that knows nothing, and with a redrive', () => {
    for (const message of [a.lookup('announce', 'unknown'), a.redrive()]) {
      const task = aTask().running('announce');
      for (let time = 0; time < 3; time += 1) task.send(a.ownerChange());
      expect(task.known.lookupLosses).toBe(2);
      task.send(message);
      expect(task.known).not.toHaveProperty('lookupLosses');
    }
  });

  it('says nothing of a stage that was parked because its driver cannot be asked', () => {
    const task = aTask().unknown('publish');
    expect(task.decide(a.ownerChange()).kind).toBe('straggler');
  });
});

describe('a release at a handover', () => {
  it.each([
    ['photos', false, 'rerun', 'photos.queued'],
    ['publish', false, 'park', 'publish.unknown'],
    ['publish', true, 'rerun', 'publish.queued'],
    ['announce', false, 'lookup', 'announce.unknown'],
    ['announce', true, 'rerun', 'announce.queued'],
  ])('R-IDEM-1: of %s, untouched %s, is decided by its definition: %s', (stage, untouched, kind, to) => {
    const task = aTask().running(stage);
    const { record } = task.send(a.release(stage, 1, untouched));
    expect(record).toMatchObject({ to, event: { type: 'stage.released', attempt: 1, decision: { kind } } });
    expect(task.known.stages.at(-1)).toMatchObject({ attempts: 1, interruptions: 0, handovers: 1 });
  });

  it('R-RETRY-2: past maxHandovers is not recorded, so that the next owner counts an interruption', () => {
    const task = aTask().running('photos');
    expect(task.decide(a.release('photos'), { maxHandovers: 0 })).toEqual({
      kind: 'straggler',
      reason: 'the stage was handed over too often',
    });
  });

  it('of an attempt that is not current, or of a task that has moved on, is dropped', () => {
    expect(aTask().running('photos').decide(a.release('photos', 2)).kind).toBe('straggler');
    expect(aTask().queued('photos').decide(a.release('photos', 1)).kind).toBe('straggler');
    expect(aTask().decide(a.release('photos', 1)).kind).toBe('straggler');
  });
});

describe('an unknown outcome', () => {
  it('R-IDEM-3: waits: nothing but a lookup or an operator moves it on', () => {
    const task = aTask().unknown('publish');
    for (const message of [a.completion('publish'), a.failing('publish'), a.timer(1), a.grant('publish')]) {
      expect(task.decide(message)).toMatchObject({ kind: 'straggler' });
    }
  });

  it('R-IDEM-1: that the driver says is done is completed without another run', () => {
    const task = aTask().unknown('announce');
    const { record, effects, reply } = task.send(a.lookup('announce', 'done'));
    expect(record).toMatchObject({
      to: 'completed',
      event: {
        type: 'outcome.resolved',
        stage: 'announce',
        attempt: 1,
        by: 'lookup',
        resolution: { kind: 'completed' },
      },
    });
    expect(record.event).not.toHaveProperty('origin');
    expect(effects).toEqual([]);
    expect(reply).toBeNull();
    expect(task.known.outputs['announce']).toEqual({ json: 'announce-output' });
  });

  it('R-IDEM-1: that the driver says is not done runs again as the next attempt', () => {
    const task = aTask().unknown('announce');
    expect(task.send(a.lookup('announce', 'notDone'))).toMatchObject({
      record: { to: 'announce.queued' },
      effects: [{ type: 'slot.await', stage: 'announce' }],
    });
    expect(task.send(a.grant('announce')).effects).toEqual([{ type: 'stage.start', stage: 'announce', attempt: 2 }]);
  });

  it('R-IDEM-3: that the driver cannot tell stays parked, and is not asked again at once', () => {
    const task = aTask().unknown('announce');
    expect(task.send(a.lookup('announce', 'unknown'))).toMatchObject({
      record: { to: 'announce.unknown' },
      effects: [],
    });
  });

  it('that an operator says is done goes on, and the answer is remembered', () => {
    const task = aTask().unknown('publish');
    const resolve = a.resolve({ kind: 'completed', ...wayAfter('publish') });
    expect(task.send(resolve)).toMatchObject({
      record: {
        to: 'announce.running',
        event: { stage: 'publish', attempt: 1, by: 'operator', origin: { commandId: 'c-resolve', by: 'ops' } },
      },
      reply: { kind: 'done', state: 'announce.running', repeated: false },
    });
    expect(task.ask(resolve)).toMatchObject({ kind: 'done', state: 'announce.running', repeated: true });
  });

  it('that an operator gives up is dead-lettered with what was said', () => {
    const task = aTask().unknown('publish');
    const failure = aFailure({ class: 'fatal', message: 'the shop has no such card' });
    expect(task.send(a.resolve({ kind: 'failed', failure })).record.to).toBe('deadLettered.publish');
    expect(task.known).toMatchObject({ failure, endedAt: task.known.updatedAt });
  });

  it('of a task that is to pause is held, whatever it turns out to be', () => {
    for (const kind of ['done', 'notDone'] as const) {
      const task = aTask().running('announce');
      task.send(a.pause());
      task.send(a.ownerChange());
      const { record } = task.send(a.lookup('announce', kind));
      expect(record.to).toBe(kind === 'done' ? 'completed' : 'announce.held');
    }
  });
});

describe('a quarantine', () => {
  it('R-FAIL-1, R-LOCK-1: puts the task aside and aborts the driver that may still run', () => {
    const task = aTask().running('photos');
    const { record, effects } = task.send(a.quarantine());
    expect(record).toMatchObject({ to: 'deadLettered.photos', event: { failure: { class: 'poison' } } });
    expect(effects).toEqual([{ type: 'stage.abort' }]);
    expect(task.decide(a.completion('photos'))).toMatchObject({ kind: 'straggler' });
  });
});
