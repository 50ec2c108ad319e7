import { effect, signal, type ReadonlySignal } from '@preact/signals';
import {
  livePath,
  liveCloseCodes,
  protocolsWithTicket,
  type LiveFrame,
  type LiveMessage,
} from '../../../src/admin/live/protocol.ts';
import { ApiError, get, post } from '../api/http.ts';
import { who } from '../session.ts';
import {
  afterLinkInput,
  dueAt,
  noLink,
  statusOf,
  type LinkEffect,
  type LinkInput,
  type LinkNotice,
  type LinkState,
  type LinkStatus,
  type LinkTopic,
} from './link-state.ts';

/** No socket at all: of a try that ended before there was one. */
const abnormal = 1006;

/** The page's one socket to the server, which all views share. */
class LiveLink {
  readonly #status = signal<LinkStatus>('off');
  readonly #brokenSince = signal<number | null>(null);
  readonly #listeners = new Map<string, (notice: LinkNotice) => void>();
  #state: LinkState = noLink;
  #socket: WebSocket | null = null;
  /** Tells a try from the ones before it, whose answers may still be under way. */
  #attempt = 0;
  #timer: number | undefined;
  #lastId = 0;

  constructor() {
    effect(() => this.#put({ type: who.value === null || who.value === undefined ? 'stopped' : 'started' }));
    document.addEventListener('visibilitychange', () => this.#put({ type: document.hidden ? 'hidden' : 'shown' }));
    // What the browser knows of the network saves the rest of a backoff.
    window.addEventListener('online', () => {
      if (!document.hidden) this.#put({ type: 'shown' });
    });
  }

  get status(): ReadonlySignal<LinkStatus> {
    return this.#status;
  }

  /** Since when there is no connection, though there should be. */
  get brokenSince(): ReadonlySignal<number | null> {
    return this.#brokenSince;
  }

  /** Tells of a topic until the returned function is called. */
  subscribe(topic: LinkTopic, onNotice: (notice: LinkNotice) => void): () => void {
    this.#lastId += 1;
    const id = `v${this.#lastId}`;
    this.#listeners.set(id, onNotice);
    this.#put({ type: 'subscribed', id, topic });
    return () => {
      this.#listeners.delete(id);
      this.#put({ type: 'unsubscribed', id });
    };
  }

  #put(input: LinkInput): void {
    const [state, effects] = afterLinkInput(this.#state, input, Date.now());
    this.#state = state;
    this.#status.value = statusOf(state);
    this.#brokenSince.value = state.brokenSince;
    for (const one of effects) this.#run(one);
    window.clearTimeout(this.#timer);
    const due = dueAt(this.#state);
    if (due !== null) {
      this.#timer = window.setTimeout(
        () => this.#put({ type: 'timer', random: Math.random() }),
        Math.max(0, due - Date.now()),
      );
    }
  }

  #run(one: LinkEffect): void {
    switch (one.type) {
      case 'open':
        void this.#open();
        return;
      case 'send':
        this.#send(one.message);
        return;
      case 'close':
        this.#close();
        return;
      case 'tell':
        this.#listeners.get(one.id)?.(one.notice);
        return;
      case 'loggedOut':
        // The answer to this is what logs the page out, if it is so.
        get('/api/session').catch(() => undefined);
        return;
      default:
        one satisfies never;
    }
  }

  async #open(): Promise<void> {
    this.#close();
    this.#attempt += 1;
    const attempt = this.#attempt;
    let ticket: string;
    try {
      ({ ticket } = await post<{ readonly ticket: string }>('/api/session/ticket', {}));
    } catch (thrown) {
      const isOver = thrown instanceof ApiError && thrown.code === 'UNAUTHENTICATED';
      this.#closed(attempt, isOver ? liveCloseCodes.unauthenticated : abnormal);
      return;
    }
    if (attempt !== this.#attempt) return;
    const scheme = window.location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${window.location.host}${livePath}`, [...protocolsWithTicket(ticket)]);
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      if (attempt !== this.#attempt) return;
      this.#put({ type: 'frame', frame: JSON.parse(String(data)) as LiveFrame, random: Math.random() });
    });
    socket.addEventListener('close', ({ code }) => this.#closed(attempt, code));
  }

  #closed(attempt: number, code: number): void {
    if (attempt === this.#attempt) this.#put({ type: 'closed', code, random: Math.random() });
  }

  #send(message: LiveMessage): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #close(): void {
    this.#attempt += 1;
    this.#socket?.close();
    this.#socket = null;
  }
}

/** The page's socket. */
export const liveLink = new LiveLink();
