import { asError, EngineError, type ErrorCode } from '../core/errors.ts';
import type { ConsoleConnection } from '../client.ts';
import type { Logger } from '../ports/logger.ts';

/** What {@link EngineAccess} asks of the outside. */
export interface EngineAccessDeps {
  /** Finds the server and the engine, and connects. */
  readonly connect: () => Promise<ConsoleConnection>;
  readonly logger: Logger;
}

/** After these the engine may be somewhere else: the next call looks for it anew. */
const lostCodes: ReadonlySet<ErrorCode> = new Set(['NATS_UNREACHABLE', 'DEADLINE_EXCEEDED', 'NO_OWNER']);

interface Held {
  readonly connection: Promise<ConsoleConnection>;
  /** Calls that use it now. */
  users: number;
  /** No call begins with it any more. */
  isDropped: boolean;
}

/**
 * The way to an engine that need not be there: connects at the first call, keeps the connection for the next ones, and looks for the
 * engine anew after a call that did not reach it. A server that was started anew, on another port, is found.
 */
export class EngineAccess {
  readonly #deps: EngineAccessDeps;
  #held: Held | null = null;

  constructor(deps: EngineAccessDeps) {
    this.#deps = deps;
  }

  /** @throws EngineError `NATS_UNREACHABLE`, `NO_OWNER`, `CONFIG_INVALID`, `BUS_FORBIDDEN`, and what `run` throws */
  async use<Value>(run: (connection: ConsoleConnection) => Promise<Value>): Promise<Value> {
    const held = this.#hold();
    held.users += 1;
    try {
      return await run(await held.connection);
    } catch (error) {
      if (error instanceof EngineError && lostCodes.has(error.code)) this.#drop(held);
      throw error;
    } finally {
      held.users -= 1;
      this.#closeUnused(held);
    }
  }

  /** Ends the connection, and every call that uses it. */
  async close(): Promise<void> {
    const held = this.#held;
    this.#held = null;
    if (held === null) return;
    await held.connection.then(({ client }) => client.close()).catch(() => undefined); // It was told to whoever called.
  }

  #hold(): Held {
    if (this.#held !== null) return this.#held;
    const held: Held = { connection: this.#deps.connect(), users: 0, isDropped: false };
    this.#held = held;
    // One that failed is of no use to the next call; the caller hears why.
    held.connection.catch(() => this.#drop(held));
    return held;
  }

  #drop(held: Held): void {
    held.isDropped = true;
    if (this.#held === held) this.#held = null;
  }

  /** Others may still wait for an answer on it. */
  #closeUnused(held: Held): void {
    if (!held.isDropped || held.users > 0) return;
    void held.connection
      // Where there was no connection, whoever called knows why.
      .then(({ client }) => client.close(), ignore)
      .catch((thrown: unknown) => {
        this.#deps.logger.debug({ err: asError(thrown) }, 'a connection that was given up could not be closed');
      });
  }
}

function ignore(): void {}
