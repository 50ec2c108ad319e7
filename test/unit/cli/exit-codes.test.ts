import { CommanderError } from 'commander';
import { describe, expect, it } from 'vitest';
import { errorLine, oneLine, toCliError } from '../../../src/cli/cli-error.ts';
import { exitCodeOf } from '../../../src/cli/exit-codes.ts';
import { EngineError, type ErrorCode } from '../../../src/core/errors.ts';

describe('the exit code', () => {
  it.each<[ErrorCode, number]>([
    ['INTERNAL', 1],
    ['STORAGE_FULL', 1],
    ['UNAVAILABLE', 1],
    ['OVERLOADED', 1],
    ['INVALID_ARGUMENT', 2],
    ['INVALID_TASK_ID', 2],
    ['INPUT_INVALID', 2],
    ['CONFIG_INVALID', 2],
    ['PAYLOAD_TOO_LARGE', 2],
    ['CONFIRMATION_REQUIRED', 2],
    ['TASK_NOT_FOUND', 3],
    ['NOT_FOUND', 3],
    ['PIPELINE_UNKNOWN', 3],
    ['PIPELINE_VERSION_UNKNOWN', 3],
    ['TASK_FAILED', 4],
    ['DEADLINE_EXCEEDED', 5],
    ['NATS_UNREACHABLE', 6],
    ['BUS_FORBIDDEN', 6],
    ['ADMIN_UNREACHABLE', 6],
    ['TLS_ERROR', 6],
    ['UNAUTHENTICATED', 6],
    ['FORBIDDEN', 6],
    ['NO_OWNER', 6],
    ['TASK_CONFLICT', 7],
    ['NOT_ALLOWED', 7],
    ['DEFINITION_CHANGED', 7],
    ['SERVER_VERSION_UNSUPPORTED', 7],
    ['DURABILITY_UNSAFE', 7],
    ['CANCELED', 130],
  ])('of %s is %i', (code, exitCode) => {
    expect(exitCodeOf(new EngineError(code, 'no'))).toBe(exitCode);
  });

  it('of CONFIG_INVALID for a data folder that another engine holds is 7: the moment is wrong, not the setting', () => {
    const held = { field: 'dataDir', limit: 'one engine a data folder' };
    expect(exitCodeOf(new EngineError('CONFIG_INVALID', 'in use', held))).toBe(7);
    expect(exitCodeOf(new EngineError('CONFIG_INVALID', 'not writable', { field: 'dataDir' }))).toBe(2);
  });
});

describe('an error', () => {
  it('is one line, with code, message and hint, whatever characters the message has', () => {
    const error = new EngineError('INTERNAL', 'first\nsecond \u001b[31mred\u202e', { hint: 'look\there' });
    expect(errorLine(error)).toBe('error INTERNAL: first second \\u001b[31mred\\u202e (hint: look\\u0009here)');
  });

  it('without a hint tells the list of what is allowed, unless its message does', () => {
    const limit = 'one of card, greet';
    const unknown = new EngineError('PIPELINE_UNKNOWN', "no pipeline is named 'greeet'", { limit });
    expect(errorLine(unknown)).toBe("error PIPELINE_UNKNOWN: no pipeline is named 'greeet' (one of card, greet)");
    const told = new EngineError('CONFIG_INVALID', 'it must be one of card, greet', { limit });
    expect(errorLine(told)).toBe('error CONFIG_INVALID: it must be one of card, greet');
    const hinted = new EngineError('CONFIG_INVALID', 'no', { limit, hint: 'look there' });
    expect(errorLine(hinted)).toBe('error CONFIG_INVALID: no (hint: look there)');
  });

  it('of commander is INVALID_ARGUMENT, its suggestion the hint', () => {
    const thrown = new CommanderError(
      1,
      'commander.unknownOption',
      "error: unknown option '--jsn'\n(Did you mean --json?)",
    );
    expect(toCliError(thrown, 'cabinet task get --help')).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: "unknown option '--jsn'",
      hint: 'did you mean --json?; see `cabinet task get --help`',
    });
  });

  it('that is a bug of ours is INTERNAL and keeps its cause', () => {
    const bug = new TypeError('x is not a function');
    expect(toCliError(bug)).toMatchObject({ code: 'INTERNAL', message: 'TypeError: x is not a function', cause: bug });
    expect(toCliError('text')).toMatchObject({ code: 'INTERNAL', message: expect.stringContaining('text') as string });
  });

  it('keeps ordinary text as it is', () => {
    expect(oneLine('Grüße → 日本 🎉')).toBe('Grüße → 日本 🎉');
  });
});
