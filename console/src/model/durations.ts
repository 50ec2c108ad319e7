/** Units that a duration is written with, the largest first. */
const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** A text such as `90s`, `15m`, `1h30m`, `2d` or `250ms` in milliseconds; null when it is none. */
export function parseDuration(text: string): number | null {
  const milliseconds = /^(\d{1,12})ms$/.exec(text)?.[1];
  if (milliseconds !== undefined) return Number(milliseconds);
  const match = /^(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?$/.exec(text);
  if (match === null || text === '') return null;
  return units.reduce((sum, [, ms], index) => sum + Number(match[index + 1] ?? 0) * ms, 0);
}

/** A duration as {@link parseDuration} reads it, exact. */
export function writeDuration(durationMs: number): string {
  if (durationMs % 1_000 !== 0 || durationMs === 0) return `${durationMs}ms`;
  let rest = durationMs;
  let text = '';
  for (const [unit, ms] of units) {
    const count = Math.floor(rest / ms);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * ms;
  }
  return text;
}

/** A duration for people, in two parts at most: `1.24 s`, `3 min 05 s`, `2 d 4 h`. */
export function showDuration(durationMs: number | null): string {
  if (durationMs === null || !Number.isFinite(durationMs)) return '–';
  const ms = Math.max(0, durationMs);
  if (ms < 1) return ms === 0 ? '0 ms' : `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(2)} s`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${pad(seconds % 60)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function pad(count: number): string {
  return String(count).padStart(2, '0');
}
