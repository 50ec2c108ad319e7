import { asError } from '../core/errors.ts';
import type { Bus, BusRequest, BusRequestOptions, BusService, RequestOutcome } from '../ports/bus.ts';
import type { Logger } from '../ports/logger.ts';
import type { Random } from '../ports/random.ts';
import { subjectMatches } from '../transport/subject-match.ts';
import type { Connection } from './connection.ts';

interface Subscription {
  readonly pattern: string;
  readonly queue: string | undefined;
  readonly connection: Connection;
  readonly receive: (request: BusRequest) => void;
}

/** Those who hear a subject: each of the first, and one of each queue. */
interface Hearers {
  readonly alone: readonly Subscription[];
  readonly queues: readonly (readonly Subscription[])[];
}

interface Message {
  readonly subject: string;
  readonly body: Uint8Array;
  readonly headers: ReadonlyMap<string, string>;
}

type ServerAnswer = Extract<RequestOutcome, { kind: 'reply' | 'no-responders' | 'forbidden' }>;

const noHeaders: ReadonlyMap<string, string> = new Map();
/** How long a subscription or its end may go unanswered before it is sent again. */
const controlTimeoutMs = 2_000;

/** The server's part of request and reply: who has subscribed to what. */
export class BusServer {
  readonly #random: Random;
  readonly #mayPublish: (subject: string) => boolean;
  readonly #subscriptions = new Set<Subscription>();
  /** Who hears a subject, as long as no subscription comes or goes. */
  readonly #hearers = new Map<string, Hearers>();

  /** @param deps - `mayPublish`: what its users may do; everything when left out */
  constructor(deps: { readonly random: Random; readonly mayPublish?: (subject: string) => boolean }) {
    this.#random = deps.random;
    this.#mayPublish = deps.mayPublish ?? (() => true);
  }

  subscribe(subscription: Subscription): void {
    this.#hearers.clear();
    this.#subscriptions.add(subscription);
  }

  unsubscribe(subscription: Subscription): void {
    this.#hearers.clear();
    this.#subscriptions.delete(subscription);
  }

  /** Forgets a connection that broke. */
  drop(connection: Connection): void {
    this.#hearers.clear();
    for (const one of this.#subscriptions) if (one.connection === connection) this.#subscriptions.delete(one);
  }

  /**
   * Hands a message to everyone who subscribed alone, and to one member of each queue.
   *
   * @param respondPart - takes what comes before the last answer; left out by one who takes one answer
   */
  route(
    message: Message,
    respond: ((answer: ServerAnswer) => void) | undefined,
    respondPart?: (body: Uint8Array) => void,
  ): void {
    const { subject } = message;
    if (!this.#mayPublish(subject)) {
      respond?.({ kind: 'forbidden', operation: 'publish', subject });
      return;
    }
    const receivers = this.#receiversOf(subject);
    if (receivers.length === 0) respond?.({ kind: 'no-responders' });
    for (const { connection, receive } of receivers) {
      const reply =
        respond === undefined
          ? undefined
          : (body: Uint8Array, headers: ReadonlyMap<string, string>): void =>
              connection.tell(() => respond({ kind: 'reply', body, headers }));
      const replyPart =
        respondPart === undefined ? undefined : (body: Uint8Array): void => connection.tell(() => respondPart(body));
      connection.deliver(() => receive(new SimulatedRequest(message, reply, replyPart)));
    }
  }

  #receiversOf(subject: string): readonly Subscription[] {
    const { alone, queues } = this.#hearersOf(subject);
    if (queues.length === 0) return alone;
    const chosen = queues.flatMap((members) => members[Math.floor(this.#random.next() * members.length)] ?? []);
    return [...alone, ...chosen];
  }

  #hearersOf(subject: string): Hearers {
    const known = this.#hearers.get(subject);
    if (known !== undefined) return known;
    const alone: Subscription[] = [];
    const queues = new Map<string, Subscription[]>();
    for (const one of this.#subscriptions) {
      if (!subjectMatches(one.pattern, subject)) continue;
      if (one.queue === undefined) alone.push(one);
      else queues.set(one.queue, [...(queues.get(one.queue) ?? []), one]);
    }
    const hearers: Hearers = { alone, queues: [...queues.values()] };
    this.#hearers.set(subject, hearers);
    return hearers;
  }
}

/** Request and reply as one process has them, over its connection. */
export class SimulatedBus implements Bus {
  readonly #server: BusServer;
  readonly #connection: Connection;
  readonly #logger: Logger;
  /** What is served: all of it is subscribed again on a new connection. */
  readonly #served = new Set<Subscription>();

  constructor(deps: { readonly server: BusServer; readonly connection: Connection; readonly logger: Logger }) {
    this.#server = deps.server;
    this.#connection = deps.connection;
    this.#logger = deps.logger;
    deps.connection.watch({
      onDown: () => this.#server.drop(this.#connection),
      // A new connection starts with all subscriptions.
      onUp: () => {
        for (const one of this.#served) this.#server.subscribe(one);
      },
    });
    deps.connection.process.onEnd(() => this.#server.drop(this.#connection));
  }

  async request(subject: string, body: Uint8Array, options: BusRequestOptions): Promise<RequestOutcome> {
    const message = messageOf(subject, body, options.headers);
    const { onPart } = options;
    let isOpen = true;
    const takePart =
      onPart &&
      ((part: Uint8Array): void =>
        this.#connection.deliver(() => {
          if (isOpen) onPart(part);
        }));
    const answered = await this.#connection.request<ServerAnswer>(
      (respond) => this.#server.route(message, respond, takePart),
      options,
    );
    isOpen = false;
    return answered.kind === 'answer' ? answered.answer : answered;
  }

  /** Sends a message that asks for no answer, as any NATS client may. */
  send(subject: string, body: Uint8Array): void {
    const message = messageOf(subject, body, undefined);
    this.#connection.tell(() => this.#server.route(message, undefined));
  }

  async serve(
    subject: string,
    handler: (request: BusRequest) => void,
    options: { readonly queue?: string } = {},
  ): Promise<BusService> {
    const subscription: Subscription = {
      pattern: subject,
      queue: options.queue,
      connection: this.#connection,
      receive: (request) => {
        if (this.#served.has(subscription)) this.#handle(handler, request);
      },
    };
    this.#served.add(subscription);
    await this.#subscribed(subscription);
    return {
      stop: async () => {
        // What is on its way when the server takes the subscription away still comes.
        await this.#until(() => this.#server.unsubscribe(subscription));
        this.#served.delete(subscription);
        this.#server.unsubscribe(subscription);
      },
    };
  }

  /** Resolves when the server knows of it, over as many connections as it takes. */
  async #subscribed(subscription: Subscription): Promise<void> {
    const answered = await this.#until(() => {
      if (this.#served.has(subscription)) this.#server.subscribe(subscription);
    });
    if (answered === 'disconnected') await this.#connection.whenUp();
  }

  /** Resolves when the server has done it, or when the connection has broken: the next one begins with what is served then. */
  async #until(change: () => void): Promise<'answer' | 'disconnected'> {
    for (;;) {
      const answered = await this.#connection.request<true>(
        (respond) => {
          change();
          respond(true);
        },
        { timeoutMs: controlTimeoutMs, isReliable: true },
      );
      if (answered.kind !== 'timeout') return answered.kind;
    }
  }

  #handle(handler: (request: BusRequest) => void, request: BusRequest): void {
    try {
      handler(request);
    } catch (thrown) {
      this.#logger.error({ err: asError(thrown), subject: request.subject }, 'a request handler threw');
    }
  }
}

class SimulatedRequest implements BusRequest {
  readonly subject: string;
  readonly body: Uint8Array;
  readonly headers: ReadonlyMap<string, string>;
  readonly canReply: boolean;
  readonly takesParts: boolean;
  readonly #replyPart: ((body: Uint8Array) => void) | undefined;
  #reply: ((body: Uint8Array, headers: ReadonlyMap<string, string>) => void) | undefined;

  constructor(
    message: Message,
    reply: ((body: Uint8Array, headers: ReadonlyMap<string, string>) => void) | undefined,
    replyPart: ((body: Uint8Array) => void) | undefined,
  ) {
    this.subject = message.subject;
    this.body = message.body;
    this.headers = message.headers;
    this.canReply = reply !== undefined;
    this.takesParts = replyPart !== undefined;
    this.#reply = reply;
    this.#replyPart = replyPart;
  }

  replyPart(body: Uint8Array): void {
    if (this.#reply !== undefined) this.#replyPart?.(Uint8Array.from(body));
  }

  reply(body: Uint8Array, headers?: Readonly<Record<string, string>>): void {
    const reply = this.#reply;
    this.#reply = undefined;
    reply?.(new Uint8Array(body), headers === undefined ? noHeaders : new Map(Object.entries(headers)));
  }
}

function messageOf(subject: string, body: Uint8Array, headers: Readonly<Record<string, string>> | undefined): Message {
  return {
    subject,
    body: new Uint8Array(body),
    headers: headers === undefined ? noHeaders : new Map(Object.entries(headers)),
  };
}
