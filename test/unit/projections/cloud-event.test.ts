import { describe, expect, it } from 'vitest';
import type { Failure } from '../../../src/core/failures.ts';
import { contentHash } from '../../../src/core/hash.ts';
import type { Epoch, Sequence, ShardId, StageName } from '../../../src/core/ids.ts';
import { taskEventTypes, type TaskEvent, type TaskRecord } from '../../../src/core/records.ts';
import { eventsOfEntry, eventsOfRecord } from '../../../src/projections/cloud-event.ts';
import { pipelineEventTypes } from '../../../src/projections/event-types.ts';
import { ArrayJournal, anOrigin, anOwner, aRecord, deadLettered, submitted } from '../../support/array-journal.ts';

const context = { namespace: 'cabinet', shard: 3 as ShardId, sequence: 123 as Sequence, index: 3, epoch: 5 as Epoch };
const parse = 'parse' as StageName;
const photos = 'photos' as StageName;
const failure: Failure = { class: 'timeout', code: 'TIMEOUT', name: 'TimeoutError', message: 'took 30 s' };
const output = { json: { secret: 'the buyer is Ada' } };

function eventsOf(event: TaskEvent, to: string) {
  return eventsOfRecord(aRecord('t-1', 4, event, to, 1_700_000_000_000), context);
}

function typesOf(event: TaskEvent, to: string): string[] {
  return eventsOf(event, to).map(({ type }) => type.replace('io.cabinet.', ''));
}

describe('the events of a record', () => {
  it('R-EVT-1: the type names are a public API and stay as they are', () => {
    expect(pipelineEventTypes).toMatchInlineSnapshot(`
      [
        "io.cabinet.task.submitted",
        "io.cabinet.stage.skipped",
        "io.cabinet.stage.queued",
        "io.cabinet.stage.started",
        "io.cabinet.stage.checkpointed",
        "io.cabinet.stage.completed",
        "io.cabinet.stage.failed",
        "io.cabinet.stage.retry-scheduled",
        "io.cabinet.stage.interrupted",
        "io.cabinet.stage.released",
        "io.cabinet.stage.cleared",
        "io.cabinet.stage.outcome-unknown",
        "io.cabinet.stage.outcome-resolved",
        "io.cabinet.task.paused",
        "io.cabinet.task.resumed",
        "io.cabinet.task.redriven",
        "io.cabinet.task.canceled",
        "io.cabinet.task.completed",
        "io.cabinet.task.dead-lettered",
        "io.cabinet.task.quarantined",
        "io.cabinet.shard.owner-changed",
      ]
    `);
  });

  it('R-EVT-1: an event is a CloudEvent 1.0 whose id is its position and whose subject is the task', () => {
    const events = eventsOf({ type: 'stage.started', stage: parse, attempt: 2 }, 'parse.running');
    expect(events).toEqual([
      {
        specversion: '1.0',
        id: '123-4-1',
        source: '/cabinet/shards/3',
        type: 'io.cabinet.stage.started',
        subject: 't-1',
        time: '2023-11-14T22:13:20.000Z',
        datacontenttype: 'application/json',
        data: { pipeline: 'listing', version: 2, seq: 4, state: 'parse.running', epoch: 5, stage: 'parse', attempt: 2 },
      },
    ]);
    expect(JSON.parse(JSON.stringify(events))).toEqual(events);
  });

  it('R-EVT-1: a submit tells who asked, what was skipped and the start of the first stage, in this order', () => {
    const event = { ...(submitted('t-1').event as Extract<TaskEvent, { type: 'task.submitted' }>) };
    const skipping = { ...event, skipped: [{ stage: parse, reason: 'no file' }], next: photos };
    const events = eventsOf(skipping, 'photos.running');
    expect(events.map(({ id, type }) => [id, type])).toEqual([
      ['123-4-1', 'io.cabinet.task.submitted'],
      ['123-4-2', 'io.cabinet.stage.skipped'],
      ['123-4-3', 'io.cabinet.stage.started'],
    ]);
    expect(events[0]?.data).toMatchObject({ pipeline: 'listing', version: 2, origin: anOrigin });
    expect(events[1]?.data).toMatchObject({ stage: 'parse', reason: 'no file' });
    expect(events[2]?.data).toMatchObject({ stage: 'photos', attempt: 1 });
  });

  it('R-EVT-1: a completed stage tells its completion, the skips and the start of the next at attempt 1', () => {
    const event: TaskEvent = {
      type: 'stage.completed',
      stage: parse,
      attempt: 2,
      output,
      next: 'publish' as StageName,
      skipped: [{ stage: photos, reason: 'the card has no photos' }],
      start: true,
    };
    expect(typesOf(event, 'publish.running')).toEqual(['stage.completed', 'stage.skipped', 'stage.started']);
    expect(typesOf({ ...event, start: false }, 'publish.queued')).toEqual([
      'stage.completed',
      'stage.skipped',
      'stage.queued',
    ]);
  });

  it('a stage that was offered a slot but is held by a pause has not started', () => {
    const event: TaskEvent = {
      type: 'stage.completed',
      stage: parse,
      attempt: 1,
      output,
      next: photos,
      skipped: [],
      start: true,
    };
    expect(typesOf(event, 'photos.held')).toEqual(['stage.completed']);
  });

  it('R-EVT-1: the last completed stage completes the task, also when the stages after it are skipped', () => {
    const event: TaskEvent = {
      type: 'stage.completed',
      stage: parse,
      attempt: 1,
      output,
      next: null,
      skipped: [{ stage: photos, reason: 'none' }],
      start: false,
    };
    expect(typesOf(event, 'completed')).toEqual(['stage.completed', 'stage.skipped', 'task.completed']);
  });

  it('R-EVT-1, R-RETRY-2: a failure that is retried tells the failure and when the retry is due', () => {
    const decision = { kind: 'retry', dueAt: 1_700_000_005_000, delayMs: 5_000 } as const;
    const events = eventsOf({ type: 'stage.failed', stage: parse, attempt: 1, failure, decision }, 'parse.backingOff');
    expect(events.map(({ type }) => type)).toEqual(['io.cabinet.stage.failed', 'io.cabinet.stage.retry-scheduled']);
    expect(events[0]?.data).toMatchObject({ stage: 'parse', attempt: 1, failure });
    expect(events[1]?.data).toMatchObject({ failedAttempt: 1, dueAt: '2023-11-14T22:13:25.000Z', delayMs: 5_000 });
  });

  it('R-RETRY-1, R-RETRY-2: a failure that is given up tells the failure and the dead letter with its reason', () => {
    const events = eventsOfRecord(deadLettered('t-1', 4), context);
    expect(events.map(({ type }) => type)).toEqual(['io.cabinet.stage.failed', 'io.cabinet.task.dead-lettered']);
    expect(events[1]?.data).toMatchObject({
      pipeline: 'listing',
      reason: 'attemptsExhausted',
      stage: 'parse',
      attempt: 3,
    });
  });

  it('R-EVT-1: a retry that is due starts its attempt, or queues its stage', () => {
    const due = { type: 'retry.due', stage: parse, attempt: 2 } as const;
    const [started] = eventsOf({ ...due, start: true }, 'parse.running');
    expect(started?.type).toBe('io.cabinet.stage.started');
    expect(started?.data).toMatchObject({ stage: 'parse', attempt: 2 });
    expect(typesOf({ ...due, start: false }, 'parse.queued')).toEqual(['stage.queued']);
  });

  it('R-EVT-1: a resolved outcome names the attempt that it is about, also when the task has left its stage', () => {
    const resolution = { kind: 'completed', output, next: photos, skipped: [], start: true } as const;
    const event = { type: 'outcome.resolved', stage: parse, attempt: 2, by: 'lookup', resolution } as const;
    const [resolved, completed, started] = eventsOf(event, 'photos.running');
    expect(resolved?.data).toMatchObject({ stage: 'parse', attempt: 2, by: 'lookup', resolution: 'completed' });
    expect(completed?.data).toMatchObject({ stage: 'parse', attempt: 2 });
    expect(started?.data).toMatchObject({ stage: 'photos', attempt: 1 });
  });

  it('R-RETRY-1: a stage that was interrupted too often is dead-lettered with the recorded failure', () => {
    const tooOften = { ...failure, class: 'interrupted', code: 'INTERRUPTED_TOO_OFTEN' } as const;
    const decision = { kind: 'deadLetter', reason: 'interruptedTooOften', failure: tooOften } as const;
    const event = { type: 'owner.changed', stage: parse, attempt: 4, epoch: 6 as Epoch, decision } as const;
    const [interrupted, dead] = eventsOf(event, 'deadLettered.parse');
    expect(interrupted?.data).toMatchObject({ stage: 'parse', attempt: 4, decision: 'deadLetter' });
    expect(dead?.data).toMatchObject({ stage: 'parse', reason: 'interruptedTooOften', failure: tooOften });
    expect(dead?.data).not.toHaveProperty('attempt');
  });

  it.each<[TaskEvent, string, string[]]>([
    [{ type: 'task.paused', origin: anOrigin }, 'parse.held', ['task.paused']],
    [{ type: 'task.resumed', origin: anOrigin }, 'parse.queued', ['task.resumed', 'stage.queued']],
    [{ type: 'task.resumed', origin: anOrigin }, 'parse.backingOff', ['task.resumed']],
    [{ type: 'task.canceled', origin: anOrigin }, 'canceled', ['task.canceled']],
    [{ type: 'task.redriven', origin: anOrigin }, 'parse.queued', ['task.redriven', 'stage.queued']],
    [{ type: 'task.quarantined', failure }, 'deadLettered.parse', ['task.quarantined', 'task.dead-lettered']],
    [
      { type: 'stage.checkpointed', stage: parse, attempt: 1, name: 'photo-7', value: output },
      'parse.running',
      ['stage.checkpointed'],
    ],
    [
      { type: 'owner.changed', stage: parse, attempt: 1, epoch: 6 as Epoch, decision: { kind: 'rerun' } },
      'parse.queued',
      ['stage.interrupted', 'stage.queued'],
    ],
    [
      { type: 'owner.changed', stage: parse, attempt: 1, epoch: 6 as Epoch, decision: { kind: 'lookup' } },
      'parse.unknown',
      ['stage.interrupted', 'stage.outcome-unknown'],
    ],
    [
      { type: 'owner.changed', stage: parse, attempt: 1, epoch: 6 as Epoch, decision: { kind: 'park' } },
      'parse.unknown',
      ['stage.interrupted', 'stage.outcome-unknown'],
    ],
    [
      {
        type: 'owner.changed',
        stage: parse,
        attempt: 1,
        epoch: 6 as Epoch,
        decision: { kind: 'deadLetter', reason: 'interruptedTooOften', failure },
      },
      'deadLettered.parse',
      ['stage.interrupted', 'task.dead-lettered'],
    ],
    [
      { type: 'stage.released', stage: parse, attempt: 1, decision: { kind: 'rerun' } },
      'parse.queued',
      ['stage.released', 'stage.queued'],
    ],
    [
      { type: 'stage.released', stage: parse, attempt: 1, decision: { kind: 'lookup' } },
      'parse.unknown',
      ['stage.released', 'stage.outcome-unknown'],
    ],
    [
      { type: 'stage.released', stage: parse, attempt: 1, decision: { kind: 'park' } },
      'parse.unknown',
      ['stage.released', 'stage.outcome-unknown'],
    ],
    [{ type: 'stage.cleared', stage: parse, attempt: 1 }, 'parse.running', ['stage.cleared']],
    [
      { type: 'outcome.resolved', stage: parse, attempt: 1, by: 'lookup', resolution: { kind: 'notDone' } },
      'parse.queued',
      ['stage.outcome-resolved', 'stage.queued'],
    ],
    [
      { type: 'outcome.resolved', stage: parse, attempt: 1, by: 'lookup', resolution: { kind: 'unknown' } },
      'parse.unknown',
      ['stage.outcome-resolved'],
    ],
    [
      {
        type: 'outcome.resolved',
        stage: parse,
        attempt: 1,
        by: 'operator',
        origin: anOrigin,
        resolution: { kind: 'failed', failure },
      },
      'deadLettered.parse',
      ['stage.outcome-resolved', 'stage.failed', 'task.dead-lettered'],
    ],
    [
      {
        type: 'outcome.resolved',
        stage: parse,
        attempt: 1,
        by: 'lookup',
        resolution: { kind: 'completed', output, next: photos, skipped: [], start: true },
      },
      'photos.running',
      ['stage.outcome-resolved', 'stage.completed', 'stage.started'],
    ],
  ])('R-EVT-1: %j to %s gives %j', (event, to, types) => {
    expect(typesOf(event, to)).toEqual(types);
  });

  it('R-EVT-1: every type of record has at least one event, and every event of a task names its stage or state', () => {
    const tested = new Set(taskEventTypes);
    for (const record of everyRecord()) {
      tested.delete(record.event.type);
      expect(eventsOfRecord(record, context).length).toBeGreaterThan(0);
    }
    expect([...tested]).toEqual([]);
  });

  it('what a payload holds is in no event: its size and hash are', () => {
    const event: TaskEvent = {
      type: 'stage.completed',
      stage: parse,
      attempt: 1,
      output,
      next: null,
      skipped: [],
      start: false,
    };
    const events = eventsOf(event, 'completed');
    expect(JSON.stringify(events)).not.toContain('Ada');
    expect(events[0]?.data).toMatchObject({
      output: { kind: 'inline', sizeBytes: 29, sha256: contentHash(output.json) },
    });
    const blob = { key: 't-1/parse/abc', sizeBytes: 9_000_000, sha256: 'b'.repeat(64) };
    const [large] = eventsOf({ ...event, output: { blob } }, 'completed');
    expect(large?.data).toMatchObject({ output: { kind: 'blob', ...blob } });
  });
});

describe('the events of an entry', () => {
  it('R-EVT-1: a change of owner comes before the records of its commit', () => {
    const journal = new ArrayJournal();
    journal.commit(2, [submitted('t-1'), submitted('t-2')], { epoch: 9, owner: anOwner(9) });
    const events = eventsOfEntry(journal.entry(1), 'cabinet');
    expect(events.map(({ id, type }) => `${id} ${type}`)).toEqual([
      '1-0-1 io.cabinet.shard.owner-changed',
      '1-1-1 io.cabinet.task.submitted',
      '1-1-2 io.cabinet.stage.started',
      '1-2-1 io.cabinet.task.submitted',
      '1-2-2 io.cabinet.stage.started',
    ]);
    expect(events[0]).not.toHaveProperty('subject');
    expect(events[0]?.data).toEqual({ epoch: 9, node: 'n-1', incarnation: 'i-1' });
  });

  it('a filter leaves events out and changes no position', () => {
    const journal = new ArrayJournal();
    journal.commit(2, [submitted('t-1'), submitted('t-2')], { owner: anOwner(1) });
    const types = new Set(['io.cabinet.stage.started'] as const);
    const ids = (filter: object) => eventsOfEntry(journal.entry(1), 'cabinet', filter).map(({ id }) => id);
    expect(ids({ types })).toEqual(['1-1-2', '1-2-2']);
    expect(ids({ taskId: 't-2' })).toEqual(['1-2-1', '1-2-2']);
  });

  it.each<[string, unknown]>([
    ['no record at all', null],
    ['a record without a task', { seq: 1, at: 1, to: 'x', event: { type: 'task.paused' } }],
    ['a record of an instant that is none', { ...submitted('t-1'), at: 9e15 }],
    ['an event of a type that does not exist', { ...submitted('t-1'), event: { type: 'task.exploded' } }],
    ['an event without its parts', { ...submitted('t-1'), event: { type: 'task.submitted' } }],
  ])('RECORD_CORRUPT names the sequence and shard of an entry with %s', (_, record) => {
    const journal = new ArrayJournal();
    journal.commit(2, []);
    journal.commit(2, [submitted('t-1'), record as TaskRecord]);
    expect(() => eventsOfEntry(journal.entry(2), 'cabinet')).toThrow(
      expect.objectContaining({
        code: 'RECORD_CORRUPT',
        message: expect.stringMatching(/^journal entry 2 of shard 2: /),
      }),
    );
  });

  it('RECORD_CORRUPT names the sequence of an entry whose bytes are no commit', () => {
    const journal = new ArrayJournal();
    journal.put(1, Buffer.from('not msgpack at all'));
    expect(() => eventsOfEntry(journal.entry(1), 'cabinet')).toThrow(
      expect.objectContaining({
        code: 'RECORD_CORRUPT',
        message: expect.stringContaining('journal entry 1 of shard 1'),
      }),
    );
  });
});

function everyRecord(): TaskRecord[] {
  const completed = { output, next: null, skipped: [], start: false };
  const events: [TaskEvent, string][] = [
    [submitted('t-1').event, 'parse.running'],
    [{ type: 'stage.started', stage: parse, attempt: 1 }, 'parse.running'],
    [{ type: 'stage.checkpointed', stage: parse, attempt: 1, name: 'a', value: output }, 'parse.running'],
    [{ type: 'stage.completed', stage: parse, attempt: 1, ...completed }, 'completed'],
    [deadLettered('t-1', 1).event, 'deadLettered.parse'],
    [{ type: 'retry.due', stage: parse, attempt: 2, start: false }, 'parse.queued'],
    [{ type: 'task.paused', origin: anOrigin }, 'parse.held'],
    [{ type: 'task.resumed', origin: anOrigin }, 'parse.queued'],
    [{ type: 'task.canceled', origin: anOrigin }, 'canceled'],
    [{ type: 'task.redriven', origin: anOrigin }, 'parse.queued'],
    [
      {
        type: 'outcome.resolved',
        stage: parse,
        attempt: 1,
        by: 'lookup',
        resolution: { kind: 'completed', ...completed },
      },
      'completed',
    ],
    [
      { type: 'owner.changed', stage: parse, attempt: 1, epoch: 2 as Epoch, decision: { kind: 'rerun' } },
      'parse.queued',
    ],
    [{ type: 'stage.released', stage: parse, attempt: 1, decision: { kind: 'rerun' } }, 'parse.queued'],
    [{ type: 'stage.cleared', stage: parse, attempt: 1 }, 'parse.running'],
    [{ type: 'task.quarantined', failure }, 'deadLettered.parse'],
  ];
  return events.map(([event, to], index) => aRecord('t-1', index + 1, event, to));
}
