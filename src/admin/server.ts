import type { DocumentStore } from '../ports/documents.ts';
import type { Secrets } from '../ports/secrets.ts';
import { AccessTokens } from './access-tokens.ts';
import { AdminApp } from './admin-app.ts';
import type { RouteDeps } from './admin-deps.ts';
import { Authenticator } from './authenticator.ts';
import { BulkRunner } from './bulk/bulk-runner.ts';
import { BulkStore } from './bulk/bulk-store.ts';
import { CredentialWatch } from './credential-watch.ts';
import { httpDefaults, HttpServer, type HttpLimits, type TlsFiles, type UpgradeHandler } from './http-server.ts';
import { adminDefaults, checkAddress } from './listen-address.ts';
import { withBridge } from './inspect/bridge-page.ts';
import { readPageFiles } from './page-files.ts';
import type { Principal } from './principal.ts';
import { RateLimiter, type RateLimit } from './rate-limiter.ts';
import type { Route } from './route.ts';
import { adminRoutes } from './routes.ts';
import { Sessions, type SessionLimits } from './sessions.ts';
import { Tickets } from './tickets.ts';

/** How often callers may ask. */
export interface AdminRateLimits {
  readonly principal: RateLimit;
  readonly stranger: RateLimit;
  readonly failedLogin: RateLimit;
}

/** The rates when nothing else is said. */
export const rateDefaults: AdminRateLimits = {
  principal: { perSecond: 50, burst: 200 },
  stranger: { perSecond: 10, burst: 40 },
  failedLogin: { perSecond: 0.1, burst: 5 },
};

/** What {@link startAdmin} is given. */
export interface AdminOptions extends Omit<RouteDeps, 'tokens' | 'sessions' | 'tickets' | 'authenticator' | 'bulk'> {
  /** {@link adminDefaults} when left out. Any other address than loopback needs {@link tls}. */
  readonly host?: string | undefined;
  /** 0: any free one. */
  readonly port?: number | undefined;
  /** Hosts that the server answers for beside its own address, such as the name in the certificate; with the port, if it is not the usual one. */
  readonly allowedHosts?: readonly string[] | undefined;
  readonly tls?: TlsFiles | undefined;
  readonly documents: DocumentStore;
  readonly secrets: Secrets;
  /** Folders to look for the console's page in; those of the package when left out. */
  readonly pageFolders?: readonly string[] | undefined;
  /** A viewer of inspections on another server, for the bridge to it; without it the bridge is off. */
  readonly hostedViewerUrl?: string | undefined;
  /** The engine's version, for the description. */
  readonly version: string;
  readonly http?: Partial<HttpLimits> | undefined;
  readonly rates?: Partial<AdminRateLimits> | undefined;
  readonly sessionLimits?: SessionLimits | undefined;
  /** Takes connections over for WebSockets; without it they are refused. */
  readonly onUpgrade?: ((access: AdminAccess, parts: RouteDeps) => UpgradeHandler) | undefined;
}

/** Who may what, for what stands beside the API on the same server. */
export interface AdminAccess {
  /** Who sent these headers; null for nobody. */
  identify(headers: Headers): Principal | null;
  /** Who holds this ticket, which is used up by it; null for nobody. */
  redeem(ticket: string): Principal | null;
  /**
   * Tells when the credential of a connection is good no more, with null, or for another role: at once when it is taken back, within half a
   * second when its time is over. The returned function ends it.
   */
  watch(principal: Principal, onChange: (principal: Principal | null) => void): () => void;
}

/** An admin API that runs. */
export interface RunningAdmin {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /**
   * The first token, at the first start alone; null at every other. Whoever starts the server shows it once, and it must not be
   * logged or kept.
   */
  readonly firstToken: string | null;
  readonly routes: readonly Route[];
  readonly access: AdminAccess;
  /** Answers what is in hand, at most for `graceMs`, and stops; bulk actions go on with the next start. */
  stop(options?: { readonly graceMs?: number | undefined }): Promise<void>;
}

const defaultGraceMs = 5_000;

/**
 * Starts the admin API.
 *
 * @throws EngineError `CONFIG_INVALID` when the address is not loopback and there is no TLS, when it cannot be listened on, or when a
 *   route breaks a rule; `UNAVAILABLE` or `RECORD_CORRUPT` of the documents
 */
export async function startAdmin(options: AdminOptions): Promise<RunningAdmin> {
  const { host = adminDefaults.host, port = adminDefaults.port, clock, random, secrets, documents, logger } = options;
  const tls = options.tls ?? null;
  checkAddress(host, tls !== null);
  const checkAll = (): void => watch.check();
  const tokens = new AccessTokens({ documents, clock, secrets, onRevoked: checkAll });
  const sessions = new Sessions({ clock, secrets, limits: options.sessionLimits, onEnded: checkAll });
  const tickets = new Tickets({ clock, secrets });
  const authenticator = new Authenticator({ tokens, sessions, tickets, isTls: tls !== null });
  const watch = new CredentialWatch({ clock, recheck: (principal) => authenticator.recheck(principal) });
  const bulk = new BulkRunner({ ...options, store: new BulkStore(documents) });
  const parts: RouteDeps = { ...options, tokens, sessions, tickets, authenticator, bulk };
  const routes = adminRoutes(parts, options.version);
  const rates = { ...rateDefaults, ...options.rates };
  let hasOpened = false;
  const app = new AdminApp({
    hasOpened: () => hasOpened,
    routes,
    authenticator,
    audit: options.audit,
    clock,
    random,
    logger,
    isTls: tls !== null,
    page: await withBridge(await readPageFiles(options.pageFolders), options.hostedViewerUrl),
    requests: new RateLimiter(clock, rates.principal),
    strangers: new RateLimiter(clock, rates.stranger),
    logins: new RateLimiter(clock, rates.failedLogin),
  });
  const access: AdminAccess = {
    identify: (headers) => authenticator.identify(headers),
    redeem: (ticket) => authenticator.redeem(ticket),
    watch: (principal, onChange) => watch.watch(principal, onChange),
  };
  const server = new HttpServer({
    app,
    random,
    tls,
    limits: { ...httpDefaults, ...options.http },
    hosts: options.allowedHosts ?? [],
    onUpgrade: options.onUpgrade?.(access, parts) ?? null,
  });
  // Listened first: a first token that is made and then lost to a taken port could never be shown again. Until the tokens are read
  // nobody has a good one.
  const address = await server.listen(host, port);
  const firstToken = await opened(server, bulk, async () => {
    const text = await tokens.open();
    await bulk.open();
    hasOpened = true;
    return text;
  });
  const scheme = tls === null ? 'http' : 'https';
  const url = `${scheme}://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
  logger.info({ url }, 'the admin API listens');
  let stopped: Promise<void> | undefined;
  const stop = async (graceMs: number): Promise<void> => {
    const graceful = new AbortController();
    const timer = clock.setTimer(graceMs, () => graceful.abort());
    await Promise.all([server.close(graceful.signal), bulk.close()]);
    timer.cancel();
  };
  return {
    host,
    port: address.port,
    url,
    firstToken,
    routes,
    access,
    stop: ({ graceMs = defaultGraceMs } = {}) => (stopped ??= stop(graceMs)),
  };
}

async function opened<Value>(server: HttpServer, bulk: BulkRunner, open: () => Promise<Value>): Promise<Value> {
  try {
    return await open();
  } catch (error) {
    await Promise.all([server.close(AbortSignal.abort()), bulk.close()]);
    throw error;
  }
}
