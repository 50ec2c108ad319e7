/** Options of the errors that a driver throws. */
export interface DriverErrorOptions {
  /** A short stable word such as `HTTP_503`; `RETRYABLE` and the like when left out. */
  readonly code?: string;
  readonly cause?: unknown;
}

/** An attempt failed in a way that a later attempt may not. */
export class RetryableError extends Error {
  readonly code: string;

  constructor(message: string, options: DriverErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'RetryableError';
    this.code = options.code ?? 'RETRYABLE';
  }
}

/** An attempt failed for good: no retry can help. */
export class FatalError extends Error {
  readonly code: string;

  constructor(message: string, options: DriverErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'FatalError';
    this.code = options.code ?? 'FATAL';
  }
}

/** The other side asks to come back later: the next attempt waits at least `retryAfterMs`. */
export class RateLimitedError extends Error {
  readonly code: string;
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number, options: DriverErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'RateLimitedError';
    this.code = options.code ?? 'RATE_LIMITED';
    this.retryAfterMs = retryAfterMs;
  }
}

/** Options of {@link UncertainError}. */
export interface UncertainErrorOptions extends DriverErrorOptions {
  /** The HTTP status that the other side gave, if it gave one. */
  readonly status?: number;
}

/**
 * An attempt failed, and its effect may have happened all the same: the link broke after the request went out, the process
 * that did the work died. A stage whose effect is idempotent tries again with the same key; an `atMostOnce` stage must not.
 */
export class UncertainError extends Error {
  readonly code: string;
  readonly status?: number;

  constructor(message: string, options: UncertainErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'UncertainError';
    this.code = options.code ?? 'UNCERTAIN';
    if (options.status !== undefined) this.status = options.status;
  }
}
