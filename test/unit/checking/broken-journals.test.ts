import { describe, expect, it } from 'vitest';
import { checkHistory, formatViolation } from '../../../src/checking/check-history.ts';
import type { DriverEndEvent, EffectEvent, HistoryEvent, MetricsEvent } from '../../../src/checking/history-events.ts';
import type { History, HistoryPart } from '../../../src/checking/history.ts';
import type { InvariantId } from '../../../src/checking/invariant.ts';
import type { TaskRecord } from '../../../src/core/records.ts';
import { a, aFailure, aTask, listingPipeline, type TaskInTest } from '../../support/a-task.ts';
import { changeRecord, HistoryWriter, mapEntries } from '../../support/written-history.ts';

// Each history is written from real decisions, is good, and is broken by one change: exactly one invariant is to notice.

/** A task that ends, with a retry, checkpoints and an interruption on its way. */
function endedTask(): TaskInTest {
  const task = aTask();
  task.send(a.submit());
  task.send(a.checkpoint('parse', 1));
  task.send(a.failing('parse', 1));
  task.send(a.timer(task.dueAt), { now: task.dueAt, mayStart: () => false });
  task.now = task.known.updatedAt + 10;
  task.send(a.grant('parse'));
  task.send(a.completion('parse', 2));
  task.send(a.completion('photos'));
  task.send(a.completion('publish'));
  task.send(a.completion('announce'));
  return task;
}

/** What an owner answers about a task, to be filled in. */
const reply = { type: 'reply', node: 'n-1', incarnation: 'i-1', shard: 0, epoch: 1, task: 't-1', at: 0 } as const;

/** The whole of one task under one owner. */
function written(task: TaskInTest, parts: readonly HistoryPart[] = [], events: readonly HistoryEvent[] = []): History {
  return new HistoryWriter()
    .claim()
    .commit(...task.records)
    .event(...events)
    .history(parts, { timerEarlyMs: 0 });
}

function forged(record: Partial<TaskRecord> & Pick<TaskRecord, 'event' | 'to' | 'seq'>): TaskRecord {
  const { name: pipeline, version } = listingPipeline;
  return { task: 't-1' as TaskRecord['task'], at: 50_000, pipeline, version, ...record };
}

/** With one more record at the end. */
function followedBy(task: TaskInTest, record: TaskRecord): History {
  return new HistoryWriter()
    .claim()
    .commit(...task.records, record)
    .history([], { timerEarlyMs: 0 });
}

function recordOf(task: TaskInTest, type: TaskRecord['event']['type']): TaskRecord {
  const record = task.records.find(({ event }) => event.type === type);
  if (record === undefined) throw new Error(`the task has no ${type}`);
  return record;
}

function idsIn(history: History): readonly InvariantId[] {
  const { violations } = checkHistory(history, { definitions: [listingPipeline] });
  return [...new Set(violations.map(({ id }) => id))];
}

function changed(
  history: History,
  type: TaskRecord['event']['type'],
  change: (record: TaskRecord) => TaskRecord,
): History {
  return changeRecord(history, ({ event }) => event.type === type, change);
}

/** A change of the event alone, whatever its type: what a bug would write. */
function withEvent(record: TaskRecord, fields: object): TaskRecord {
  return { ...record, event: { ...record.event, ...fields } };
}

const effect: EffectEvent = {
  type: 'effect',
  key: 'cabinet:t-1:parse:photo-7',
  task: 't-1',
  stage: 'parse',
  attempt: 1,
  fence: { shard: 0, epoch: 1, sequence: 2 },
  result: 'applied',
  at: 1_000,
};
const failedDriver: DriverEndEvent = {
  type: 'driver.ended',
  node: 'n-1',
  incarnation: 'i-1',
  task: 't-1',
  stage: 'parse',
  attempt: 1,
  outcome: { kind: 'failed', class: 'retryable', code: 'HTTP_503', injected: 'busy' },
  at: 1_000,
};
const returned = (stage: string, attempt: number): DriverEndEvent => ({
  ...failedDriver,
  stage,
  attempt,
  outcome: { kind: 'completed' },
});
const ends = [
  failedDriver,
  returned('parse', 2),
  ...['photos', 'publish', 'announce'].map((stage) => returned(stage, 1)),
];
const sequences = [2, 6, 7, 8, 9];
/** Every driver of {@link endedTask}, called and ended. */
const drivers: readonly HistoryEvent[] = ends.flatMap((end, index): HistoryEvent[] => {
  const { node, incarnation, task, stage, attempt } = end;
  const sequence = sequences[index] ?? 0;
  const at = endedTask().records[sequence - 2]?.at ?? 0;
  const fence = { shard: 0, epoch: 1, sequence };
  const key = `cabinet:t-1:${stage}`;
  return [{ type: 'driver.started', node, incarnation, task, stage, attempt, key, fence, at }, end];
});
const metrics: MetricsEvent = {
  type: 'metrics',
  node: 'n-1',
  incarnation: 'i-1',
  counters: { tasks_accepted_total: 1, tasks_total: 1, retries_total: 1 },
};
const deadLetter = {
  type: 'deadLetter',
  task: 't-1',
  stage: 'parse',
  reason: 'notRetryable',
  class: 'fatal',
} as const;

/** Good histories, each with a change that breaks one invariant. */
const cases: readonly {
  readonly id: InvariantId;
  readonly what: string;
  readonly good: History;
  readonly broken: History;
}[] = [
  {
    id: 'J1',
    what: 'a message that follows another one than stands before it',
    good: written(endedTask()),
    broken: mapEntries(written(endedTask()), (entry) =>
      entry.sequence === 5 ? { ...entry, previous: 3 as typeof entry.sequence } : entry,
    ),
  },
  {
    id: 'J1',
    what: 'a missing batch',
    good: written(endedTask()),
    broken: mapEntries(written(endedTask()), ({ commit, ...entry }) => ({
      ...entry,
      commit: commit === null || entry.sequence < 5 ? commit : { ...commit, batch: commit.batch + 1 },
    })),
  },
  {
    id: 'J2',
    what: 'a message that cannot be read',
    good: written(endedTask()),
    broken: mapEntries(written(endedTask()), (entry) =>
      entry.sequence === 10 ? { ...entry, commit: null, problem: 'journal message is not MessagePack' } : entry,
    ),
  },
  {
    id: 'I4',
    what: 'a second submit of a task',
    good: written(aTask().running('photos')),
    broken: followedBy(aTask().running('photos'), {
      ...recordOf(aTask().running('photos'), 'task.submitted'),
      seq: aTask().running('photos').known.seq + 1,
    }),
  },
  {
    id: 'I5',
    what: 'a task that still runs when all is healed',
    good: { ...written(endedTask()), isHealed: true },
    broken: { ...written(aTask().running('photos')), isHealed: true },
  },
  {
    id: 'I5',
    what: 'a retry that was due when all was over',
    good: { ...written(aTask().backingOff('parse')), isHealed: true },
    broken: { ...written(aTask().backingOff('parse')), isHealed: true, endedAt: 1_000_000 },
  },
  {
    id: 'I6',
    what: 'a pause after the end',
    good: written(endedTask()),
    broken: followedBy(
      endedTask(),
      forged({
        seq: endedTask().known.seq + 1,
        event: { type: 'task.paused', origin: { commandId: 'c-1' as never } },
        to: 'completed',
      }),
    ),
  },
  {
    id: 'I8',
    what: 'a second result of a stage',
    good: written(aTask().running('publish')),
    broken: followedBy(aTask().running('publish'), {
      ...recordOf(aTask().running('publish'), 'stage.completed'),
      seq: aTask().running('publish').known.seq + 1,
    }),
  },
  {
    id: 'I9',
    what: 'a record that leads elsewhere than it says',
    good: written(endedTask()),
    broken: changed(written(endedTask()), 'stage.completed', (record) => ({ ...record, to: 'photos.held' })),
  },
  {
    id: 'I9',
    what: 'a stage that is passed over without a declared skip',
    good: written(endedTask()),
    broken: changed(written(endedTask()), 'stage.completed', (record) => ({
      ...withEvent(record, { next: 'publish' }),
      to: 'publish.running',
    })),
  },
  {
    id: 'I9',
    what: 'a task that begins in its middle',
    good: written(endedTask()),
    broken: new HistoryWriter()
      .claim()
      .commit(...endedTask().records.slice(1))
      .history([], { timerEarlyMs: 0 }),
  },
  {
    id: 'I20',
    what: 'a result of an attempt under an epoch that did not start it',
    good: written(endedTask()),
    broken: new HistoryWriter()
      .claim()
      .commit(...endedTask().records.slice(0, 6))
      .claim()
      .commit(...endedTask().records.slice(6))
      .history([], { timerEarlyMs: 0 }),
  },
  {
    id: 'I24',
    what: 'a record that is counted twice',
    good: written(endedTask()),
    broken: changed(written(endedTask()), 'stage.checkpointed', (record) => ({ ...record, seq: record.seq - 1 })),
  },
  {
    id: 'I26',
    what: 'an attempt that is left out',
    good: written(endedTask()),
    broken: changed(written(endedTask()), 'stage.started', (record) => withEvent(record, { attempt: 3 })),
  },
  {
    id: 'I26',
    what: 'a retry past the limit',
    good: written(aTask().running('photos', { attempt: 2 })),
    broken: followedBy(
      aTask().running('photos', { attempt: 2 }),
      forged({
        seq: aTask().running('photos', { attempt: 2 }).known.seq + 1,
        event: {
          ...(recordOf(aTask().backingOff('photos'), 'stage.failed').event as Extract<
            TaskRecord['event'],
            { type: 'stage.failed' }
          >),
          attempt: 2,
        },
        to: 'photos.backingOff',
      }),
    ),
  },
  {
    id: 'I27',
    what: 'a retry before its due time',
    good: written(endedTask()),
    broken: mapEntries(written(endedTask()), (entry) =>
      entry.commit?.records.some(({ event }) => event.type === 'retry.due') === true
        ? { ...entry, storedAt: entry.storedAt - 400 }
        : entry,
    ),
  },
  {
    id: 'I27',
    what: 'a retry long after its due time',
    good: { ...written(endedTask()), bounds: { timerLateMs: 2_000 } },
    broken: mapEntries({ ...written(endedTask()), bounds: { timerLateMs: 2_000 } }, (entry) =>
      entry.commit?.records.some(({ event }) => event.type === 'retry.due') === true
        ? { ...entry, storedAt: entry.storedAt + 3_000 }
        : entry,
    ),
  },
  {
    id: 'I28',
    what: 'a delay below the band of its policy',
    good: written(endedTask()),
    broken: changed(written(endedTask()), 'stage.failed', (record) =>
      withEvent(record, { decision: { kind: 'retry', delayMs: 3, dueAt: record.at + 3 } }),
    ),
  },
  {
    id: 'I28',
    what: 'a due time that is not the delay after the failure',
    good: written(endedTask()),
    broken: changed(written(endedTask()), 'stage.failed', (record) =>
      withEvent(record, { decision: { kind: 'retry', delayMs: 1_000, dueAt: record.at + 2 } }),
    ),
  },
  {
    id: 'I29',
    what: 'a retry of a class that is never retried',
    good: written(endedTask()),
    broken: changed(written(endedTask()), 'stage.failed', (record) =>
      withEvent(record, { failure: aFailure({ class: 'fatal' }) }),
    ),
  },
  {
    id: 'I29',
    what: 'patience that ends before the limit',
    good: written(aTask().deadLettered('parse')),
    broken: changed(written(aTask().deadLettered('parse')), 'stage.failed', (record) =>
      withEvent(record, { failure: aFailure(), decision: { kind: 'deadLetter', reason: 'attemptsExhausted' } }),
    ),
  },
  {
    id: 'I30',
    what: 'a dead letter that is not listed',
    good: { ...written(aTask().deadLettered('parse'), ['deadLetters'], [deadLetter]), isHealed: true },
    broken: { ...written(aTask().deadLettered('parse'), ['deadLetters'], []), isHealed: true },
  },
  {
    id: 'I30',
    what: 'a dead letter that is listed for another reason, and one that is none',
    good: { ...written(aTask().deadLettered('parse'), ['deadLetters'], [deadLetter]), isHealed: true },
    broken: {
      ...written(
        aTask().deadLettered('parse'),
        ['deadLetters'],
        [
          { ...deadLetter, reason: 'attemptsExhausted' },
          { ...deadLetter, task: 't-2' },
        ],
      ),
      isHealed: true,
    },
  },
  {
    id: 'I31',
    what: 'a command that takes effect twice',
    good: written(twicePaused()),
    broken: changeRecord(
      written(twicePaused()),
      ({ event }) => event.type === 'task.paused' && event.origin.commandId === 'c-second',
      (record) => withEvent(record, { origin: { commandId: 'c-first' } }),
    ),
  },
  {
    id: 'I1',
    what: 'an answer of an owner that nobody heard, of a command that is not in the journal',
    good: written(twicePaused(), ['replies'], [{ ...reply, says: 'done', commandId: 'c-second', state: 'parse.held' }]),
    broken: written(
      twicePaused(),
      ['replies'],
      [{ ...reply, says: 'done', commandId: 'c-third', state: 'parse.held' }],
    ),
  },
  {
    id: 'I1',
    what: 'an answer of an owner that nobody heard, of a state that the task never was in',
    good: written(endedTask(), ['replies'], [{ ...reply, says: 'state', state: 'completed' }]),
    broken: written(endedTask(), ['replies'], [{ ...reply, says: 'state', state: 'canceled' }]),
  },
  {
    id: 'I1',
    what: 'an accepted task that nobody heard of, and that is not in the journal',
    good: written(endedTask(), ['replies'], [{ ...reply, says: 'accepted', state: 'parse.running' }]),
    broken: written(endedTask(), ['replies'], [{ ...reply, task: 't-2', says: 'accepted', state: 'parse.running' }]),
  },
  {
    id: 'I31',
    what: 'a command that takes effect in another state than it was given for',
    good: written(twicePaused(), ['calls'], callsOfTwicePaused(3)),
    broken: written(twicePaused(), ['calls'], callsOfTwicePaused(1)),
  },
  {
    id: 'I32',
    what: 'a stage that goes on after too many losses of its owner',
    good: interruptedTwice(2),
    broken: interruptedTwice(1),
  },
  {
    id: 'I14',
    what: 'a committed sub-step that is done again',
    good: written(endedTask(), ['effects'], [effect]),
    broken: written(
      endedTask(),
      ['effects'],
      [effect, { ...effect, attempt: 2, result: 'replayed', fence: { ...effect.fence, sequence: 6 } }],
    ),
  },
  {
    id: 'I50',
    what: 'a failure that is recorded as of another class',
    good: written(endedTask(), ['drivers'], drivers),
    broken: written(
      endedTask(),
      ['drivers'],
      drivers.map((event) =>
        event === failedDriver ? { ...event, outcome: { kind: 'failed', class: 'timeout' } } : event,
      ),
    ),
  },
  {
    id: 'I50',
    what: 'a failure whose record does not say what was thrown',
    good: written(endedTask(), ['drivers'], drivers),
    broken: written(
      endedTask(),
      ['drivers'],
      drivers.map((event) =>
        event === failedDriver ? { ...event, outcome: { kind: 'failed', injected: 'fault-77' } } : event,
      ),
    ),
  },
  {
    id: 'I10',
    what: 'a result that no driver returned',
    good: written(endedTask(), ['drivers'], drivers),
    broken: written(endedTask(), ['drivers'], drivers.slice(0, -1)),
  },
  {
    id: 'I52',
    what: 'a counter that says less than the journal',
    good: written(endedTask(), ['metrics', 'faults'], [metrics]),
    broken: written(
      endedTask(),
      ['metrics', 'faults'],
      [{ ...metrics, counters: { ...metrics.counters, retries_total: 0 } }],
    ),
  },
];

function twicePaused(): TaskInTest {
  const task = aTask().queued('parse');
  task.send(a.pause('c-first'));
  task.send(a.resume('c-between'), { mayStart: () => false });
  task.send(a.pause('c-second'));
  return task;
}

/** Every call that {@link twicePaused} is of; its second pause is given for the state after so many records. */
function callsOfTwicePaused(expectedSeq: number): readonly HistoryEvent[] {
  const call = {
    type: 'call',
    client: 'c',
    task: 't-1',
    invokedAt: 0,
    answeredAt: null,
    outcome: { kind: 'none' },
  } as const;
  return [
    { ...call, call: 'c 1', kind: 'submit', commandId: 'c-submit' },
    { ...call, call: 'c 2', kind: 'pause', commandId: 'c-first', expectedSeq: 1 },
    { ...call, call: 'c 3', kind: 'resume', commandId: 'c-between' },
    { ...call, call: 'c 4', kind: 'pause', commandId: 'c-second', expectedSeq },
  ];
}

function interruptedTwice(maxInterruptions: number): History {
  const task = aTask().running('parse');
  const records = [...task.records];
  const writer = new HistoryWriter().claim().commit(...records);
  for (let loss = 1; loss <= 2; loss += 1) {
    const interruption = task.send(a.ownerChange());
    const start = task.send(a.grant('parse'));
    writer.claim().commit(interruption.record, start.record);
  }
  return writer.history([], { timerEarlyMs: 0, maxInterruptions });
}

describe('a history that was broken by hand', () => {
  it.each(cases)('$id is found, and nothing else: $what', ({ id, good, broken }) => {
    expect(checkHistory(good, { definitions: [listingPipeline] }).violations.map(formatViolation)).toEqual([]);
    expect(idsIn(broken)).toEqual([id]);
  });

  it('shows the messages by their sequence', () => {
    const broken = changed(written(endedTask()), 'stage.completed', (record) => ({ ...record, to: 'photos.held' }));
    const [violation] = checkHistory(broken, { definitions: [listingPipeline] }).violations;
    expect(violation).toMatchObject({ id: 'I9', sequences: [7] });
    expect(formatViolation(violation ?? { id: 'I9', says: '' })).toBe(
      'I9: task t-1 stage.completed leads to photos.running, not to photos.held (message 7)',
    );
  });
});
