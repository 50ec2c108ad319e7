import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { asError, EngineError } from '../../core/errors.ts';
import type { Clock, TimerHandle } from '../../ports/clock.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Random } from '../../ports/random.ts';
import type { Principal } from '../principal.ts';
import { refuseUpgrade } from '../refuse-upgrade.ts';
import type { AdminAccess } from '../server.ts';
import { checkHandshake } from './handshake.ts';
import { LiveConnection } from './live-connection.ts';
import { LiveFeeds, type LiveFeedsDeps } from './live-feeds.ts';
import { liveProtocol } from './protocol.ts';
import { sendDefaults, type LiveSocket, type SendLimits } from './send-queue.ts';

/** Bounds of the sockets. */
export interface LiveLimits extends SendLimits {
  readonly maximumConnections: number;
  readonly maximumConnectionsPerPrincipal: number;
  readonly pingMs: number;
  /** How long a client may take nothing while something waits. */
  readonly stallMs: number;
  /** How long a closing handshake may take. */
  readonly closeMs: number;
}

/** The bounds when nothing else is said. */
export const liveDefaults: LiveLimits = {
  ...sendDefaults,
  maximumConnections: 200,
  maximumConnectionsPerPrincipal: 20,
  pingMs: 20_000,
  stallMs: 15_000,
  closeMs: 10_000,
};

// Of frames as they come. A message of the protocol is small and whole.
const maximumPayloadBytes = 64 * 1024;
const maximumFragments = 64;
const maximumBufferedChunks = 1_024;
const tickMs = 1_000;

/** What a {@link LiveServer} works with. */
export interface LiveServerDeps extends LiveFeedsDeps {
  readonly access: AdminAccess;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits?: Partial<LiveLimits> | undefined;
}

/** The console's WebSocket: lets clients in and looks after their connections. It reads of the engine, and changes nothing. */
export class LiveServer {
  readonly #deps: LiveServerDeps;
  readonly #limits: LiveLimits;
  readonly #feeds: LiveFeeds;
  readonly #sockets: WebSocketServer;
  readonly #connections = new Set<LiveConnection>();
  #timer: TimerHandle;
  #ticks = 0;
  #isStopping = false;

  constructor(deps: LiveServerDeps) {
    this.#deps = deps;
    this.#limits = { ...liveDefaults, ...deps.limits };
    this.#feeds = new LiveFeeds(deps);
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: maximumPayloadBytes,
      handleProtocols: () => liveProtocol,
      // Options that the package has and its types lack. A slow client must read what is on its way before why it was closed.
      ...({
        closeTimeout: this.#limits.closeMs,
        maxFragments: maximumFragments,
        maxBufferedChunks: maximumBufferedChunks,
      } as object),
    });
    this.#timer = deps.clock.setTimer(tickMs, () => this.#tick());
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Bytes that wait for clients, all together. */
  get waitingBytes(): number {
    return [...this.#connections].reduce((sum, connection) => sum + connection.waitingBytes, 0);
  }

  /** Takes an upgrade request over: to a connection, or to a refusal. */
  readonly handleUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', ignore);
    const isTls = 'encrypted' in request.socket;
    let principal: Principal;
    try {
      principal = this.#letIn(request, isTls);
    } catch (thrown) {
      this.#refuse(socket, thrown, isTls);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (client) => this.#connect(client, principal));
  };

  /** Tells all clients to come again, and ends. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#timer.cancel();
    for (const connection of this.#connections) connection.put({ type: 'stopping' });
    await this.#feeds.stop();
  }

  #letIn(request: IncomingMessage, isTls: boolean): Principal {
    const { maximumConnections, maximumConnectionsPerPrincipal } = this.#limits;
    if (this.#isStopping) throw new EngineError('UNAVAILABLE', 'the server stops');
    const principal = checkHandshake(
      { url: request.url ?? '', headers: headersFrom(request), isTls },
      this.#deps.access,
    );
    const ofPrincipal = [...this.#connections].filter(
      (connection) => connection.principal.tokenId === principal.tokenId,
    ).length;
    if (ofPrincipal >= maximumConnectionsPerPrincipal || this.#connections.size >= maximumConnections) {
      throw new EngineError('RATE_LIMITED', 'there are as many connections as there may be', {
        limit: `${maximumConnectionsPerPrincipal} of one credential, ${maximumConnections} in all`,
      });
    }
    return principal;
  }

  #refuse(socket: Duplex, thrown: unknown, isTls: boolean): void {
    const requestId = this.#deps.random.id();
    this.#deps.logger.info({ err: asError(thrown), requestId }, 'a socket was refused');
    refuseUpgrade(socket, thrown, { requestId, isTls });
  }

  #connect(client: WebSocket, principal: Principal): void {
    const { access, clock, logger } = this.#deps;
    const nowMs = (): number => clock.monotonicMs();
    // What a client does wrong closes its connection with a code of its own; there is nothing else to do about it.
    client.on('error', ignore);
    const connection = new LiveConnection(
      {
        socket: socketOf(client),
        feeds: this.#feeds,
        clock,
        limits: this.#limits,
        onClosing: (reason) => logger.info({ reason, principal: principal.name }, 'a socket is closed'),
      },
      principal,
    );
    this.#connections.add(connection);
    const unwatch = access.watch(principal, (now) => connection.put({ type: 'rechecked', principal: now }));
    client.on('message', (data, isBinary) => {
      if (isBinary) connection.put({ type: 'binary' });
      else connection.put({ type: 'text', text: (data as Buffer).toString('utf8'), nowMs: nowMs() });
    });
    client.on('ping', () => connection.put({ type: 'pinged', nowMs: nowMs() }));
    client.on('pong', () => connection.put({ type: 'ponged' }));
    client.on('close', () => {
      unwatch();
      this.#connections.delete(connection);
      connection.ended();
    });
  }

  #tick(): void {
    this.#ticks += 1;
    const { pingMs, stallMs } = this.#limits;
    const isDue = this.#ticks % Math.max(1, Math.round(pingMs / tickMs)) === 0;
    for (const connection of this.#connections) {
      if (connection.stalledMs > stallMs) connection.put({ type: 'overflowed' });
      if (isDue) connection.put({ type: 'pingDue' });
    }
    this.#timer = this.#deps.clock.setTimer(tickMs, () => this.#tick());
  }
}

function socketOf(client: WebSocket): LiveSocket {
  return {
    send: (parts, done) => {
      const [first] = parts;
      const frame = parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
      client.send(frame, { binary: false }, () => done());
    },
    ping: () => {
      if (client.readyState === client.OPEN) client.ping();
    },
    close: (code, reason) => client.close(code, reason),
    cut: () => client.terminate(),
  };
}

function headersFrom({ headers }: IncomingMessage): Headers {
  const pairs = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
  );
  return new Headers(pairs);
}

function ignore(): void {
  // The socket's `close` follows, and does what there is to do.
}
