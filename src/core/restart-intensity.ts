/** How often something may be restarted before its supervisor gives it up. */
export interface RestartIntensity {
  /** Restarts allowed within the period; 0: none. */
  readonly intensity: number;
  readonly periodMs: number;
}

/**
 * Notes a crash at `nowMs` and tells whether a restart is still allowed. Pure.
 *
 * @param earlierMs - instants of earlier crashes, ascending, by a monotonic clock
 * @returns the crashes within the period, and false when they are more than the intensity
 * @see the sliding window of Erlang/OTP's `supervisor`, function `add_restart`
 */
export function noteCrash(
  limit: RestartIntensity,
  earlierMs: readonly number[],
  nowMs: number,
): { readonly crashesMs: readonly number[]; readonly mayRestart: boolean } {
  const crashesMs = [...earlierMs.filter((atMs) => nowMs - atMs <= limit.periodMs), nowMs];
  return { crashesMs, mayRestart: crashesMs.length <= limit.intensity };
}
