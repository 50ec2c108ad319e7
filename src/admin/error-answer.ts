import { asError, EngineError, maximumEchoLength, showValue, type ErrorReport } from '../core/errors.ts';
import { httpStatusOf } from './http-status.ts';

/** The body of an answer that tells of an error. */
export interface ErrorAnswer {
  readonly error: ErrorReport & { readonly requestId: string };
}

/** What a caller is told of an error: nothing of a bug but that there is one, nothing of his own words but a short piece. */
export function errorAnswerOf(
  thrown: unknown,
  requestId: string,
): { readonly status: number; readonly body: ErrorAnswer; readonly error: EngineError } {
  const error = thrown instanceof EngineError ? thrown : unexpected(thrown);
  const isBug = error.code === 'INTERNAL';
  const report = isBug
    ? new EngineError('INTERNAL', 'an unexpected error; the log has it under this request id').toReport()
    : error.toReport();
  return {
    status: httpStatusOf(error.code),
    body: {
      error: {
        ...report,
        message: shorten(report.message),
        ...(report.field === undefined ? {} : { field: showValue(report.field) }),
        ...(report.hint === undefined ? {} : { hint: shorten(report.hint) }),
        requestId,
      },
    },
    error,
  };
}

function unexpected(thrown: unknown): EngineError {
  const error = asError(thrown);
  return new EngineError('INTERNAL', error.message, { cause: error });
}

/** A long run without a space is a caller's value, a path into it, or both. */
const longRun = new RegExp(`\\S{${maximumEchoLength},}`, 'gu');
const maximumMessageLength = 1_000;

function shorten(text: string): string {
  return text
    .replaceAll(longRun, (run) => showValue(run))
    .replaceAll(/[\p{Cc}\u2028\u2029\u202a-\u202e]/gu, (character) => showValue(character))
    .slice(0, maximumMessageLength);
}
