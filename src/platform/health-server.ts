import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { isIP, type AddressInfo } from 'node:net';
import { asError, EngineError } from '../core/errors.ts';
import type { Logger } from '../ports/logger.ts';
import { expositionContentType } from './exposition.ts';

/** How the process stands, asked at each request. */
export interface HealthProbe {
  /** False: it will never serve again by itself; restart it. A process whose event loop does not turn answers nothing at all. */
  readonly isLive: () => boolean;
  /** It serves what it should, and is not about to end. */
  readonly isReady: () => boolean;
  /** It has served once. */
  readonly hasStarted: () => boolean;
}

/** The numbers of the process, for whoever has the token. */
export interface HealthMetrics {
  readonly token: string;
  /** In the text format of Prometheus. */
  readonly text: () => Promise<string>;
}

/** What {@link openHealthServer} is given. */
export interface HealthServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Key and certificate, in PEM; null: plain HTTP. */
  readonly tls: { readonly key: Buffer; readonly cert: Buffer } | null;
  readonly probe: HealthProbe;
  /** Null: there is no such address. */
  readonly metrics: HealthMetrics | null;
  readonly logger: Logger;
}

/** A listener for probes. */
export interface HealthServer {
  readonly host: string;
  readonly port: number;
  /** Ends it with all its connections. Safe to call twice. */
  close(): Promise<void>;
}

/** Bounds of a probe: a line and some headers, over a connection of its own. */
const headersTimeoutMs = 5_000;
const timeoutCheckMs = 500;
const maximumHeaderBytes = 8 * 1024;
const maximumConnections = 64;

const headers: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  // A prober comes back in seconds; nothing is kept open for it, and nothing holds up the end of the process.
  connection: 'close',
};

/**
 * Answers `GET` and `HEAD` of `/livez`, `/readyz` and `/startupz` with yes (200) or no (503) and nothing else, to anybody; and
 * `/metrics` to whoever has the token. There is no other address.
 *
 * @throws EngineError `CONFIG_INVALID` when the address cannot be had
 */
export async function openHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const { host, logger } = options;
  const server = newServer(options);
  const door = new HealthDoor(options);
  server.on('request', (request, response) => door.answer(request, response));
  // What announces a body is answered before it sends one.
  server.on('checkContinue', (request, response) => door.answer(request, response));
  server.on('connect', (_request, socket) => socket.destroy());
  server.on('upgrade', (_request, socket) => socket.destroy());
  server.on('clientError', (error, socket) => {
    logger.debug({ err: error }, 'a health request was no HTTP, too slow or too large');
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n', () => socket.destroy());
    else socket.destroy();
  });
  const { port } = await listen(server, options);
  let closing: Promise<void> | null = null;
  return {
    host,
    port,
    close: () => {
      closing ??= new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      return closing;
    },
  };
}

function newServer({ tls }: HealthServerOptions): Server {
  const options = {
    maxHeaderSize: maximumHeaderBytes,
    headersTimeout: headersTimeoutMs,
    requestTimeout: headersTimeoutMs,
    connectionsCheckingInterval: timeoutCheckMs,
  };
  const server =
    tls === null
      ? createServer(options)
      : createTlsServer({ ...options, ...tls, minVersion: 'TLSv1.2', handshakeTimeout: headersTimeoutMs });
  server.maxConnections = maximumConnections;
  return server;
}

async function listen(server: Server, { host, port }: HealthServerOptions): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  }).catch((error: unknown) => {
    const message = `cannot listen for health checks on ${host} port ${port}: ${asError(error).message}`;
    throw new EngineError('CONFIG_INVALID', message, { field: 'health.port', got: port, cause: error });
  });
  return server.address() as AddressInfo;
}

/** What is answered to whom. */
class HealthDoor {
  readonly #probe: HealthProbe;
  readonly #metrics: HealthMetrics | null;
  readonly #tokenDigest: Buffer | null;
  readonly #logger: Logger;

  constructor({ probe, metrics, logger }: HealthServerOptions) {
    this.#probe = probe;
    this.#metrics = metrics;
    this.#tokenDigest = metrics === null ? null : digestOf(metrics.token);
    this.#logger = logger;
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    const { method, url } = request;
    if (method !== 'GET' && method !== 'HEAD') {
      end(response, 405, { error: 'only GET and HEAD' }, { allow: 'GET, HEAD' });
      return;
    }
    // By the exact spelling: a path that only ends like one of these is none of them.
    switch (url) {
      case '/livez':
        tell(response, this.#probe.isLive());
        return;
      case '/readyz':
        tell(response, this.#probe.isLive() && this.#probe.hasStarted() && this.#probe.isReady());
        return;
      case '/startupz':
        tell(response, this.#probe.hasStarted());
        return;
      case '/metrics':
        if (this.#metrics === null) break;
        void this.#tellMetrics(this.#metrics, request, response);
        return;
      default:
    }
    end(response, 404, { error: 'there is nothing at that address' });
  }

  async #tellMetrics(metrics: HealthMetrics, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isOwnHost(request.headers.host)) {
      end(response, 403, { error: 'ask by address, or by a name without a dot' });
      return;
    }
    if (!this.#knows(request.headers.authorization)) {
      end(response, 401, { error: 'a bearer token is needed' }, { 'www-authenticate': 'Bearer' });
      return;
    }
    try {
      const text = await metrics.text();
      response.writeHead(200, { ...headers, 'content-type': expositionContentType });
      response.end(text);
    } catch (thrown) {
      this.#logger.warn({ err: asError(thrown) }, 'the metrics could not be told');
      end(response, 500, { error: 'the metrics cannot be told' });
    }
  }

  #knows(authorization: string | undefined): boolean {
    const given = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(authorization ?? '')?.[1];
    return given !== undefined && this.#tokenDigest !== null && timingSafeEqual(digestOf(given), this.#tokenDigest);
  }
}

/** Digests have one length, so that a comparison takes one time. */
function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/**
 * Whether the Host header names an address, or a name that no stranger can own: a page whose own name was made to point here
 * (DNS rebinding) sends that name.
 */
function isOwnHost(host: string | undefined): boolean {
  const name = /^(\[[0-9a-f:.]+\]|[^:]+)(?::\d{1,5})?$/i.exec(host ?? '')?.[1] ?? '';
  return isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 || /^[a-z0-9_-]+$/i.test(name);
}

function tell(response: ServerResponse, ok: boolean): void {
  end(response, ok ? 200 : 503, { ok });
}

function end(
  response: ServerResponse,
  status: number,
  body: Readonly<Record<string, unknown>>,
  more: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { ...headers, ...more, 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(body));
}
