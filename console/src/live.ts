import { signal, type ReadonlySignal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { ApiError } from './api/http.ts';

/** Data that is kept fresh. */
export interface Live<Data> {
  /** The newest that was loaded; null before the first. */
  readonly data: Data | null;
  /** Of the last try; null when it went well. */
  readonly error: ApiError | null;
  /** When `data` was loaded. */
  readonly loadedAt: number | null;
  /** Since when it could not be refreshed; null while it can. */
  readonly staleSince: number | null;
}

/** How data of a topic is got. */
export interface LiveSource<Data> {
  readonly load: (signal: AbortSignal) => Promise<Data>;
  /** Time from one answer to the next question. */
  readonly everyMs: number;
  /** What was asked for: another key begins anew. */
  readonly key: string;
  readonly isPaused?: boolean;
}

const nothing: Live<never> = { data: null, error: null, loadedAt: null, staleSince: null };
/** Slowest pace while the server does not answer. */
const slowestMs = 15_000;

/** How many views on the page are stale, and since when: for the badge in the head of the page. */
export const staleness = signal<ReadonlyMap<string, number>>(new Map());
/** The last moment at which anything was loaded. */
export const lastLoadedAt = signal<number | null>(null);

/**
 * Data of the server, kept fresh by asking again. It is the only place that knows how fresh data comes; a feed of changes can
 * take its place behind the same answer.
 *
 * It rests while the page is hidden, and gets slower while the server does not answer.
 */
export function useLive<Data>(source: LiveSource<Data>): Live<Data> & { readonly refresh: () => void } {
  const [state, setState] = useState<{ readonly key: string; readonly live: Live<Data> }>({
    key: source.key,
    live: nothing,
  });
  const [round, setRound] = useState(0);
  const isPaused = source.isPaused === true;

  useEffect(() => {
    if (isPaused) return undefined;
    const stop = new AbortController();
    let timer: number | undefined;
    let failures = 0;
    let isLoading = false;
    const schedule = (): void => {
      if (stop.signal.aborted) return;
      timer = window.setTimeout(run, Math.min(source.everyMs * 2 ** failures, Math.max(slowestMs, source.everyMs)));
    };
    const load = async (): Promise<void> => {
      isLoading = true;
      try {
        const data = await source.load(stop.signal);
        if (stop.signal.aborted) return;
        failures = 0;
        const now = Date.now();
        lastLoadedAt.value = now;
        markStale(source.key, null);
        setState({ key: source.key, live: { data, error: null, loadedAt: now, staleSince: null } });
      } catch (thrown) {
        if (stop.signal.aborted) return;
        failures = Math.min(failures + 1, 4);
        const error = asApiError(thrown);
        const now = Date.now();
        markStale(source.key, now);
        setState(({ key, live }) => {
          const before = key === source.key ? live : nothing;
          return {
            key: source.key,
            live: { ...before, error, staleSince: before.staleSince ?? before.loadedAt ?? now },
          };
        });
      } finally {
        isLoading = false;
        schedule();
      }
    };
    const run = (): void => {
      if (document.hidden) schedule();
      else void load();
    };
    const wake = (): void => {
      if (document.hidden || isLoading) return;
      window.clearTimeout(timer);
      run();
    };
    document.addEventListener('visibilitychange', wake);
    run();
    return () => {
      stop.abort();
      window.clearTimeout(timer);
      document.removeEventListener('visibilitychange', wake);
      markStale(source.key, null);
    };
    // A source is told by its key; its function is made anew at every drawing.
  }, [source.key, source.everyMs, isPaused, round]);

  const live = state.key === source.key ? state.live : nothing;
  return { ...live, refresh: () => setRound((value) => value + 1) };
}

/** Any error as one that can be shown. */
export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const name = thrown instanceof Error ? thrown.name : '';
  if (name === 'TimeoutError') return new ApiError(0, { message: 'the server did not answer in time' });
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new ApiError(-1, { message, hint: 'a bug of the page; reload it' });
}

/** A clock for the page: changes once a second. */
export const nowSignal: ReadonlySignal<number> = startClock();

function startClock(): ReadonlySignal<number> {
  const now = signal(Date.now());
  window.setInterval(() => {
    if (!document.hidden) now.value = Date.now();
  }, 1_000);
  return now;
}

function markStale(key: string, at: number | null): void {
  const before = staleness.value;
  if (at === null ? !before.has(key) : before.has(key)) return;
  const next = new Map(before);
  if (at === null) next.delete(key);
  else next.set(key, at);
  staleness.value = next;
}
