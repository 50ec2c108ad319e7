import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { findFreePorts } from '../../src/platform/free-port.ts';
import { findNatsBinary } from '../../src/platform/nats-binary.ts';
import { readMetaLeader, readNatsHealth } from '../../src/platform/nats-monitor.ts';

const readyTimeoutMs = 30_000;
const stopTimeoutMs = 10_000;
const pollIntervalMs = 20;
/** Fresh ports are tried this often: another process may take a port between its choice and its use. */
const startAttempts = 4;

/** Options of {@link startNats}. */
export interface NatsFixtureOptions {
  /** 1, or a cluster of 3. */
  readonly servers?: 1 | 3;
  /** `always`: every write is synced before its acknowledgement, as production for power-loss durability does. */
  readonly sync?: 'default' | 'always';
  /** On when left out. */
  readonly jetStream?: boolean;
  /** Lines of nats-server configuration for every server, at top level. */
  readonly extraConfig?: string;
}

/** A running nats-server, or a cluster of three, of one test file. Call `stop` in `afterAll`. */
export interface NatsFixture {
  /** Client address of the first server. */
  readonly url: string;
  readonly urls: readonly string[];
  readonly monitorUrls: readonly string[];
  /** Process id of a server that runs; undefined after {@link kill}. */
  pid(index?: number): number | undefined;
  /** SIGKILL; resolves when the process is gone. Its data stays. */
  kill(index?: number): Promise<void>;
  /** SIGSTOP: connections stay open and nothing is answered. */
  freeze(index?: number): void;
  /** SIGCONT. */
  resume(index?: number): void;
  /** Starts the server again on its ports and data, after an orderly stop if it still runs; resolves when healthy. */
  restart(index?: number): Promise<void>;
  /** What the server wrote to its log. */
  log(index?: number): Promise<string>;
  /** Ends every server and removes the data. Idempotent. */
  stop(): Promise<void>;
}

interface ServerPlan {
  readonly name: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly configFile: string;
  readonly logFile: string;
}

/**
 * Starts real nats-server processes on 127.0.0.1, with free ports and a temp folder; resolves when JetStream can be used
 * (in a cluster: when all know the meta leader). They die with the test process, however that ends.
 */
export async function startNats(options: NatsFixtureOptions = {}): Promise<NatsFixture> {
  const binary = await findBinary();
  for (let attempt = 1; ; attempt += 1) {
    const folder = await mkdtemp(join(tmpdir(), 'cabinet-nats-'));
    const plans = await planServers(folder, options);
    const fixture = new RunningNats(binary, folder, plans, options.jetStream !== false);
    try {
      await fixture.startAll();
      return fixture;
    } catch (error) {
      await fixture.stop();
      if (attempt >= startAttempts || !String(error).includes('address already in use')) throw error;
    }
  }
}

let binaryPath: Promise<string> | undefined;

/** The server to run, looked for once a process. */
function findBinary(): Promise<string> {
  binaryPath ??= findNatsBinary().then((binary) => binary.path);
  return binaryPath;
}

async function planServers(folder: string, options: NatsFixtureOptions): Promise<readonly ServerPlan[]> {
  const count = options.servers ?? 1;
  const ports = await findFreePorts(count * 3);
  const routes = Array.from({ length: count }, (_, index) => `nats://127.0.0.1:${ports[index * 3 + 2]}`);
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const name = `n${index}`;
      const dataDir = join(folder, name);
      const plan: ServerPlan = {
        name,
        port: ports[index * 3] ?? 0,
        monitorPort: ports[index * 3 + 1] ?? 0,
        configFile: join(dataDir, 'nats.conf'),
        logFile: join(dataDir, 'nats.log'),
      };
      await mkdir(dataDir);
      const lines = [
        `server_name: ${name}`,
        `listen: "127.0.0.1:${plan.port}"`,
        `http: "127.0.0.1:${plan.monitorPort}"`,
        `log_file: ${JSON.stringify(plan.logFile)}`,
      ];
      if (options.jetStream !== false) {
        const sync = options.sync === 'always' ? ', sync_interval: always' : '';
        lines.push(`jetstream { store_dir: ${JSON.stringify(dataDir)}${sync} }`);
      }
      if (count > 1) {
        const listen = `127.0.0.1:${ports[index * 3 + 2]}`;
        lines.push(
          `cluster { name: fixture, listen: "${listen}", routes: [${routes.map((url) => `"${url}"`).join()}] }`,
        );
      }
      if (options.extraConfig !== undefined) lines.push(options.extraConfig);
      await writeFile(plan.configFile, `${lines.join('\n')}\n`, { mode: 0o600 });
      return plan;
    }),
  );
}

class RunningNats implements NatsFixture {
  readonly urls: readonly string[];
  readonly monitorUrls: readonly string[];
  readonly #binary: string;
  readonly #folder: string;
  readonly #plans: readonly ServerPlan[];
  readonly #jetStream: boolean;
  readonly #children: (ChildProcess | undefined)[] = [];
  readonly #watchdog: ChildProcess;

  constructor(binary: string, folder: string, plans: readonly ServerPlan[], jetStream: boolean) {
    this.#binary = binary;
    this.#folder = folder;
    this.#plans = plans;
    this.#jetStream = jetStream;
    this.urls = plans.map((plan) => `nats://127.0.0.1:${plan.port}`);
    this.monitorUrls = plans.map((plan) => `http://127.0.0.1:${plan.monitorPort}`);
    this.#watchdog = startWatchdog(folder);
  }

  get url(): string {
    return this.urls[0] ?? '';
  }

  pid(index = 0): number | undefined {
    return this.#children[index]?.pid;
  }

  async startAll(): Promise<void> {
    await Promise.all(this.#plans.map((_, index) => this.#spawn(index)));
    await Promise.all(this.#plans.map((_, index) => this.#waitUntilReady(index)));
  }

  async kill(index = 0): Promise<void> {
    await this.#end(index, 'SIGKILL');
  }

  freeze(index = 0): void {
    this.#running(index).kill('SIGSTOP');
  }

  resume(index = 0): void {
    this.#running(index).kill('SIGCONT');
  }

  async restart(index = 0): Promise<void> {
    await this.#end(index, 'SIGTERM');
    await this.#spawn(index);
    await this.#waitUntilReady(index);
  }

  async log(index = 0): Promise<string> {
    return readFile(this.#plan(index).logFile, 'utf8').catch(() => '');
  }

  async stop(): Promise<void> {
    await Promise.all(this.#plans.map((_, index) => this.#end(index, 'SIGKILL')));
    this.#watchdog.stdin?.end(); // No server is left: it removes the folder, and so do we, in case it was killed.
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #spawn(index: number): Promise<void> {
    const plan = this.#plan(index);
    const child = spawn(this.#binary, ['-c', plan.configFile], { stdio: ['ignore', 'ignore', 'pipe'] });
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = `${complaint}${text}`.slice(-4_000)));
    await once(child, 'spawn'); // Rejects when the binary cannot be run.
    this.#children[index] = child;
    this.#tellWatchdog(index, child.pid);
    child.once('exit', () => {
      if (this.#children[index] !== child) return;
      this.#children[index] = undefined;
      this.#tellWatchdog(index, undefined);
      if (complaint !== '') process.stderr.write(`nats-server ${plan.name}: ${complaint}\n`);
    });
  }

  async #waitUntilReady(index: number): Promise<void> {
    const monitorUrl = this.monitorUrls[index] ?? '';
    const deadlineAt = Date.now() + readyTimeoutMs;
    for (;;) {
      const health = await readNatsHealth(monitorUrl);
      const hasLeader =
        this.#plans.length === 1 || !this.#jetStream || (await readMetaLeader(monitorUrl)) !== undefined;
      if (health.healthy && hasLeader) return;
      if (this.#children[index] === undefined) {
        throw new Error(`nats-server n${index} ended while it started: ${lastLines(await this.log(index))}`);
      }
      if (Date.now() > deadlineAt) {
        const leader = hasLeader ? '' : ', no meta leader';
        const log = lastLines(await this.log(index));
        throw new Error(
          `nats-server n${index} is not ready in ${readyTimeoutMs} ms: ${health.detail}${leader}\n${log}`,
        );
      }
      await sleep(pollIntervalMs);
    }
  }

  async #end(index: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#children[index];
    if (child === undefined) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    child.kill('SIGCONT'); // A frozen process gets no SIGTERM before it runs again.
    const impatience = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    await gone;
    clearTimeout(impatience);
  }

  #plan(index: number): ServerPlan {
    const plan = this.#plans[index];
    if (plan === undefined) throw new Error(`there is no server ${index}, only ${this.#plans.length}`);
    return plan;
  }

  #running(index: number): ChildProcess {
    const child = this.#children[index];
    if (child === undefined) throw new Error(`server ${index} does not run`);
    return child;
  }

  #tellWatchdog(index: number, pid: number | undefined): void {
    this.#watchdog.stdin?.write(`${index} ${pid ?? ''}\n`);
  }
}

/**
 * A shell that reads the servers' process ids. When this process ends, even by SIGKILL, its input closes: it kills what is
 * still running and removes the folder.
 */
function startWatchdog(folder: string): ChildProcess {
  const script = [
    's0= s1= s2=',
    'while read -r index pid; do case "$index" in 0) s0=$pid;; 1) s1=$pid;; 2) s2=$pid;; esac; done',
    'for pid in $s0 $s1 $s2; do kill -9 "$pid" 2>/dev/null; done',
    'rm -rf "$1"',
  ].join('\n');
  // Its own session: an interrupt from the terminal must not end it before it has cleaned up.
  const watchdog = spawn('sh', ['-c', script, 'nats-watchdog', folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watchdog.stdin.on('error', () => undefined);
  watchdog.unref();
  return watchdog;
}

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-15).join('\n');
}
