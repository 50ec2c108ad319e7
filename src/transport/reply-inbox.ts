import { headers as newHeaders, type Msg, type MsgHdrs, type Subscription } from '@nats-io/transport-node';
import { EngineError } from '../core/errors.ts';
import type { ForbiddenOperation } from '../core/forbidden.ts';
import type { Logger } from '../ports/logger.ts';
import { maximumRequestNumber } from './answer-frames.ts';
import type { LinkStatus, NatsLink } from './nats-connection.ts';

/** What came back for a message sent with a reply subject. */
export type InboxAnswer =
  | { readonly kind: 'reply'; readonly message: Msg }
  | { readonly kind: 'no-responders' }
  | { readonly kind: 'disconnected' }
  /** For want of a permission the publish was refused, or (with the inbox as subject) its answer cannot arrive. */
  | ForbiddenAnswer;

type ForbiddenAnswer = { readonly kind: 'forbidden' } & ForbiddenOperation;

const noResponders: InboxAnswer = { kind: 'no-responders' };
const disconnected: InboxAnswer = { kind: 'disconnected' };

/** The least that an inbox must know of what it waits for. */
export interface WaitingReply {
  readonly subject: string;
}

/**
 * One subscription for all replies of a connection: each message sent gets the next token as the last part of its reply
 * subject. Knows no time; who waits forgets what takes too long. `settle` is called at most once for each thing sent.
 */
export class ReplyInbox<Waiting extends WaitingReply> {
  readonly #link: NatsLink;
  readonly #logger: Logger;
  readonly #settle: (waiting: Waiting, answer: InboxAnswer) => void;
  readonly #receiveNamed: ((name: string, message: Msg) => void) | undefined;
  readonly #prefix: string;
  #subscription: Subscription;
  readonly #unsubscribe: () => void;
  // A Map keeps the order of sending, so the oldest is the first.
  readonly #waiting = new Map<number, Waiting>();
  #lastToken = 0;
  #isClosed = false;
  /** The user may not listen here. The client library forgets such a subscription, also over reconnects. */
  #refusal: ForbiddenAnswer | null = null;

  constructor(deps: {
    readonly link: NatsLink;
    readonly logger: Logger;
    readonly settle: (waiting: Waiting, answer: InboxAnswer) => void;
    /** Called with what arrives under a name that was given to {@link send}. */
    readonly receiveNamed?: (name: string, message: Msg) => void;
  }) {
    this.#link = deps.link;
    this.#logger = deps.logger;
    this.#settle = deps.settle;
    this.#receiveNamed = deps.receiveNamed;
    this.#prefix = `${deps.link.newInbox()}.`;
    this.#subscription = this.#subscribe();
    this.#unsubscribe = deps.link.onStatus((status) => this.#handleStatus(status));
  }

  /** How many replies are awaited. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Whether something sent now would go out. */
  get isOpen(): boolean {
    return !this.#isClosed && this.#link.isConnected;
  }

  /** Why nothing may be sent: no answer could arrive. Null while answers can, as far as the server has said. */
  get refusal(): ForbiddenAnswer | null {
    return this.#refusal;
  }

  /** The token that the next message gets. */
  nextToken(): number {
    let token = this.#lastToken;
    // After billions it begins anew; what is still awaited then keeps its own.
    do token = token >= maximumRequestNumber ? 1 : token + 1;
    while (this.#waiting.has(token));
    return token;
  }

  /**
   * Sends a message whose reply settles `waiting`, and gives its token.
   *
   * @param name - last part of the reply subject instead of the token; what arrives there goes to `receiveNamed`
   * @throws what the client throws for a bad subject or header, or a closed connection; nothing was sent then
   */
  send(waiting: Waiting, body: Uint8Array, headers?: MsgHdrs, name?: string): number {
    const token = this.nextToken();
    this.#lastToken = token;
    const reply = this.#prefix + (name ?? String(token));
    this.#link.connection.publish(waiting.subject, body, headers === undefined ? { reply } : { reply, headers });
    this.#waiting.set(token, waiting);
    return token;
  }

  /** What was sent with the token and is still awaited. */
  waitingFor(token: number): Waiting | undefined {
    return this.#waiting.get(token);
  }

  /** Stops waiting; a late reply is dropped. False when it was settled already. */
  forget(token: number): boolean {
    return this.#waiting.delete(token);
  }

  /** What was sent first of all that is still awaited. */
  oldest(): { readonly token: number; readonly waiting: Waiting } | undefined {
    const first = this.#waiting.entries().next();
    return first.done === true ? undefined : { token: first.value[0], waiting: first.value[1] };
  }

  /** Settles all that is awaited as disconnected and listens no more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unsubscribe();
    if (!this.#link.connection.isClosed()) this.#subscription.unsubscribe();
    this.#settleAll();
  }

  #subscribe(): Subscription {
    return this.#link.connection.subscribe(`${this.#prefix}*`, {
      callback: (error, message) => {
        if (error === null) this.#receive(message);
      },
    });
  }

  #receive(message: Msg): void {
    const name = message.subject.slice(this.#prefix.length);
    const token = Number(name);
    if (Number.isNaN(token)) {
      this.#receiveNamed?.(name, message);
      return;
    }
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) return;
    this.#waiting.delete(token);
    this.#settle(waiting, isNoResponders(message) ? noResponders : { kind: 'reply', message });
  }

  #handleStatus(status: LinkStatus): void {
    if (status.kind === 'disconnected' || status.kind === 'closed') this.#settleAll();
    else if (status.kind === 'reconnected') this.#listenAgain();
    else this.#handleRefusal(status);
  }

  /** Another server, or the same one with other permissions, may let this user listen. */
  #listenAgain(): void {
    if (this.#refusal === null) return;
    this.#refusal = null;
    this.#subscription = this.#subscribe();
  }

  #handleRefusal(refusal: ForbiddenAnswer): void {
    const { operation, subject } = refusal;
    const isInbox = operation === 'subscription' && subject === `${this.#prefix}*`;
    if (isInbox) {
      this.#refusal = refusal;
      this.#logger.error({ subject }, 'replies cannot arrive: the inbox is forbidden');
    }
    if (!isInbox && operation === 'subscription') return;
    for (const [token, waiting] of this.#waiting) {
      if (!isInbox && waiting.subject !== subject) continue;
      this.#waiting.delete(token);
      this.#settle(waiting, refusal);
    }
  }

  #settleAll(): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const waiting of all) this.#settle(waiting, disconnected);
  }
}

/** Whether it is the server's word that nobody listens to what a message was sent to. */
export function isNoResponders(message: Msg): boolean {
  return message.data.length === 0 && message.headers?.code === 503;
}

/** Message headers of plain names and values. @throws EngineError `INVALID_ARGUMENT` for a line break or a bad name */
export function messageHeaders(values: Readonly<Record<string, string>>): MsgHdrs {
  const result = newHeaders();
  for (const name in values) {
    try {
      result.append(name, values[name] ?? '');
    } catch (thrown) {
      throw new EngineError('INVALID_ARGUMENT', `header ${name} cannot be sent`, { field: name, cause: thrown });
    }
  }
  return result;
}
