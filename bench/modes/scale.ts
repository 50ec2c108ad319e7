import { onFreshServer } from '../fresh-servers.ts';
import { measureLoad } from '../load-run.ts';
import type { BenchOptions } from '../options.ts';
import type { Measured } from '../result-file.ts';
import type { Figures } from '../statistics.ts';

/** Bytes of payloads that are in flight at most, and that a run moves at most: large payloads come in fewer tasks. */
const mostInFlightBytes = 64 * 1024 * 1024;
const mostRunBytes = 1024 * 1024 * 1024;
/** Payloads of a pipeline: its input and its five results. */
const payloadsOfTask = 6;

interface Cell {
  readonly nodes: number;
  readonly shards: number;
  readonly payloadBytes: number | null;
}

/** Throughput over nodes × shards, then over payloads at the first of each. Every run goes through all of them. */
export async function scale(options: BenchOptions): Promise<Measured> {
  const { sync, replicas } = options;
  const nodes = options.nodes ?? [1, 2, 4];
  const shards = options.shards ?? [8, 16, 32, 64, 128, 256];
  const payloads = options.payloadBytes ?? [100, 1_000, 10_000, 100_000, 500_000];
  const first = { nodes: nodes[0] ?? 1, shards: shards[0] ?? 8 };
  const cells: readonly Cell[] = [
    ...nodes.flatMap((count) => shards.map((of) => ({ nodes: count, shards: of, payloadBytes: null }))),
    ...payloads.map((payloadBytes) => ({ ...first, payloadBytes })),
  ];
  const most = { tasks: options.tasks ?? 20_000, inFlight: options.inFlight ?? 512 };
  let natsServer: string | null = null;
  const runs: Figures[] = [];
  for (let run = 0; run < options.runs; run += 1) {
    const figures: Record<string, number> = {};
    for (const cell of cells) {
      const measured = await onFreshServer(options, (server) => {
        natsServer = server.version;
        const load = { kind: 'closed', ...boundedLoad(cell.payloadBytes, most) } as const;
        const plan = { ...cell, namespace: `scale${run}`, load, payloadBytes: cell.payloadBytes ?? undefined };
        return measureLoad(server, plan, options);
      });
      for (const name of ['pipelinesPerSecond', 'totalCpuMicros', 'enginePeakMegabytes']) {
        figures[`${nameOf(cell)}.${name}`] = measured[name] ?? Number.NaN;
      }
    }
    runs.push(figures);
  }
  return { settings: { sync, replicas, nodes, shards, payloads, ...most }, natsServer, runs };
}

function nameOf({ nodes, shards, payloadBytes }: Cell): string {
  return `nodes=${nodes} shards=${shards}${payloadBytes === null ? '' : ` payload=${payloadBytes}`}`;
}

/** As many tasks as are asked for, as far as their payloads let it. Pure. */
export function boundedLoad(
  payloadBytes: number | null,
  most: { readonly tasks: number; readonly inFlight: number },
): { readonly tasks: number; readonly inFlight: number; readonly warmUp: number } {
  const taskBytes = (payloadBytes ?? 500) * payloadsOfTask;
  const tasks = Math.max(1, Math.min(most.tasks, Math.floor(mostRunBytes / taskBytes)));
  const inFlight = Math.max(1, Math.min(most.inFlight, tasks, Math.floor(mostInFlightBytes / taskBytes)));
  return { tasks, inFlight, warmUp: Math.ceil(tasks / 4) };
}
