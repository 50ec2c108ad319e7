import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, writeFileSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { CabinetConfig } from '../../src/config-file.ts';
import { PidWatchdog } from './pid-watchdog.ts';
import { until } from './wait.ts';

const startTimeoutMs = 60_000;
const endTimeoutMs = 90_000;
/** Lines that are kept in memory; the file has all. */
const maximumLines = 50_000;
const mainFile = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const pipelinesUrl = new URL('./pipelines.js', import.meta.url).href;
let watchdog: PidWatchdog | undefined;

/** A line of the log of a supervisor or of one of its node processes. */
export interface SupervisedLine {
  /** Wall clock. */
  readonly time: number;
  readonly level: number;
  readonly msg: string;
  readonly node?: string;
  /** Process id of a node process, in lines of its supervisor. */
  readonly child?: number;
  readonly reason?: string;
  readonly shard?: number;
  readonly err?: { readonly code?: string; readonly message?: string };
}

/** How `cabinet start --nodes` is run. */
export interface SupervisorOptions {
  /** Nodes are `<baseId>-1`, `<baseId>-2`, … */
  readonly baseId: string;
  readonly nodes: number;
  /** Its working folder, which gets a configuration file, and where its log is kept. */
  readonly folder: string;
  /** The configuration file without its pipelines. */
  readonly config: Omit<CabinetConfig, 'pipelines'>;
  readonly env?: Readonly<Record<string, string>>;
}

/** A node process that runs. */
export interface NodeWorker {
  readonly nodeId: string;
  readonly pid: number;
}

/** A `cabinet start --nodes N` as a user runs it, with the node processes that its log tells of. */
export class SupervisorChild {
  readonly baseId: string;
  readonly lines: SupervisedLine[] = [];
  readonly #process: ChildProcess;
  readonly #closed: Promise<void>;
  /** Ready processes by node. */
  readonly #ready = new Map<string, number>();
  /** Deaths that were not asked for, by reason. */
  readonly #deaths = new Map<string, number>();
  #isReady = false;

  private constructor({ baseId, nodes, folder, config, env }: SupervisorOptions) {
    this.baseId = baseId;
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, 'cabinet.config.mjs'),
      `import { pipelines } from '${pipelinesUrl}';\nexport default { pipelines, ...${JSON.stringify(config)} };\n`,
    );
    const log = createWriteStream(join(folder, `${baseId}.log`), { flags: 'a' });
    const args = ['start', '--nodes', String(nodes), '--node-id', baseId, '-o', 'json', '--log-format', 'json'];
    this.#process = spawn(process.execPath, [mainFile, ...args], {
      cwd: folder,
      env: { ...ownEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    watchdog ??= new PidWatchdog();
    watchdog.watch(this.pid);
    this.#process.on('error', () => undefined);
    this.#process.stdout?.on('data', () => (this.#isReady = true));
    if (this.#process.stderr !== null) {
      createInterface({ input: this.#process.stderr }).on('line', (line) => {
        log.write(`${line}\n`);
        this.#hear(line);
      });
    }
    this.#closed = this.#untilClosed(log);
  }

  /** Starts it; resolves when every node is ready. @throws Error when it ends, or is not ready in time */
  static async start(options: SupervisorOptions): Promise<SupervisorChild> {
    const started = new SupervisorChild(options);
    try {
      await until(
        `the supervisor ${options.baseId} is ready`,
        () => {
          if (started.hasExited) throw new Error(`the supervisor ${options.baseId} ended while it started`);
          return started.#isReady;
        },
        startTimeoutMs,
      );
      return started;
    } catch (error) {
      await started.stop();
      throw error;
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get hasExited(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** Its node processes that are ready, in the order in which they became it. */
  get workers(): readonly NodeWorker[] {
    return [...this.#ready].map(([nodeId, pid]) => ({ nodeId, pid }));
  }

  /** How many node processes ended unasked, by reason. */
  get deaths(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#deaths);
  }

  /** How many lines begin with that. */
  count(message: string): number {
    return this.lines.filter(({ msg }) => msg.startsWith(message)).length;
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** SIGKILL to one of its node processes; resolves when the supervisor has seen it end. */
  async kill({ nodeId, pid }: NodeWorker): Promise<void> {
    signalProcess(pid, 'SIGKILL');
    await until(`${nodeId} is seen to end`, () => this.hasExited || this.#ready.get(nodeId) !== pid, startTimeoutMs);
  }

  /** SIGSTOP or SIGCONT to the supervisor and to all of its node processes: as a machine that sleeps. */
  signalAll(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.signal(name);
    for (const { pid } of this.workers) signalProcess(pid, name);
  }

  /** SIGTERM; resolves with the exit code when it has ended by itself. @throws Error when it does not in time */
  async terminate(): Promise<number | null> {
    this.signal('SIGTERM');
    await until(`the supervisor ${this.baseId} ends after SIGTERM`, () => this.hasExited, endTimeoutMs);
    await this.#closed;
    return this.#process.exitCode;
  }

  /** Ends it and its node processes at once. Idempotent. */
  async stop(): Promise<void> {
    const workers = this.workers;
    this.signal('SIGKILL');
    for (const { pid } of workers) signalProcess(pid, 'SIGKILL');
    await this.#closed;
  }

  async #untilClosed(log: WriteStream): Promise<void> {
    await once(this.#process, 'close');
    watchdog?.forget(this.pid);
    log.end();
  }

  #hear(text: string): void {
    const line = parseLine(text);
    if (line === null) return;
    this.lines.push(line);
    if (this.lines.length > maximumLines) this.lines.splice(0, maximumLines / 2);
    const { msg, node, child, reason = 'unknown' } = line;
    if (node === undefined || child === undefined) return;
    if (msg === 'a node process is ready') {
      this.#ready.set(node, child);
      watchdog?.watch(child);
    } else if (msg === 'a node process has ended' || msg === 'a node process has drained') {
      if (msg === 'a node process has ended') this.#deaths.set(reason, (this.#deaths.get(reason) ?? 0) + 1);
      if (this.#ready.get(node) === child) this.#ready.delete(node);
      watchdog?.forget(child);
    }
  }
}

/** Null for what is no line of ours: a driver, or Node itself, may write as it likes. */
function parseLine(text: string): SupervisedLine | null {
  if (!text.startsWith('{')) return null;
  try {
    return JSON.parse(text) as SupervisedLine;
  } catch {
    return null;
  }
}

function signalProcess(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}

/** This process's variables, without those that the command would take for its own. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const taken = /^(?:CABINET_|NATS_URL$|NATS_CREDS$|NODE_OPTIONS$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !taken.test(name)));
}
