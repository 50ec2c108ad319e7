import type { Frame } from './frames.ts';

/** What the page was opened for. */
export interface Target {
  readonly taskId: string;
  readonly key: string;
}

/** How a stream stands, in words. */
export type StreamState =
  { readonly kind: 'connecting' | 'open' } | { readonly kind: 'closed'; readonly reason: string };

/** Gathered, so that a long replay at once does not draw the page once a message. */
const gatherMs = 50;

/** The target in the page's address, which keeps it out of every request. Null when there is none. */
export function readTarget(hash: string): Target | null {
  const fields = new URLSearchParams(hash.replace(/^#/, ''));
  const taskId = fields.get('task');
  const key = fields.get('key');
  return taskId === null || key === null ? null : { taskId, key };
}

/** Follows a task; the returned function ends it. */
export function follow(
  { taskId, key }: Target,
  speed: string,
  on: { readonly frames: (frames: readonly Frame[]) => void; readonly state: (state: StreamState) => void },
): () => void {
  const query = new URLSearchParams({ format: 'engine', from: 'start', speed, key });
  const url = new URL(`/api/inspect/${encodeURIComponent(taskId)}?${query.toString()}`, location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(url);
  let waiting: Frame[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;
  const flush = (): void => {
    timer = undefined;
    const frames = waiting;
    waiting = [];
    if (!isOver && frames.length > 0) on.frames(frames);
  };
  on.state({ kind: 'connecting' });
  socket.addEventListener('open', () => !isOver && on.state({ kind: 'open' }));
  socket.addEventListener('message', ({ data }) => {
    waiting.push(JSON.parse(String(data)) as Frame);
    timer ??= setTimeout(flush, gatherMs);
  });
  socket.addEventListener('close', ({ code, reason }) => {
    flush();
    if (!isOver) on.state({ kind: 'closed', reason: reason === '' ? `code ${code}` : reason });
  });
  return () => {
    isOver = true;
    clearTimeout(timer);
    socket.close();
  };
}
