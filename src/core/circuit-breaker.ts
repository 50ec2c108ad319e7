import { unreachable } from './errors.ts';
import type { FailureClass } from './failures.ts';

/** When a breaker opens and how long it stays open. */
export interface BreakerPolicy {
  /** Failures in a row that open it: 1 or more. */
  readonly failureThreshold: number;
  /** How long it stays open the first time, in milliseconds. */
  readonly openMs: number;
  /** Each failed probe doubles the time, up to this, in milliseconds. */
  readonly maxOpenMs: number;
}

/** What the end of an attempt says of the integration; `unknown`: nothing. */
export type BreakerOutcome = 'succeeded' | 'failed' | 'unknown';

/** The breaker that a port has when nothing else is said. */
export const breakerDefaults: BreakerPolicy = { failureThreshold: 10, openMs: 1_000, maxOpenMs: 60_000 };

/**
 * Where a breaker stands. Times are by a monotonic clock.
 *
 * ```
 * closed ──failureThreshold failures in a row──► open ──its time is over──► probing ──the probe succeeds──► closed
 *                                                  ▲                            └─ the probe fails: open, twice as long
 *                                                  └────────────────────────────────┘
 * ```
 */
export type BreakerState =
  | { readonly kind: 'closed'; readonly failures: number }
  | { readonly kind: 'open'; readonly untilMs: number; readonly openMs: number }
  /** One attempt may go through; until it has ended no other may. */
  | { readonly kind: 'probing'; readonly openMs: number };

/** A breaker of a port that nobody has used. */
export const closedBreaker: BreakerState = { kind: 'closed', failures: 0 };

/** Whether an attempt may start now. While a probe runs none may. Pure. */
export function mayPass(state: BreakerState, nowMs: number): boolean {
  return state.kind === 'closed' || (state.kind === 'open' && nowMs >= state.untilMs);
}

/** The state when an attempt that {@link mayPass} let through starts: after an open time it is the probe. Pure. */
export function passed(state: BreakerState): BreakerState {
  return state.kind === 'open' ? { kind: 'probing', openMs: state.openMs } : state;
}

/** What a failure says of the integration: one that refused or broke its contract has answered. Pure. */
export function breakerOutcomeOf(failureClass: FailureClass): BreakerOutcome {
  switch (failureClass) {
    case 'retryable':
    case 'rateLimited':
    case 'timeout':
    case 'heartbeatTimeout':
    case 'unexpected':
      return 'failed';
    case 'fatal':
    case 'contract':
      return 'succeeded';
    case 'interrupted':
    case 'poison':
      return 'unknown';
    default:
      return unreachable(failureClass);
  }
}

/**
 * The state after an attempt has ended. Pure.
 *
 * @param outcome - `failed` only when the integration is to blame (a retryable failure, a timeout); `unknown` when the attempt says
 *   nothing about it (canceled, handed over): a probe that says nothing lets the next one try at once
 * @see the circuit breaker of Michael Nygard, "Release It!"
 */
export function ended(
  policy: BreakerPolicy,
  state: BreakerState,
  outcome: BreakerOutcome,
  nowMs: number,
): BreakerState {
  switch (state.kind) {
    case 'closed': {
      if (outcome === 'unknown') return state;
      const failures = outcome === 'failed' ? state.failures + 1 : 0;
      if (failures < policy.failureThreshold) return { kind: 'closed', failures };
      return { kind: 'open', untilMs: nowMs + policy.openMs, openMs: policy.openMs };
    }
    case 'probing': {
      if (outcome === 'succeeded') return closedBreaker;
      if (outcome === 'unknown') return { kind: 'open', untilMs: nowMs, openMs: state.openMs };
      const openMs = Math.min(state.openMs * 2, policy.maxOpenMs);
      return { kind: 'open', untilMs: nowMs + openMs, openMs };
    }
    case 'open':
      // An attempt that started before it opened: a success says that the integration is back.
      return outcome === 'succeeded' ? closedBreaker : state;
    default:
      return unreachable(state);
  }
}
