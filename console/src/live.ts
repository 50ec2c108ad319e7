import { signal, type ReadonlySignal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { LiveView, nothingYet, type Live, type LiveSource } from './live/live-view.ts';

export type { Live } from './live/live-view.ts';

/**
 * Data of the server, kept fresh. Views do not know how: by the socket where it is open and the source names a topic, by asking
 * again where not.
 */
export function useLive<Data>(source: LiveSource<Data>): Live<Data> & { readonly refresh: () => void } {
  const [state, setState] = useState<{ readonly key: string; readonly live: Live<Data> }>({
    key: source.key,
    live: nothingYet,
  });
  // A source is told by its key; its functions are made anew at every drawing, and the newest are used.
  const newest = useRef(source);
  newest.current = source;
  const view = useRef<LiveView<Data> | null>(null);
  const isPaused = source.isPaused === true;
  useEffect(() => {
    if (isPaused) return undefined;
    const { key } = source;
    const current = new LiveView<Data>(
      () => newest.current,
      (live) => setState({ key, live }),
    );
    view.current = current;
    current.start();
    return () => {
      current.stop();
      view.current = null;
    };
  }, [source.key, source.everyMs, isPaused]);
  const live = state.key === source.key ? state.live : nothingYet;
  return { ...live, refresh: () => view.current?.refresh() };
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
