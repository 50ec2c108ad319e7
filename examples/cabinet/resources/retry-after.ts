/** The wait when a server asks for one but does not say how long. */
export const defaultRetryAfterMs = 1_000;
/** The longest wait that a server may ask for. */
export const maximumRetryAfterMs = 3_600_000;

/**
 * The wait that a `Retry-After` header asks for.
 *
 * @param header - seconds or an HTTP date, as RFC 9110 §10.2.3 has it
 * @returns milliseconds from 0 to {@link maximumRetryAfterMs}; {@link defaultRetryAfterMs} for a missing or unreadable one
 */
export function parseRetryAfterMs(header: string | null, now: number): number {
  const text = header?.trim() ?? '';
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now;
  if (Number.isNaN(waitMs)) return defaultRetryAfterMs;
  return Math.min(Math.max(waitMs, 0), maximumRetryAfterMs);
}
