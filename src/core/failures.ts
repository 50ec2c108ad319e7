import type { Millis } from './ids.ts';

/**
 * What kind of failure ended an attempt. A stage's retry policy lists the classes it retries.
 *
 * - `retryable`: the driver said so (`RetryableError`) or the default classifier knows it (network errors, 5xx, 429)
 * - `rateLimited`: the other side named a delay (`RateLimitedError`)
 * - `timeout`, `heartbeatTimeout`: the stage's own limits
 * - `unexpected`: anything else that was thrown
 * - `fatal`: the driver said that no retry can help (`FatalError`)
 * - `contract`: the driver broke its contract: no JSON, too large, not of the output schema
 * - `interrupted`: owners died or lost their lease under it, more often than allowed
 * - `poison`: it crashed the engine's own actor, or its node, again and again
 */
export type FailureClass =
  | 'retryable'
  | 'rateLimited'
  | 'timeout'
  | 'heartbeatTimeout'
  | 'unexpected'
  | 'fatal'
  | 'contract'
  | 'interrupted'
  | 'poison';

/** All failure classes. */
export const failureClasses = [
  'retryable',
  'rateLimited',
  'timeout',
  'heartbeatTimeout',
  'unexpected',
  'fatal',
  'contract',
  'interrupted',
  'poison',
] as const satisfies readonly FailureClass[];

/** Classes that no policy may retry: a repeat cannot help, or would hide a bug. */
export const neverRetriedClasses: readonly FailureClass[] = ['fatal', 'contract', 'interrupted', 'poison'];

/** Classes that do not tell whether the effect happened: an `atMostOnce` stage may not retry them. */
export const uncertainClasses: readonly FailureClass[] = ['timeout', 'heartbeatTimeout', 'unexpected'];

/** One failed attempt, as it is recorded. */
export interface Failure {
  readonly class: FailureClass;
  /** A short stable word such as `HTTP_503`, `ECONNREFUSED`, `RESULT_TOO_LARGE`; at most {@link maximumFailureWordLength} characters. */
  readonly code: string;
  /** At most {@link maximumFailureWordLength} characters. */
  readonly name: string;
  /** At most {@link maximumFailureMessageLength} characters. */
  readonly message: string;
  /** How long the other side asked to wait, for `rateLimited`. */
  readonly retryAfterMs?: number;
  /** The chain of causes, outermost first, at most {@link maximumCauseDepth} lines. */
  readonly causes?: readonly string[];
}

/** Longest recorded code or name of a failure, in characters. */
export const maximumFailureWordLength = 128;
/** Longest recorded failure message, in characters. */
export const maximumFailureMessageLength = 2_000;
/** Most recorded causes of one failure. */
export const maximumCauseDepth = 5;

/** What follows a failed attempt. Recorded beside the failure, so that replay never decides again. */
export type RetryDecision =
  | { readonly kind: 'retry'; readonly dueAt: Millis; readonly delayMs: number }
  | { readonly kind: 'deadLetter'; readonly reason: DeadLetterReason };

/** Why a task was dead-lettered. */
export type DeadLetterReason =
  'notRetryable' | 'attemptsExhausted' | 'deadlineExceeded' | 'interruptedTooOften' | 'operator' | 'poison';

/** What follows when the owner of a running stage is gone (DESIGN §7.3). */
export type InterruptionDecision =
  /** Run again as a new attempt with the same key. */
  | { readonly kind: 'rerun' }
  /** Park in `unknown` and ask the driver's `lookup`. */
  | { readonly kind: 'lookup' }
  /** Park in `unknown` until an operator decides: the stage is `atMostOnce`. */
  | { readonly kind: 'park' }
  | { readonly kind: 'deadLetter'; readonly reason: 'interruptedTooOften'; readonly failure: Failure };

/** What follows when an owner gives a running stage up in good order, its driver having stopped. */
export type HandoverDecision = Exclude<InterruptionDecision, { readonly kind: 'deadLetter' }>;
