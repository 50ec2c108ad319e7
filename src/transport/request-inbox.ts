import type { Msg, MsgHdrs } from '@nats-io/transport-node';
import { asError } from '../core/errors.ts';
import type { BusRequestOptions, RequestOutcome } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { frameRequest, isFramed, partsPrefix, readAnswerFrames } from './answer-frames.ts';
import { DeadlineWatch, type Expiring } from './deadline-watch.ts';
import type { NatsLink } from './nats-connection.ts';
import { isNoResponders, messageHeaders, ReplyInbox, type InboxAnswer } from './reply-inbox.ts';

/** Headers of a message that has none. */
export const noHeaders: ReadonlyMap<string, string> = new Map();

/** The first value of each header, by its name as sent. */
export function headerMap(headers: MsgHdrs | undefined): ReadonlyMap<string, string> {
  if (headers === undefined) return noHeaders;
  return new Map(headers.keys().map((name) => [name, headers.get(name)]));
}

interface WaitingRequest extends Expiring {
  readonly subject: string;
  readonly body: Uint8Array;
  readonly headers: MsgHdrs | undefined;
  readonly resolve: (outcome: RequestOutcome) => void;
  readonly onPart: ((body: Uint8Array) => void) | undefined;
  token: number;
  /** The end of its reply subject, when it takes parts; a plain request has none. */
  name: string | null;
  /** Whether its message was framed. */
  isFramed: boolean;
}

/**
 * Requests over one reply subscription. Unlike the client's own, they end at once when the link breaks.
 *
 * One that takes parts says so by its reply subject, and as soon as an answer shows that the other side knows frames, its requests are
 * framed too: then their reply subjects are used again and again, so that the server has but few of them to remember. Somebody who
 * knows no frames answers as ever.
 */
export class RequestInbox {
  readonly #clock: Clock;
  readonly #inbox: ReplyInbox<WaitingRequest>;
  readonly #logger: Logger;
  readonly #deadlines: DeadlineWatch<WaitingRequest>;
  /** Subjects whose last answer was framed. */
  readonly #framed = new Set<string>();
  readonly #byName = new Map<string, WaitingRequest>();
  /** Ends of reply subjects of framed requests, which nothing more can arrive at. */
  #freeNames: string[] = [];
  #nameCount = 0;

  constructor(deps: { readonly link: NatsLink; readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#deadlines = new DeadlineWatch({ clock: deps.clock, expire: (waiting) => this.#expire(waiting) });
    this.#inbox = new ReplyInbox<WaitingRequest>({
      link: deps.link,
      logger: deps.logger,
      settle: (waiting, answer) => this.#settle(waiting, answer),
      receiveNamed: (name, message) => this.#receiveParts(name, message),
    });
  }

  /** Sends a request and resolves with its last answer. Never rejects. */
  request(subject: string, body: Uint8Array, options: BusRequestOptions): Promise<RequestOutcome> {
    return new Promise((resolve) => {
      if (!this.#inbox.isOpen) {
        resolve({ kind: 'disconnected' });
        return;
      }
      const { refusal } = this.#inbox;
      if (refusal !== null) {
        resolve(refusal);
        return;
      }
      try {
        const now = this.#clock.monotonicMs();
        const waiting: WaitingRequest = {
          subject,
          body,
          headers: options.headers === undefined ? undefined : messageHeaders(options.headers),
          resolve,
          onPart: options.onPart,
          deadlineAt: now + options.timeoutMs,
          token: 0,
          name: null,
          isFramed: false,
        };
        this.#send(waiting);
        this.#deadlines.add(waiting, now);
      } catch (thrown) {
        // Nothing was sent, so nobody received it. The senders check sizes and subjects before: this is a bug's trace.
        this.#logger.error({ err: asError(thrown), subject }, 'a request cannot be sent');
        resolve(this.#inbox.isOpen ? { kind: 'no-responders' } : { kind: 'disconnected' });
      }
    });
  }

  /** Ends every open request as disconnected. */
  close(): void {
    this.#inbox.close();
  }

  #send(waiting: WaitingRequest): void {
    const { subject, body, headers } = waiting;
    if (waiting.onPart === undefined) {
      waiting.token = this.#inbox.send(waiting, body, headers);
      return;
    }
    const token = this.#inbox.nextToken();
    const isFramedNow = this.#framed.has(subject);
    // A message without a frame is known by its reply subject alone, which no other has.
    const name = isFramedNow ? this.#takeName() : partsPrefix + String(token);
    waiting.token = this.#inbox.send(waiting, isFramedNow ? frameRequest(token, body) : body, headers, name);
    waiting.name = name;
    waiting.isFramed = isFramedNow;
    this.#byName.set(name, waiting);
  }

  #takeName(): string {
    const free = this.#freeNames.pop();
    if (free !== undefined) return free;
    this.#nameCount += 1;
    return `${partsPrefix}f${this.#nameCount}`;
  }

  #receiveParts(name: string, message: Msg): void {
    const bytes = message.data;
    if (isFramed(bytes)) {
      const isWhole = readAnswerFrames(bytes, (number, isLast, body) => this.#receiveFrame(number, isLast, body));
      if (!isWhole) this.#logger.warn({ subject: message.subject }, 'a message of answers ends too early');
      return;
    }
    const waiting = this.#byName.get(name);
    if (waiting === undefined) return;
    this.#framed.delete(waiting.subject);
    this.#inbox.forget(waiting.token);
    this.#byName.delete(name);
    if (waiting.isFramed) this.#freeNames.push(name);
    if (isNoResponders(message)) this.#end(waiting, { kind: 'no-responders' });
    // Whoever answers there now could not read the frame, and has done nothing.
    else if (waiting.isFramed) this.#sendAgain(waiting);
    else this.#end(waiting, replyOf(message));
  }

  #sendAgain(waiting: WaitingRequest): void {
    try {
      this.#send(waiting);
    } catch (thrown) {
      this.#logger.error({ err: asError(thrown), subject: waiting.subject }, 'a request cannot be sent');
      this.#end(waiting, { kind: 'disconnected' });
    }
  }

  #receiveFrame(number: number, isLast: boolean, body: Uint8Array): void {
    const waiting = this.#inbox.waitingFor(number);
    if (waiting === undefined || waiting.name === null) return;
    this.#framed.add(waiting.subject);
    if (!isLast) {
      waiting.onPart?.(body);
      return;
    }
    this.#inbox.forget(number);
    this.#byName.delete(waiting.name);
    // One that was framed is answered by its number: its reply subject is free for the next.
    if (waiting.isFramed) this.#freeNames.push(waiting.name);
    this.#end(waiting, { kind: 'reply', body, headers: noHeaders });
  }

  #expire(waiting: WaitingRequest): void {
    if (!this.#inbox.forget(waiting.token)) return;
    // Its owner may be gone, and the next one know no frames. Something may still arrive at its reply subject: that is not used again.
    this.#framed.delete(waiting.subject);
    if (waiting.name !== null) this.#byName.delete(waiting.name);
    waiting.resolve({ kind: 'timeout' });
  }

  #settle(waiting: WaitingRequest, answer: InboxAnswer): void {
    if (waiting.name !== null) this.#byName.delete(waiting.name);
    if (answer.kind === 'disconnected') {
      this.#framed.clear();
      this.#freeNames = [];
    }
    this.#end(waiting, answer.kind === 'reply' ? replyOf(answer.message) : answer);
  }

  #end(waiting: WaitingRequest, outcome: RequestOutcome): void {
    this.#deadlines.remove(waiting);
    waiting.resolve(outcome);
  }
}

function replyOf(message: Msg): RequestOutcome {
  return { kind: 'reply', body: message.data, headers: headerMap(message.headers) };
}
