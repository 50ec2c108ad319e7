import { fork, type ChildProcess } from 'node:child_process';
import { ended } from '../bench-server.ts';
import type { LoadReply, LoadRequest } from './messages.ts';

/** How long a process may take to stop by itself. */
const stopTimeoutMs = 20_000;

/** A worker or load client, and what it says. */
export class PeerProcess {
  readonly child: ChildProcess;
  private readonly name: string;
  private readonly heard: LoadReply[] = [];
  private listeners: (() => void)[] = [];

  constructor(file: string, args: readonly string[]) {
    this.name = file.slice(file.lastIndexOf('/') + 1);
    // As in production, and without a line a task from Restate's SDK.
    this.child = fork(file, args, { env: { ...process.env, NODE_ENV: 'production', RESTATE_LOGGING: 'ERROR' } });
    this.child.on('message', (reply: LoadReply) => {
      this.heard.push(reply);
      this.wake();
    });
    this.child.on('exit', () => this.wake());
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  send(request: LoadRequest): void {
    this.child.send(request);
  }

  /**
   * The next reply of a type.
   *
   * @throws Error when the process ends before, or says nothing for so long
   */
  async next<Type extends LoadReply['type']>(
    type: Type,
    timeoutMs: number,
  ): Promise<Extract<LoadReply, { readonly type: Type }>> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const index = this.heard.findIndex((reply) => reply.type === type);
      const [reply] = index === -1 ? [] : this.heard.splice(index, 1);
      if (reply !== undefined) return reply as Extract<LoadReply, { readonly type: Type }>;
      if (this.hasEnded) {
        throw new Error(`${this.name} ended with ${this.child.exitCode ?? this.child.signalCode} before '${type}'`);
      }
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) throw new SilenceError(`${this.name} did not say '${type}' within ${timeoutMs} ms`);
      await this.somethingWithin(leftMs);
    }
  }

  /** Ends it as `kill -9` does. */
  kill(): Promise<void> {
    return ended(this.child, () => this.child.kill('SIGKILL'));
  }

  /** Asks it to stop, and kills it when it does not. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), stopTimeoutMs);
    await ended(this.child, () => {
      if (this.child.connected) this.child.send({ type: 'stop' } satisfies LoadRequest);
    });
    clearTimeout(timer);
  }

  private get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  private somethingWithin(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.listeners.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  private wake(): void {
    const listeners = this.listeners;
    this.listeners = [];
    for (const listener of listeners) listener();
  }
}

/** A process that said nothing in time. */
export class SilenceError extends Error {}
