import type { BenchServer } from '../bench-server.ts';
import type { EngineMemory } from '../engine-process.ts';
import { pause, startEngines, type Engines } from '../engines.ts';
import { onFreshServers } from '../fresh-servers.ts';
import type { BenchOptions } from '../options.ts';
import { usageOfAll } from '../process-usage.ts';
import type { Measured } from '../result-file.ts';
import type { Figures } from '../statistics.ts';
import { submitWaiting } from '../waiting-tasks.ts';

/** Snapshots are written behind: until then the node is not idle. */
const settleMs = 3_000;
/** Tasks that wait leave memory some time after their snapshot is stored; it has settled when it gives back no more. */
const lookMs = 15_000;
const settledRatio = 0.98;

interface IdlePlan {
  readonly replicas: number;
  readonly nodes: number;
  readonly shards: number;
  readonly tasks: number;
  readonly seconds: number;
}

/** What nodes cost that have nothing to do: with no task, and with many that all wait. */
export async function idle(options: BenchOptions): Promise<Measured> {
  const { sync, replicas } = options;
  const plan: IdlePlan = {
    replicas,
    nodes: options.nodes?.[0] ?? 1,
    shards: options.shards?.[0] ?? 16,
    tasks: options.tasks ?? 100_000,
    seconds: options.seconds ?? 30,
  };
  const measured = await onFreshServers(options, (server, run) => watchIdle(server, `idle${run}`, plan));
  return { settings: { sync, ...plan }, ...measured };
}

async function watchIdle(server: BenchServer, namespace: string, plan: IdlePlan): Promise<Figures> {
  const { replicas, nodes, shards, tasks, seconds } = plan;
  const place = { servers: server.urls, namespace };
  const engines = await startEngines({ ...place, replicas, nodes, shards });
  const percentages = async (): Promise<{ readonly engine: number; readonly server: number }> => {
    const usages = () => ({ engine: usageOfAll(engines.pids), server: usageOfAll(server.pids) });
    const before = usages();
    const beganMs = performance.now();
    await pause(seconds * 1_000);
    const after = usages();
    const micros = (performance.now() - beganMs) * 1_000;
    const percent = (of: 'engine' | 'server'): number => (100 * (after[of].cpuMicros - before[of].cpuMicros)) / micros;
    return { engine: percent('engine'), server: percent('server') };
  };
  try {
    await pause(settleMs);
    const emptyCpu = await percentages();
    const empty = await engines.memory();
    await submitWaiting(engines, place, tasks);
    const full = await settledMemory(engines);
    const fullCpu = await percentages();
    return {
      'empty.engineCpuPercent': emptyCpu.engine,
      'empty.serverCpuPercent': emptyCpu.server,
      'empty.heapMegabytes': empty.heapBytes / 1_048_576,
      'empty.residentMegabytes': empty.residentBytes / 1_048_576,
      'waiting.engineCpuPercent': fullCpu.engine,
      'waiting.serverCpuPercent': fullCpu.server,
      'waiting.heapMegabytes': full.heapBytes / 1_048_576,
      'waiting.residentMegabytes': full.residentBytes / 1_048_576,
      heapBytesPerTask: (full.heapBytes - empty.heapBytes) / tasks,
      residentBytesPerTask: (full.residentBytes - empty.residentBytes) / tasks,
    };
  } finally {
    await engines.stop();
  }
}

/** Memory after collections of garbage, once what tasks leave behind when they go from memory is gone. */
async function settledMemory(engines: Engines): Promise<EngineMemory> {
  for (let before = await engines.memory(); ;) {
    await pause(lookMs);
    const now = await engines.memory();
    if (now.heapBytes > before.heapBytes * settledRatio) return now;
    before = now;
  }
}
