import { FatalError, RateLimitedError, RetryableError } from '../core/driver-errors.ts';
import { EngineError, showValue } from '../core/errors.ts';
import { maximumCauseDepth, maximumFailureMessageLength, type Failure } from '../core/failures.ts';
import type { Classify } from '../ports/driver.ts';

/** Node's error codes of a network that may work a moment later. */
const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EAI_AGAIN',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_SOCKET',
]);

/** HTTP statuses that a later try may not get. */
const retryableStatuses = new Set([408, 425, 429, 500, 502, 503, 504]);

/**
 * What kind of failure an error is: the driver's own word first, then the stage's `classify`, then what Node's network errors
 * and HTTP statuses say, and `unexpected` for the rest. Pure.
 */
export function classifyError(error: Error, classify: Classify | null): Failure {
  if (error instanceof RetryableError) return failureOf(error, 'retryable', error.code);
  if (error instanceof FatalError) return failureOf(error, 'fatal', error.code);
  if (error instanceof RateLimitedError) {
    const asked = Number.isFinite(error.retryAfterMs) ? Math.max(0, Math.ceil(error.retryAfterMs)) : 0;
    return { ...failureOf(error, 'rateLimited', error.code), retryAfterMs: asked };
  }
  const own = classify?.(error);
  if (own !== undefined) return { ...failureOf(error, own.class, codeOf(error) ?? 'CLASSIFIED'), ...own };
  if (error instanceof EngineError) return classifyEngineError(error);
  const code = codeOf(error);
  if (code !== undefined && networkCodes.has(code)) return failureOf(error, 'retryable', code);
  const status = statusOf(error);
  if (status !== undefined && status >= 400) {
    return failureOf(error, retryableStatuses.has(status) ? 'retryable' : 'fatal', `HTTP_${status}`);
  }
  return failureOf(error, 'unexpected', code ?? 'UNEXPECTED');
}

/** What the engine itself says of a driver's value or of its store. */
function classifyEngineError(error: EngineError): Failure {
  return failureOf(error, error.retryable ? 'retryable' : 'contract', error.code);
}

/** An error as a failure record: message and causes are cut to their bounds. */
export function failureOf(error: Error, failureClass: Failure['class'], code: string): Failure {
  const causes = causesOf(error);
  return {
    class: failureClass,
    code,
    name: stringOr(error.name, 'Error'),
    message: cut(stringOr(error.message, '')),
    ...(causes.length === 0 ? {} : { causes }),
  };
}

function causesOf(error: Error): string[] {
  const causes: string[] = [];
  let cause: unknown = error.cause;
  while (cause !== undefined && cause !== null && causes.length < maximumCauseDepth) {
    causes.push(cut(cause instanceof Error ? `${cause.name}: ${cause.message}` : showValue(cause)));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return causes;
}

function cut(text: string): string {
  return text.length <= maximumFailureMessageLength ? text : `${text.slice(0, maximumFailureMessageLength - 1)}…`;
}

function stringOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise;
}

/** Fetch hides the network's code in its cause. */
function codeOf(error: Error): string | undefined {
  for (const holder of [error, error.cause]) {
    const code = (holder as { code?: unknown } | null | undefined)?.code;
    if (typeof code === 'string') return code;
  }
  return undefined;
}

function statusOf(error: Error): number | undefined {
  for (const name of ['status', 'statusCode'] as const) {
    const status: unknown = (error as unknown as Record<string, unknown>)[name];
    if (typeof status === 'number' && Number.isInteger(status)) return status;
  }
  return undefined;
}
