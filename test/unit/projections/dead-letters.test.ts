import { describe, expect, it } from 'vitest';
import type { Epoch, StageName } from '../../../src/core/ids.ts';
import type { TaskRecord } from '../../../src/core/records.ts';
import { groupDeadLetters, selectDeadLetters } from '../../../src/projections/dead-letter-query.ts';
import { applyToDeadLetters, type DeadLetter, type DeadLetters } from '../../../src/projections/dead-letters.ts';
import { parsePosition } from '../../../src/projections/position.ts';
import { ArrayJournal, anOrigin, aRecord, deadLettered, redriven, submitted } from '../../support/array-journal.ts';

const failure = { class: 'poison', code: 'ACTOR_CRASHED', name: 'TypeError', message: 'x is undefined' } as const;

/** The list after commits of these records to shard 2, one commit each. */
function listAfter(...commits: TaskRecord[][]): DeadLetters {
  const journal = new ArrayJournal();
  for (const records of commits) journal.commit(2, records);
  return journal.entries.reduce<DeadLetters>(applyToDeadLetters, new Map());
}

function only(list: DeadLetters): DeadLetter | undefined {
  expect(list.size).toBe(1);
  return [...list.values()][0];
}

describe('the list of dead letters', () => {
  it('R-RETRY-1: has a task whose stage failed for good, with its failure, reason and place', () => {
    expect(only(listAfter([submitted('a')], [submitted('b'), deadLettered('a', 2)]))).toEqual({
      taskId: 'a',
      shard: 2,
      pipeline: 'listing',
      version: 2,
      stage: 'parse',
      at: 1_700_000_000_002,
      reason: 'attemptsExhausted',
      failure: { class: 'retryable', code: 'HTTP_503', name: 'HttpError', message: 'HTTP 503' },
      attempts: 3,
      fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/),
      seq: 2,
      position: '2-2-2',
    });
  });

  it.each<[string, TaskRecord, Partial<DeadLetter>]>([
    [
      'was interrupted too often',
      aRecord(
        'a',
        2,
        {
          type: 'owner.changed',
          stage: 'parse' as StageName,
          attempt: 4,
          epoch: 2 as Epoch,
          decision: { kind: 'deadLetter', reason: 'interruptedTooOften', failure },
        },
        'deadLettered.parse',
      ),
      { reason: 'interruptedTooOften', attempts: null, failure },
    ],
    [
      'an operator gave up',
      aRecord(
        'a',
        2,
        {
          type: 'outcome.resolved',
          stage: 'parse' as StageName,
          attempt: 2,
          by: 'operator',
          origin: anOrigin,
          resolution: { kind: 'failed', failure },
        },
        'deadLettered.parse',
      ),
      { reason: 'operator', attempts: 2, failure },
    ],
    [
      'crashed its actor',
      aRecord('a', 2, { type: 'task.quarantined', failure }, 'deadLettered.parse'),
      { reason: 'poison', failure },
    ],
  ])('R-RETRY-1: has a task that %s; its pipeline is known though its submit is trimmed', (_, record, expected) => {
    expect(only(listAfter([record]))).toMatchObject({
      stage: 'parse',
      pipeline: 'listing',
      version: 2,
      ...expected,
    });
  });

  it('has a failure that is retried not in it', () => {
    const decision = { kind: 'retry', dueAt: 1, delayMs: 1 } as const;
    const event = { type: 'stage.failed', stage: 'parse' as StageName, attempt: 1, failure, decision } as const;
    expect(listAfter([submitted('a')], [aRecord('a', 2, event, 'parse.backingOff')]).size).toBe(0);
  });

  it('R-RETRY-1: loses a task that is redriven, and gets it back with its new failure', () => {
    const commits = [[submitted('a'), deadLettered('a', 2)], [redriven('a', 3)]];
    expect(listAfter(...commits).size).toBe(0);
    expect(only(listAfter(...commits, [deadLettered('a', 4, 'HTTP 500')]))).toMatchObject({
      seq: 4,
      position: '3-1-2',
    });
  });

  it('loses a task that left while the list was not looking: the state decides, not the step', () => {
    const journal = new ArrayJournal();
    journal.commit(2, [deadLettered('a', 2)]);
    journal.commit(2, [redriven('a', 3)]);
    journal.commit(2, [
      aRecord('a', 4, { type: 'stage.started', stage: 'parse' as StageName, attempt: 4 }, 'parse.running'),
    ]);
    const missing = [journal.entry(1), journal.entry(3)];
    expect(missing.reduce<DeadLetters>(applyToDeadLetters, new Map()).size).toBe(0);
  });

  it('is the same when an entry is read twice, and the very same object when an entry is not about it', () => {
    const journal = new ArrayJournal();
    journal.commit(2, [deadLettered('a', 2), deadLettered('b', 2)]);
    journal.commit(2, [submitted('c')]);
    const once = applyToDeadLetters(new Map(), journal.entry(1));
    expect(applyToDeadLetters(once, journal.entry(1))).toEqual(once);
    expect(applyToDeadLetters(once, journal.entry(2))).toBe(once);
  });

  it('RECORD_CORRUPT names the sequence', () => {
    const journal = new ArrayJournal();
    journal.put(2, Buffer.from('?'));
    expect(() => applyToDeadLetters(new Map(), journal.entry(1))).toThrow(
      expect.objectContaining({ code: 'RECORD_CORRUPT', message: expect.stringContaining('journal entry 1') }),
    );
  });
});

describe('a query of dead letters', () => {
  const ordered = [
    ...listAfter(
      [deadLettered('a', 2, 'card 1 is gone'), deadLettered('b', 2, 'card 22 is gone')],
      [deadLettered('c', 2, 'no such shop', 'photos'), deadLettered('d', 2, 'card 3 is gone')],
    ).values(),
  ];
  const ids = (letters: readonly DeadLetter[]) => letters.map(({ taskId }) => taskId).join('');

  it('gives the newest first, page by page, without a gap or a repeat', () => {
    const first = selectDeadLetters(ordered, { limit: 3 });
    expect(ids(first.deadLetters)).toBe('dcb');
    expect(first).toMatchObject({ matchCount: 4, next: '1-2-2' });
    const second = selectDeadLetters(ordered, { limit: 3, after: parsePosition(first.next) });
    expect(ids(second.deadLetters)).toBe('a');
    expect(second.next).toBeNull();
    expect(selectDeadLetters(ordered, { limit: 3, after: parsePosition('0-0-0') }).deadLetters).toEqual([]);
  });

  it('gives the oldest first when asked, and filters', () => {
    const of = (query: object) =>
      ids(selectDeadLetters(ordered, { limit: 10, order: 'oldestFirst', ...query }).deadLetters);
    expect(of({})).toBe('abcd');
    expect(of({ stage: 'photos' })).toBe('c');
    expect(of({ fingerprint: ordered[0]?.fingerprint })).toBe('abd');
    expect(of({ class: 'fatal' })).toBe('');
    expect(of({ code: 'HTTP_503', pipeline: 'listing', reason: 'attemptsExhausted' })).toBe('abcd');
    expect(of({ pipeline: 'other' })).toBe('');
  });

  it('groups by fingerprint, the most frequent first, with what the messages have in common', () => {
    const groups = groupDeadLetters(ordered);
    expect(groups.map(({ count, message, stage }) => ({ count, message, stage }))).toEqual([
      { count: 3, message: 'card <id> is gone', stage: 'parse' },
      { count: 1, message: 'no such shop', stage: 'photos' },
    ]);
    expect(groups[0]).toMatchObject({ sample: { taskId: 'd' }, pipelines: ['listing'], class: 'retryable' });
    expect(groupDeadLetters(ordered, { stage: 'photos' as StageName })).toHaveLength(1);
  });

  it.each([0, -1, 1.5, 1_001, Number.NaN])('INVALID_ARGUMENT for a page of %d', (limit) => {
    expect(() => selectDeadLetters(ordered, { limit })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', field: 'limit' }),
    );
  });
});
