import type { Msg } from '@nats-io/transport-node';
import { asError, unreachable } from '../core/errors.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { NatsLink } from './nats-connection.ts';
import { messageHeaders, ReplyInbox, type InboxAnswer } from './reply-inbox.ts';

/** What JetStream answered to a publish, or why it did not. */
export type PublishOutcome =
  | { readonly kind: 'ack'; readonly stream: string; readonly sequence: number; readonly duplicate: boolean }
  /** Refused with a JetStream error code, or with {@link localErrorCodes} by the client before it was sent. */
  | { readonly kind: 'error'; readonly code: number; readonly description: string }
  /** No stream listens to the subject: it was not received. */
  | { readonly kind: 'no-responders' }
  /** No answer in time: it may be stored now, later or never. */
  | { readonly kind: 'timeout' }
  /** The link broke, or was down: the same doubt, known at once. */
  | { readonly kind: 'disconnected' };

/** Codes of refusals that no stream gave. */
export const localErrorCodes = {
  /** The user may not publish there, or not hear the answer. */
  forbidden: 403,
  /** Subject or header that the client cannot send; nothing was sent. */
  unsendable: 400,
  /** An answer that is no publish acknowledgement: what became of the message is unknown. */
  unreadableAck: 502,
  /** As JetStream's own code for a message over the size limit; nothing was sent. */
  tooLarge: 10_054,
} as const;

/**
 * Most bytes published and not yet answered, over all publishes of an inbox. The client has no limit of its own, and a
 * socket that does not drain would take any amount of memory. Further publishes wait their turn; their timeout runs.
 */
export const maximumBytesInFlight = 32 * 1024 * 1024;

const timedOut: PublishOutcome = { kind: 'timeout' };
const disconnected: PublishOutcome = { kind: 'disconnected' };
const nobodyResponds: PublishOutcome = { kind: 'no-responders' };

interface WaitingAck {
  readonly subject: string;
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly sizeBytes: number;
  readonly deadlineMs: number;
  readonly resolve: (outcome: PublishOutcome) => void;
}

/**
 * The acknowledgement path of JetStream publishes: one private inbox a connection, no error object and no timer a publish.
 * A publish never rejects, and none stays in flight past its timeout or a broken link.
 */
export class AckInbox {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #timeoutMs: number;
  readonly #maximumMessageBytes: number;
  readonly #mayWrite: (() => boolean) | undefined;
  readonly #inbox: ReplyInbox<WaitingAck>;
  readonly #unsubscribe: () => void;
  // All publishes have the same timeout, so both lists are in order of their deadlines and one timer serves them.
  #queue: WaitingAck[] = [];
  #bytesInFlight = 0;
  #timer: TimerHandle | undefined;

  constructor(deps: {
    readonly link: NatsLink;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly timeoutMs: number;
    /** Asked before each message leaves; after a no nothing leaves, as if the link were down. */
    readonly mayWrite?: (() => boolean) | undefined;
  }) {
    this.#mayWrite = deps.mayWrite;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#timeoutMs = deps.timeoutMs;
    this.#maximumMessageBytes = deps.link.maximumPayloadBytes;
    this.#inbox = new ReplyInbox<WaitingAck>({
      link: deps.link,
      logger: deps.logger,
      settle: (waiting, answer) => this.#settle(waiting, answer),
    });
    this.#unsubscribe = deps.link.onStatus((status) => {
      if (status.kind === 'disconnected' || status.kind === 'closed') this.#dropQueue();
    });
  }

  /** Publishes and resolves with the stream's answer. While the link is down it resolves at once and sends nothing. */
  publish(subject: string, body: Uint8Array, headers?: Readonly<Record<string, string>>): Promise<PublishOutcome> {
    return new Promise((resolve) => {
      if (!this.#inbox.isOpen) {
        resolve(disconnected);
        return;
      }
      const { refusal } = this.#inbox;
      if (refusal !== null) {
        resolve(this.#outcomeOf(refusal));
        return;
      }
      const sizeBytes = body.length;
      const deadlineMs = this.#clock.monotonicMs() + this.#timeoutMs;
      const waiting: WaitingAck = { subject, body, headers, sizeBytes, deadlineMs, resolve };
      if (this.#queue.length > 0 || !this.#hasRoomFor(waiting)) this.#queue.push(waiting);
      else this.#send(waiting);
      this.#timer ??= this.#clock.setTimer(this.#timeoutMs, () => this.#expire());
    });
  }

  /** Resolves every publish in flight as disconnected and listens no more. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#unsubscribe();
    this.#inbox.close();
    this.#dropQueue();
  }

  /** A message larger than the whole bound still goes out, alone. */
  #hasRoomFor(waiting: WaitingAck): boolean {
    return this.#bytesInFlight === 0 || this.#bytesInFlight + waiting.sizeBytes <= maximumBytesInFlight;
  }

  #send(waiting: WaitingAck): void {
    if (this.#mayWrite !== undefined && !this.#mayWrite()) {
      waiting.resolve(disconnected);
      return;
    }
    if (waiting.sizeBytes > this.#maximumMessageBytes) {
      const description = `message of ${waiting.sizeBytes} bytes is over the server's ${this.#maximumMessageBytes}`;
      waiting.resolve({ kind: 'error', code: localErrorCodes.tooLarge, description });
      return;
    }
    try {
      const headers = waiting.headers === undefined ? undefined : messageHeaders(waiting.headers);
      this.#inbox.send(waiting, waiting.body, headers);
      this.#bytesInFlight += waiting.sizeBytes;
    } catch (thrown) {
      waiting.resolve(this.#inbox.isOpen ? unsendable(thrown) : disconnected);
    }
  }

  #settle(waiting: WaitingAck, answer: InboxAnswer): void {
    this.#bytesInFlight -= waiting.sizeBytes;
    waiting.resolve(this.#outcomeOf(answer));
    if (this.#queue.length > 0) this.#sendQueued();
  }

  #outcomeOf(answer: InboxAnswer): PublishOutcome {
    switch (answer.kind) {
      case 'reply': {
        const outcome = parsePublishAck(answer.message);
        if (outcome.kind === 'error' && outcome.code === localErrorCodes.unreadableAck) {
          this.#logger.warn({ detail: outcome.description }, 'a publish acknowledgement cannot be read');
        }
        return outcome;
      }
      case 'no-responders':
        return nobodyResponds;
      case 'disconnected':
        return disconnected;
      case 'forbidden':
        return {
          kind: 'error',
          code: localErrorCodes.forbidden,
          description: `the NATS user lacks a permission on ${answer.subject}`,
        };
      default:
        return unreachable(answer);
    }
  }

  #sendQueued(): void {
    let next = this.#queue[0];
    while (next !== undefined && this.#inbox.isOpen && this.#hasRoomFor(next)) {
      this.#queue.shift();
      this.#send(next);
      next = this.#queue[0];
    }
  }

  #expire(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonicMs();
    let oldest = this.#inbox.oldest();
    while (oldest !== undefined && oldest.waiting.deadlineMs <= now) {
      this.#inbox.forget(oldest.token);
      this.#bytesInFlight -= oldest.waiting.sizeBytes;
      oldest.waiting.resolve(timedOut);
      oldest = this.#inbox.oldest();
    }
    while (this.#queue[0] !== undefined && this.#queue[0].deadlineMs <= now) this.#queue.shift()?.resolve(timedOut);
    this.#sendQueued();
    const next = this.#inbox.oldest()?.waiting.deadlineMs ?? this.#queue[0]?.deadlineMs;
    if (next !== undefined) this.#timer = this.#clock.setTimer(Math.max(0, next - now), () => this.#expire());
  }

  #dropQueue(): void {
    const dropped = this.#queue;
    this.#queue = [];
    for (const waiting of dropped) waiting.resolve(disconnected);
  }
}

function unsendable(thrown: unknown): PublishOutcome {
  return { kind: 'error', code: localErrorCodes.unsendable, description: asError(thrown).message };
}

/** The outcome in a publish acknowledgement `{"stream","seq","duplicate"?}` or `{"error":{"err_code","description"}}`. */
export function parsePublishAck(message: Pick<Msg, 'data'>): PublishOutcome {
  const { data } = message;
  let ack: unknown;
  try {
    ack = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8'));
  } catch {
    return unreadableAck('not JSON');
  }
  if (typeof ack !== 'object' || ack === null) return unreadableAck('not an object');
  const { stream, seq, duplicate, error } = ack as {
    readonly stream?: unknown;
    readonly seq?: unknown;
    readonly duplicate?: unknown;
    readonly error?: { readonly code?: unknown; readonly err_code?: unknown; readonly description?: unknown };
  };
  if (typeof error === 'object' && error !== null) {
    const code = Number(error.err_code ?? error.code);
    return { kind: 'error', code, description: String(error.description) };
  }
  if (typeof stream !== 'string' || typeof seq !== 'number' || !(seq > 0))
    return unreadableAck('no stream or sequence');
  return { kind: 'ack', stream, sequence: seq, duplicate: duplicate === true };
}

function unreadableAck(reason: string): PublishOutcome {
  return {
    kind: 'error',
    code: localErrorCodes.unreadableAck,
    description: `the acknowledgement is unreadable: ${reason}`,
  };
}
