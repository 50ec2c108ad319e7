import { invalidArgument } from '../core/errors.ts';
import { parseFields } from '../transport/parse-command.ts';
import { maximumDeadlineMs, type SendOptions } from '../transport/shard-client.ts';

// Callers in JavaScript, or with values of type `any`, are not held by the types.

/** What a call is told beside its arguments. @throws EngineError `INVALID_ARGUMENT` for what is no object */
export function checkOptions<Options extends object>(options: Options, field = 'options'): Options {
  return parseFields(options, field) as Options;
}

/** `value` as a span of a call; 0 or less is over already. @throws EngineError `INVALID_ARGUMENT`: no number, without end, or too long */
export function checkTimeoutMs(value: unknown, field = 'deadlineMs'): number {
  if (typeof value === 'number' && Number.isFinite(value) && value <= maximumDeadlineMs) return value;
  const limit = `a number of milliseconds up to ${maximumDeadlineMs}`;
  throw invalidArgument({ field, message: `${field} must be ${limit}`, limit, got: value });
}

/** How a call is bounded. @throws EngineError `INVALID_ARGUMENT` */
export function readSendOptions(
  options: { readonly deadlineMs?: number | undefined; readonly signal?: AbortSignal | undefined },
  defaultMs: number,
): SendOptions {
  const { deadlineMs, signal } = checkOptions(options);
  checkSignal(signal);
  return { deadlineMs: checkTimeoutMs(deadlineMs ?? defaultMs), signal };
}

/** @throws EngineError `INVALID_ARGUMENT` for what cannot say that the caller gives up */
export function checkSignal(signal: unknown): void {
  if (signal === undefined) return;
  // Not by its class: a signal may be of another realm.
  if (typeof signal === 'object' && signal !== null && 'aborted' in signal && 'addEventListener' in signal) return;
  throw invalidArgument({
    field: 'signal',
    message: 'signal must be an AbortSignal',
    limit: 'an AbortSignal',
    got: signal,
  });
}
