import { signal } from '@preact/signals';

/** Which views on the page are stale, and since when: for the badge in the head of the page. */
export const staleness = signal<ReadonlyMap<string, number>>(new Map());
/** The last moment at which anything was loaded. */
export const lastLoadedAt = signal<number | null>(null);

/** Something was loaded. */
export function noteLoaded(at: number): void {
  lastLoadedAt.value = at;
}

/** A view is stale since then, if it was not before; null: it is not. */
export function markStale(key: string, at: number | null): void {
  const before = staleness.value;
  if (at === null ? !before.has(key) : before.has(key)) return;
  const next = new Map(before);
  if (at === null) next.delete(key);
  else next.set(key, at);
  staleness.value = next;
}
