import type { JSX } from 'preact';
import { nowSignal } from '../live.ts';
import { showDuration } from '../model/durations.ts';
import { showDay, showInstant, showTime } from '../model/instants.ts';
import { isUtc } from '../preferences.ts';

/** An instant; its day is left out when that is today, and told with the rest when it is pointed at. */
export function Instant({ at }: { readonly at: number | null }): JSX.Element {
  if (at === null) return <span class="quiet">–</span>;
  const utc = isUtc.value;
  const isToday = showDay(at, utc) === showDay(Date.now(), utc);
  return (
    <time dateTime={new Date(at).toISOString()} title={`${showInstant(at, utc)} ${utc ? 'UTC' : 'local time'}`}>
      {isToday ? showTime(at, utc).slice(0, 8) : showInstant(at, utc).slice(0, 16)}
    </time>
  );
}

/** How long ago an instant was, or how far it is ahead. Moves on by itself. */
export function Ago({ at }: { readonly at: number | null }): JSX.Element {
  if (at === null) return <span class="quiet">–</span>;
  const distance = nowSignal.value - at;
  const utc = isUtc.value;
  return (
    <time dateTime={new Date(at).toISOString()} title={`${showInstant(at, utc)} ${utc ? 'UTC' : 'local time'}`}>
      {distance >= -500 ? `${coarse(distance)} ago` : `in ${coarse(-distance)}`}
    </time>
  );
}

/** To the second under a minute: a text that changes in its tenths cannot be read. */
function coarse(durationMs: number): string {
  return durationMs < 60_000 ? `${Math.max(0, Math.round(durationMs / 1_000))} s` : showDuration(durationMs);
}
