import { fork, type ChildProcess } from 'node:child_process';
import { appendFileSync, mkdirSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ended, startBenchServer, type BenchServer } from './bench-server.ts';
import type { ClientFigures } from './client-process.ts';
import { usageOf } from './process-usage.ts';
import type { WatchFigures } from './watch-process.ts';

const usage = `npm run bench -- [throughput|latency|console|inspector] [--sync=default|always] [--shards N] [--tasks N] [--in-flight N] [--runs N] [--json] [--profile]

  throughput  completed pipelines per second with 512 tasks in flight (default)
  latency     one task in flight, from submit to result
  console     throughput without and with a console that 50 clients look at, in turn: what it costs the engine, itself and them
  inspector   throughput without and with inspections of as many tasks, over all shards
  --clients N how many look at it
  --profile   writes V8 processor profiles of engine and client to bench/results
`;

/** One measured run. */
interface RunFigures {
  readonly pipelinesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly engineCpuMicros: number;
  readonly serverCpuMicros: number;
  readonly clientCpuMicros: number;
  readonly enginePeakMegabytes: number;
  /** 0 without a console; so are the others of it. */
  readonly consoleCpuMicros: number;
  readonly consolePeakMegabytes: number;
  readonly watcherCpuMicros: number;
  /** Told to all clients together. */
  readonly eventsToldPerSecond: number;
  /** How often a client was closed, being too slow, and came again. */
  readonly closes: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sync: { type: 'string', default: 'default' },
    shards: { type: 'string', default: '8' },
    tasks: { type: 'string' },
    'in-flight': { type: 'string' },
    runs: { type: 'string', default: '3' },
    clients: { type: 'string', default: '50' },
    json: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const kind = positionals[0] ?? 'throughput';
const sync = values.sync === 'always' ? 'always' : 'default';
if (values.help || !['throughput', 'latency', 'console', 'inspector'].includes(kind)) {
  process.stderr.write(usage);
  process.exit(values.help ? 0 : 2);
}
const inFlight = values['in-flight'] ?? (kind === 'latency' ? '1' : '512');
const tasks = values.tasks ?? (kind === 'latency' ? '1000' : '40000');
const warmUp = kind === 'latency' ? '300' : '10000';

const results: RunFigures[] = [];
/** The same runs without the console, one before each. */
const without: RunFigures[] = [];
let version = '';
for (let run = 0; run < Number(values.runs); run += 1) {
  const server = await startBenchServer(sync);
  version = server.version;
  try {
    const isWatched = kind === 'console' || kind === 'inspector';
    if (isWatched) without.push(await measure(server, `bare${run}`, false));
    results.push(await measure(server, `bench${run}`, isWatched));
  } finally {
    await server.stop();
  }
}
report(results);

async function measure(server: BenchServer, namespace: string, isWatched: boolean): Promise<RunFigures> {
  const engine = start('engine-process.js', [server.url, namespace, values.shards]);
  await messageOf(engine);
  const watched = isWatched ? await startWatching(server.url, namespace) : null;
  const client = start('client-process.js', [server.url, namespace, tasks, inFlight, warmUp]);
  try {
    await messageOf(client);
    const pids = { engine: engine.pid ?? 0, server: server.pid, client: client.pid ?? 0 };
    const consolePids = { console: watched?.console.pid ?? 0, watcher: watched?.watcher?.pid ?? 0 };
    const toldBefore = await watched?.told();
    const before = { ...usages(pids), ...consoleUsages(consolePids) };
    client.send('go');
    const figures = (await messageOf(client)) as ClientFigures;
    const after = { ...usages(pids), ...consoleUsages(consolePids) };
    const toldAfter = await watched?.told();
    const cpu = (part: keyof typeof before): number => (after[part].cpuMicros - before[part].cpuMicros) / figures.tasks;
    return {
      pipelinesPerSecond: figures.tasks / figures.seconds,
      p50Ms: percentile(figures.latenciesMs, 0.5),
      p99Ms: percentile(figures.latenciesMs, 0.99),
      engineCpuMicros: cpu('engine'),
      serverCpuMicros: cpu('server'),
      clientCpuMicros: cpu('client'),
      enginePeakMegabytes: after.engine.peakMemoryBytes / 1_048_576,
      consoleCpuMicros: cpu('console'),
      consolePeakMegabytes: after.console.peakMemoryBytes / 1_048_576,
      watcherCpuMicros: cpu('watcher'),
      eventsToldPerSecond: ((toldAfter?.events ?? 0) - (toldBefore?.events ?? 0)) / figures.seconds,
      closes: toldAfter?.closes.length ?? 0,
    };
  } finally {
    await watched?.stop();
    await Promise.all([stop(client), stop(engine)]);
  }
}

/** A console and its clients. */
interface WatchedConsole {
  readonly console: ChildProcess;
  /** Null where the one process both reads and looks. */
  readonly watcher: ChildProcess | null;
  told(): Promise<WatchFigures>;
  stop(): Promise<void>;
}

function startWatching(url: string, namespace: string): Promise<WatchedConsole> {
  return kind === 'inspector' ? startInspector(url, namespace) : startConsole(url, namespace);
}

async function startInspector(url: string, namespace: string): Promise<WatchedConsole> {
  const reader = start('inspect-process.js', [url, namespace, values.clients]);
  await messageOf(reader);
  const told = async (): Promise<WatchFigures> => ({ events: 0, bytes: 0, closes: [] });
  return { console: reader, watcher: null, told, stop: () => stop(reader) };
}

async function startConsole(url: string, namespace: string): Promise<WatchedConsole> {
  const served = start('console-process.js', [url, namespace]);
  const { port, token } = (await messageOf(served)) as { readonly port: number; readonly token: string };
  const watcher = start('watch-process.js', [String(port), token, values.clients]);
  await messageOf(watcher);
  return {
    console: served,
    watcher,
    told: () => {
      watcher.send('tell');
      return messageOf(watcher) as Promise<WatchFigures>;
    },
    stop: async () => {
      await stop(watcher);
      await stop(served);
    },
  };
}

function consoleUsages(pids: { console: number; watcher: number }) {
  const none = { cpuMicros: 0, peakMemoryBytes: 0 };
  return {
    console: pids.console === 0 ? none : usageOf(pids.console),
    watcher: pids.watcher === 0 ? none : usageOf(pids.watcher),
  };
}

function usages(pids: { engine: number; server: number; client: number }) {
  return { engine: usageOf(pids.engine), server: usageOf(pids.server), client: usageOf(pids.client) };
}

function start(file: string, args: readonly string[]): ChildProcess {
  const folder = fileURLToPath(new URL('../../results/', import.meta.url));
  const execArgv = values.profile
    ? ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${file}.cpuprofile`]
    : [];
  return fork(fileURLToPath(new URL(file, import.meta.url)), args, { serialization: 'advanced', execArgv });
}

async function stop(child: ChildProcess): Promise<void> {
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await ended(child, () => child.send('stop'));
  clearTimeout(timer);
}

function messageOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code, signal) => reject(new Error(`a bench process ended early: ${code ?? signal}`)));
  });
}

function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((left, right) => left - right)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

function report(runs: readonly RunFigures[]): void {
  const settings = {
    kind,
    sync,
    shards: Number(values.shards),
    tasks: Number(tasks),
    inFlight: Number(inFlight),
    runs: runs.length,
  };
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
  const environment = {
    node: process.version,
    natsServer: version,
    machine,
    command: `npm run bench -- ${process.argv.slice(2).join(' ')}`,
  };
  const names = Object.keys(runs[0] ?? {}) as (keyof RunFigures)[];
  const medians = Object.fromEntries(names.map((name) => [name, round(median(runs.map((run) => run[name])))]));
  const bare = median(without.map((run) => run.pipelinesPerSecond));
  const cost =
    without.length === 0
      ? {}
      : { without, costPercent: round(100 * (1 - (medians['pipelinesPerSecond'] ?? Number.NaN) / bare)) };
  const line = { at: new Date().toISOString(), ...settings, ...environment, medians, ...cost, runs };
  const folder = new URL('../../results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  appendFileSync(new URL(`${kind}.jsonl`, folder), `${JSON.stringify(line)}\n`);
  if (values.json) {
    process.stdout.write(`${JSON.stringify(line)}\n`);
    return;
  }
  process.stdout.write(`${JSON.stringify(settings)}\n${JSON.stringify(environment)}\n`);
  if (without.length > 0) {
    const engineMicros = round(median(without.map((run) => run.engineCpuMicros)));
    process.stdout.write(
      `without the ${kind}: ${round(bare)} pipelines a second, ${engineMicros} µs of the engine each\n`,
    );
    process.stdout.write(`the ${kind} costs ${cost.costPercent} % where all processes share these processors\n`);
  }
  for (const name of names) {
    const sorted = runs.map((run) => round(run[name])).toSorted((left, right) => left - right);
    process.stdout.write(`${name.padEnd(22)} median ${String(medians[name]).padStart(9)}   (${sorted.join(', ')})\n`);
  }
}

function round(value: number): number {
  return value >= 100 ? Math.round(value) : Math.round(value * 100) / 100;
}
