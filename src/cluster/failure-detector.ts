import { unreachable } from '../core/errors.ts';

/** Times of the failure detector; all spans by the observer's monotonic clock. */
export interface DetectorPolicy {
  /** From one heartbeat request to the next while a peer answers. */
  readonly heartbeatIntervalMs: number;
  /** How long the observer waits for an answer. */
  readonly heartbeatTimeoutMs: number;
  /** Checks that must fail after the one that raised the suspicion. */
  readonly confirmations: number;
  /** Least time from one such check to the next. */
  readonly confirmIntervalMs: number;
  /** Wait after confirmation when nobody serves the peer's subject: its connection is closed, and may be about to come back. */
  readonly refusedGraceMs: number;
  /** Wait after confirmation when the peer is only silent: a garbage collection, or a driver that blocks, must move nothing. */
  readonly silentGraceMs: number;
  /** An answer's deadline noticed later than this shows that the observer itself was away: no sign against the peer. */
  readonly maximumLagMs: number;
}

/** Killed process: down within 1 s. Frozen one: down after 4 to 4.3 s, so that any shorter pause moves nothing. */
export const detectorDefaults: DetectorPolicy = {
  heartbeatIntervalMs: 300,
  heartbeatTimeoutMs: 500,
  confirmations: 2,
  confirmIntervalMs: 250,
  refusedGraceMs: 150,
  silentGraceMs: 2_000,
  maximumLagMs: 250,
};

/** What the observer learns of a peer; `atMs` and `sentAtMs` by its monotonic clock. */
export type PeerEvent =
  /** The peer answered a heartbeat request that was sent at `sentAtMs`. */
  | { readonly type: 'heartbeat.answered'; readonly sentAtMs: number; readonly atMs: number }
  /** No answer within the timeout, in which the observer reached itself over the same bus. */
  | { readonly type: 'heartbeat.timedOut'; readonly sentAtMs: number; readonly atMs: number }
  /** The bus says *no responders*: no connection serves the peer's subject. */
  | { readonly type: 'heartbeat.refused'; readonly sentAtMs: number; readonly atMs: number }
  /** The observer itself was cut off, or the bus stood still: it knows nothing of the peer, and what it suspected may have been its own link. */
  | { readonly type: 'heartbeat.cutOff'; readonly sentAtMs: number; readonly atMs: number }
  /** The peer's lease is among those listed. It proves nothing: a lease outlives its node by its time to live. */
  | { readonly type: 'lease.listed'; readonly atMs: number }
  /** The peer's lease ran out or was given back: the backstop. */
  | { readonly type: 'lease.gone'; readonly atMs: number }
  /** The peer was a process that the observer started, and it has exited. */
  | { readonly type: 'child.exited'; readonly atMs: number };

/** Why a peer is held to be down. */
export type DownReason = 'refused' | 'silent' | 'leaseGone' | 'childExited';

/**
 * One peer, one incarnation of it, in the eyes of one observer.
 *
 *     alive ──check failed──► suspect ──2 more failed, grace over, one more failed──► down
 *       ▲                        │                                                     │
 *       └───────── answered ─────┴───────────── answered (not once it is final) ───────┘
 *     any ──lease gone, or own child exited──► down, finally
 */
export type PeerState =
  | { readonly status: 'alive'; readonly nextCheckAtMs: number }
  | {
      readonly status: 'suspect';
      readonly sinceMs: number;
      readonly nextCheckAtMs: number;
      /** Checks that failed since, and how many of the last ones in a row were refused. */
      readonly failures: number;
      readonly refusals: number;
      /** A check sent from then on that fails makes the peer down; null: not yet confirmed. */
      readonly downFromMs: number | null;
    }
  | {
      readonly status: 'down';
      readonly sinceMs: number;
      readonly why: DownReason;
      /** When to ask whether it is back; null: this incarnation is gone for good. */
      readonly nextCheckAtMs: number | null;
    };

/** A peer that was just learned of: alive until shown otherwise, checked at once. */
export function newPeer(nowMs: number): PeerState {
  return { status: 'alive', nextCheckAtMs: nowMs };
}

/**
 * The peer after an event. Pure.
 *
 * The shell sends a heartbeat request at `nextCheckAtMs`, one at a time, and feeds what came of it. Nothing follows from time
 * alone: a peer goes down only by a check that failed after the grace, so that an observer that was away itself asks first.
 */
export function observePeer(policy: DetectorPolicy, state: PeerState, event: PeerEvent): PeerState {
  if (state.status === 'down' && state.nextCheckAtMs === null) return state;
  switch (event.type) {
    case 'child.exited':
      return { status: 'down', sinceMs: event.atMs, why: 'childExited', nextCheckAtMs: null };
    case 'lease.gone':
      return { status: 'down', sinceMs: event.atMs, why: 'leaseGone', nextCheckAtMs: null };
    case 'lease.listed':
      return state;
    case 'heartbeat.answered':
      return { status: 'alive', nextCheckAtMs: Math.max(event.atMs, event.sentAtMs + policy.heartbeatIntervalMs) };
    case 'heartbeat.cutOff': {
      const nextCheckAtMs = Math.max(event.atMs, event.sentAtMs + policy.heartbeatIntervalMs);
      return state.status === 'down' ? { ...state, nextCheckAtMs } : { status: 'alive', nextCheckAtMs };
    }
    case 'heartbeat.timedOut':
      if (event.atMs - event.sentAtMs <= policy.heartbeatTimeoutMs + policy.maximumLagMs) {
        return afterFailure(policy, state, event);
      }
      return { ...state, nextCheckAtMs: event.atMs };
    case 'heartbeat.refused':
      return afterFailure(policy, state, event);
    default:
      return unreachable(event);
  }
}

type FailedCheck = Extract<PeerEvent, { readonly type: 'heartbeat.timedOut' | 'heartbeat.refused' }>;

function afterFailure(policy: DetectorPolicy, state: PeerState, check: FailedCheck): PeerState {
  const { atMs, sentAtMs } = check;
  if (state.status === 'down') {
    return { ...state, nextCheckAtMs: Math.max(atMs, sentAtMs + policy.heartbeatIntervalMs) };
  }
  if (state.status === 'alive') {
    // The first confirmation goes out at once.
    return { status: 'suspect', sinceMs: atMs, nextCheckAtMs: atMs, failures: 0, refusals: 0, downFromMs: null };
  }
  if (state.downFromMs !== null && sentAtMs >= state.downFromMs) {
    const why = check.type === 'heartbeat.refused' ? 'refused' : 'silent';
    return { status: 'down', sinceMs: atMs, why, nextCheckAtMs: atMs + policy.heartbeatIntervalMs };
  }
  const failures = state.failures + 1;
  const refusals = check.type === 'heartbeat.refused' ? state.refusals + 1 : 0;
  const downFromMs = earlier(
    state.downFromMs ?? (failures >= policy.confirmations ? atMs + policy.silentGraceMs : null),
    // Silence that turns into refusal is a process that froze and then died: the short grace is enough from here.
    refusals >= policy.confirmations ? atMs + policy.refusedGraceMs : null,
  );
  const nextMs = Math.max(atMs, sentAtMs + policy.confirmIntervalMs);
  const nextCheckAtMs = downFromMs === null ? nextMs : Math.max(atMs, Math.min(nextMs, downFromMs));
  return { ...state, failures, refusals, downFromMs, nextCheckAtMs };
}

function earlier(left: number | null, right: number | null): number | null {
  return left === null || right === null ? (left ?? right) : Math.min(left, right);
}
