import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { checkFaultRates, faultOf, noFaults, type Fault, type FaultRates } from './faults.ts';
import { countDuplicateEffects, PublicationBook, type PublishOrder } from './publication-book.ts';
import { PublicationLog, readLogEntries, type LogEntry } from './publication-log.ts';
import { BadRequest, readPublishOrder } from './publish-order.ts';

/** Options of {@link startBoardServer}. */
export interface BoardServerOptions {
  readonly dataDir: string;
  /** 127.0.0.1 when left out. */
  readonly host?: string;
  /** A free one when 0 or left out. */
  readonly port?: number;
  readonly faults?: FaultRates;
  /** The same seed makes the same faults. */
  readonly seed?: number;
  /** How late a slow answer is. */
  readonly slowMs?: number;
  /** What a 429 asks for, in whole seconds. */
  readonly retryAfterSeconds?: number;
  /** Called when the log cannot be written any more; the board refuses all publishes from then on. */
  readonly onLogFailure?: (error: Error) => void;
}

/** What the board has seen. The counts of requests are since its start; those of effects are read off the log. */
export interface BoardStats {
  /** Publishes that were asked for, in whatever way they ended. */
  readonly requests: number;
  /** Publishes in the log. */
  readonly applied: number;
  /** Requests answered from the record, without a second effect. */
  readonly duplicateKeys: number;
  /** Times that a card was applied beyond its first: real harm. */
  readonly duplicateEffects: number;
  /** Requests refused because a newer owner had come first. */
  readonly staleFences: number;
  /** Keys that came again with another body. */
  readonly reusedKeys: number;
  readonly faults: Readonly<Record<keyof FaultRates, number>>;
}

/** A running board. */
export interface BoardServer {
  readonly url: string;
  stats(): Promise<BoardStats>;
  /** Finishes the answers under way, closes the log and frees the port. */
  close(): Promise<void>;
}

/** How long `close` waits for answers under way. */
export const closeGraceMs = 2_000;

/** Starts a board: publishes once per key, remembers it on disk, and refuses older owners. */
export async function startBoardServer(options: BoardServerOptions): Promise<BoardServer> {
  checkFaultRates(options.faults ?? noFaults);
  const { log, entries } = await PublicationLog.open(options.dataDir);
  const board = new Board(options, log, entries);
  const server = createServer((request, response) => {
    void board.handle(request, response);
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
    });
  } catch (error) {
    await log.close();
    throw error;
  }
  const { address, port } = server.address() as AddressInfo;
  return {
    url: `http://${address.includes(':') ? `[${address}]` : address}:${port}`,
    stats: () => board.stats(),
    async close() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeIdleConnections();
      const grace = setTimeout(() => server.closeAllConnections(), closeGraceMs);
      await closed;
      clearTimeout(grace);
      await log.close();
    },
  };
}

class Board {
  readonly #options: BoardServerOptions;
  readonly #rates: FaultRates;
  readonly #log: PublicationLog;
  readonly #book: PublicationBook;
  /** Appends under way by key: a repeat must not be answered before the first is on disk. */
  readonly #writing = new Map<string, Promise<void>>();
  readonly #tries = new Map<string, number>();
  readonly #counts = { requests: 0, duplicateKeys: 0, staleFences: 0, reusedKeys: 0 };
  readonly #faults = { unavailable: 0, rateLimited: 0, slow: 0, lostAnswer: 0 };

  constructor(options: BoardServerOptions, log: PublicationLog, entries: readonly LogEntry[]) {
    this.#options = options;
    this.#rates = options.faults ?? noFaults;
    this.#log = log;
    this.#book = new PublicationBook(entries);
  }

  async stats(): Promise<BoardStats> {
    // Read off the disk and not off memory: harm is what happened, not what the board believes.
    const entries = await readLogEntries(this.#options.dataDir);
    return {
      ...this.#counts,
      applied: entries.filter((entry) => entry.type === 'applied').length,
      duplicateEffects: countDuplicateEffects(entries),
      faults: { ...this.#faults },
    };
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#route(request, response);
    } catch (error) {
      if (response.headersSent || response.destroyed) return;
      if (error instanceof BadRequest) {
        // The rest of a refused body is not read, so the connection cannot serve another request.
        response.setHeader('connection', 'close');
        answer(response, error.status, { code: error.code, message: error.message });
      } else {
        answer(response, 500, { code: 'INTERNAL', message: error instanceof Error ? error.message : 'unknown' });
      }
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://board');
    const byKey = /^\/publications\/by-key\/([^/]+)$/.exec(pathname)?.[1];
    const byId = /^\/publications\/(p-\d+)$/.exec(pathname)?.[1];
    if (request.method === 'POST' && pathname === '/publications') await this.#publish(request, response);
    else if (request.method !== 'GET') answer(response, 405, { code: 'METHOD_NOT_ALLOWED' });
    else if (byKey !== undefined) await this.#answerKey(decodeKey(byKey), response);
    else if (byId !== undefined) await this.#answerPublications(response, byId);
    else if (pathname === '/publications') await this.#answerPublications(response, null);
    else if (pathname === '/stats') answer(response, 200, await this.stats());
    else answer(response, 404, { code: 'NOT_FOUND', message: pathname });
  }

  async #publish(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#counts.requests += 1;
    const order = await readPublishOrder(request);
    const tryNumber = (this.#tries.get(order.key) ?? 0) + 1;
    this.#tries.set(order.key, tryNumber);
    const fault = faultOf(this.#rates, this.#options.seed ?? 0, order.key, tryNumber);
    if (fault !== 'none') this.#faults[fault] += 1;
    switch (fault) {
      case 'unavailable':
        answer(response, 503, { code: 'UNAVAILABLE', message: 'an injected fault' });
        return;
      case 'rateLimited':
        response.setHeader('retry-after', String(this.#options.retryAfterSeconds ?? 1));
        answer(response, 429, { code: 'RATE_LIMITED', message: 'an injected fault' });
        return;
      case 'slow':
        await delay(this.#options.slowMs ?? 500);
        break;
      default:
        break;
    }
    await this.#settle(order, response, fault);
  }

  async #settle(order: PublishOrder, response: ServerResponse, fault: Fault): Promise<void> {
    const decision = this.#book.decide(order, new Date().toISOString());
    switch (decision.kind) {
      case 'refuse':
        if (decision.code === 'FENCE_STALE') this.#counts.staleFences += 1;
        else this.#counts.reusedKeys += 1;
        answer(response, decision.status, { code: decision.code, message: decision.message });
        return;
      case 'replay':
        this.#counts.duplicateKeys += 1;
        await this.#writing.get(order.key);
        if (decision.raise !== null) await this.#write(order.key, decision.raise);
        response.setHeader('idempotency-replayed', 'true');
        answerPublication(response, 200, decision.publicationId, fault);
        return;
      case 'apply':
        await this.#write(order.key, decision.entry);
        answerPublication(response, 201, decision.entry.publicationId, fault);
        return;
    }
  }

  async #write(key: string, entry: LogEntry): Promise<void> {
    // Remembered first and in the same turn as the decision: two orders of one key can never both be applied.
    this.#book.remember(entry);
    const written = this.#log.append(entry);
    this.#writing.set(key, written);
    try {
      await written;
    } catch (error) {
      this.#options.onLogFailure?.(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
    // A failed write stays here, so that a repeat fails too and is not answered from a memory that is not on disk.
    if (this.#writing.get(key) === written) this.#writing.delete(key);
  }

  async #answerKey(key: string, response: ServerResponse): Promise<void> {
    await this.#writing.get(key);
    const publicationId = this.#book.find(key);
    if (publicationId === null) answer(response, 404, { code: 'KEY_UNKNOWN', message: key });
    else answerPublication(response, 200, publicationId, 'none');
  }

  async #answerPublications(response: ServerResponse, id: string | null): Promise<void> {
    const applied = (await readLogEntries(this.#options.dataDir)).filter((entry) => entry.type === 'applied');
    const shown = applied.map(({ publicationId, cardId, key, at, card }) => ({ publicationId, cardId, key, at, card }));
    if (id === null) answer(response, 200, shown);
    else {
      const found = shown.find(({ publicationId }) => publicationId === id);
      answer(response, found === undefined ? 404 : 200, found ?? { code: 'NOT_FOUND', message: id });
    }
  }
}

function answerPublication(response: ServerResponse, status: number, publicationId: string, fault: Fault): void {
  if (fault === 'lostAnswer') response.destroy();
  else answer(response, status, { publicationId, path: `/publications/${publicationId}` });
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function decodeKey(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
