import { EngineError } from './errors.ts';
import { neverRetriedClasses, type Failure, type FailureClass, type RetryDecision } from './failures.ts';
import type { Millis } from './ids.ts';

/** When and how often a failed stage runs again. Always finite. */
export interface RetryPolicy {
  /** Most attempts of the stage, the first one included: 1 to {@link maximumAttemptsLimit}. */
  readonly maxAttempts: number;
  /** Delay cap of the first retry: 1 ms to {@link maximumBackoffMs}. */
  readonly initialDelayMs: number;
  /** Growth of the cap from one attempt to the next: 1 to 100. */
  readonly factor: number;
  /** Upper bound of every delay: at least `initialDelayMs`, at most {@link maximumBackoffMs}. */
  readonly maxDelayMs: number;
  /** Part of the delay that is random: 0 (none) to 1 (full jitter). */
  readonly jitter: number;
  /** The failure classes that are retried; each other one dead-letters at once. */
  readonly retryOn: readonly FailureClass[];
}

/** Largest allowed `maxAttempts`. */
export const maximumAttemptsLimit = 1_000;
/** Largest allowed delay: 30 days. */
export const maximumBackoffMs = 30 * 24 * 3_600_000;

/** The policy that a stage's own settings are laid over; `maxAttempts` has no default on purpose. */
export const retryDefaults: Omit<RetryPolicy, 'maxAttempts'> = {
  initialDelayMs: 1_000,
  factor: 2,
  maxDelayMs: 60_000,
  jitter: 0.5,
  retryOn: ['retryable', 'rateLimited', 'timeout', 'heartbeatTimeout', 'unexpected'],
};

/**
 * A complete, checked policy.
 *
 * @throws EngineError `RETRY_POLICY_INVALID` with the field and its range
 */
export function resolveRetryPolicy(
  partial: Partial<RetryPolicy> & Pick<RetryPolicy, 'maxAttempts'>,
  path: string,
): RetryPolicy {
  const policy = { ...retryDefaults, ...partial };
  checkRange(path, 'maxAttempts', policy.maxAttempts, 1, maximumAttemptsLimit, true);
  checkRange(path, 'initialDelayMs', policy.initialDelayMs, 1, maximumBackoffMs, true);
  checkRange(path, 'maxDelayMs', policy.maxDelayMs, policy.initialDelayMs, maximumBackoffMs, true);
  checkRange(path, 'factor', policy.factor, 1, 100, false);
  checkRange(path, 'jitter', policy.jitter, 0, 1, false);
  const forbidden = policy.retryOn.find((failureClass) => neverRetriedClasses.includes(failureClass));
  if (forbidden !== undefined) {
    throw new EngineError('RETRY_POLICY_INVALID', `${path}.retryOn: '${forbidden}' is never retried`, {
      field: `${path}.retryOn`,
      got: forbidden,
    });
  }
  return policy;
}

function checkRange(path: string, name: string, value: unknown, least: number, most: number, whole: boolean): void {
  const inRange = typeof value === 'number' && value >= least && value <= most && (!whole || Number.isInteger(value));
  if (inRange) return;
  const limit = `${whole ? 'an integer' : 'a number'} from ${least} to ${most}`;
  throw new EngineError('RETRY_POLICY_INVALID', `${path}.${name} must be ${limit}`, {
    field: `${path}.${name}`,
    limit,
    got: value,
  });
}

/**
 * Delay before the attempt after `attempt`: capped exponential backoff with proportional jitter.
 *
 * @param attempt - how many attempts have been used up, from 1
 * @param random - in [0, 1); the delay falls from its cap by up to `jitter` of it
 * @returns whole milliseconds in [cap × (1 − jitter), cap], cap = min(maxDelayMs, initialDelayMs × factor^(attempt−1))
 * @see "Exponential Backoff And Jitter", AWS Architecture Blog; jitter 1 is its full jitter
 */
export function backoffDelayMs(policy: RetryPolicy, attempt: number, random: number): number {
  const cap = Math.min(policy.maxDelayMs, policy.initialDelayMs * policy.factor ** (attempt - 1));
  return Math.round(cap * (1 - policy.jitter * random));
}

/**
 * Whether and when a failed stage runs again. Pure: the same arguments give the same decision on any day.
 *
 * @param used - attempts used up of the budget, the failed one included; interruptions do not count
 * @param random - in [0, 1), the jitter seed of `(task, stage, attempt)`
 * @param deadlineAt - the stage's total deadline, or null
 */
export function decideRetry(input: {
  readonly policy: RetryPolicy;
  readonly failure: Failure;
  readonly used: number;
  readonly now: Millis;
  readonly random: number;
  readonly deadlineAt: Millis | null;
}): RetryDecision {
  const { policy, failure, used, now, random, deadlineAt } = input;
  if (!policy.retryOn.includes(failure.class)) return { kind: 'deadLetter', reason: 'notRetryable' };
  if (used >= policy.maxAttempts) return { kind: 'deadLetter', reason: 'attemptsExhausted' };
  // What the other side asked for is a floor, not a hint: to come earlier is to be refused again.
  const asked = Math.min(failure.retryAfterMs ?? 0, maximumBackoffMs);
  const delayMs = Math.max(backoffDelayMs(policy, used, random), asked);
  const dueAt = now + delayMs;
  if (deadlineAt !== null && dueAt > deadlineAt) return { kind: 'deadLetter', reason: 'deadlineExceeded' };
  return { kind: 'retry', dueAt, delayMs };
}
