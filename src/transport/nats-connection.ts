import type { ConnectionOptions as TlsOptions } from 'node:tls';
import {
  connect,
  credsAuthenticator,
  errors,
  nkeyAuthenticator,
  type Authenticator,
  type ConnectionOptions,
  type NodeConnectionOptions,
  type Server,
} from '@nats-io/transport-node';
import { asError, EngineError } from '../core/errors.ts';
import { tlsFailureOf } from '../core/tls-failure.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { parseNatsUrls, type NatsAddresses } from './nats-address.ts';
import { ConnectedLink, type NatsLink } from './nats-link.ts';
import { checkTlsFiles, identityChecker, type NatsTls } from './nats-tls.ts';

export type { LinkStatus, NatsLink } from './nats-link.ts';

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
  /** TLS is required of the servers when it is there, or by `tls://`; else they say. */
  readonly tls?: NatsTls | undefined;
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
  /**
   * How long one address may take to greet: a frozen server accepts connections and says nothing. The client library knows but one
   * such time for the first dial and for all after it.
   */
  dialTimeoutMs: 2_000,
  /** Wait between two attempts to connect. */
  reconnectWaitMs: 250,
  /** A half-open connection is noticed within three of these: well before a frozen server costs a node its lease. */
  pingIntervalMs: 1_000,
  maxPingsOut: 2,
} as const;

/**
 * A connection to NATS, tried again until the connect timeout, that reconnects for ever afterwards.
 *
 * @throws EngineError `NATS_UNREACHABLE` when no server answers in time, `BUS_FORBIDDEN` when one refuses the credentials,
 *   `TLS_ERROR` when the handshake fails, `CONFIG_INVALID` for bad URLs, files and keys. No message holds a credential.
 */
export async function connectNats(options: NatsLinkOptions): Promise<NatsLink> {
  const addresses = parseNatsUrls(options.servers);
  if (options.tls !== undefined) checkTlsFiles(options.tls);
  const client = clientOptions(options, addresses);
  const timeoutMs = options.connectTimeoutMs ?? linkDefaults.connectTimeoutMs;
  const deadlineMs = options.clock.monotonicMs() + timeoutMs;
  for (;;) {
    try {
      const connection = await connect(client);
      return new ConnectedLink(connection, {
        clock: options.clock,
        logger: options.logger,
        inboxPrefix: options.inboxPrefix ?? linkDefaults.inboxPrefix,
        closeTimeoutMs: options.closeTimeoutMs ?? linkDefaults.closeTimeoutMs,
      });
    } catch (thrown) {
      const waitMs = linkDefaults.reconnectWaitMs;
      const isLast = isHopeless(thrown) || options.clock.monotonicMs() + waitMs >= deadlineMs;
      if (isLast) throw unreachableError(addresses, timeoutMs, thrown);
      await new Promise<void>((resolve) => void options.clock.setTimer(waitMs, resolve));
    }
  }
}

function clientOptions(options: NatsLinkOptions, addresses: NatsAddresses): NodeConnectionOptions {
  let dialed: Server | null = null;
  const base: ConnectionOptions = {
    servers: [...addresses.servers],
    name: options.name,
    // Also for each reconnect, so it may not shrink with what is left of the first deadline.
    timeout: linkDefaults.dialTimeoutMs,
    inboxPrefix: options.inboxPrefix ?? linkDefaults.inboxPrefix,
    // The library's default gives up after ten attempts and then stays closed.
    maxReconnectAttempts: -1,
    reconnectTimeWait: linkDefaults.reconnectWaitMs,
    // Asked before each dial, the first one too.
    reconnectToServer: (pool) => (dialed = longestUndialed(pool)),
    pingInterval: linkDefaults.pingIntervalMs,
    maxPingOut: linkDefaults.maxPingsOut,
    // An Error with a stack for every request costs more than the request itself.
    noAsyncTraces: true,
    // A password may be rotated while the engine runs: two refusals must not end the link.
    ignoreAuthErrorAbort: true,
    authenticator: authenticatorsOf(options, addresses),
  };
  const needsTls = options.tls !== undefined || addresses.servers.some((server) => server.startsWith('tls://'));
  if (!needsTls) return base;
  // The library hands to Node what it does not know itself.
  const tls: NatsTls & Pick<TlsOptions, 'checkServerIdentity'> = {
    ...options.tls,
    checkServerIdentity: identityChecker(() => dialed),
  };
  return { ...base, tls: tls as NonNullable<NodeConnectionOptions['tls']> };
}

/**
 * The server to dial: of those known the one whose last dial is the longest ago. The library's own turn begins with the server that was
 * just lost, and a frozen one would take the whole dial time once more while the others could be had at once.
 */
function longestUndialed(pool: readonly Server[]): Server | null {
  const [first = null] = pool;
  return pool.reduce(
    (found, server) => (found === null || server.lastConnect < found.lastConnect ? server : found),
    first,
  );
}

const encoder = new TextEncoder();

function authenticatorsOf(options: NatsLinkOptions, addresses: NatsAddresses): Authenticator[] {
  const fromUrl = addresses.credentials;
  const user = options.user ?? (fromUrl.kind === 'user' ? fromUrl.user : undefined);
  const pass = options.pass ?? (fromUrl.kind === 'user' ? fromUrl.pass : undefined);
  const token = options.token ?? (fromUrl.kind === 'token' ? fromUrl.token : undefined);
  const authenticators: Authenticator[] = [];
  if (options.credentials !== undefined) {
    const { credentials } = options;
    authenticators.push(usable('credentials', () => credsAuthenticator(encoder.encode(credentials))));
  }
  if (options.nkeySeed !== undefined) {
    const { nkeySeed } = options;
    authenticators.push(usable('nkeySeed', () => nkeyAuthenticator(encoder.encode(nkeySeed))));
  }
  if (user !== undefined) authenticators.push(() => (pass === undefined ? { user } : { user, pass }));
  if (token !== undefined) authenticators.push(() => ({ auth_token: token }));
  return authenticators;
}

/**
 * The authenticator, once it has signed something: the library would find out at the first server, and try again.
 *
 * @throws EngineError `CONFIG_INVALID`, without a word of what was given
 */
function usable(field: keyof typeof secretForms, make: () => Authenticator): Authenticator {
  try {
    const authenticator = make();
    authenticator('nonce');
    return authenticator;
  } catch {
    throw new EngineError('CONFIG_INVALID', `nats.${field} cannot be used`, { field, limit: secretForms[field] });
  }
}

const secretForms = {
  credentials: 'the text of a .creds file: a user JWT and its NKey seed',
  nkeySeed: 'the NKey seed of a user, which begins with SU',
} as const;

function isRefused(thrown: unknown): boolean {
  return thrown instanceof errors.AuthorizationError || thrown instanceof errors.UserAuthenticationExpiredError;
}

/** Whether another try with the same settings cannot end otherwise. */
function isHopeless(thrown: unknown): boolean {
  return (
    isRefused(thrown) ||
    tlsFailure(thrown) !== null ||
    thrown instanceof errors.InvalidArgumentError ||
    thrown instanceof TypeError
  );
}

/** What TLS says is wrong; null when it is not TLS. The library has but words for a server that speaks none. */
function tlsFailure(thrown: unknown): string | null {
  const { message } = asError(thrown);
  return message === "server does not support 'tls'" ? message : tlsFailureOf(thrown);
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
  const tls = tlsFailure(thrown);
  if (tls !== null) {
    return new EngineError('TLS_ERROR', `NATS at ${servers} cannot be trusted: ${tls}`, {
      cause,
      hint: 'check nats.tls of the configuration file, and that the address is one of those in the certificate',
    });
  }
  return new EngineError('NATS_UNREACHABLE', `no NATS server answers at ${servers}: ${cause.message}`, {
    cause,
    limit: `${timeoutMs} ms`,
    hint: 'check that nats-server runs and that address, port and TLS setting are right',
  });
}
