import { WebSocket } from 'ws';
import {
  afterFrame,
  beginSubscription,
  livePath,
  liveProtocol,
  type LiveFrame,
  type LiveMessage,
} from '../src/admin/live/protocol.ts';

// The pages of a console as a process of its own: `watch-process <port> <token> <clients>`. Each takes all events, and looks at the
// overview, the cluster and the changed tasks. Who is closed comes again and resumes. Sends how much it was told to its parent when it is
// asked; a frame out of turn ends it.

/** What the clients were told. */
export interface WatchFigures {
  readonly events: number;
  readonly bytes: number;
  readonly closes: readonly string[];
}

const [, , port = '0', token = '', clients = '50'] = process.argv;
const topics = ['events', 'overview', 'cluster', 'tasks'] as const;
let events = 0;
let bytes = 0;
const closes: string[] = [];

/** @param resumeFrom - of the events, when it has been here before */
function watch(resumeFrom: string | null = null): Promise<void> {
  return new Promise((resolve) => {
    const origin = `http://127.0.0.1:${port}`;
    const headers = { authorization: `Bearer ${token}` };
    const socket = new WebSocket(`ws://127.0.0.1:${port}${livePath}`, [liveProtocol], {
      origin,
      headers,
      perMessageDeflate: false,
    });
    const states = new Map(
      topics.map((topic) => [topic as string, beginSubscription(topic === 'events' ? resumeFrom : null)]),
    );
    socket.on('open', () => {
      for (const topic of topics) {
        const resume = topic === 'events' && resumeFrom !== null ? { resumeFrom } : {};
        socket.send(JSON.stringify({ type: 'subscribe', id: topic, topic, ...resume } satisfies LiveMessage));
      }
      resolve();
    });
    socket.on('error', () => undefined);
    socket.on('close', (_code, reason) => {
      closes.push(reason.toString('utf8'));
      void watch(states.get('events')?.position ?? null);
    });
    socket.on('message', (data) => {
      const text = (data as Buffer).toString('utf8');
      bytes += text.length;
      const frame = JSON.parse(text) as LiveFrame;
      if (!('id' in frame) || frame.id === null) return;
      const state = states.get(frame.id);
      if (state !== undefined) states.set(frame.id, afterFrame(state, frame));
      if (frame.type === 'delta' && frame.id === 'events') events += (frame.data as readonly unknown[]).length;
    });
  });
}

await Promise.all(Array.from({ length: Number(clients) }, watch));
process.send?.('ready');
process.on('disconnect', () => process.exit(1));
process.on('message', (message) => {
  if (message === 'stop') process.exit(0);
  process.send?.({ events, bytes, closes } satisfies WatchFigures);
});
