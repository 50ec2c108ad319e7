import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EngineError, type ErrorCode } from '../../../src/core/errors.ts';
import {
  commandFields,
  maximumPageSize,
  maximumReasonLength,
  maximumWaitMs,
  parseCommand,
} from '../../../src/transport/parse-command.ts';

const submit = { type: 'task.submit', taskId: 't-1', commandId: 'c-1', pipeline: 'card', input: { sku: 'A' } };
const cancel = { type: 'task.cancel', taskId: 't-1', commandId: 'c-1' };

function refusal(value: unknown): { code: ErrorCode; field: string | undefined; message: string } {
  try {
    parseCommand(value);
  } catch (error) {
    if (error instanceof EngineError) return { code: error.code, field: error.field, message: error.message };
    throw error;
  }
  throw new Error('the command was taken');
}

describe('parseCommand', () => {
  it.each([
    [submit],
    [{ ...submit, version: 3, by: 'anna', reason: 'import' }],
    [{ ...submit, input: null }],
    [{ ...cancel, type: 'task.pause' }],
    [{ ...cancel, type: 'task.resume' }],
    [{ ...cancel, by: 'anna' }],
    [{ ...cancel, type: 'task.redrive' }],
    [{ ...cancel, type: 'task.resolve', resolution: { kind: 'completed', output: [1] } }],
    [{ ...cancel, type: 'task.resolve', resolution: { kind: 'notDone' } }],
    [{ ...cancel, type: 'task.resolve', resolution: { kind: 'failed', message: 'printer is gone' } }],
    [{ type: 'task.get', taskId: 't-1', includePayloads: true }],
    [{ type: 'task.result', taskId: 't-1', waitMs: 0 }],
    [{ type: 'task.list', limit: 1_000, pipeline: 'card', status: 'held', includeFinished: true, after: 't-1' }],
  ])('takes %j as it is', (command) => {
    expect(parseCommand(command)).toBe(command);
  });

  it.each([
    ['missing', undefined, 'taskId is required'],
    ['empty', '', 'taskId must not be empty'],
    ['a number', 7, 'taskId must be a string, got number'],
    ['null', null, 'taskId must be a string, got null'],
    ['an array', ['a'], 'taskId must be a string, got array'],
    ['an object', {}, 'taskId must be a string, got object'],
    ['a boolean', true, 'taskId must be a string, got boolean'],
    ['a token separator', 'a.b', "taskId may hold only A–Z a–z 0–9 _ -; found '.' at 1"],
    ['a wildcard', '>', "taskId may hold only A–Z a–z 0–9 _ -; found '>' at 0"],
    ['a blank', 'a b', 'taskId may hold only A–Z a–z 0–9 _ -; found U+0020 at 1'],
    ['a form feed', 'a\f', 'taskId may hold only A–Z a–z 0–9 _ -; found U+000C at 1'],
    ['U+2028', 'a\u2028', 'taskId may hold only A–Z a–z 0–9 _ -; found U+2028 at 1'],
    ['a system subject', '$SYS', "taskId may hold only A–Z a–z 0–9 _ -; found '$' at 0"],
    ['a path', '../../x', "taskId may hold only A–Z a–z 0–9 _ -; found '.' at 0"],
    ['a homoglyph', 'tаsk', 'taskId may hold only A–Z a–z 0–9 _ -; found U+0430 at 1'],
    ['a lone surrogate', 'a\ud800', 'taskId may hold only A–Z a–z 0–9 _ -; found U+D800 at 1'],
    ['an option', '-rf', "taskId must start with a letter or digit, found '-'"],
    ['too long', 'x'.repeat(129), 'taskId must have at most 128 characters, got 129'],
  ])('refuses a task id that is %s with INVALID_TASK_ID', (_, taskId, message) => {
    expect(refusal({ ...cancel, taskId })).toEqual({ code: 'INVALID_TASK_ID', field: 'taskId', message });
  });

  it.each([['0'], ['NaN'], ['null'], ['A_-z'], ['x'.repeat(128)]])('keeps the task id %s as text', (taskId) => {
    expect(parseCommand({ ...cancel, taskId })).toMatchObject({ taskId });
  });

  it.each([
    ['no object', 7, 'command'],
    ['an array', [], 'command'],
    ['no type', { taskId: 't-1' }, 'type'],
    ['a type that is no text', { ...cancel, type: 7 }, 'type'],
    ['no command id', { ...cancel, commandId: undefined }, 'commandId'],
    ['a bad command id', { ...cancel, commandId: 'a b' }, 'commandId'],
    ['a pipeline in capitals', { ...submit, pipeline: 'Card' }, 'pipeline'],
    ['no input', { ...submit, input: undefined }, 'input'],
    ['version 0', { ...submit, version: 0 }, 'version'],
    ['version 1.5', { ...submit, version: 1.5 }, 'version'],
    ['version null', { ...submit, version: null }, 'version'],
    ['an expectedSeq of 0', { ...cancel, expectedSeq: 0 }, 'expectedSeq'],
    ['an expectedSeq that is no whole number', { ...cancel, expectedSeq: 1.5 }, 'expectedSeq'],
    ['an expectedSeq that is text', { ...cancel, expectedSeq: '4' }, 'expectedSeq'],
    ['an expectedSeq that is null', { ...cancel, expectedSeq: null }, 'expectedSeq'],
    ['an expectedSeq beyond what a double tells apart', { ...cancel, expectedSeq: 2 ** 53 }, 'expectedSeq'],
    ['an expectedSeq of a submit', { ...submit, expectedSeq: 1 }, 'expectedSeq'],
    ['an empty by', { ...cancel, by: '' }, 'by'],
    ['a long reason', { ...cancel, reason: 'x'.repeat(maximumReasonLength + 1) }, 'reason'],
    ['a reason with a lone surrogate', { ...cancel, reason: '\udc00' }, 'reason'],
    ['a field too many', { ...cancel, force: true }, 'force'],
    ['another command’s field', { ...cancel, input: 1 }, 'input'],
    ['no resolution', { ...cancel, type: 'task.resolve' }, 'resolution'],
    ['a resolution of no kind', { ...cancel, type: 'task.resolve', resolution: {} }, 'resolution.kind'],
    ['no output', { ...cancel, type: 'task.resolve', resolution: { kind: 'completed' } }, 'resolution.output'],
    ['no message', { ...cancel, type: 'task.resolve', resolution: { kind: 'failed' } }, 'resolution.message'],
    [
      'an output with notDone',
      { ...cancel, type: 'task.resolve', resolution: { kind: 'notDone', output: 1 } },
      'output',
    ],
    ['includePayloads 1', { type: 'task.get', taskId: 't-1', includePayloads: 1 }, 'includePayloads'],
    ['no waitMs', { type: 'task.result', taskId: 't-1' }, 'waitMs'],
    ['a wait that is too long', { type: 'task.result', taskId: 't-1', waitMs: maximumWaitMs + 1 }, 'waitMs'],
    ['limit 0', { type: 'task.list', limit: 0 }, 'limit'],
    ['a limit too large', { type: 'task.list', limit: maximumPageSize + 1 }, 'limit'],
    ['an unknown status', { type: 'task.list', limit: 1, status: 'done' }, 'status'],
    ['a forbidden key', { ...submit, input: JSON.parse('{"__proto__": 1}') as unknown }, 'input'],
    ['a constructor key', { ...submit, input: { constructor: 1 } }, 'input'],
    ['an input nested too deep', { ...submit, input: JSON.parse('['.repeat(65) + ']'.repeat(65)) as unknown }, 'input'],
  ])('refuses a command with %s with INVALID_ARGUMENT', (_, command, field) => {
    expect(refusal(command)).toMatchObject({ code: 'INVALID_ARGUMENT', field });
  });

  it.each([
    ['NaN', { a: [Number.NaN] }, 'input holds NaN at $.a[0], which JSON cannot keep'],
    ['-0', -0, 'input holds -0 at $, which JSON cannot keep'],
    ['a BigInt', { a: 1n }, 'input holds bigint at $.a, which JSON cannot keep'],
    ['undefined in a list', [undefined], 'input holds undefined at $[0], which JSON cannot keep'],
    ['a Date', { a: new Date(0) }, 'input holds an instance of Date at $.a, which JSON cannot keep'],
    ['bytes', new Uint8Array(1), 'input holds an instance of Uint8Array at $, which JSON cannot keep'],
    ['a lone surrogate', 'a\ud800', 'input holds a lone surrogate at $, which JSON cannot keep'],
  ])('refuses an input that holds %s with UNSERIALIZABLE', (_, input, message) => {
    expect(refusal({ ...submit, input })).toEqual({ code: 'UNSERIALIZABLE', field: 'input', message });
  });

  it('refuses a command that this protocol does not have with UNSUPPORTED_VERSION and the ones it has', () => {
    expect(() => parseCommand({ ...cancel, type: 'task.clone' })).toThrowError(
      expect.objectContaining({
        code: 'UNSUPPORTED_VERSION',
        field: 'type',
        limit: `protocol 1 to 1: ${Object.keys(commandFields).join(', ')}`,
        got: 'task.clone',
      }),
    );
  });

  it.each([['toString'], ['constructor'], ['__proto__']])('knows no command %s by inheritance', (type) => {
    expect(refusal({ ...cancel, type }).code).toBe('UNSUPPORTED_VERSION');
  });

  it('takes or refuses any value with a coded error, and never throws anything else', () => {
    const type = fc.constantFrom(...Object.keys(commandFields));
    const command = fc.record(
      { type, taskId: fc.anything(), commandId: fc.anything(), input: fc.anything(), pipeline: fc.anything() },
      { requiredKeys: ['type'] },
    );
    fc.assert(
      fc.property(fc.oneof(command, fc.anything()), (value) => {
        try {
          parseCommand(value);
        } catch (error) {
          expect(error).toBeInstanceOf(EngineError);
        }
      }),
    );
  });
});
