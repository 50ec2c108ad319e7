import type { ChildProcess } from 'node:child_process';
import { findNatsBinary } from '../src/platform/nats-binary.ts';
import { startNatsProcesses } from '../test/support/nats-processes.ts';

/** A nats-server of the bench's own, or a cluster of three, on loopback, with an empty store. */
export interface BenchServer {
  readonly urls: readonly string[];
  readonly pids: readonly number[];
  readonly version: string;
  stop(): Promise<void>;
}

/** Starts servers that sync every write (`always`), or as the server's default does. They end with this process, however that ends. */
export async function startBenchServer({
  sync,
  replicas,
}: {
  readonly sync: 'default' | 'always';
  readonly replicas: 1 | 3;
}): Promise<BenchServer> {
  const { version } = await findNatsBinary();
  const servers = await startNatsProcesses({ servers: replicas, sync });
  return {
    urls: servers.urls,
    pids: servers.urls.flatMap((_, index) => servers.pid(index) ?? []),
    version,
    stop: () => servers.stop(),
  };
}

/** Resolves when the process is gone. */
export function ended(child: ChildProcess, end: () => void): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    end();
  });
}
