import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../src/core/errors.ts';
import {
  maximumIdLength,
  maximumNameLength,
  parseCommandId,
  parseNodeId,
  parsePipelineName,
  parseStageName,
  parseTaskId,
} from '../../../src/core/ids.ts';

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was thrown';
}

function parseOrNull(text: string): string | null {
  try {
    return parseTaskId(text);
  } catch (error) {
    if (error instanceof EngineError && error.code === 'INVALID_TASK_ID') return null;
    throw error;
  }
}

describe('a task, command or node id', () => {
  it.each([['a'], ['0'], ['Task_1-b'], ['x'.repeat(maximumIdLength)]])('may be %s', (id) => {
    expect([parseTaskId(id), parseCommandId(id), parseNodeId(id)]).toEqual([id, id, id]);
  });

  it('every accepted one is a single safe token of a subject or key', () => {
    const alphabet = fc.constantFrom(...'aZ09_-. *>$/\u0000é💥'.split(''));
    fc.assert(
      fc.property(fc.string({ unit: alphabet, maxLength: 140 }), (text) => {
        expect(parseOrNull(text) === text).toBe(/^[a-zA-Z0-9][\w-]{0,127}$/.test(text) && text.length <= 128);
      }),
      { numRuns: 500 },
    );
  });

  it('INVALID_TASK_ID and INVALID_ARGUMENT carry the field, the limit and what was got', () => {
    expect(() => parseTaskId('a.b')).toThrow(
      expect.objectContaining({ code: 'INVALID_TASK_ID', field: 'taskId', got: 'a.b' }),
    );
    expect(() => parseCommandId('')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', field: 'commandId' }));
    expect(() => parseNodeId(null)).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        field: 'nodeId',
        limit: '1 to 128 characters of A–Z a–z 0–9 _ -, the first a letter or digit',
      }),
    );
  });

  it.each([
    [undefined, 'taskId is required'],
    [null, 'taskId must be a string, got null'],
    [[], 'taskId must be a string, got array'],
    [7, 'taskId must be a string, got number'],
    ['', 'taskId must not be empty'],
    ['x'.repeat(129), 'taskId must have at most 128 characters, got 129'],
    ['_a', "taskId must start with a letter or digit, found '_'"],
    ['a.b', "taskId may hold only A–Z a–z 0–9 _ -; found '.' at 1"],
    ['.a', "taskId may hold only A–Z a–z 0–9 _ -; found '.' at 0"],
    ['ab\n', 'taskId may hold only A–Z a–z 0–9 _ -; found U+000A at 2'],
    ['aé', 'taskId may hold only A–Z a–z 0–9 _ -; found U+00E9 at 1'],
    ['a💥', 'taskId may hold only A–Z a–z 0–9 _ -; found U+1F4A5 at 1'],
  ])('INVALID_TASK_ID for %o names the first thing that is wrong', (value, message) => {
    expect(messageOf(() => parseTaskId(value))).toBe(message);
  });
});

describe('a pipeline or stage name', () => {
  it.each([['a'], ['parse'], ['photos-2x'], ['a'.repeat(maximumNameLength)]])('may be %s', (name) => {
    expect([parsePipelineName(name), parseStageName(name)]).toEqual([name, name]);
  });

  it.each([
    ['Photos', "stage may hold only a–z 0–9 -; found 'P' at 0"],
    ['1st', "stage must start with a letter, found '1'"],
    ['-a', "stage must start with a letter, found '-'"],
    ['a_b', "stage may hold only a–z 0–9 -; found '_' at 1"],
    ['a'.repeat(64), 'stage must have at most 63 characters, got 64'],
  ])('INVALID_ARGUMENT for %s', (name, message) => {
    expect(messageOf(() => parseStageName(name))).toBe(message);
  });

  it('INVALID_ARGUMENT names the field that the caller gives', () => {
    expect(() => parsePipelineName('X')).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', field: 'pipeline' }),
    );
    expect(() => parseStageName(undefined, 'stages[2].name')).toThrow('stages[2].name is required');
  });
});
