import { startBenchServer, type BenchServer } from './bench-server.ts';
import type { BenchOptions } from './options.ts';
import type { Measured } from './result-file.ts';
import type { Figures } from './statistics.ts';

/** Measures as often as there are runs, each time on servers with empty stores. */
export async function onFreshServers(
  options: BenchOptions,
  measure: (server: BenchServer, run: number) => Promise<Figures>,
): Promise<Pick<Measured, 'natsServer' | 'runs'>> {
  const runs: Figures[] = [];
  let natsServer: string | null = null;
  for (let run = 0; run < options.runs; run += 1) {
    const figures = await onFreshServer(options, (server) => {
      natsServer = server.version;
      return measure(server, run);
    });
    runs.push(figures);
  }
  return { natsServer, runs };
}

/** Measures once on servers with empty stores. */
export async function onFreshServer<Result>(
  options: Pick<BenchOptions, 'sync' | 'replicas'>,
  measure: (server: BenchServer) => Promise<Result>,
): Promise<Result> {
  const server = await startBenchServer(options);
  try {
    return await measure(server);
  } finally {
    await server.stop();
  }
}
