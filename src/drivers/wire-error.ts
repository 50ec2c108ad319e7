import { FatalError, RateLimitedError, RetryableError, UncertainError } from '../core/driver-errors.ts';
import { asError, EngineError, errorCatalog, showValue, type ErrorCode } from '../core/errors.ts';
import { maximumCauseDepth, maximumFailureMessageLength } from '../core/failures.ts';

/** What kind of failure a driver elsewhere reports. */
export type WireErrorClass = 'retryable' | 'uncertain' | 'rateLimited' | 'fatal' | 'contract' | 'unexpected';

/**
 * A driver's error as JSON, so that its class and code survive the way to another thread, process or language.
 *
 * - `retryable`: the effect did not happen; a later attempt may succeed
 * - `uncertain`: it failed, and the effect may have happened
 * - `rateLimited`: come back after `retryAfterMs`
 * - `fatal`: no retry can help
 * - `contract`: the driver's value is no JSON, or too large
 * - `unexpected`: anything else; the stage's `classify` sees `name`, `message`, `code`, `status` and the causes
 */
export interface WireError {
  readonly class: WireErrorClass;
  readonly message: string;
  readonly code?: string;
  readonly name?: string;
  readonly retryAfterMs?: number;
  readonly status?: number;
  readonly stack?: string;
  readonly cause?: WireError;
}

/** Longest code or name, in characters. */
const maximumWordLength = 128;
/** Longest stack that is sent along, in characters. */
const maximumStackLength = 8_000;

/** What was thrown, as a wire error. Total: a value whose getters throw is told as unreadable. */
export function toWireError(thrown: unknown): WireError {
  try {
    return describe(asError(thrown), 0);
  } catch {
    return { class: 'unexpected', code: 'UNREADABLE_ERROR', message: 'the error cannot be read' };
  }
}

/** The error that a wire error tells of, of the class that the engine's classifier knows. Total, for any JSON. */
export function fromWireError(wire: unknown): Error {
  return revive(wire, 0);
}

function describe(error: Error, depth: number): WireError {
  const { name, message, code, status, retryAfterMs } = error as {
    readonly [Part in 'name' | 'message' | 'code' | 'status' | 'retryAfterMs']?: unknown;
  };
  const statusCode = status ?? (error as { statusCode?: unknown }).statusCode;
  const cause: unknown = error.cause;
  return {
    class: classOf(error),
    message: cut(textOr(message, ''), maximumFailureMessageLength),
    name: cut(textOr(name, 'Error'), maximumWordLength),
    ...(typeof code === 'string' ? { code: cut(code, maximumWordLength) } : {}),
    ...(typeof statusCode === 'number' && Number.isInteger(statusCode) ? { status: statusCode } : {}),
    ...(typeof retryAfterMs === 'number' && Number.isFinite(retryAfterMs) ? { retryAfterMs } : {}),
    ...(depth === 0 && typeof error.stack === 'string' ? { stack: cut(error.stack, maximumStackLength) } : {}),
    ...(cause === undefined || cause === null || depth >= maximumCauseDepth
      ? {}
      : { cause: cause instanceof Error ? describe(cause, depth + 1) : plainCause(cause) }),
  };
}

/** By name too: a driver's module may have got its error classes from another copy of this package. */
function classOf(error: Error): WireErrorClass {
  if (error instanceof RetryableError || error.name === 'RetryableError') return 'retryable';
  if (error instanceof FatalError || error.name === 'FatalError') return 'fatal';
  if (error instanceof RateLimitedError || error.name === 'RateLimitedError') return 'rateLimited';
  if (error instanceof UncertainError || error.name === 'UncertainError') return 'uncertain';
  if (error instanceof EngineError) return error.retryable ? 'uncertain' : 'contract';
  return 'unexpected';
}

/** The causes of network errors are often plain objects with a code. */
function plainCause(cause: unknown): WireError {
  const code = typeof cause === 'object' && cause !== null ? (cause as { code?: unknown }).code : undefined;
  return { class: 'unexpected', message: showValue(cause), ...(typeof code === 'string' ? { code } : {}) };
}

function revive(wire: unknown, depth: number): Error {
  const parts = (typeof wire === 'object' && wire !== null ? wire : { message: showValue(wire) }) as Partial<
    Record<keyof WireError, unknown>
  >;
  const message = cut(textOr(parts.message, 'no message'), maximumFailureMessageLength);
  const code = typeof parts.code === 'string' && parts.code !== '' ? parts.code : undefined;
  const cause = parts.cause === undefined || depth >= maximumCauseDepth ? undefined : revive(parts.cause, depth + 1);
  const options = { ...(code === undefined ? {} : { code }), ...(cause === undefined ? {} : { cause }) };
  const error = build(parts, message, options);
  if (typeof parts.stack === 'string') error.stack = cut(parts.stack, maximumStackLength);
  return error;
}

function build(
  parts: Partial<Record<keyof WireError, unknown>>,
  message: string,
  options: { readonly code?: string; readonly cause?: Error },
): Error {
  const { status, retryAfterMs } = parts;
  const statusOption = typeof status === 'number' ? { status } : {};
  switch (parts.class) {
    case 'retryable':
      return new RetryableError(message, options);
    case 'uncertain':
      return new UncertainError(message, { ...options, ...statusOption });
    case 'fatal':
      return new FatalError(message, options);
    case 'rateLimited':
      return new RateLimitedError(message, typeof retryAfterMs === 'number' ? retryAfterMs : 0, options);
    case 'contract':
      return new EngineError(contractCodeOf(options.code), message, { field: 'output', cause: options.cause });
    default: {
      const error = new Error(message, options.cause === undefined ? undefined : { cause: options.cause });
      error.name = textOr(parts.name, 'Error');
      return Object.assign(error, options.code === undefined ? {} : { code: options.code }, statusOption);
    }
  }
}

/** Only a code that is not retryable makes the engine say `contract`. */
function contractCodeOf(code: string | undefined): ErrorCode {
  if (code === undefined || !Object.hasOwn(errorCatalog, code)) return 'INVALID_ARGUMENT';
  const known = code as ErrorCode;
  return errorCatalog[known].retryable ? 'INVALID_ARGUMENT' : known;
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise;
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
