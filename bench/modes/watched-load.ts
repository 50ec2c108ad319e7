import type { BenchServer } from '../bench-server.ts';
import { startConsole } from '../console.ts';
import { onFreshServers } from '../fresh-servers.ts';
import { startInspector } from '../inspector.ts';
import { measureLoad, type Load, type Watched } from '../load-run.ts';
import type { BenchOptions } from '../options.ts';
import type { Measured } from '../result-file.ts';

/** A load without and with somebody who looks on, in turn on the same servers: a console with its clients, or inspections. */
export async function watchedLoad(options: BenchOptions): Promise<Measured> {
  const { sync, replicas, clients, restarts } = options;
  const rate = options.rates?.[0];
  const seconds = options.seconds ?? 30;
  const load: Load =
    rate === undefined
      ? {
          kind: 'closed',
          tasks: options.tasks ?? 40_000,
          inFlight: options.inFlight ?? 512,
          warmUp: options.warmUp ?? 10_000,
        }
      : { kind: 'rate', ratePerSecond: rate, seconds, warmUpSeconds: Math.min(5, seconds) };
  const plan = { nodes: options.nodes?.[0] ?? 1, shards: options.shards?.[0] ?? 8, load };
  const watch = (server: BenchServer, namespace: string): Promise<Watched> => {
    const place = { servers: server.urls, namespace, clients };
    if (options.mode === 'inspector') return startInspector(place);
    return startConsole({ ...place, restartAfterMs: restarts ? (seconds * 1_000) / 2 : null });
  };
  const measured = await onFreshServers(options, async (server, run) => {
    const bare = await measureLoad(server, { ...plan, namespace: `bare${run}` }, options);
    const watched = await measureLoad(server, { ...plan, namespace: `bench${run}` }, options, watch);
    const costPercent =
      100 * (1 - (watched['pipelinesPerSecond'] ?? Number.NaN) / (bare['pipelinesPerSecond'] ?? Number.NaN));
    const figures = Object.entries(bare).map(([name, value]) => [`without.${name}`, value] as const);
    return { ...Object.fromEntries(figures), ...watched, costPercent };
  });
  const { nodes, shards } = plan;
  const restart = options.mode === 'console' ? { restarts } : {};
  return { settings: { sync, replicas, nodes, shards, ...load, clients, ...restart }, ...measured };
}
