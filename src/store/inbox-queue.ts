import type { Msg, Subscription } from '@nats-io/transport-node';
import { EngineError } from '../core/errors.ts';
import { forbiddenError } from '../core/forbidden.ts';
import type { Clock } from '../ports/clock.ts';
import type { LinkStatus, NatsLink } from '../transport/nats-connection.ts';

/** Messages to one private subject, taken one by one. Close it when done. */
export class InboxQueue {
  /** Where the messages are to be sent. */
  readonly subject: string;
  readonly #link: NatsLink;
  readonly #clock: Clock;
  readonly #action: string;
  readonly #subscription: Subscription;
  readonly #unwatch: () => void;
  #messages: Msg[] = [];
  #nextIndex = 0;
  #failure: EngineError | undefined;
  #sentTo: string | undefined;
  #wake: (() => void) | undefined;

  /** @param action - what the messages are for; it begins each error's message */
  constructor(deps: { readonly link: NatsLink; readonly clock: Clock; readonly action: string }) {
    this.#link = deps.link;
    this.#clock = deps.clock;
    this.#action = deps.action;
    this.subject = deps.link.newInbox();
    this.#subscription = deps.link.connection.subscribe(this.subject, {
      callback: (error, message) => {
        if (error === null) this.#messages.push(message);
        else this.#fail(this.#error(`the inbox broke: ${error.message}`, error));
        this.#wake?.();
      },
    });
    this.#unwatch = deps.link.onStatus((status) => this.#handleStatus(status));
    if (!deps.link.isConnected) this.#failure = this.#error('the connection to NATS is down');
  }

  /** Sends a message whose answers come to this queue. */
  send(subject: string, body: Uint8Array): void {
    this.#sentTo = subject;
    this.#link.connection.publish(subject, body, { reply: this.subject });
  }

  /** The next message, or null when none comes in time. @throws EngineError `UNAVAILABLE` when the link is lost, `BUS_FORBIDDEN` */
  async next(timeoutMs: number): Promise<Msg | null> {
    let isLate = false;
    for (;;) {
      const message = this.#take();
      if (message !== undefined) return message;
      if (this.#failure !== undefined) throw this.#failure;
      if (isLate) return null;
      isLate = await this.#arrival(timeoutMs);
    }
  }

  /** Ends the subscription; messages that still come are dropped. */
  close(): void {
    this.#unwatch();
    if (!this.#link.connection.isClosed()) this.#subscription.unsubscribe();
  }

  #handleStatus(status: LinkStatus): void {
    if (status.kind === 'disconnected' || status.kind === 'closed') {
      this.#fail(this.#error('the connection to NATS is down'));
    } else if (status.kind === 'forbidden' && (status.subject === this.subject || status.subject === this.#sentTo)) {
      this.#fail(forbiddenError(status));
    }
  }

  #fail(error: EngineError): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  #take(): Msg | undefined {
    const message = this.#messages[this.#nextIndex];
    if (message !== undefined) {
      this.#nextIndex += 1;
      return message;
    }
    this.#messages = [];
    this.#nextIndex = 0;
    return undefined;
  }

  /** Resolves at the next message or failure with false, or with true when the time is over. */
  #arrival(timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(timeoutMs, () => {
        this.#wake = undefined;
        resolve(true);
      });
      this.#wake = () => {
        this.#wake = undefined;
        timer.cancel();
        resolve(false);
      };
    });
  }

  #error(detail: string, cause?: Error): EngineError {
    return new EngineError('UNAVAILABLE', `${this.#action}: ${detail}`, { cause });
  }
}
