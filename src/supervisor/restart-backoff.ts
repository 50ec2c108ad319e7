import { backoffDelayMs, maximumAttemptsLimit, retryDefaults, type RetryPolicy } from '../core/backoff.ts';
import { noteCrash, type RestartIntensity } from '../core/restart-intensity.ts';

/** How the wait before a restart grows; as in a stage's retry policy. */
export type RestartBackoff = Pick<RetryPolicy, 'initialDelayMs' | 'factor' | 'maxDelayMs' | 'jitter'>;

/** The backoff of node processes: 200 ms, doubling up to 10 s. */
export const restartBackoffDefaults: RestartBackoff = {
  initialDelayMs: 200,
  factor: 2,
  maxDelayMs: 10_000,
  jitter: 0.2,
};

/** Whether and when something that crashed starts again. */
export type RestartDecision =
  | {
      readonly kind: 'restart';
      readonly delayMs: number;
      readonly atMs: number;
      readonly crashesMs: readonly number[];
    }
  /** More crashes than the intensity: its supervisor gives it up, loudly. */
  | { readonly kind: 'giveUp'; readonly crashesMs: readonly number[] };

/**
 * Delay before a restart.
 *
 * @param crashes - crashes within the period, this one included, from 1
 * @param random - in [0, 1)
 */
export function restartDelayMs(backoff: RestartBackoff, crashes: number, random: number): number {
  return backoffDelayMs({ ...retryDefaults, ...backoff, maxAttempts: maximumAttemptsLimit }, crashes, random);
}

/**
 * Notes a crash, and decides on the restart. Pure. Crashes older than the period are forgotten, and with them the growth of the
 * delay: what ran well for a period starts again at once.
 *
 * @param crashesMs - of the decision before, by a monotonic clock; empty at the start
 */
export function decideRestart(input: {
  readonly limit: RestartIntensity;
  readonly backoff: RestartBackoff;
  readonly crashesMs: readonly number[];
  readonly nowMs: number;
  readonly random: number;
}): RestartDecision {
  const { limit, backoff, nowMs, random } = input;
  const { crashesMs, mayRestart } = noteCrash(limit, input.crashesMs, nowMs);
  if (!mayRestart) return { kind: 'giveUp', crashesMs };
  const delayMs = restartDelayMs(backoff, crashesMs.length, random);
  return { kind: 'restart', delayMs, atMs: nowMs + delayMs, crashesMs };
}
