import type { Msg, Subscription } from '@nats-io/transport-node';
import { asError, EngineError } from '../core/errors.ts';
import type { Bus, BusRequest, BusRequestOptions, BusService, RequestOutcome } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { NatsLink } from './nats-connection.ts';
import { AnswerBundles } from './answer-bundles.ts';
import { isPartsSubject, readRequestFrame } from './answer-frames.ts';
import { messageHeaders } from './reply-inbox.ts';
import { headerMap, noHeaders, RequestInbox } from './request-inbox.ts';

/** Request and reply over core NATS: one reply subscription a connection, one subscription a served subject. */
export class NatsBus implements Bus {
  readonly #link: NatsLink;
  readonly #logger: Logger;
  readonly #requests: RequestInbox;
  readonly #bundles: AnswerBundles;
  readonly #unwatch: () => void;
  /** This user may answer a request once, at its own reply subject: the server has refused another answer. */
  #answersOnce = false;

  constructor(deps: { readonly link: NatsLink; readonly clock: Clock; readonly logger: Logger }) {
    this.#link = deps.link;
    this.#logger = deps.logger;
    this.#requests = new RequestInbox(deps);
    this.#bundles = new AnswerBundles(deps);
    this.#unwatch = deps.link.onStatus((status) => {
      if (status.kind !== 'forbidden' || status.operation !== 'publish' || !isPartsSubject(status.subject)) return;
      if (!this.#answersOnce)
        this.#logger.warn({ subject: status.subject }, 'a second answer is forbidden: each request gets one');
      this.#answersOnce = true;
    });
  }

  request(subject: string, body: Uint8Array, options: BusRequestOptions): Promise<RequestOutcome> {
    return this.#requests.request(subject, body, options);
  }

  /** @throws EngineError `BUS_FORBIDDEN` when the user may not subscribe there, `UNAVAILABLE` when the link is closed */
  async serve(
    subject: string,
    handler: (request: BusRequest) => void,
    options: { readonly queue?: string } = {},
  ): Promise<BusService> {
    let refusal: Error | undefined;
    const subscription = this.#link.connection.subscribe(subject, {
      ...(options.queue === undefined ? {} : { queue: options.queue }),
      callback: (error, message) => {
        if (error === null) this.#handle(handler, message);
        else refusal = error;
      },
    });
    await this.#confirm();
    if (refusal !== undefined) {
      throw new EngineError('BUS_FORBIDDEN', `the NATS user may not subscribe to ${subject}`, {
        field: subject,
        cause: refusal,
      });
    }
    return { stop: () => this.#stop(subscription) };
  }

  /** Ends every open request as disconnected; what is served is stopped by who serves it, or with the link. */
  close(): void {
    this.#requests.close();
    this.#unwatch();
  }

  #handle(handler: (request: BusRequest) => void, message: Msg): void {
    try {
      const replySubject = message.reply ?? '';
      const framed = readRequestFrame(replySubject, message.data);
      handler(
        framed === null
          ? new NatsRequest(message, this.#link, this.#logger)
          : new FramedRequest(message, replySubject, framed, this.#bundles, this.#answersOnce),
      );
    } catch (thrown) {
      this.#logger.error({ err: asError(thrown), subject: message.subject }, 'a request handler threw');
    }
  }

  /** Resolves when the server has worked through all that was sent, over as many reconnects as it takes. */
  async #confirm(): Promise<void> {
    for (;;) {
      if (this.#link.connection.isClosed()) throw new EngineError('UNAVAILABLE', 'the NATS link is closed');
      // Each new connection starts with all subscriptions, but only an answer proves that the server has read them.
      if (this.#link.isConnected && (await this.#flush())) return;
      if (!this.#link.isConnected) await this.#nextStatus();
    }
  }

  async #stop(subscription: Subscription): Promise<void> {
    if (subscription.isClosed()) return;
    if (!this.#link.isConnected) {
      // The server has forgotten the old connection's subscriptions, and the next one starts without this.
      subscription.unsubscribe();
      return;
    }
    const drained = subscription.drain().catch(() => undefined);
    await Promise.race([drained, this.#nextStatus('disconnected')]);
    if (!subscription.isClosed()) subscription.unsubscribe();
  }

  /** False when the connection broke before the answer came. */
  async #flush(): Promise<boolean> {
    const flushed = this.#link.connection.flush().then(
      () => true,
      () => false,
    );
    return Promise.race([flushed, this.#nextStatus('disconnected').then(() => false)]);
  }

  #nextStatus(kind?: 'disconnected'): Promise<void> {
    return new Promise((resolve) => {
      const unsubscribe = this.#link.onStatus((status) => {
        if (status.kind === 'forbidden') return;
        if (kind !== undefined && status.kind !== kind && status.kind !== 'closed') return;
        unsubscribe();
        resolve();
      });
    });
  }
}

/** A request of somebody who takes answers in parts. */
class FramedRequest implements BusRequest {
  readonly body: Uint8Array;
  readonly canReply = true;
  readonly takesParts: boolean;
  readonly #message: Msg;
  readonly #replySubject: string;
  readonly #number: number;
  readonly #bundles: AnswerBundles;
  #isAnswered = false;

  constructor(
    message: Msg,
    replySubject: string,
    framed: { readonly number: number; readonly body: Uint8Array },
    bundles: AnswerBundles,
    answersOnce: boolean,
  ) {
    this.#message = message;
    this.#replySubject = replySubject;
    this.#number = framed.number;
    this.body = framed.body;
    this.#bundles = bundles;
    this.takesParts = !answersOnce;
  }

  get subject(): string {
    return this.#message.subject;
  }

  get headers(): ReadonlyMap<string, string> {
    return this.#message.headers === undefined ? noHeaders : headerMap(this.#message.headers);
  }

  reply(body: Uint8Array): void {
    this.#answer(body, true);
  }

  replyPart(body: Uint8Array): void {
    this.#answer(body, false);
  }

  #answer(body: Uint8Array, isLast: boolean): void {
    if (this.#isAnswered) return;
    this.#isAnswered = isLast;
    this.#bundles.add(this.#replySubject, { number: this.#number, isLast, body }, !this.takesParts);
  }
}

class NatsRequest implements BusRequest {
  readonly #message: Msg;
  readonly #link: NatsLink;
  readonly #logger: Logger;
  #isAnswered = false;

  constructor(message: Msg, link: NatsLink, logger: Logger) {
    this.#message = message;
    this.#link = link;
    this.#logger = logger;
  }

  get subject(): string {
    return this.#message.subject;
  }

  get body(): Uint8Array {
    return this.#message.data;
  }

  get headers(): ReadonlyMap<string, string> {
    return this.#message.headers === undefined ? noHeaders : headerMap(this.#message.headers);
  }

  get canReply(): boolean {
    return this.#replySubject !== '';
  }

  reply(body: Uint8Array, headers?: Readonly<Record<string, string>>): void {
    if (this.#isAnswered || !this.canReply) return;
    this.#isAnswered = true;
    // An answer published while the link is down would be lost, or come when the asker has given up: the asker repeats.
    if (!this.#link.isConnected) return;
    try {
      const options = headers === undefined ? {} : { headers: messageHeaders(headers) };
      this.#link.connection.publish(this.#replySubject, body, options);
    } catch (thrown) {
      this.#logger.error({ err: asError(thrown), subject: this.subject }, 'a reply cannot be sent');
    }
  }

  get #replySubject(): string {
    return this.#message.reply ?? '';
  }
}
