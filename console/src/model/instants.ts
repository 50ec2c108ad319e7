/** An instant as `2026-11-24 09:34:58.123`, in UTC or in the zone of this computer. */
export function showInstant(at: number, isUtc: boolean): string {
  return `${showDay(at, isUtc)} ${showTime(at, isUtc)}`;
}

/** The day of an instant, as `2026-11-24`. */
export function showDay(at: number, isUtc: boolean): string {
  const date = new Date(at);
  const [year, month, day] = isUtc
    ? [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()]
    : [date.getFullYear(), date.getMonth(), date.getDate()];
  return `${year}-${pad(month + 1)}-${pad(day)}`;
}

/** The time of day of an instant, as `09:34:58.123`. */
export function showTime(at: number, isUtc: boolean): string {
  const date = new Date(at);
  const [hours, minutes, seconds] = isUtc
    ? [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()]
    : [date.getHours(), date.getMinutes(), date.getSeconds()];
  return `${pad(hours)}:${pad(minutes)}:${pad(seconds)}.${String(date.getUTCMilliseconds()).padStart(3, '0')}`;
}

function pad(count: number): string {
  return String(count).padStart(2, '0');
}
