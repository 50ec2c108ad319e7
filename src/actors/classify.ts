import { maximumBackoffMs } from '../core/backoff.ts';
import { FatalError, RateLimitedError, RetryableError, UncertainError } from '../core/driver-errors.ts';
import { asError, EngineError, showValue } from '../core/errors.ts';
import {
  failureClasses,
  maximumCauseDepth,
  maximumFailureMessageLength,
  maximumFailureWordLength,
  type Failure,
} from '../core/failures.ts';
import type { StageSpec } from '../pipeline/definition.ts';
import type { Classify } from '../ports/driver.ts';

/** What of a stage decides on the class of its errors. */
export type ClassifyingStage = Pick<StageSpec, 'classify' | 'effect'>;

/** Node's error codes of a network that may work a moment later, when nothing was sent. */
const unsentCodes = new Set(['ECONNREFUSED', 'EAI_AGAIN', 'ENOTFOUND', 'UND_ERR_CONNECT_TIMEOUT']);

/** The same, when something may have been sent: the other side may have done what it was asked. */
const networkCodes = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_SOCKET',
]);

/** HTTP statuses by which the other side says that it did nothing. */
const untouchedStatuses = new Set([408, 425, 429]);
/** HTTP statuses that a later try may not get. Proxies give 502 to 504 also for requests that went through. */
const retryableStatuses = new Set([500, 502, 503, 504]);

/**
 * What kind of failure a thrown value is: the driver's own word first, then the stage's `classify`, then what Node's network
 * errors and HTTP statuses say, and `unexpected` for the rest. Pure and total: it throws for no value, whatever its
 * properties do.
 *
 * For an `atMostOnce` stage an error after which the effect may have happened is `unexpected`, unless driver or stage say
 * otherwise.
 */
export function classifyThrown(thrown: unknown, stage: ClassifyingStage): Failure {
  try {
    return classifyError(asError(thrown), stage);
  } catch (error) {
    return {
      class: 'unexpected',
      code: 'UNREADABLE_ERROR',
      name: 'Error',
      message: `the error cannot be read: ${readMessage(error)}`,
    };
  }
}

function classifyError(error: Error, stage: ClassifyingStage): Failure {
  if (error instanceof RetryableError) return failureOf(error, 'retryable', error.code);
  if (error instanceof FatalError) return failureOf(error, 'fatal', error.code);
  if (error instanceof RateLimitedError) {
    return { ...failureOf(error, 'rateLimited', error.code), retryAfterMs: spanOf(error.retryAfterMs) };
  }
  return classifyByStage(error, stage) ?? classifyByDefault(error, stage.effect === 'atMostOnce');
}

/** The stage's own view; its word is checked, for what it gives is recorded. */
function classifyByStage(error: Error, { classify }: ClassifyingStage): Failure | undefined {
  if (classify === null) return undefined;
  try {
    const own = classify(error);
    return own === undefined ? undefined : complete(error, own);
  } catch (thrown) {
    const { causes = [], ...failure } = failureOf(error, 'unexpected', 'CLASSIFY_FAILED');
    const blamed = [cut(`classify: ${readMessage(thrown)}`), ...causes].slice(0, maximumCauseDepth);
    return { ...failure, causes: blamed };
  }
}

function complete(error: Error, own: NonNullable<ReturnType<Classify>>): Failure {
  if (!failureClasses.includes(own.class)) throw new Error(`there is no failure class ${showValue(own.class)}`);
  const failure = failureOf(error, own.class, textOr(own.code, codeOf(error) ?? 'CLASSIFIED'));
  return {
    ...failure,
    name: word(textOr(own.name, failure.name)),
    message: cut(textOr(own.message, failure.message)),
    ...(own.retryAfterMs === undefined ? {} : { retryAfterMs: spanOf(own.retryAfterMs) }),
  };
}

function classifyByDefault(error: Error, atMostOnce: boolean): Failure {
  const perhapsDone = atMostOnce ? 'unexpected' : 'retryable';
  // What the engine itself says of a driver's value or of its store.
  if (error instanceof UncertainError) return failureOf(error, perhapsDone, error.code);
  if (error instanceof EngineError) return failureOf(error, error.retryable ? perhapsDone : 'contract', error.code);
  const code = codeOf(error);
  if (code !== undefined && unsentCodes.has(code)) return failureOf(error, 'retryable', code);
  if (code !== undefined && networkCodes.has(code)) return failureOf(error, perhapsDone, code);
  const status = statusOf(error);
  if (status !== undefined && status >= 400) {
    if (untouchedStatuses.has(status)) return failureOf(error, 'retryable', `HTTP_${status}`);
    return failureOf(error, retryableStatuses.has(status) ? perhapsDone : 'fatal', `HTTP_${status}`);
  }
  return failureOf(error, 'unexpected', code ?? 'UNEXPECTED');
}

/** An error as a failure record: its texts and causes are cut to their bounds. */
export function failureOf(error: Error, failureClass: Failure['class'], code: string): Failure {
  const causes = causesOf(error);
  return {
    class: failureClass,
    code: word(textOr(code, 'UNEXPECTED')),
    name: word(textOr(error.name, 'Error')),
    message: cut(textOr(error.message, '')),
    ...(causes.length === 0 ? {} : { causes }),
  };
}

function causesOf(error: Error): string[] {
  const causes: string[] = [];
  let cause: unknown = error.cause;
  while (cause !== undefined && cause !== null && causes.length < maximumCauseDepth) {
    if (!(cause instanceof Error)) {
      causes.push(cut(showValue(cause)));
      break;
    }
    causes.push(cut(`${textOr(cause.name, 'Error')}: ${textOr(cause.message, '')}`));
    cause = cause.cause;
  }
  return causes;
}

/** Whole milliseconds from 0 to the longest backoff; 0 for what is no span. */
function spanOf(value: unknown): number {
  if (typeof value !== 'number' || Number.isNaN(value)) return 0;
  return Math.ceil(Math.min(Math.max(0, value), maximumBackoffMs));
}

function cut(text: string, most = maximumFailureMessageLength): string {
  // Half a character has no bytes: it would come back from the journal as another one.
  return (text.length <= most ? text : `${text.slice(0, most - 1)}…`).toWellFormed();
}

function word(text: string): string {
  return cut(text, maximumFailureWordLength);
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise;
}

function readMessage(thrown: unknown): string {
  try {
    return cut(textOr(asError(thrown).message, ''));
  } catch {
    return 'nor can what it threw';
  }
}

/** Fetch hides the network's code in its cause. */
function codeOf(error: Error): string | undefined {
  for (const holder of [error, error.cause]) {
    const code = (holder as { code?: unknown } | null | undefined)?.code;
    if (typeof code === 'string' && code !== '') return code;
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
