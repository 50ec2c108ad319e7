import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Fence } from '../../src/ports/driver.ts';

/** What a driver asks of the {@link Ledger}. */
export interface EffectRequest {
  readonly key: string;
  readonly taskId: string;
  readonly stage: string;
  readonly attempt: number;
  readonly fence: Fence;
  /** `blind`: the outside does not know the key, and does it again each time that it is asked. */
  readonly mode: 'idempotent' | 'blind';
}

/** One request as it was dealt with. */
export interface Execution extends EffectRequest {
  /** `applied`: it changed the world; `repeated`: it had been applied before; `fenced`: refused, for a newer one is known. */
  readonly result: 'applied' | 'repeated' | 'fenced';
  /** When, by the wall clock. */
  readonly at: number;
}

/** What a {@link Ledger} has recorded, wherever it runs. */
export type LedgerFacts = Pick<Ledger, 'executions' | 'duplicates' | 'appliedCount'>;

/** Where in a request a {@link Ledger.interrupt} takes hold. */
export type InterruptPhase = 'received' | 'applied';

interface Interrupt {
  /** Requests still to come. */
  left: number;
  readonly phase: InterruptPhase;
  readonly action: (request: EffectRequest) => Promise<void>;
}

/**
 * The world outside of the engine, as an HTTP server of the test: it records what is done to it, by which attempt, under which
 * fence, and refuses an older fence of the same key or an older epoch of the shard. It outlives every engine process.
 */
export class Ledger {
  readonly url: string;
  /** Every effect that was asked for, in the order of its end. */
  readonly executions: Execution[] = [];
  readonly #server: Server;
  readonly #applied = new Map<string, number>();
  readonly #fences = new Map<string, Fence>();
  readonly #epochs = new Map<number, number>();
  readonly #inHand = new Map<string, number>();
  #interrupt: Interrupt | null = null;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** Starts a ledger on a free port of 127.0.0.1. */
  static async start(): Promise<Ledger> {
    const server = createServer((request, response) => {
      ledger.#handle(request, response).catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : new Error(String(error)));
      });
    });
    // A client that was frozen must not find its idle connection closed: a broken one leaves the effect in doubt.
    server.keepAliveTimeout = 0;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const ledger = new Ledger(server);
    return ledger;
  }

  /** How often the effect of a key has changed the world. */
  appliedCount(key: string): number {
    return this.#applied.get(key) ?? 0;
  }

  /** The keys whose effect was applied more than once. */
  get duplicates(): readonly string[] {
    return [...this.#applied].filter(([, count]) => count > 1).map(([key]) => key);
  }

  /** Whether no request of the key is in hand: what is not applied now never will be. */
  isQuiet(key: string): boolean {
    return (this.#inHand.get(key) ?? 0) === 0;
  }

  /** What the effect of a key gives, also when it was found out later. */
  static outputOf(key: string): { readonly receipt: string } {
    return { receipt: `receipt for ${key}` };
  }

  /**
   * Runs `action` in the middle of the effect that is the `count`-th from now; that effect goes on when the action is over, so
   * that a killed process leaves one of unknown outcome behind. Resolves after the action.
   */
  interrupt(count: number, phase: InterruptPhase, action: (request: EffectRequest) => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#interrupt = { left: count, phase, action: (request) => action(request).then(resolve, reject) };
    });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A process that was killed leaves a broken socket behind; what it asked for happens all the same.
    response.on('error', () => undefined);
    const body = JSON.parse(await readBody(request)) as EffectRequest;
    if (request.url === '/lookup') return answer(response, 200, this.#lookUp(body));
    this.#inHand.set(body.key, (this.#inHand.get(body.key) ?? 0) + 1);
    try {
      const interrupt = this.#dueInterrupt();
      if (interrupt?.phase === 'received') await interrupt.action(body);
      const result = this.#execute(body);
      this.executions.push({ ...body, result, at: Date.now() });
      if (interrupt?.phase === 'applied') await interrupt.action(body);
      if (result === 'fenced') answer(response, 409, { error: `a newer fence than ${JSON.stringify(body.fence)}` });
      else answer(response, 200, Ledger.outputOf(body.key));
    } finally {
      this.#inHand.set(body.key, (this.#inHand.get(body.key) ?? 0) - 1);
    }
  }

  #dueInterrupt(): Interrupt | null {
    const interrupt = this.#interrupt;
    if (interrupt === null) return null;
    interrupt.left -= 1;
    if (interrupt.left > 0) return null;
    this.#interrupt = null;
    return interrupt;
  }

  #execute({ key, fence, mode }: EffectRequest): Execution['result'] {
    if (!this.#admit(key, fence)) return 'fenced';
    if (mode === 'idempotent' && this.#applied.has(key)) return 'repeated';
    this.#applied.set(key, this.appliedCount(key) + 1);
    return 'applied';
  }

  /** A question moves the fence too: what an older attempt asks afterwards is refused, so that the answer stays true. */
  #lookUp({ key, fence }: EffectRequest): object {
    this.#admit(key, fence);
    return this.#applied.has(key) ? { kind: 'done', output: Ledger.outputOf(key) } : { kind: 'notDone' };
  }

  #admit(key: string, fence: Fence): boolean {
    const epoch = this.#epochs.get(fence.shard) ?? 0;
    const known = this.#fences.get(key);
    if (fence.epoch < epoch || (known !== undefined && isOlder(fence, known))) return false;
    this.#epochs.set(fence.shard, fence.epoch);
    this.#fences.set(key, fence);
    return true;
  }
}

function isOlder(fence: Fence, than: Fence): boolean {
  return fence.epoch < than.epoch || (fence.epoch === than.epoch && fence.sequence < than.sequence);
}

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
