import { FatalError, RateLimitedError, RetryableError } from '../../../src/core/driver-errors.ts';
import { parseRetryAfterMs } from './retry-after.ts';

// Statuses below 500 that speak of this moment and not of the request.
const passingStatuses = new Set([408, 421, 425]);

/** What an answer that is no success means for the attempt. */
export function failureOfStatus(
  what: string,
  answer: { readonly status: number; readonly retryAfter: string | null; readonly detail?: string },
): RetryableError | FatalError | RateLimitedError {
  const { status } = answer;
  const code = `HTTP_${status}`;
  const message = `${what} answered ${status}${answer.detail === undefined ? '' : `: ${answer.detail}`}`;
  if (status === 429) return new RateLimitedError(message, parseRetryAfterMs(answer.retryAfter, Date.now()), { code });
  if (status >= 500 || passingStatuses.has(status)) return new RetryableError(message, { code });
  return new FatalError(message, { code });
}

/**
 * What an exchange that ended without an answer means: a later attempt may do better. An abort keeps its own reason, for
 * the engine knows best whether it was a timeout, a cancel or a lost lease.
 */
export function failureOfExchange(what: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof RetryableError || error instanceof FatalError || error instanceof RateLimitedError) return error;
  const code = networkCodeOf(error);
  return new RetryableError(`${what} gave no answer: ${code}`, { code, cause: error });
}

/** Node's word for what broke, such as `ECONNREFUSED`: fetch hides it in the causes. */
export function networkCodeOf(error: unknown): string {
  let current = error;
  for (let depth = 0; depth < 5 && current instanceof Error; depth += 1) {
    const { code } = current as { code?: unknown };
    if (typeof code === 'string' && code !== '') return code;
    current = current.cause;
  }
  return 'NETWORK';
}
