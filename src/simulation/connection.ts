import type { Network } from './network.ts';
import type { SimulatedProcess } from './simulated-process.ts';

/** What a request came to. After a timeout it may have been received, and may be yet. */
export type Answered<Answer> =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'timeout' }
  /** The connection broke, or was down: known at once. */
  | { readonly kind: 'disconnected' };

const timedOut = { kind: 'timeout' } as const;
const disconnected = { kind: 'disconnected' } as const;

/** A process's connection to a server of the simulated world. */
export class Connection {
  readonly process: SimulatedProcess;
  /** The server's machine. */
  readonly server: string;
  readonly #network: Network;
  readonly #pending = new Set<(answered: Answered<never>) => void>();
  readonly #onDown: (() => void)[] = [];
  readonly #onUp: (() => void)[] = [];
  readonly #waiting: (() => void)[] = [];
  #isUp = true;

  constructor(deps: { readonly network: Network; readonly process: SimulatedProcess; readonly server: string }) {
    this.#network = deps.network;
    this.process = deps.process;
    this.server = deps.server;
  }

  get isUp(): boolean {
    return this.#isUp && this.process.isAlive;
  }

  /**
   * Asks the server.
   *
   * @param receive - runs when the request arrives there, and again for each duplicate of it; it answers by `respond`
   */
  request<Answer>(
    receive: (respond: (answer: Answer) => void) => void,
    options: { readonly timeoutMs: number; readonly isReliable?: boolean },
  ): Promise<Answered<Answer>> {
    if (!this.#isUp) return Promise.resolve(disconnected);
    const { timeoutMs, isReliable = false } = options;
    const { process, server } = this;
    return new Promise((resolve) => {
      const settle = (answered: Answered<Answer>): void => {
        if (!this.#pending.delete(settle)) return;
        timer.cancel();
        resolve(answered);
      };
      this.#pending.add(settle);
      const timer = process.clock.setTimer(timeoutMs, () => settle(timedOut));
      const respond = (answer: Answer): void => {
        this.#network.send(
          server,
          process.machine,
          () => process.enter(() => settle({ kind: 'answer', answer })),
          isReliable,
        );
      };
      this.#network.send(process.machine, server, () => receive(respond), isReliable);
    });
  }

  /** Tells the server something that it does not answer. */
  tell(receive: () => void): void {
    if (this.#isUp) this.#network.send(this.process.machine, this.server, receive);
  }

  /** Brings something from the server into the process; lost when the connection is down. */
  deliver(run: () => void): void {
    this.#network.send(this.server, this.process.machine, () => {
      if (this.#isUp) this.process.enter(run);
    });
  }

  /** Breaks: what is in flight ends at once, and may arrive all the same. */
  down(): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    for (const listener of this.#onDown) listener();
    this.process.enter(() => {
      for (const settle of this.#pending) settle(disconnected);
    });
  }

  /** Is there again. */
  up(): void {
    if (this.#isUp) return;
    this.#isUp = true;
    for (const listener of this.#onUp) listener();
    this.process.enter(() => {
      for (const resolve of this.#waiting.splice(0)) resolve();
    });
  }

  /** Resolves when it is up. */
  whenUp(): Promise<void> {
    if (this.#isUp) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** @param listeners - `onDown`: the server sees it too; `onUp`: everything may be sent again */
  watch(listeners: { readonly onDown?: () => void; readonly onUp?: () => void }): void {
    if (listeners.onDown !== undefined) this.#onDown.push(listeners.onDown);
    if (listeners.onUp !== undefined) this.#onUp.push(listeners.onUp);
  }
}
