import { request as httpRequest } from 'node:http';
import { WebSocket } from 'ws';
import { livePath, liveProtocol, type LiveFrame, type LiveMessage } from '../../src/admin/live/protocol.ts';
import { EventReader } from './live-kit.ts';

/** How a client asks for a socket; what it leaves out is as an honest one sends it. */
export interface HandshakeOptions {
  readonly token?: string | null;
  readonly origin?: string | null;
  readonly cookie?: string;
  readonly protocols?: readonly string[];
  readonly path?: string;
}

/** Opens a socket to the server on that port. */
export function openSocket(port: number, options: HandshakeOptions = {}): WebSocket {
  const { token = null, origin = `http://127.0.0.1:${port}`, protocols = [liveProtocol], path = livePath } = options;
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, [...protocols], {
    perMessageDeflate: false,
    ...(origin === null ? {} : { origin }),
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(options.cookie === undefined ? {} : { cookie: options.cookie }),
    },
  });
  socket.on('error', () => undefined);
  return socket;
}

/** What became of a handshake: the status of its answer, 101 when it was let in. */
export function handshakeStatus(port: number, options: HandshakeOptions = {}): Promise<number> {
  const { token = null, origin = `http://127.0.0.1:${port}`, protocols = [liveProtocol], path = livePath } = options;
  return new Promise((resolve, reject) => {
    const asked = httpRequest({
      host: '127.0.0.1',
      port,
      path,
      agent: false,
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': Buffer.alloc(16, 7).toString('base64'),
        ...(protocols.length === 0 ? {} : { 'sec-websocket-protocol': protocols.join(', ') }),
        ...(origin === null ? {} : { origin }),
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
    });
    asked.on('response', (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    asked.on('upgrade', (_answer, socket) => {
      socket.on('error', () => undefined);
      socket.destroy();
      resolve(101);
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** The close of a socket: its code and reason. */
export function closeOf(socket: WebSocket): Promise<{ readonly code: number; readonly reason: string }> {
  return new Promise((resolve) =>
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString('utf8') })),
  );
}

/** The frames of a socket, as they come. */
export function framesOf(socket: WebSocket): LiveFrame[] {
  const frames: LiveFrame[] = [];
  socket.on('message', (data) => frames.push(JSON.parse((data as Buffer).toString('utf8')) as LiveFrame));
  return frames;
}

/** A client of the event feed that keeps its place over connections; it must be told to come. */
export class SocketReader {
  readonly reader = new EventReader();
  readonly closes: { readonly code: number; readonly reason: string }[] = [];
  /** What went against the protocol. */
  fault: Error | null = null;
  /** How often it subscribes beside its own subscription, so that more comes than it can read. */
  extraSubscriptions = 0;
  #socket: WebSocket | null = null;

  get isConnected(): boolean {
    return this.#socket !== null;
  }

  come(port: number, token: string): void {
    if (this.#socket !== null) return;
    const socket = openSocket(port, { token });
    this.#socket = socket;
    const messages: readonly LiveMessage[] = [
      this.reader.message(),
      ...Array.from({ length: this.extraSubscriptions }, (_, index): LiveMessage => {
        return { type: 'subscribe', id: `extra-${index}`, topic: 'events' };
      }),
    ];
    socket.on('open', () => messages.forEach((message) => socket.send(JSON.stringify(message))));
    socket.on('message', (data) => this.#take(data as Buffer));
    socket.on('close', (code, reason) => {
      if (this.#socket === socket) this.#socket = null;
      this.closes.push({ code, reason: reason.toString('utf8') });
    });
  }

  /** Goes away without a word. */
  drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    // What is under way is lost with the connection.
    socket?.removeAllListeners('message');
    socket?.terminate();
  }

  /** Stops to read, as a page does that is stuck. */
  hold(): void {
    this.#socket?.pause();
  }

  /** Reads again. */
  release(): void {
    this.#socket?.resume();
  }

  #take(data: Buffer): void {
    try {
      this.reader.take(JSON.parse(data.toString('utf8')) as LiveFrame);
    } catch (error) {
      this.fault ??= error as Error;
    }
  }
}
