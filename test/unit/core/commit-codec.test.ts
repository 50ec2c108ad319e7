import * as fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { assembleCommit, commitOverheadBytes, decodeCommit } from '../../../src/core/commit-codec.ts';
import { EngineError } from '../../../src/core/errors.ts';
import type { Epoch } from '../../../src/core/ids.ts';
import { taskEventTypes, type TaskEvent } from '../../../src/core/records.ts';
import { aRecord, anOrigin, anOwner } from '../../support/array-journal.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true });
const head = { format: 1 as const, epoch: 7 as Epoch, batch: 3, at: 1_700_000_000_000 };
const stage = 'parse' as never;
const attempt = { stage, attempt: 2 };
const failure = { class: 'retryable', code: 'HTTP_503', name: 'Error', message: 'busy', causes: ['x'] } as const;
const way = { next: 'photos' as never, skipped: [{ stage, reason: 'none' }], start: true };
const blob = { key: 't/output/abc', sizeBytes: 70_000, sha256: 'abc' };

const events: readonly TaskEvent[] = [
  {
    type: 'task.submitted',
    pipeline: 'listing' as never,
    version: 2,
    input: { json: null },
    inputHash: 'h',
    origin: anOrigin,
    ...way,
  },
  { type: 'stage.started', ...attempt },
  { type: 'stage.checkpointed', ...attempt, name: 'photo-7', value: { blob } },
  { type: 'stage.completed', ...attempt, output: { json: { a: [1] } }, ...way },
  { type: 'stage.failed', ...attempt, failure, decision: { kind: 'retry', dueAt: 9, delayMs: 4 } },
  { type: 'stage.failed', ...attempt, failure, decision: { kind: 'deadLetter', reason: 'notRetryable' } },
  { type: 'retry.due', ...attempt, start: false },
  { type: 'task.paused', origin: { commandId: 'c-1' as never } },
  { type: 'task.resumed', origin: anOrigin },
  { type: 'task.canceled', origin: anOrigin },
  { type: 'task.redriven', origin: anOrigin },
  {
    type: 'outcome.resolved',
    ...attempt,
    by: 'operator',
    origin: anOrigin,
    resolution: { kind: 'completed', output: { json: 1 }, ...way },
  },
  { type: 'outcome.resolved', ...attempt, by: 'lookup', resolution: { kind: 'failed', failure } },
  { type: 'outcome.resolved', ...attempt, by: 'lookup', resolution: { kind: 'notDone' } },
  { type: 'stage.released', ...attempt, decision: { kind: 'lookup' } },
  { type: 'stage.cleared', ...attempt },
  { type: 'owner.changed', ...attempt, epoch: 7 as Epoch, decision: { kind: 'park' } },
  {
    type: 'owner.changed',
    ...attempt,
    epoch: 7 as Epoch,
    decision: { kind: 'deadLetter', reason: 'interruptedTooOften', failure },
  },
  { type: 'task.quarantined', failure },
];
const records = events.map((event, index) => aRecord('t-1', index + 1, event, 'parse.running'));

function commitOf(...given: readonly unknown[]): Uint8Array {
  return assembleCommit(
    head,
    given.map((record) => packr.pack(record)),
  );
}

function errorOf(bytes: Uint8Array): EngineError {
  try {
    decodeCommit(bytes);
  } catch (error) {
    if (error instanceof EngineError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** All paths to members of a value, of arrays and objects within too. */
function pathsIn(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [[...path, key], ...pathsIn(child, [...path, key])]);
}

function changed(value: object, path: readonly string[], replacement: unknown): object {
  const copy = structuredClone(value) as Record<string, unknown>;
  let holder = copy;
  for (const key of path.slice(0, -1)) holder = holder[key] as Record<string, unknown>;
  holder[path.at(-1) as string] = replacement;
  return copy;
}

describe('decodeCommit', () => {
  it('R-CORE-1: gives back what was encoded, for events of every type', () => {
    expect(new Set(events.map(({ type }) => type))).toEqual(new Set(taskEventTypes));
    expect(decodeCommit(commitOf(...records))).toEqual({ ...head, records });
    const claim = { ...head, owner: anOwner(7) };
    expect(decodeCommit(assembleCommit(claim, []))).toEqual({ ...claim, records: [] });
  });

  it('a commit takes at most its overhead beside its records, also when every field has its longest value', () => {
    const owner = { epoch: 2 ** 53 - 1, node: 'n'.repeat(128), incarnation: 'i'.repeat(64) } as never;
    const longest = { ...head, epoch: 2 ** 53 - 1, batch: 2 ** 53 - 1, owner } as never;
    expect(assembleCommit(longest, []).length).toBeLessThanOrEqual(commitOverheadBytes);
  });

  it.each([
    [{ ...records[1], task: 7 }, 'commit.records[1].task must be a text that is not empty, got 7'],
    [{ ...records[1], seq: 0 }, 'commit.records[1].seq must be a whole number from 1, got 0'],
    [{ ...records[1], at: 9e15 }, 'commit.records[1].at must be milliseconds since 1970, got 9000000000000000'],
    [{ ...records[1], pipeline: undefined }, 'commit.records[1].pipeline must be a text that is not empty'],
    [{ ...records[1], event: null }, 'commit.records[1].event must be an object, got null'],
    [{ ...records[1], event: { type: 'toString' } }, 'commit.records[1].event.type must be one of task.submitted, '],
    [changed(records[3] as object, ['event', 'skipped'], {}), 'commit.records[1].event.skipped must be a list, got {}'],
    [
      changed(records[3] as object, ['event', 'skipped', '0'], 'parse'),
      'commit.records[1].event.skipped[0] must be an object, got parse',
    ],
    [
      changed(records[4] as object, ['event', 'failure', 'class'], 'sad'),
      'commit.records[1].event.failure.class must be one of retryable, ',
    ],
    [changed(records[0] as object, ['event', 'input'], {}), 'commit.records[1].event.input.json must be there'],
    ['a text', 'commit.records[1] must be an object, got a text'],
  ])('RECORD_CORRUPT names the place in the commit, not the sequence: %#', (record, message) => {
    const error = errorOf(commitOf(records[0], record));
    expect(error.code).toBe('RECORD_CORRUPT');
    expect(error.message).toContain(message);
  });

  it.each([
    ['no bytes', new Uint8Array(0), 'not MessagePack'],
    ['a text', packr.pack('hello'), 'not a commit'],
    ['another map', packr.pack({ hello: 1 }), 'not a commit'],
    ['a commit of another format', packr.pack({ ...head, format: 2, records: [] }), 'commit format 2 is not supported'],
    ['a format that is no number', packr.pack({ ...head, format: { a: 1 } }), 'commit format {"a":1} is not supported'],
    ['a commit without records', packr.pack(head), 'commit.records must be a list'],
    ['a commit of epoch 0', packr.pack({ ...head, epoch: 0, records: [] }), 'commit.epoch must be'],
    ['a half owner', packr.pack({ ...head, owner: { epoch: 1 }, records: [] }), 'commit.owner.node must be'],
    ['a cut commit', commitOf(...records).slice(0, -1), 'not MessagePack'],
    ['a commit with something behind it', Buffer.concat([commitOf(...records), Buffer.from([1])]), 'not MessagePack'],
  ])('RECORD_CORRUPT for %s', (_what, bytes, message) => {
    const error = errorOf(bytes);
    expect(error.code).toBe('RECORD_CORRUPT');
    expect(error.message).toContain(message);
  });

  it('RECORD_CORRUPT for each record in which one member that readers rely on is of another type', () => {
    let refused = 0;
    for (const record of records) {
      for (const path of pathsIn(record)) {
        if (path.includes('json')) continue; // What is within a payload is the user's.
        const wrong = path.at(-1) === 'start' ? 1 : true;
        expect(errorOf(commitOf(changed(record, path, wrong))).code).toBe('RECORD_CORRUPT');
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(100);
  });

  it('any change of any byte is read as some commit, or is RECORD_CORRUPT and nothing else', () => {
    const bytes = commitOf(...records);
    fc.assert(
      fc.property(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 255 }), (index, byte) => {
        const damaged = Buffer.from(bytes);
        damaged[index] = byte;
        try {
          for (const { event } of decodeCommit(damaged).records) expect(taskEventTypes).toContain(event.type);
        } catch (error) {
          expect(error).toMatchObject({ code: 'RECORD_CORRUPT' });
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
