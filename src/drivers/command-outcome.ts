import { FatalError, RetryableError } from '../core/driver-errors.ts';
import { EngineError, invalidArgument, unreachable } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import type { ChildEnd } from './child-run.ts';
import { excerpt } from './excerpt.ts';

/** Exit codes of a child that a later attempt may not get: `EX_TEMPFAIL` of sysexits. */
export const defaultRetryableExitCodes: readonly number[] = [75];

/**
 * Exit codes that no retry can mend: those of sysexits for bad usage, bad data, missing things, permissions and configuration,
 * and what `env` and shells say of a command that cannot be run (126) or found (127).
 */
export const defaultFatalExitCodes: readonly number[] = [64, 65, 66, 67, 68, 72, 73, 76, 77, 78, 126, 127];

/** How a child's end is read. */
export interface CommandRules {
  readonly command: string;
  readonly retryableExitCodes: readonly number[];
  readonly fatalExitCodes: readonly number[];
  readonly maximumOutputLength: number;
}

/** What a child said before it ended. */
export interface CommandOutput {
  /** The last line of its standard output that is not empty. */
  readonly lastLine: string;
  /** The end of its error output. */
  readonly errorTail: string;
}

/** Longest part of the error output in an error, in characters. */
const maximumTailLength = 1_000;

/** Errors of a spawn that the machine may be over a moment later. */
const transientSpawnCodes = new Set(['EAGAIN', 'EMFILE', 'ENFILE', 'ENOMEM', 'ETXTBSY']);

/**
 * The output of a child that has ended: the JSON of its last line, null when it printed none. Pure.
 *
 * | end | error |
 * | --- | --- |
 * | exit 0, last line no JSON | EngineError `INVALID_ARGUMENT` (`contract`) |
 * | exit code of the retryable ones | RetryableError `EXIT_<n>` |
 * | exit code of the fatal ones | FatalError `EXIT_<n>` |
 * | any other exit code | Error `EXIT_<n>` (`unexpected`): it says nothing of the effect |
 * | a signal | Error `<SIGNAL>` (`unexpected`) |
 * | not spawned | FatalError, or RetryableError when the machine is short of something |
 * | a line too long | EngineError `PAYLOAD_TOO_LARGE` (`contract`) |
 */
export function outputOfChild(end: ChildEnd, output: CommandOutput, rules: CommandRules): JsonValue {
  switch (end.kind) {
    case 'exited':
      if (end.code === 0) return parseOutput(output.lastLine, rules);
      throw exitError(end.code, output, rules);
    case 'killed':
      throw coded(`command ${rules.command} was ended by ${end.signal}${tailOf(output)}`, end.signal);
    case 'notSpawned':
      throw spawnError(end.error, rules);
    case 'tooMuch':
      throw new EngineError('PAYLOAD_TOO_LARGE', `command ${rules.command} printed a line over the limit`, {
        field: 'output',
        limit: `${rules.maximumOutputLength} characters`,
      });
    default:
      return unreachable(end);
  }
}

function parseOutput(line: string, rules: CommandRules): JsonValue {
  if (line === '') return null;
  try {
    return JSON.parse(line) as JsonValue;
  } catch {
    throw invalidArgument({
      field: 'output',
      message: `the last line that command ${rules.command} printed is not JSON`,
      got: line,
      hint: 'print the result as JSON on one line, the last one',
    });
  }
}

function exitError(exitCode: number, output: CommandOutput, rules: CommandRules): Error {
  const message = `command ${rules.command} exited with ${exitCode}${tailOf(output)}`;
  const code = `EXIT_${exitCode}`;
  if (rules.retryableExitCodes.includes(exitCode)) return new RetryableError(message, { code });
  if (rules.fatalExitCodes.includes(exitCode)) return new FatalError(message, { code });
  return coded(message, code);
}

function spawnError(error: NodeJS.ErrnoException, rules: CommandRules): Error {
  const code = error.code ?? 'SPAWN_FAILED';
  const because = code === 'ENOENT' ? 'the command or its folder does not exist' : 'it cannot be started';
  const message = `command ${rules.command} did not run: ${because} (${code})`;
  // The cause is left out: Node puts all arguments into it.
  return transientSpawnCodes.has(code) ? new RetryableError(message, { code }) : new FatalError(message, { code });
}

function coded(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}

function tailOf({ errorTail }: CommandOutput): string {
  return errorTail === '' ? '' : `: ${excerpt(errorTail, maximumTailLength)}`;
}
