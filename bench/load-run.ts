import { connectConsole } from '../src/client.ts';
import type { BenchServer } from './bench-server.ts';
import { ask, killChild, messageOf, startChild, stopChild } from './child-process.ts';
import type { ClientFigures, ClientSettings } from './client-process.ts';
import { startEngines } from './engines.ts';
import type { FloorFigures, FloorSettings } from './floor-process.ts';
import type { BenchOptions } from './options.ts';
import { usageOfAll, type ProcessUsage } from './process-usage.ts';
import type { RateFigures, RateSettings } from './rate-process.ts';
import { percentile, type Figures } from './statistics.ts';

/** How tasks come: each lane's next one after its last, or at a rate whatever becomes of them. */
export type Load =
  | { readonly kind: 'closed'; readonly tasks: number; readonly inFlight: number; readonly warmUp: number }
  | { readonly kind: 'rate'; readonly ratePerSecond: number; readonly seconds: number; readonly warmUpSeconds: number };

/** What {@link measureLoad} measures. */
export interface LoadPlan {
  readonly namespace: string;
  readonly nodes: number;
  readonly shards: number;
  readonly load: Load;
  /** Of input and of each result; about 500 and 200 when left out. */
  readonly payloadBytes?: number | undefined;
  readonly hasFloor?: boolean;
}

/** What looks on while the load runs, in processes of its own. */
export interface Watched {
  usage(): Readonly<Record<string, ProcessUsage>>;
  /** What it does while the load runs. */
  during(): Promise<void>;
  /** Counts since it began, and what is to be told of them over so many seconds. */
  mark(): Promise<void>;
  figures(seconds: number): Promise<Figures>;
  stop(): Promise<void>;
}

/** Engine nodes under a load on servers that run: what they do, and what it costs, in processor time a pipeline and in memory. */
export async function measureLoad(
  server: BenchServer,
  plan: LoadPlan,
  options: Pick<BenchOptions, 'replicas' | 'isProfiled'>,
  watch?: (server: BenchServer, namespace: string) => Promise<Watched>,
): Promise<Figures> {
  const { namespace, nodes, shards, load, payloadBytes, hasFloor = false } = plan;
  const { replicas, isProfiled } = options;
  const servers = server.urls;
  const results = payloadBytes === undefined ? {} : { resultBytes: payloadBytes };
  const engines = await startEngines({ servers, namespace, nodes, shards, replicas, isProfiled, ...results });
  const watched = await watch?.(server, namespace);
  const client = startLoad(load, { servers, namespace, inputBytes: payloadBytes ?? 500 }, isProfiled);
  let measured: Figures;
  let tasks: number;
  const floor = { after: 0, through: 0 };
  try {
    await messageOf(client);
    const usages = (): Record<string, ProcessUsage> => ({
      engine: usageOfAll(engines.pids),
      server: usageOfAll(server.pids),
      client: usageOfAll([client.pid ?? 0]),
      ...watched?.usage(),
    });
    if (hasFloor) floor.after = await lastSequence(servers, namespace);
    await watched?.mark();
    const before = usages();
    const [answer] = await Promise.all([ask(client, 'go'), watched?.during()]);
    const after = usages();
    const loaded = figuresOfLoad(load, answer);
    tasks = loaded.tasks;
    if (hasFloor) floor.through = await lastSequence(servers, namespace);
    measured = { ...loaded.figures, ...costs(before, after, tasks), ...(await watched?.figures(loaded.seconds)) };
    await stopChild(client);
  } finally {
    await watched?.stop();
    await killChild(client);
    await engines.stop();
  }
  if (!hasFloor) return measured;
  const bare = await measureFloor(server, { servers, namespace, replicas, ...floor }, tasks);
  return { ...measured, ...bare, engineToFloor: ratio(measured, bare) };
}

function ratio(measured: Figures, bare: Figures): number {
  return (measured['pipelinesPerSecond'] ?? Number.NaN) / (bare['floorPipelinesPerSecond'] ?? Number.NaN);
}

function startLoad(
  load: Load,
  place: Pick<ClientSettings, 'servers' | 'namespace' | 'inputBytes'>,
  isProfiled: boolean,
): ReturnType<typeof startChild> {
  const { kind, ...rest } = load;
  const settings = { ...place, ...rest } as ClientSettings | RateSettings;
  return startChild(kind === 'closed' ? 'client-process.js' : 'rate-process.js', settings, { isProfiled });
}

function figuresOfLoad(
  { kind }: Load,
  answer: unknown,
): { readonly tasks: number; readonly seconds: number; readonly figures: Figures } {
  if (kind === 'closed') {
    const { tasks, seconds, latenciesMs } = answer as ClientFigures;
    const [p50Ms, p99Ms] = [percentile(latenciesMs, 0.5), percentile(latenciesMs, 0.99)];
    return { tasks, seconds, figures: { pipelinesPerSecond: tasks / seconds, p50Ms, p99Ms } };
  }
  const { tasks, seconds, unsent, failed, ...latencies } = answer as RateFigures;
  const pipelinesPerSecond = (tasks - failed - unsent) / seconds;
  return { tasks, seconds, figures: { pipelinesPerSecond, ...latencies, failed, unsent } };
}

function costs(
  before: Readonly<Record<string, ProcessUsage>>,
  after: Readonly<Record<string, ProcessUsage>>,
  tasks: number,
): Figures {
  const figures: Record<string, number> = {};
  let total = 0;
  for (const [name, { cpuMicros, peakMemoryBytes }] of Object.entries(after)) {
    const micros = (cpuMicros - (before[name]?.cpuMicros ?? 0)) / tasks;
    figures[`${name}CpuMicros`] = micros;
    figures[`${name}PeakMegabytes`] = peakMemoryBytes / 1_048_576;
    total += micros;
  }
  return { ...figures, totalCpuMicros: total };
}

/** The last sequence of the engine's journal. */
export async function lastSequence(servers: readonly string[], namespace: string): Promise<number> {
  const { client, journal } = await connectConsole({ servers, namespace, name: 'bench' });
  try {
    return (await journal.bounds()).last;
  } finally {
    await client.close();
  }
}

async function measureFloor(server: BenchServer, settings: FloorSettings, tasks: number): Promise<Figures> {
  const publisher = startChild('floor-process.js', settings);
  try {
    await messageOf(publisher);
    const usages = () => ({ floor: usageOfAll([publisher.pid ?? 0]), floorServer: usageOfAll(server.pids) });
    const before = usages();
    const { seconds, commits, bytes, records } = (await ask(publisher, 'go')) as FloorFigures;
    const { floorCpuMicros, floorServerCpuMicros } = costs(before, usages(), tasks) as Record<string, number>;
    await stopChild(publisher);
    return {
      floorPipelinesPerSecond: tasks / seconds,
      floorCommitsPerSecond: commits / seconds,
      recordsPerCommit: records / commits,
      bytesPerCommit: bytes / commits,
      floorCpuMicros: floorCpuMicros ?? Number.NaN,
      floorServerCpuMicros: floorServerCpuMicros ?? Number.NaN,
    };
  } finally {
    await killChild(publisher);
  }
}
