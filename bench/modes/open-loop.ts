import { onFreshServers } from '../fresh-servers.ts';
import { measureLoad, type Load } from '../load-run.ts';
import type { BenchOptions } from '../options.ts';
import type { Measured } from '../result-file.ts';
import type { Figures } from '../statistics.ts';

/** What the closed loop reaches is halved once, so that all runs are offered the same. */
interface HalfRate {
  ratePerSecond: number;
}

/** Arrivals at the given rates and at half of what a closed loop reaches. Each latency counts from when its task was meant to begin. */
export async function openLoop(options: BenchOptions): Promise<Measured> {
  const settings = {
    sync: options.sync,
    replicas: options.replicas,
    nodes: options.nodes?.[0] ?? 1,
    shards: options.shards?.[0] ?? 8,
    seconds: options.seconds ?? 20,
    warmUpSeconds: Math.min(5, options.seconds ?? 5),
    rates: options.rates ?? [],
  };
  const { nodes, shards, seconds, warmUpSeconds, rates } = settings;
  const half: HalfRate = { ratePerSecond: 0 };
  const measured = await onFreshServers(options, async (server, run) => {
    const measure = (name: string, load: Load): Promise<Figures> =>
      measureLoad(server, { namespace: `${name}-${run}`, nodes, shards, load }, options);
    const figures: Record<string, number> = {};
    const tasks = options.tasks ?? 20_000;
    const closed = await measure('closed', {
      kind: 'closed',
      tasks,
      inFlight: options.inFlight ?? 512,
      warmUp: options.warmUp ?? Math.ceil(tasks / 4),
    });
    figures['closedLoop.pipelinesPerSecond'] = closed['pipelinesPerSecond'] ?? Number.NaN;
    if (run === 0) half.ratePerSecond = Math.max(1, Math.round(figures['closedLoop.pipelinesPerSecond'] / 2));
    for (const [name, ratePerSecond] of [
      ...rates.map((rate) => [`at${rate}`, rate] as const),
      ['half', half.ratePerSecond] as const,
    ]) {
      const at = await measure(name, { kind: 'rate', ratePerSecond, seconds, warmUpSeconds });
      for (const [figure, value] of Object.entries(at)) figures[`${name}.${figure}`] = value;
    }
    return figures;
  });
  return { settings: { ...settings, halfRate: half.ratePerSecond }, ...measured };
}
