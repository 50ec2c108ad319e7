import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { NatsFrameReader, type NatsFrame } from './nats-frames.ts';

/**
 * What can happen to one publish on its way to the server and to its acknowledgement on the way back. After none of these but the
 * refusals does the publisher know what became of it.
 */
export const publishFaults = [
  'eatAck',
  'delayAck',
  'twice',
  'lose',
  'delay',
  'landAfterReconnect',
  'cutBefore',
  'cutAfter',
  'cutWithin',
  'answer503',
  'answer10164',
  'answer10158',
] as const;
export type PublishFault = (typeof publishFaults)[number];

/** A publish that asks for an acknowledgement. */
export interface SeenPublish {
  readonly subject: string;
}

/** How late `delayAck` and `delay` are: longer than any acknowledgement is waited for. */
const lateMs = 6_500;
/** How long after the client has come back what it had published before still lands. */
const landAfterMs = 150;

const refusals: Partial<Record<PublishFault, { readonly code: number; readonly description: string }>> = {
  answer10164: { code: 10_164, description: 'another publish to that subject is in process' },
  answer10158: { code: 10_158, description: 'batch publish is in process' },
};

/**
 * A TCP proxy before one nats-server that knows the frames of the protocol and does to single publishes what networks and servers do.
 * Its clients are told of no other server, so that none finds a way past it.
 */
export class NatsProxy {
  /** Asked for each publish that wants an acknowledgement; null lets it pass. */
  onPublish: (publish: SeenPublish) => PublishFault | null = () => null;
  readonly #server: Server;
  readonly #target: URL;
  readonly #links = new Set<ProxiedLink>();
  /** Released when the next client has connected. */
  readonly #landings: (() => void)[] = [];
  #url = '';

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((client) => this.#accept(client));
  }

  /** Begins to listen before the server at `target`, as `nats://127.0.0.1:port`. */
  static async start(target: string): Promise<NatsProxy> {
    const proxy = new NatsProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    proxy.#url = `nats://127.0.0.1:${(proxy.#server.address() as AddressInfo).port}`;
    return proxy;
  }

  get url(): string {
    return this.#url;
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const link of this.#links) link.destroy();
    await closed;
  }

  /** Calls `land` soon after a client has connected anew. */
  awaitReconnect(land: () => void): void {
    this.#landings.push(land);
  }

  #accept(client: Socket): void {
    const link = new ProxiedLink(this, client, connect(Number(this.#target.port), this.#target.hostname), () => {
      this.#links.delete(link);
    });
    this.#links.add(link);
    for (const land of this.#landings.splice(0)) setTimeout(land, landAfterMs);
  }
}

/** One client's connection through a proxy. */
class ProxiedLink {
  readonly #proxy: NatsProxy;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #onGone: () => void;
  /** Subjects by subscription id, to answer in the server's name. */
  readonly #subscriptions = new Map<string, string>();
  readonly #eatenReplies = new Set<string>();
  readonly #delayedReplies = new Set<string>();
  /** A publish still waits to land through this link, though its client is gone. */
  #isKept = false;

  constructor(proxy: NatsProxy, client: Socket, server: Socket, onGone: () => void) {
    this.#proxy = proxy;
    this.#client = client;
    this.#server = server;
    this.#onGone = onGone;
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
    }
    const fromClient = new NatsFrameReader();
    const fromServer = new NatsFrameReader();
    client.on('data', (bytes: Buffer) => {
      for (const frame of fromClient.read(bytes)) this.#onClientFrame(frame);
    });
    server.on('data', (bytes: Buffer) => {
      for (const frame of fromServer.read(bytes)) this.#onServerFrame(frame);
    });
    client.on('close', () => {
      if (!this.#isKept) server.destroy();
    });
    server.on('close', () => {
      client.destroy();
      this.#onGone();
    });
  }

  destroy(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  #onClientFrame(frame: NatsFrame): void {
    if (frame.kind === 'line') {
      const [, subject = '', ...more] = frame.text.split(/\s+/);
      if (frame.verb === 'SUB') this.#subscriptions.set(more.at(-1) ?? '', subject);
      this.#server.write(frame.raw);
      return;
    }
    const { subject, reply, raw } = frame;
    const fault = reply === null ? null : this.#proxy.onPublish({ subject });
    if (fault === null || reply === null) this.#server.write(raw);
    else this.#hurt(fault, reply, raw);
  }

  #hurt(fault: PublishFault, reply: string, raw: Buffer): void {
    switch (fault) {
      case 'eatAck':
        this.#eatenReplies.add(reply);
        this.#server.write(raw);
        break;
      case 'delayAck':
        this.#delayedReplies.add(reply);
        this.#server.write(raw);
        break;
      case 'twice':
        this.#server.write(raw);
        this.#server.write(raw);
        break;
      case 'lose':
        break;
      case 'delay':
        setTimeout(() => this.#server.write(raw), lateMs).unref();
        break;
      case 'landAfterReconnect':
        this.#isKept = true;
        this.#proxy.awaitReconnect(() => this.#server.end(raw));
        this.#client.destroy();
        break;
      case 'cutBefore':
        this.destroy();
        break;
      case 'cutAfter':
        // The server reads what came before the end of the stream.
        this.#isKept = true;
        this.#client.destroy();
        this.#server.end(raw);
        break;
      case 'cutWithin':
        this.#isKept = true;
        this.#client.destroy();
        this.#server.end(raw.subarray(0, raw.length >> 1));
        break;
      case 'answer503':
        this.#answer(reply, Buffer.from('NATS/1.0 503\r\n\r\n'), Buffer.alloc(0));
        break;
      case 'answer10164':
      case 'answer10158': {
        const { code, description } = refusals[fault] ?? { code: 0, description: '' };
        const error = { code: 400, err_code: code, description };
        this.#answer(reply, null, Buffer.from(JSON.stringify({ stream: 'any', seq: 0, error })));
        break;
      }
      default:
        fault satisfies never;
    }
  }

  /** In the server's name. */
  #answer(reply: string, head: Buffer | null, body: Buffer): void {
    const sid = [...this.#subscriptions].find(([, pattern]) => covers(pattern, reply))?.[0];
    if (sid === undefined) return;
    const sizes = head === null ? `${body.length}` : `${head.length} ${head.length + body.length}`;
    const line = Buffer.from(`${head === null ? 'MSG' : 'HMSG'} ${reply} ${sid} ${sizes}\r\n`);
    this.#client.write(Buffer.concat([line, head ?? Buffer.alloc(0), body, Buffer.from('\r\n')]));
  }

  #onServerFrame(frame: NatsFrame): void {
    if (frame.kind === 'line') {
      this.#client.write(frame.verb === 'INFO' ? withoutOtherServers(frame.text) : frame.raw);
      return;
    }
    if (this.#eatenReplies.delete(frame.subject)) return;
    if (this.#delayedReplies.delete(frame.subject)) {
      setTimeout(() => this.#client.write(frame.raw), lateMs).unref();
      return;
    }
    this.#client.write(frame.raw);
  }
}

function covers(pattern: string, subject: string): boolean {
  const names = subject.split('.');
  const parts = pattern.split('.');
  if (parts.at(-1) === '>') return parts.slice(0, -1).every((part, at) => part === '*' || part === names[at]);
  return parts.length === names.length && parts.every((part, at) => part === '*' || part === names[at]);
}

function withoutOtherServers(text: string): Buffer {
  const { connect_urls: _others, ...info } = JSON.parse(text.slice('INFO '.length)) as Record<string, unknown>;
  return Buffer.from(`INFO ${JSON.stringify(info)}\r\n`);
}
