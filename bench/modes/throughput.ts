import { onFreshServers } from '../fresh-servers.ts';
import { measureLoad } from '../load-run.ts';
import type { BenchOptions } from '../options.ts';
import type { Measured } from '../result-file.ts';

/** Closed loops: as many tasks in flight as are asked for, or one at a time. With the floor, a bare publisher repeats the same commits. */
export async function throughput(options: BenchOptions): Promise<Measured> {
  const isAlone = options.mode === 'latency';
  const settings = {
    sync: options.sync,
    replicas: options.replicas,
    nodes: options.nodes?.[0] ?? 1,
    shards: options.shards?.[0] ?? 8,
    tasks: options.tasks ?? (isAlone ? 1_000 : 40_000),
    warmUp: options.warmUp ?? (isAlone ? 300 : 10_000),
    inFlight: options.inFlight ?? (isAlone ? 1 : 512),
  };
  const { nodes, shards, tasks, warmUp, inFlight } = settings;
  const payloadBytes = options.payloadBytes?.[0];
  const measured = await onFreshServers(options, (server, run) =>
    measureLoad(
      server,
      {
        namespace: `bench${run}`,
        nodes,
        shards,
        load: { kind: 'closed', tasks, inFlight, warmUp },
        payloadBytes,
        hasFloor: options.hasFloor,
      },
      options,
    ),
  );
  return { settings: { ...settings, ...(payloadBytes === undefined ? {} : { payloadBytes }) }, ...measured };
}
