/** A count with thin spaces between thousands: `12 345`. */
export function showCount(count: number): string {
  return Math.round(count)
    .toString()
    .replaceAll(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** A count in three characters: `999`, `1k`, `12k`, `3M`. */
export function showSmallCount(count: number): string {
  if (count < 1_000) return String(count);
  return count < 1_000_000 ? `${Math.floor(count / 1_000)}k` : `${Math.floor(count / 1_000_000)}M`;
}

/** A rate per second: `0.4`, `12.5`, `1 240`. */
export function showRate(perSecond: number): string {
  if (perSecond === 0) return '0';
  if (perSecond < 0.1) return perSecond.toFixed(2);
  return perSecond < 100 ? perSecond.toFixed(1) : showCount(perSecond);
}

/** Bytes for people: `12 B`, `4.2 KiB`. */
export function showBytes(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  const isLarge = bytes >= 1_048_576;
  return `${(bytes / (isLarge ? 1_048_576 : 1_024)).toFixed(1)} ${isLarge ? 'MiB' : 'KiB'}`;
}
