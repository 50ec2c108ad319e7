import { unreachable } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Principal } from '../principal.ts';
import {
  afterInput,
  beginConnection,
  type ConnectionEffect,
  type ConnectionInput,
  type ConnectionState,
} from './connection-state.ts';
import type { FeedRequest, FeedSink } from './feed.ts';
import { SendQueue, type LiveSocket, type SendLimits } from './send-queue.ts';

/** Where subscriptions get what they are told. */
export interface Feeds {
  /** Begins to tell `sink`; the returned function ends it. */
  open(request: FeedRequest, sink: FeedSink): () => void;
}

/** What a {@link LiveConnection} works with. */
export interface LiveConnectionDeps {
  readonly socket: LiveSocket;
  readonly feeds: Feeds;
  readonly clock: Clock;
  readonly limits: SendLimits;
  readonly onClosing: (reason: string) => void;
}

/** One client: carries inputs to the protocol's rules and their effects out. */
export class LiveConnection {
  readonly #deps: LiveConnectionDeps;
  readonly #queue: SendQueue;
  readonly #open = new Map<string, () => void>();
  #state: ConnectionState;

  constructor(deps: LiveConnectionDeps, principal: Principal) {
    this.#deps = deps;
    const nowMs = (): number => deps.clock.monotonicMs();
    this.#queue = new SendQueue(deps.socket, deps.limits, nowMs);
    const [state, effects] = beginConnection(principal, nowMs());
    this.#state = state;
    this.#carryOut(effects);
  }

  get principal(): Principal {
    return this.#state.principal;
  }

  /** Bytes that wait for the client. */
  get waitingBytes(): number {
    return this.#queue.bytes;
  }

  get stalledMs(): number {
    return this.#queue.stalledMs;
  }

  get isClosed(): boolean {
    return this.#state.isClosed;
  }

  put(input: ConnectionInput): void {
    const [state, effects] = afterInput(this.#state, input);
    this.#state = state;
    this.#carryOut(effects);
  }

  /** The socket is over. */
  ended(): void {
    this.#state = { ...this.#state, isClosed: true, subscriptions: new Map() };
    this.#queue.end();
    for (const end of this.#open.values()) end();
    this.#open.clear();
  }

  #carryOut(effects: readonly ConnectionEffect[]): void {
    for (const effect of effects) this.#do(effect);
  }

  #do(effect: ConnectionEffect): void {
    const { socket, feeds, onClosing } = this.#deps;
    switch (effect.type) {
      case 'send':
        this.#push([Buffer.from(effect.text)]);
        return;
      case 'sendShared':
        this.#push([Buffer.from(effect.head), effect.body]);
        return;
      case 'open': {
        const { id, serial, request } = effect;
        const end = feeds.open(request, this.#sink(id, serial));
        // It may have failed in the act.
        if (this.#state.subscriptions.get(id)?.serial === serial) this.#open.set(id, end);
        else end();
        return;
      }
      case 'end':
        this.#open.get(effect.id)?.();
        this.#open.delete(effect.id);
        return;
      case 'ping':
        socket.ping();
        return;
      case 'close':
        this.#queue.end();
        onClosing(effect.reason);
        socket.close(effect.code, effect.reason);
        return;
      case 'cut':
        socket.cut();
        return;
      default:
        unreachable(effect);
    }
  }

  #push(parts: readonly Buffer[]): void {
    if (!this.#queue.push(parts)) this.put({ type: 'overflowed' });
  }

  #sink(id: string, serial: number): FeedSink {
    return {
      snapshot: (position, dataText) => this.put({ type: 'snapshot', id, serial, position, dataText }),
      resumed: (from) => this.put({ type: 'resumed', id, serial, from }),
      delta: (delta) => this.put({ type: 'delta', id, serial, delta }),
      gap: (from, to) => this.put({ type: 'gap', id, serial, from, to }),
      failed: (error) => this.put({ type: 'failed', id, serial, error }),
      drained: () => this.#queue.drained(),
    };
  }
}
