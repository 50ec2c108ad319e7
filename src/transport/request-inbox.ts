import type { MsgHdrs } from '@nats-io/transport-node';
import { asError } from '../core/errors.ts';
import type { BusRequestOptions, RequestOutcome } from '../ports/bus.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { NatsLink } from './nats-connection.ts';
import { messageHeaders, ReplyInbox, type InboxAnswer } from './reply-inbox.ts';

/** Headers of a message that has none. */
export const noHeaders: ReadonlyMap<string, string> = new Map();

/** The first value of each header, by its name as sent. */
export function headerMap(headers: MsgHdrs | undefined): ReadonlyMap<string, string> {
  if (headers === undefined) return noHeaders;
  return new Map(headers.keys().map((name) => [name, headers.get(name)]));
}

interface WaitingRequest {
  readonly subject: string;
  readonly resolve: (outcome: RequestOutcome) => void;
  timer: TimerHandle | undefined;
}

/** Requests over one reply subscription. Unlike the client's own, they end at once when the link breaks. */
export class RequestInbox {
  readonly #clock: Clock;
  readonly #inbox: ReplyInbox<WaitingRequest>;
  readonly #logger: Logger;

  constructor(deps: { readonly link: NatsLink; readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#inbox = new ReplyInbox<WaitingRequest>({ link: deps.link, logger: deps.logger, settle });
  }

  /** Sends a request and resolves with its first answer. Never rejects. */
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
      const waiting: WaitingRequest = { subject, resolve, timer: undefined };
      try {
        const headers = options.headers === undefined ? undefined : messageHeaders(options.headers);
        const token = this.#inbox.send(waiting, body, headers);
        waiting.timer = this.#clock.setTimer(options.timeoutMs, () => {
          if (this.#inbox.forget(token)) resolve({ kind: 'timeout' });
        });
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
}

function settle(waiting: WaitingRequest, answer: InboxAnswer): void {
  waiting.timer?.cancel();
  if (answer.kind !== 'reply') {
    waiting.resolve(answer);
    return;
  }
  const { message } = answer;
  waiting.resolve({ kind: 'reply', body: message.data, headers: headerMap(message.headers) });
}
