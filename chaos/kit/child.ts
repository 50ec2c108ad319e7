import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ChildMessage, OrderMessage } from './orders.ts';
import { PidWatchdog } from './pid-watchdog.ts';

const answerTimeoutMs = 30_000;
let watchdog: PidWatchdog | undefined;

/** How a child process is started. */
export interface ChildOptions {
  /** File name of its entry in this folder, without its ending. */
  readonly entry: string;
  /** What it reads with `readChildSettings`. */
  readonly settings: unknown;
  /** Where its standard output and errors are kept. */
  readonly outputFile: string;
  /** Called with what the child tells without being asked. */
  readonly onEvent?: (event: unknown) => void;
}

/** A process that this one has started: it takes orders and signals, and ends with this process, however that ends. */
export class Child {
  readonly pid: number;
  readonly exited: Promise<void>;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<
    number,
    { readonly resolve: (answer: unknown) => void; readonly reject: (error: Error) => void }
  >();
  readonly #entry: string;
  #lastNumber = 0;

  private constructor(options: ChildOptions) {
    this.#entry = options.entry;
    this.#process = fork(
      fileURLToPath(new URL(`${options.entry}.js`, import.meta.url)),
      [JSON.stringify(options.settings)],
      { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], serialization: 'advanced' },
    );
    const output = createWriteStream(options.outputFile, { flags: 'a' });
    this.#process.stdout?.pipe(output, { end: false });
    this.#process.stderr?.pipe(output, { end: false });
    this.pid = this.#process.pid ?? 0;
    watchdog ??= new PidWatchdog();
    watchdog.watch(this.pid);
    this.#process.on('message', (message: ChildMessage) => this.#hear(message, options.onEvent));
    this.#process.on('error', () => undefined);
    this.exited = this.#untilClosed(output);
  }

  static start(options: ChildOptions): Child {
    return new Child(options);
  }

  /** Whether it has ended, by itself or by a signal. */
  get hasExited(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  get exitCode(): number | null {
    return this.#process.exitCode;
  }

  /** Gives an order; resolves with its answer. @throws Error when it fails, or the child ends or is silent */
  async ask<Answer>(order: unknown, timeoutMs = answerTimeoutMs): Promise<Answer> {
    if (this.hasExited || !this.#process.connected) throw new Error(`${this.#entry} ${this.pid} has ended`);
    this.#lastNumber += 1;
    const number = this.#lastNumber;
    const timer = setTimeout(() => {
      this.#waiting.get(number)?.reject(new Error(`${this.#entry} ${this.pid} has not answered in ${timeoutMs} ms`));
      this.#waiting.delete(number);
    }, timeoutMs);
    try {
      return await new Promise<Answer>((resolve, reject) => {
        this.#waiting.set(number, { resolve: resolve as (answer: unknown) => void, reject });
        this.#process.send({ order, number } satisfies OrderMessage, (error) => {
          if (error !== null) reject(error);
        });
      });
    } finally {
      clearTimeout(timer);
    }
  }

  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): void {
    this.#process.kill(name);
  }

  /** SIGKILL; resolves when the process is gone. Idempotent. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  async #untilClosed(output: WriteStream): Promise<void> {
    await once(this.#process, 'close');
    watchdog?.forget(this.pid);
    output.end();
    for (const { reject } of this.#waiting.values()) reject(new Error(`${this.#entry} ${this.pid} has ended`));
    this.#waiting.clear();
  }

  #hear(message: ChildMessage, onEvent: ChildOptions['onEvent']): void {
    if (message.type === 'event') {
      onEvent?.(message.event);
      return;
    }
    const waiting = this.#waiting.get(message.number);
    this.#waiting.delete(message.number);
    if (message.type === 'answer') waiting?.resolve(message.answer);
    else waiting?.reject(new Error(`${this.#entry}: ${message.message}`));
  }
}
