import {
  connect,
  createInbox,
  credsAuthenticator,
  errors,
  nkeyAuthenticator,
  type Authenticator,
  type ConnectionOptions,
  type NatsConnection,
  type NodeConnectionOptions,
  type Status,
} from '@nats-io/transport-node';
import { asError, EngineError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { parseNatsUrls, type NatsAddresses } from './nats-address.ts';

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

/** Settings of {@link connectNats}. */
export interface NatsLinkOptions {
  /** URLs as in `parseNatsUrls`; credentials in them are used and never shown. */
  readonly servers: string | readonly string[];
  /** Shown in the server's connection list. */
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly token?: string | undefined;
  readonly user?: string | undefined;
  readonly pass?: string | undefined;
  /** The contents of a `.creds` file. */
  readonly credentials?: string | undefined;
  /** An NKey seed (`SU…`). */
  readonly nkeySeed?: string | undefined;
  /** Certificate files, by path. */
  readonly tls?: { readonly caFile?: string; readonly certFile?: string; readonly keyFile?: string } | undefined;
  /** Prefix of every reply subject; a role with narrow permissions needs its own. Default `_INBOX.cabinet`. */
  readonly inboxPrefix?: string | undefined;
  /** How long the first connection is tried; a dial that has begun ends by itself. Default {@link linkDefaults}. */
  readonly connectTimeoutMs?: number | undefined;
  /** How long {@link NatsLink.close} lets a drain take. Default {@link linkDefaults}. */
  readonly closeTimeoutMs?: number | undefined;
}

/** What a link does when nothing else is said. */
export const linkDefaults = {
  inboxPrefix: '_INBOX.cabinet',
  connectTimeoutMs: 10_000,
  closeTimeoutMs: 5_000,
  /** How long one address may take to greet: a frozen server accepts connections and says nothing. */
  dialTimeoutMs: 5_000,
  /** Wait between two attempts to connect. */
  reconnectWaitMs: 250,
  /** A half-open connection is noticed after two of these. */
  pingIntervalMs: 5_000,
  maxPingsOut: 2,
} as const;

/**
 * A connection to NATS, tried again until the connect timeout, that reconnects for ever afterwards.
 *
 * @throws EngineError `NATS_UNREACHABLE` when no server answers in time, `BUS_FORBIDDEN` when one refuses the credentials,
 *   `CONFIG_INVALID` for bad URLs. No message holds a credential.
 */
export async function connectNats(options: NatsLinkOptions): Promise<NatsLink> {
  const addresses = parseNatsUrls(options.servers);
  const timeoutMs = options.connectTimeoutMs ?? linkDefaults.connectTimeoutMs;
  const deadlineMs = options.clock.monotonicMs() + timeoutMs;
  for (;;) {
    try {
      return new ConnectedLink(await connect(clientOptions(options, addresses)), options);
    } catch (thrown) {
      const waitMs = linkDefaults.reconnectWaitMs;
      const isLast = isHopeless(thrown) || options.clock.monotonicMs() + waitMs >= deadlineMs;
      if (isLast) throw unreachableError(addresses, timeoutMs, thrown);
      await new Promise<void>((resolve) => void options.clock.setTimer(waitMs, resolve));
    }
  }
}

function clientOptions(options: NatsLinkOptions, addresses: NatsAddresses): NodeConnectionOptions {
  const base: ConnectionOptions = {
    servers: [...addresses.servers],
    name: options.name,
    // Also for each reconnect, so it may not shrink with what is left of the first deadline.
    timeout: linkDefaults.dialTimeoutMs,
    inboxPrefix: options.inboxPrefix ?? linkDefaults.inboxPrefix,
    // The library's default gives up after ten attempts and then stays closed.
    maxReconnectAttempts: -1,
    reconnectTimeWait: linkDefaults.reconnectWaitMs,
    pingInterval: linkDefaults.pingIntervalMs,
    maxPingOut: linkDefaults.maxPingsOut,
    // An Error with a stack for every request costs more than the request itself.
    noAsyncTraces: true,
    // A password may be rotated while the engine runs: two refusals must not end the link.
    ignoreAuthErrorAbort: true,
    authenticator: authenticatorsOf(options, addresses),
  };
  const needsTls = options.tls !== undefined || addresses.servers.some((server) => server.startsWith('tls://'));
  return needsTls ? { ...base, tls: { ...options.tls } } : base;
}

const encoder = new TextEncoder();

function authenticatorsOf(options: NatsLinkOptions, addresses: NatsAddresses): Authenticator[] {
  const fromUrl = addresses.credentials;
  const user = options.user ?? (fromUrl.kind === 'user' ? fromUrl.user : undefined);
  const pass = options.pass ?? (fromUrl.kind === 'user' ? fromUrl.pass : undefined);
  const token = options.token ?? (fromUrl.kind === 'token' ? fromUrl.token : undefined);
  const authenticators: Authenticator[] = [];
  if (options.credentials !== undefined) authenticators.push(credsAuthenticator(encoder.encode(options.credentials)));
  if (options.nkeySeed !== undefined) authenticators.push(nkeyAuthenticator(encoder.encode(options.nkeySeed)));
  if (user !== undefined) authenticators.push(() => (pass === undefined ? { user } : { user, pass }));
  if (token !== undefined) authenticators.push(() => ({ auth_token: token }));
  return authenticators;
}

function isRefused(thrown: unknown): boolean {
  return thrown instanceof errors.AuthorizationError || thrown instanceof errors.UserAuthenticationExpiredError;
}

/** Whether another try with the same settings cannot end otherwise. */
function isHopeless(thrown: unknown): boolean {
  return isRefused(thrown) || thrown instanceof errors.InvalidArgumentError || thrown instanceof TypeError;
}

function unreachableError(addresses: NatsAddresses, timeoutMs: number, thrown: unknown): EngineError {
  const servers = addresses.servers.join(', ');
  const cause = asError(thrown);
  if (isRefused(thrown)) {
    return new EngineError('BUS_FORBIDDEN', `NATS at ${servers} refused the credentials: ${cause.message}`, {
      cause,
      hint: 'check user and password, token, NKey or credentials file of this role',
    });
  }
  return new EngineError('NATS_UNREACHABLE', `no NATS server answers at ${servers}: ${cause.message}`, {
    cause,
    limit: `${timeoutMs} ms`,
    hint: 'check that nats-server runs and that address, port and TLS setting are right',
  });
}

class ConnectedLink implements NatsLink {
  readonly connection: NatsConnection;
  readonly maximumPayloadBytes: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #inboxPrefix: string;
  readonly #closeTimeoutMs: number;
  readonly #listeners = new Set<(status: LinkStatus) => void>();
  #isConnected = true;
  #closing: Promise<void> | undefined;

  constructor(connection: NatsConnection, options: NatsLinkOptions) {
    this.connection = connection;
    this.maximumPayloadBytes = connection.info?.max_payload ?? 1024 * 1024;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#inboxPrefix = options.inboxPrefix ?? linkDefaults.inboxPrefix;
    this.#closeTimeoutMs = options.closeTimeoutMs ?? linkDefaults.closeTimeoutMs;
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
