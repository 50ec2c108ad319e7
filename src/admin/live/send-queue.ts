/** The frames of a connection on their way to a socket. */
export interface LiveSocket {
  /** Sends a text frame of these parts; `done` when the system has taken it, or the socket is over. */
  send(parts: readonly Buffer[], done: () => void): void;
  ping(): void;
  /** Begins the closing handshake; what was sent before goes first. */
  close(code: number, reason: string): void;
  /** Ends the connection at once. */
  cut(): void;
}

/** Bounds of a {@link SendQueue}. */
export interface SendLimits {
  /** Bytes that may wait for a client, in the queue and the socket together. */
  readonly maximumBytes: number;
  /** Bytes given to the socket at once: so much must be taken before a close can be heard. */
  readonly windowBytes: number;
  /** Bytes below which a client counts as having kept up. */
  readonly lowBytes: number;
}

/** The bounds when nothing else is said. */
export const sendDefaults: SendLimits = {
  maximumBytes: 1024 * 1024,
  windowBytes: 128 * 1024,
  lowBytes: 64 * 1024,
};

/**
 * What waits to be sent to one client. The parts of a frame are shared by all who get it and joined only at the socket; the rest can
 * be dropped at the border of a frame when the client has proven too slow.
 */
export class SendQueue {
  readonly #socket: LiveSocket;
  readonly #limits: SendLimits;
  readonly #nowMs: () => number;
  #frames: (readonly Buffer[])[] = [];
  #next = 0;
  #waitingBytes = 0;
  #sentBytes = 0;
  #progressAtMs: number;
  #isEnded = false;
  #drains: (() => void)[] = [];

  constructor(socket: LiveSocket, limits: SendLimits, nowMs: () => number) {
    this.#socket = socket;
    this.#limits = limits;
    this.#nowMs = nowMs;
    this.#progressAtMs = nowMs();
  }

  /** Bytes that wait, here and in the socket. */
  get bytes(): number {
    return this.#waitingBytes + this.#sentBytes;
  }

  /** For how long the client has taken nothing while something waited. */
  get stalledMs(): number {
    return this.bytes === 0 ? 0 : this.#nowMs() - this.#progressAtMs;
  }

  /** Gives false when more waits than may. */
  push(parts: readonly Buffer[]): boolean {
    if (this.#isEnded) return true;
    if (this.bytes === 0) this.#progressAtMs = this.#nowMs();
    this.#frames.push(parts);
    this.#waitingBytes += lengthOf(parts);
    this.#pump();
    return this.bytes <= this.#limits.maximumBytes;
  }

  /** Resolves when little waits, or the connection has ended. */
  drained(): Promise<void> {
    if (this.#isEnded || this.bytes <= this.#limits.lowBytes) return Promise.resolve();
    return new Promise((resolve) => this.#drains.push(resolve));
  }

  /** Drops what has not been given to the socket, and takes nothing more. */
  end(): void {
    this.#isEnded = true;
    this.#frames = [];
    this.#next = 0;
    this.#waitingBytes = 0;
    this.#wake();
  }

  #pump(): void {
    while (this.#sentBytes < this.#limits.windowBytes) {
      const parts = this.#frames[this.#next];
      if (parts === undefined) break;
      this.#next += 1;
      const bytes = lengthOf(parts);
      this.#waitingBytes -= bytes;
      this.#sentBytes += bytes;
      this.#socket.send(parts, () => this.#taken(bytes));
    }
    if (this.#next === this.#frames.length || this.#next > 256) {
      this.#frames = this.#frames.slice(this.#next);
      this.#next = 0;
    }
  }

  #taken(bytes: number): void {
    this.#sentBytes -= bytes;
    this.#progressAtMs = this.#nowMs();
    this.#pump();
    if (this.bytes <= this.#limits.lowBytes) this.#wake();
  }

  #wake(): void {
    const drains = this.#drains;
    this.#drains = [];
    for (const resolve of drains) resolve();
  }
}

function lengthOf(parts: readonly Buffer[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}
