const unitsMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** How a duration is written, for messages. */
export const durationFormat = 'a number of seconds, or with units: 500ms, 10s, 2m, 1h30m, 7d';

/** The milliseconds that a text such as `2`, `1.5s`, `500ms` or `1h30m` says; undefined when it is none. */
export function parseDurationMs(text: string): number | undefined {
  const trimmed = text.trim();
  const single = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)?$/.exec(trimmed);
  if (single !== null) {
    const unit = (single[2] ?? 's') as keyof typeof unitsMs;
    return Math.round(Number(single[1]) * unitsMs[unit]);
  }
  const several = /^(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?$/.exec(trimmed);
  if (several === null || trimmed === '') return undefined;
  const [, days = '0', hours = '0', minutes = '0', seconds = '0'] = several;
  return (
    Number(days) * unitsMs.d + Number(hours) * unitsMs.h + Number(minutes) * unitsMs.m + Number(seconds) * unitsMs.s
  );
}

/** RFC 3339 with its zone: a text without one means another moment on every machine. */
const instantPattern = /^(\d{4})-(\d{2})-(\d{2})T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/i;

/** The milliseconds since 1970 that an instant such as `2026-11-24T08:00:00Z` says; undefined when it is none, or earlier. */
export function parseInstant(text: string): number | undefined {
  const [, year, month, day] = (instantPattern.exec(text) ?? []).map(Number);
  if (year === undefined || month === undefined || day === undefined) return undefined;
  // `Date` itself takes the 30th of February for the 2nd of March.
  if (new Date(Date.UTC(year, month - 1, day)).getUTCDate() !== day) return undefined;
  const at = Date.parse(text);
  return at >= 0 ? at : undefined;
}

/** A span for people, in its two largest units: `1.2s`, `3m 5s`, `2h 10m`, `4d 1h`. */
export function formatSpan(spanMs: number): string {
  const ms = Math.max(0, Math.round(spanMs));
  if (ms < 1_000) return `${ms}ms`;
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)}s`;
  if (ms < unitsMs.h) return pair(ms, unitsMs.m, 'm', unitsMs.s, 's');
  if (ms < unitsMs.d) return pair(ms, unitsMs.h, 'h', unitsMs.m, 'm');
  return pair(ms, unitsMs.d, 'd', unitsMs.h, 'h');
}

function pair(ms: number, largeMs: number, large: string, smallMs: number, small: string): string {
  const rest = Math.floor((ms % largeMs) / smallMs);
  const head = `${Math.floor(ms / largeMs)}${large}`;
  return rest === 0 ? head : `${head} ${rest}${small}`;
}

/** An instant as RFC 3339 in UTC; `–` for none. */
export function formatInstant(at: number | null): string {
  return at === null ? '–' : new Date(at).toISOString();
}
