import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { findFreePorts } from '../../src/platform/free-port.ts';
import { findNatsBinary } from '../../src/platform/nats-binary.ts';
import { natsConfigText, type NatsServerPlace } from './nats-config-text.ts';
import { faultImpossible } from './nats-faults.ts';
import { untilNatsReady } from './nats-readiness.ts';
import type { NatsFixture, NatsFixtureOptions } from './nats-server.ts';

const stopTimeoutMs = 10_000;
/** Fresh ports are tried this often: another process may take a port between its choice and its use. */
const startAttempts = 4;

interface ServerPlan extends NatsServerPlace {
  readonly configFile: string;
  readonly logFile: string;
}

/** Starts nats-server processes on 127.0.0.1, with free ports and a temp folder. They die with the test process, however that ends. */
export async function startNatsProcesses(options: NatsFixtureOptions): Promise<NatsFixture> {
  const binary = await findBinary();
  for (let attempt = 1; ; attempt += 1) {
    const folder = await mkdtemp(join(options.parentFolder ?? tmpdir(), 'cabinet-nats-'));
    const plans = await planServers(folder, options);
    const fixture = new NatsProcesses(binary, folder, plans, options.jetStream !== false);
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
  const address = (index: number, purpose: 0 | 1 | 2): string => `127.0.0.1:${ports[index * 3 + purpose]}`;
  const indexes = Array.from({ length: count }, (_, index) => index);
  const routes = indexes.map((index) => `nats://${address(index, 2)}`);
  return Promise.all(
    indexes.map(async (index) => {
      const name = `n${index}`;
      const dataDir = join(folder, name);
      const plan: ServerPlan = {
        name,
        listen: address(index, 0),
        monitor: address(index, 1),
        dataDir,
        configFile: join(dataDir, 'nats.conf'),
        logFile: join(dataDir, 'nats.log'),
        ...(count > 1 ? { cluster: { listen: address(index, 2), routes } } : {}),
      };
      await mkdir(dataDir);
      await writeFile(plan.configFile, natsConfigText(plan, options), { mode: 0o600 });
      return plan;
    }),
  );
}

class NatsProcesses implements NatsFixture {
  readonly provider = 'binary';
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
    this.urls = plans.map((plan) => `nats://${plan.listen}`);
    this.monitorUrls = plans.map((plan) => `http://${plan.monitor}`);
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

  async freeze(index = 0): Promise<void> {
    this.#running(index).kill('SIGSTOP');
  }

  async resume(index = 0): Promise<void> {
    this.#running(index).kill('SIGCONT');
  }

  async enterLameDuckMode(index = 0): Promise<void> {
    this.#running(index).kill('SIGUSR2');
  }

  async partition(): Promise<void> {
    throw faultImpossible(this.provider, 'partition');
  }

  async heal(): Promise<void> {
    throw faultImpossible(this.provider, 'heal');
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
    await untilNatsReady({
      name: this.#plan(index).name,
      monitorUrl: this.monitorUrls[index] ?? '',
      needsMetaLeader: this.#plans.length > 1 && this.#jetStream,
      hasEnded: () => this.#children[index] === undefined,
      log: () => this.log(index),
    });
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
