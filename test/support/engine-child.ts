import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { EngineConfig } from '../../src/core/config.ts';
import type { EngineStatus } from '../../src/supervisor/engine.ts';
import { eventually } from './nats-world.ts';
import { argumentsOf } from './test-processes.ts';

/** What an engine process is started with, as JSON. */
export interface EngineProcessSettings {
  readonly servers: readonly string[];
  /** To prove that the servers sync every write. */
  readonly monitorUrls?: readonly string[];
  readonly ledgerUrl: string;
  readonly nodeId: string;
  readonly config: Partial<EngineConfig>;
}

/** What a test may ask of an engine process. */
export interface EngineProcessOrder {
  readonly type: 'metrics' | 'status';
}

/** What an engine process tells its test. */
export type EngineProcessMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'metrics' | 'stopped'; readonly metrics: Readonly<Record<string, number>> }
  | { readonly type: 'status'; readonly status: EngineStatus }
  | {
      readonly type: 'failed';
      readonly code: string;
      readonly message: string;
      readonly metrics: Readonly<Record<string, number>>;
    };

/** A line of an engine's log. */
export interface EngineLogLine {
  readonly level: number;
  readonly msg: string;
  readonly shard?: number;
  readonly epoch?: number;
  readonly interrupted?: number;
  readonly err?: { readonly message: string; readonly code?: string };
}

const startTimeoutMs = 60_000;

/** An engine node as a process: `engine-process.ts`. Ends with the test process. */
export class EngineChild {
  readonly log: EngineLogLine[] = [];
  readonly #child: ChildProcess;
  readonly #messages: EngineProcessMessage[] = [];
  readonly #exited: Promise<void>;
  readonly #onTestEnd: () => void;
  #complaint = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message) => this.#messages.push(message as EngineProcessMessage));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#complaint += text));
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on('line', (line) => this.log.push(JSON.parse(line) as EngineLogLine));
    }
    this.#onTestEnd = () => child.kill('SIGKILL');
    process.once('exit', this.#onTestEnd);
    this.#exited = once(child, 'close').then(() => void process.removeListener('exit', this.#onTestEnd));
  }

  /** Starts the process, without waiting until it is ready. */
  static spawn(settings: EngineProcessSettings): EngineChild {
    const child = spawn(process.execPath, [...argumentsOf('engine-process'), JSON.stringify(settings)], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    return new EngineChild(child);
  }

  /** Whether the process has ended, by itself or by a signal. */
  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** The last message of a type, if there was one. */
  said(type: 'ready'): EngineProcessMessage | undefined;
  said(type: 'stopped'): Extract<EngineProcessMessage, { type: 'metrics' | 'stopped' }> | undefined;
  said(type: 'failed'): Extract<EngineProcessMessage, { type: 'failed' }> | undefined;
  said(type: EngineProcessMessage['type']): EngineProcessMessage | undefined {
    return this.#messages.findLast((message) => message.type === type);
  }

  /** Resolves when the node is ready. @throws Error with the log when it fails or is not in time */
  async ready(): Promise<void> {
    await eventually(
      'the engine is ready',
      () => {
        if (this.hasExited) throw new Error(`the engine ended while it started: ${this.report()}`);
        return this.said('ready') !== undefined;
      },
      startTimeoutMs,
    ).catch((error: unknown) => {
      throw new Error(`the engine did not start: ${this.report()}`, { cause: error });
    });
  }

  /** SIGKILL; resolves when the process is gone. Idempotent. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** SIGSTOP. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  /** SIGCONT. */
  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** SIGTERM; resolves with the exit code when the process has ended by itself. */
  async terminate(timeoutMs = 30_000): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return this.exit(timeoutMs);
  }

  /** Resolves with the exit code when the process has ended. @throws Error when it has not in time */
  async exit(timeoutMs = 30_000): Promise<number | null> {
    await eventually(`the engine ends: ${this.report()}`, () => this.hasExited, timeoutMs);
    await this.#exited;
    return this.#child.exitCode;
  }

  /** The node's metrics now, summed over their labels. */
  async metrics(): Promise<Readonly<Record<string, number>>> {
    const answer = await this.#ask('metrics');
    if (answer.type !== 'metrics') throw new Error(`the engine answered ${answer.type}`);
    return answer.metrics;
  }

  /** Which shards the node has. */
  async status(): Promise<EngineStatus> {
    const answer = await this.#ask('status');
    if (answer.type !== 'status') throw new Error(`the engine answered ${answer.type}`);
    return answer.status;
  }

  /** Lines of the log that begin so. */
  logged(message: string): readonly EngineLogLine[] {
    return this.log.filter(({ msg }) => msg.startsWith(message));
  }

  /** What it complained about, for a test that fails. */
  report(): string {
    const warnings = this.log.filter(({ level }) => level >= 40).slice(-20);
    return [...warnings.map((line) => JSON.stringify(line)), this.#complaint.slice(-2_000)].join('\n');
  }

  async #ask(type: EngineProcessOrder['type']): Promise<EngineProcessMessage> {
    const seen = this.#messages.length;
    const find = (): EngineProcessMessage | undefined => this.#messages.slice(seen).find((one) => one.type === type);
    this.#child.send({ type } satisfies EngineProcessOrder);
    await eventually(`the engine answers ${type}`, () => find() !== undefined);
    return find() as EngineProcessMessage;
  }
}
