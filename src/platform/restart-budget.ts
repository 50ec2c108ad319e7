/** How often, and how fast, something is restarted. */
export interface RestartPolicy {
  /** Restarts allowed within the period. */
  readonly intensity: number;
  readonly periodMs: number;
  readonly firstDelayMs: number;
  readonly longestDelayMs: number;
}

/** Counts restarts in a sliding window; the delay doubles with each one that is still in it. */
export class RestartBudget {
  readonly #policy: RestartPolicy;
  #times: readonly number[] = [];

  constructor(policy: RestartPolicy) {
    this.#policy = policy;
  }

  /** Delay before the next restart, or undefined when there were too many. @param nowMs - monotonic */
  take(nowMs: number): number | undefined {
    const { intensity, periodMs, firstDelayMs, longestDelayMs } = this.#policy;
    const recent = this.#times.filter((timeMs) => nowMs - timeMs < periodMs);
    if (recent.length >= intensity) return undefined;
    this.#times = [...recent, nowMs];
    return Math.min(firstDelayMs * 2 ** recent.length, longestDelayMs);
  }
}
