import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { asError, EngineError } from '../core/errors.ts';
import type { Random } from '../ports/random.ts';
import type { AdminApp } from './admin-app.ts';
import { answerClientError } from './client-error.ts';
import { errorAnswerOf } from './error-answer.ts';
import { isLoopback } from './listen-address.ts';
import { checkHead, maximumHeaderBytes, type HostList } from './request-guard.ts';
import { headersOf } from './security-headers.ts';

/** Bounds of connections. */
export interface HttpLimits {
  /** From the first byte of a request to the end of its headers. */
  readonly headersTimeoutMs: number;
  /** From the first byte of a request to its last. */
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly maximumRequestsPerSocket: number;
  readonly maximumConnections: number;
}

/** The bounds when nothing else is said. */
export const httpDefaults: HttpLimits = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 5_000,
  maximumRequestsPerSocket: 1_000,
  maximumConnections: 256,
};

/** Key and certificate, in PEM. */
export interface TlsFiles {
  readonly key: Buffer;
  readonly cert: Buffer;
}

/** Takes over the connection of an upgrade request, once the door has let it in. */
export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** What {@link HttpServer} works with. */
export interface HttpServerDeps {
  readonly app: AdminApp;
  readonly random: Random;
  readonly limits: HttpLimits;
  readonly tls: TlsFiles | null;
  /** Further hosts to answer for, beside the address listened on. */
  readonly hosts: readonly string[];
  readonly onUpgrade: UpgradeHandler | null;
}

/** How often the server looks for connections whose time is over. */
const timeoutCheckMs = 500;

/** The door of the admin API: sockets, their limits, and the checks that need the bytes as they came. */
export class HttpServer {
  readonly #deps: HttpServerDeps;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #hosts: HostList = { hosts: new Set() };

  constructor(deps: HttpServerDeps) {
    this.#deps = deps;
    const { limits, tls } = deps;
    const options = {
      maxHeaderSize: maximumHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(timeoutCheckMs, limits.headersTimeoutMs),
    };
    this.#server =
      tls === null ? createServer(options) : createTlsServer({ ...options, ...tls, minVersion: 'TLSv1.2' as const });
    this.#server.maxConnections = limits.maximumConnections;
    this.#server.maxRequestsPerSocket = limits.maximumRequestsPerSocket;
    // Node drops headers over this number without a word; the door counts them and refuses.
    this.#server.maxHeadersCount = 0;
    this.#wire();
  }

  /** Begins to listen. @throws EngineError `CONFIG_INVALID` when the address cannot be had */
  async listen(host: string, port: number): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve();
      });
    }).catch((error: unknown) => {
      throw new EngineError('CONFIG_INVALID', `cannot listen on ${host} port ${port}: ${asError(error).message}`, {
        field: 'port',
        got: port,
        cause: error,
      });
    });
    const address = this.#server.address() as AddressInfo;
    this.#hosts = { hosts: hostsOf(host, address.port, this.#deps) };
    return address;
  }

  /** Stops to listen and ends idle connections at once, the others when they are answered or `graceful` aborts. */
  async close(graceful: AbortSignal): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const cut = (): void => {
      for (const socket of this.#sockets) socket.destroy();
    };
    if (graceful.aborted) cut();
    else graceful.addEventListener('abort', cut, { once: true });
    await closed;
    graceful.removeEventListener('abort', cut);
  }

  #wire(): void {
    const { app, random, tls } = this.#deps;
    const isTls = tls !== null;
    const listener = getRequestListener(
      (request, env) =>
        app.fetch(request, { address: (env as { incoming: IncomingMessage }).incoming.socket.remoteAddress ?? '' }),
      { overrideGlobalObjects: false },
    );
    const server = this.#server;
    server.on('connection', (socket) => this.#keep(socket));
    server.on('request', (request, response) => {
      if (this.#letIn(request, response)) void listener(request, response);
    });
    server.on('clientError', (error, socket) => answerClientError(socket, error, { requestId: random.id(), isTls }));
    server.on('upgrade', (request, socket, head) => {
      const { onUpgrade } = this.#deps;
      try {
        this.#check(request);
      } catch {
        socket.destroy();
        return;
      }
      if (onUpgrade === null) socket.destroy();
      else onUpgrade(request, socket, head);
    });
    server.on('connect', (_request, socket) => socket.destroy());
    // No body is waited for that would be refused: what is announced as too large is answered before it is sent.
    server.on('checkContinue', (request, response) => {
      if (!this.#letIn(request, response)) return;
      response.writeContinue();
      void listener(request, response);
    });
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #letIn(request: IncomingMessage, response: ServerResponse): boolean {
    try {
      this.#check(request);
      return true;
    } catch (thrown) {
      const requestId = this.#deps.random.id();
      const { status, body, error } = errorAnswerOf(thrown, requestId);
      response.writeHead(status, {
        ...headersOf(this.#deps.tls !== null),
        'content-type': 'application/json; charset=utf-8',
        'x-request-id': requestId,
        connection: 'close',
        ...(error.code === 'METHOD_NOT_ALLOWED' ? { allow: error.limit ?? '' } : {}),
      });
      response.end(JSON.stringify(body));
      return false;
    }
  }

  #check({ method = '', url = '', rawHeaders, headers }: IncomingMessage): void {
    checkHead({ method, url, headerCount: rawHeaders.length / 2, host: headers.host }, this.#hosts);
  }
}

function hostsOf(host: string, port: number, { hosts, tls }: HttpServerDeps): ReadonlySet<string> {
  const isLoopbackAddress = isLoopback(host);
  const names = isLoopbackAddress ? ['127.0.0.1', 'localhost', '[::1]'] : [host.includes(':') ? `[${host}]` : host];
  const defaultPort = tls === null ? 80 : 443;
  const own = names.flatMap((name) => (port === defaultPort ? [name, `${name}:${port}`] : [`${name}:${port}`]));
  return new Set([...own, ...hosts].map((name) => name.toLowerCase()));
}
