import { createInbox, errors, type NatsConnection, type Status } from '@nats-io/transport-node';
import { asError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';

/** What happened to a link. */
export type LinkStatus =
  /** The connection broke. What was in flight may or may not have arrived; what is published now is lost. */
  | { readonly kind: 'disconnected' }
  /** A new connection is up and every subscription is on it again. */
  | { readonly kind: 'reconnected' }
  /** The link ended for good. */
  | { readonly kind: 'closed' }
  /** The server refused a publish or a subscription of this user. */
  | { readonly kind: 'forbidden'; readonly operation: 'publish' | 'subscription'; readonly subject: string };

/** One connection to NATS that tells its state at once. */
export interface NatsLink {
  /** For the JetStream client. Its `request` does not notice a lost connection: see `RequestInbox`. */
  readonly connection: NatsConnection;
  /** False from the moment the link is known to be down until it is up again. */
  readonly isConnected: boolean;
  /** Largest message (headers and body) that the server takes, in bytes. */
  readonly maximumPayloadBytes: number;
  /** A new, unique subject under the link's own inbox prefix. */
  newInbox(): string;
  /** Calls `listener` at each change until the returned function is called. */
  onStatus(listener: (status: LinkStatus) => void): () => void;
  /** Lets what is in hand go out, at most for the close timeout, then closes. A second call waits for the first. */
  close(): Promise<void>;
}

/** A link over a connection that is up. */
export class ConnectedLink implements NatsLink {
  readonly connection: NatsConnection;
  readonly maximumPayloadBytes: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #inboxPrefix: string;
  readonly #closeTimeoutMs: number;
  readonly #listeners = new Set<(status: LinkStatus) => void>();
  #isConnected = true;
  #closing: Promise<void> | undefined;

  constructor(
    connection: NatsConnection,
    options: {
      readonly clock: Clock;
      readonly logger: Logger;
      readonly inboxPrefix: string;
      readonly closeTimeoutMs: number;
    },
  ) {
    this.connection = connection;
    this.maximumPayloadBytes = connection.info?.max_payload ?? 1024 * 1024;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#inboxPrefix = options.inboxPrefix;
    this.#closeTimeoutMs = options.closeTimeoutMs;
    void this.#watch();
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  newInbox(): string {
    return createInbox(this.#inboxPrefix);
  }

  onStatus(listener: (status: LinkStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.connection.isClosed()) return;
    // A drain waits for the server, which may be gone: then what is in hand is lost whatever we do.
    const bound = new Promise<void>((resolve) => {
      const timer = this.#clock.setTimer(this.#closeTimeoutMs, resolve);
      const drained = this.#isConnected ? this.connection.drain() : Promise.resolve();
      void drained
        .catch((thrown: unknown) => this.#logger.debug({ err: asError(thrown) }, 'draining the NATS link failed'))
        .finally(() => {
          timer.cancel();
          resolve();
        });
    });
    await bound;
    await this.connection.close();
  }

  async #watch(): Promise<void> {
    for await (const status of this.connection.status()) this.#handle(status);
    this.#isConnected = false;
    this.#tell({ kind: 'closed' });
  }

  #handle(status: Status): void {
    switch (status.type) {
      case 'disconnect':
        this.#isConnected = false;
        this.#logger.warn({ server: status.server }, 'the NATS link is down');
        this.#tell({ kind: 'disconnected' });
        return;
      case 'reconnect':
        this.#isConnected = true;
        this.#logger.info({ server: status.server }, 'the NATS link is up again');
        this.#tell({ kind: 'reconnected' });
        return;
      case 'error':
        this.#handleError(status.error);
        return;
      case 'ldm':
        this.#logger.info({ server: status.server }, 'the NATS server is about to shut down');
        return;
      default:
        return;
    }
  }

  #handleError(error: Error): void {
    this.#logger.warn({ err: error }, 'the NATS server sent an error');
    if (!(error instanceof errors.PermissionViolationError)) return;
    const { operation, subject } = error;
    this.#tell({ kind: 'forbidden', operation: operation === 'publish' ? 'publish' : 'subscription', subject });
  }

  #tell(status: LinkStatus): void {
    for (const listener of this.#listeners) {
      try {
        listener(status);
      } catch (thrown) {
        this.#logger.error({ err: asError(thrown) }, 'a link listener threw');
      }
    }
  }
}
