/**
 * Part of a lease's life that its holder does not use.
 *
 * It covers what the holder cannot see: the drift of its clock against the server's, the time from asking whether the lease is
 * good to the effect that follows, and a clock that stood still for a moment.
 */
export const leaseMarginPart = 0.2;

/** When a renewal was sent and what it asked for; by the holder's monotonic clock. */
export interface LeaseRenewal {
  /** Taken before the request went out: the server cannot have counted from earlier. */
  readonly sentAtMs: number;
  readonly ttlMs: number;
}

/** Until when a lease counts as good: from before its renewal was sent, less the margin. */
export function leaseGoodUntilMs({ sentAtMs, ttlMs }: LeaseRenewal): number {
  return sentAtMs + ttlMs * (1 - leaseMarginPart);
}

/** The instant after one more renewal was confirmed. Answers may come out of order; an older one never shortens the lease. */
export function extendedLease(goodUntilMs: number | null, renewal: LeaseRenewal): number {
  return Math.max(goodUntilMs ?? Number.NEGATIVE_INFINITY, leaseGoodUntilMs(renewal));
}

/** Whether the lease stays good for `spanMs` from now, without another renewal: what is asked before a driver starts. */
export function isGoodForMs(goodUntilMs: number | null, nowMs: number, spanMs: number): boolean {
  return goodUntilMs !== null && nowMs + spanMs < goodUntilMs;
}

/**
 * What a holder may still do.
 *
 * - `good`: everything.
 * - `closing`: start nothing; running drivers are told to stop, while there is time for them to do so.
 * - `ended`: drop the shards; another node may have them.
 */
export type LeasePhase = 'good' | 'closing' | 'ended';

/** Spans that a holder needs before its lease ends. */
export interface LeaseSpans {
  /** Time that a driver has to stop after its signal aborts. */
  readonly abortGraceMs: number;
  /** Time that a start needs to be worth it, before the drivers would be told to stop again. */
  readonly startHeadroomMs: number;
}

/** The phase of a lease now. */
export function leasePhase(goodUntilMs: number | null, nowMs: number, spans: LeaseSpans): LeasePhase {
  if (!isGoodForMs(goodUntilMs, nowMs, 0)) return 'ended';
  return isGoodForMs(goodUntilMs, nowMs, spans.abortGraceMs) ? 'good' : 'closing';
}

/** Whether a driver may start now: the lease is good, and will be for a while. */
export function mayStartDriver(goodUntilMs: number | null, nowMs: number, spans: LeaseSpans): boolean {
  return isGoodForMs(goodUntilMs, nowMs, spans.abortGraceMs + spans.startHeadroomMs);
}

/** When the phase changes if no renewal comes: when a watchdog should look again. Null: there is nothing to wait for. */
export function nextPhaseAtMs(goodUntilMs: number | null, nowMs: number, spans: LeaseSpans): number | null {
  if (goodUntilMs === null || nowMs >= goodUntilMs) return null;
  const closingAtMs = goodUntilMs - spans.abortGraceMs;
  return nowMs < closingAtMs ? closingAtMs : goodUntilMs;
}
