import { fork, type ChildProcess } from 'node:child_process';
import { appendFileSync, mkdirSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ended, startBenchServer, type BenchServer } from './bench-server.ts';
import type { ClientFigures } from './client-process.ts';
import { usageOf } from './process-usage.ts';

const usage = `npm run bench -- [throughput|latency] [--sync=default|always] [--shards N] [--tasks N] [--in-flight N] [--runs N] [--json] [--profile]

  throughput  completed pipelines per second with 512 tasks in flight (default)
  latency     one task in flight, from submit to result
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
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sync: { type: 'string', default: 'default' },
    shards: { type: 'string', default: '8' },
    tasks: { type: 'string' },
    'in-flight': { type: 'string' },
    runs: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const kind = positionals[0] ?? 'throughput';
const sync = values.sync === 'always' ? 'always' : 'default';
if (values.help || (kind !== 'throughput' && kind !== 'latency')) {
  process.stderr.write(usage);
  process.exit(values.help ? 0 : 2);
}
const inFlight = values['in-flight'] ?? (kind === 'latency' ? '1' : '512');
const tasks = values.tasks ?? (kind === 'latency' ? '1000' : '40000');
const warmUp = kind === 'latency' ? '300' : '10000';

const results: RunFigures[] = [];
let version = '';
for (let run = 0; run < Number(values.runs); run += 1) {
  const server = await startBenchServer(sync);
  version = server.version;
  try {
    results.push(await measure(server, `bench${run}`));
  } finally {
    await server.stop();
  }
}
report(results);

async function measure(server: BenchServer, namespace: string): Promise<RunFigures> {
  const engine = start('engine-process.js', [server.url, namespace, values.shards]);
  await messageOf(engine);
  const client = start('client-process.js', [server.url, namespace, tasks, inFlight, warmUp]);
  try {
    await messageOf(client);
    const pids = { engine: engine.pid ?? 0, server: server.pid, client: client.pid ?? 0 };
    const before = usages(pids);
    client.send('go');
    const figures = (await messageOf(client)) as ClientFigures;
    const after = usages(pids);
    const cpu = (part: keyof typeof pids): number => (after[part].cpuMicros - before[part].cpuMicros) / figures.tasks;
    return {
      pipelinesPerSecond: figures.tasks / figures.seconds,
      p50Ms: percentile(figures.latenciesMs, 0.5),
      p99Ms: percentile(figures.latenciesMs, 0.99),
      engineCpuMicros: cpu('engine'),
      serverCpuMicros: cpu('server'),
      clientCpuMicros: cpu('client'),
      enginePeakMegabytes: after.engine.peakMemoryBytes / 1_048_576,
    };
  } finally {
    await Promise.all([stop(client), stop(engine)]);
  }
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
  const line = { at: new Date().toISOString(), ...settings, ...environment, medians, runs };
  const folder = new URL('../../results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  appendFileSync(new URL(`${kind}.jsonl`, folder), `${JSON.stringify(line)}\n`);
  if (values.json) {
    process.stdout.write(`${JSON.stringify(line)}\n`);
    return;
  }
  process.stdout.write(`${JSON.stringify(settings)}\n${JSON.stringify(environment)}\n`);
  for (const name of names) {
    const sorted = runs.map((run) => round(run[name])).toSorted((left, right) => left - right);
    process.stdout.write(`${name.padEnd(22)} median ${String(medians[name]).padStart(9)}   (${sorted.join(', ')})\n`);
  }
}

function round(value: number): number {
  return value >= 100 ? Math.round(value) : Math.round(value * 100) / 100;
}
