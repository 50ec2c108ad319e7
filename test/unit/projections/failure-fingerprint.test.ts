import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Failure } from '../../../src/core/failures.ts';
import type { StageName, TaskId } from '../../../src/core/ids.ts';
import { fingerprintFailure, maskMessage } from '../../../src/projections/failure-fingerprint.ts';

const parse = 'parse' as StageName;

function aFailure(message: string, other: Partial<Failure> = {}): Failure {
  return { class: 'retryable', code: 'HTTP_503', name: 'HttpError', message, ...other };
}

function print(message: string, task = 'task-a', stage = parse, other: Partial<Failure> = {}): string {
  return fingerprintFailure(stage, aFailure(message, other), task as TaskId);
}

describe('the fingerprint of a failure', () => {
  it.each([
    ['connect ECONNREFUSED 10.0.0.7:5432', 'connect ECONNREFUSED <id>'],
    ['card 4711 of shop 12 is gone', 'card <id> of shop <id> is gone'],
    ['no row 0190b7c2-8f3e-7abc-9def-001122334455', 'no row <id>'],
    ['hash DEADBEEFCAFE differs from 0x1f', 'hash <id> differs from <id>'],
    [`can't find 'Ada Lovelace' in "users" or \`people\``, `can't find <text> in <text> or <text>`],
    ['took  30,000 ms\n at 2026-11-24T05:47:00Z', 'took <id> ms at <id>'],
    ['the task task-a failed', 'the task <id> failed'],
    ['the subtask-a of task-a/photos failed', 'the subtask-a of <id>/photos failed'],
    ['a decade of facade', 'a decade of facade'],
  ])('%j is %j', (message, masked) => {
    expect(maskMessage(message, 'task-a' as TaskId)).toBe(masked);
  });

  it('is equal for failures that differ by ids, numbers and quotations only', () => {
    expect(print("card 1 of 'Ada'", 'task-a')).toBe(print("card 22 of 'Bob'", 'task-b'));
    expect(print('task task-a is late', 'task-a')).toBe(print('task other is late', 'other'));
  });

  it('differs by stage, class, code and words', () => {
    const prints = [
      print('card 1'),
      print('cart 1'),
      print('card 1', 'task-a', 'photos' as StageName),
      print('card 1', 'task-a', parse, { class: 'fatal' }),
      print('card 1', 'task-a', parse, { code: 'HTTP_500' }),
    ];
    expect(new Set(prints).size).toBe(prints.length);
  });

  it('stays as it is from one release to the next: stored groups depend on it', () => {
    expect(print('card 4711 is gone')).toMatchInlineSnapshot(`"d79412ffa67b960e"`);
  });

  it('is 16 hexadecimal digits for any message, in time that its length bounds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (message) => {
        expect(print(message)).toMatch(/^[0-9a-f]{16}$/);
      }),
    );
    for (const nasty of [
      `'`.repeat(2_000),
      `"a`.repeat(1_000),
      'a'.repeat(2_000),
      '1.'.repeat(1_000),
      '-'.repeat(2_000),
    ]) {
      expect(print(nasty)).toMatch(/^[0-9a-f]{16}$/);
    }
  });
});
