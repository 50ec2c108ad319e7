import { EngineError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';

/** How often something may happen: `perSecond` in the long run, `burst` at once. */
export interface RateLimit {
  readonly perSecond: number;
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  filledAtMs: number;
}

/** Most callers that are remembered; the one that has asked least lately is forgotten first, which can only favor it. */
const maximumKeys = 10_000;

/** A token bucket for each caller. */
export class RateLimiter {
  readonly #clock: Clock;
  readonly #limit: RateLimit;
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock, limit: RateLimit) {
    this.#clock = clock;
    this.#limit = limit;
  }

  /** Counts one more. @throws EngineError `RATE_LIMITED` with when to come again */
  take(key: string): void {
    const bucket = this.#filled(key);
    if (bucket.tokens < 1) throw this.#refusal(bucket);
    bucket.tokens -= 1;
  }

  /** Whether {@link take} would pass, without counting. @throws EngineError `RATE_LIMITED` */
  check(key: string): void {
    const bucket = this.#filled(key);
    if (bucket.tokens < 1) throw this.#refusal(bucket);
  }

  #filled(key: string): Bucket {
    const { perSecond, burst } = this.#limit;
    const nowMs = this.#clock.monotonicMs();
    const found = this.#buckets.get(key) ?? { tokens: burst, filledAtMs: nowMs };
    found.tokens = Math.min(burst, found.tokens + ((nowMs - found.filledAtMs) / 1_000) * perSecond);
    found.filledAtMs = nowMs;
    // Set anew, so that the map's order is that of the last use.
    this.#buckets.delete(key);
    this.#buckets.set(key, found);
    if (this.#buckets.size > maximumKeys) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return found;
  }

  #refusal(bucket: Bucket): EngineError {
    const { perSecond, burst } = this.#limit;
    const retryAfterMs = Math.ceil(((1 - bucket.tokens) / perSecond) * 1_000);
    return new EngineError('RATE_LIMITED', 'too many requests', {
      limit: `${perSecond} a second, ${burst} at once`,
      retryAfterMs,
    });
  }
}
