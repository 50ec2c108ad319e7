import { WebSocket } from 'ws';
import {
  afterFrame,
  beginSubscription,
  liveCloseCodes,
  livePath,
  liveProtocol,
  type LiveFrame,
  type LiveMessage,
} from '../src/admin/live/protocol.ts';
import { ownSettings } from './child-process.ts';
import { EventTally, missingEvents } from './event-tally.ts';

/**
 * Settings of the pages of a console, all in one process. Each takes all events, and looks at the overview, the cluster and the changed
 * tasks. Who is closed comes again and resumes. Tells its parent what it heard when it is asked; a frame out of turn ends it.
 */
export interface WatchSettings {
  readonly servers: readonly string[];
  readonly namespace: string;
  readonly clients: number;
  readonly port: number;
  readonly token: string;
}

/** What the clients were told. */
export interface WatchFigures {
  readonly events: number;
  readonly bytes: number;
  /** Events between a client's first and its last that it never had; 0 until it is asked to check. */
  readonly missing: number;
  /** Events that a client had before. */
  readonly twice: number;
  /** Gaps that the server told of. */
  readonly gaps: number;
  readonly slowCloses: number;
  readonly otherCloses: number;
}

const { servers, namespace, clients, port, token } = ownSettings() as WatchSettings;
const topics = ['events', 'overview', 'cluster', 'tasks'] as const;
/** Before a client comes again: the console may be about to start. */
const returnAfterMs = 100;
const tallies = Array.from({ length: clients }, () => new EventTally());
let [bytes, gaps, slowCloses, otherCloses] = [0, 0, 0, 0];

/** @param resumeFrom - of the events, when it has been here before */
function watch(tally: EventTally, resumeFrom: string | null = null): Promise<void> {
  return new Promise((resolve) => {
    const origin = `http://127.0.0.1:${port}`;
    const headers = { authorization: `Bearer ${token}` };
    const socket = new WebSocket(`ws://127.0.0.1:${port}${livePath}`, [liveProtocol], {
      origin,
      headers,
      perMessageDeflate: false,
    });
    let isOpen = false;
    const states = new Map(
      topics.map((topic) => [topic as string, beginSubscription(topic === 'events' ? resumeFrom : null)]),
    );
    socket.on('open', () => {
      isOpen = true;
      for (const topic of topics) {
        const resume = topic === 'events' && resumeFrom !== null ? { resumeFrom } : {};
        socket.send(JSON.stringify({ type: 'subscribe', id: topic, topic, ...resume } satisfies LiveMessage));
      }
      resolve();
    });
    socket.on('error', () => undefined);
    socket.on('close', (code) => {
      if (isOpen && code === liveCloseCodes.slowConsumer) slowCloses += 1;
      else if (isOpen) otherCloses += 1;
      setTimeout(() => void watch(tally, states.get('events')?.position ?? resumeFrom), returnAfterMs);
    });
    socket.on('message', (data) => {
      const text = (data as Buffer).toString('utf8');
      bytes += text.length;
      const frame = JSON.parse(text) as LiveFrame;
      if (!('id' in frame) || frame.id === null) return;
      const state = states.get(frame.id);
      if (state !== undefined) states.set(frame.id, afterFrame(state, frame));
      if (frame.type === 'gap') gaps += 1;
      if (frame.type === 'error') throw new Error(`${frame.id}: ${frame.code} ${frame.message}`);
      if (frame.type === 'delta' && frame.id === 'events') {
        for (const { id } of frame.data as readonly { readonly id: string }[]) tally.hear(id);
      }
    });
  });
}

await Promise.all(tallies.map((tally) => watch(tally)));
process.send?.('ready');
process.on('disconnect', () => process.exit(1));
process.on('message', (message) => {
  if (message === 'stop') process.exit(0);
  else void tell(message === 'check');
});

async function tell(isChecked: boolean): Promise<void> {
  const missing = isChecked ? await missingEvents({ servers, namespace, tallies }) : 0;
  process.send?.({
    events: tallies.reduce((sum, { events }) => sum + events, 0),
    twice: tallies.reduce((sum, { twice }) => sum + twice, 0),
    bytes,
    missing,
    gaps,
    slowCloses,
    otherCloses,
  } satisfies WatchFigures);
}
