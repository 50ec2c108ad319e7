import { CommanderError } from 'commander';
import { asError, EngineError, type ErrorCode } from '../core/errors.ts';

/** A mistake in the command line: `INVALID_ARGUMENT`, and so exit code 2. */
export function usageError(message: string, hint?: string, field?: string): EngineError {
  return new EngineError('INVALID_ARGUMENT', message, { hint, field });
}

/** What was thrown out of a command, as the one error that is shown. A bug of ours is `INTERNAL`. */
export function toCliError(thrown: unknown, helpCommand = 'cabinet --help'): EngineError {
  if (thrown instanceof EngineError) return thrown;
  if (thrown instanceof CommanderError) return fromCommander(thrown, helpCommand);
  const error = asError(thrown);
  return new EngineError('INTERNAL', `${error.name}: ${error.message}`, { cause: error });
}

/** `error CODE: message (hint: …)`, in one line whatever the message holds. Without a hint a list of what is allowed is one. */
export function errorLine(report: {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly limit?: string | undefined;
}): string {
  const { code, message, hint, limit } = report;
  const listed = limit?.startsWith('one of ') === true && !message.includes(limit) ? ` (${limit})` : '';
  return oneLine(`error ${code}: ${message}${hint === undefined ? listed : ` (hint: ${hint})`}`);
}

/** Text without line breaks and without characters that a terminal would obey. */
export function oneLine(text: string): string {
  return text
    .replaceAll(/\s*[\n\r\u2028\u2029]+\s*/g, ' ')
    .replaceAll(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (character) => {
      return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
    });
}

/** Commander's own words are `error: …` and, in a second line, what it takes for meant. */
function fromCommander({ message }: CommanderError, helpCommand: string): EngineError {
  const [first = '', suggestion] = message.replace(/^error: /, '').split('\n');
  const meant = suggestion === undefined ? '' : `${suggestion.replace(/^\((.*)\)$/, '$1')} `;
  return usageError(first, `${meant === '' ? '' : `${lowerFirst(meant.trim())}; `}see \`${helpCommand}\``);
}

function lowerFirst(text: string): string {
  return `${text.charAt(0).toLowerCase()}${text.slice(1)}`;
}
