import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePorts } from '../src/platform/free-port.ts';
import { findNatsBinary } from '../src/platform/nats-binary.ts';
import { readNatsHealth } from '../src/platform/nats-monitor.ts';

/** A nats-server of the bench's own, on loopback, with an empty store. */
export interface BenchServer {
  readonly url: string;
  readonly pid: number;
  readonly version: string;
  stop(): Promise<void>;
}

/** Starts a server that syncs every write (`always`), or as the server's default does. */
export async function startBenchServer(sync: 'default' | 'always'): Promise<BenchServer> {
  const binary = await findNatsBinary();
  const folder = mkdtempSync(join(tmpdir(), 'cabinet-bench-'));
  const [port, monitorPort] = await findFreePorts(2);
  const syncLine = sync === 'always' ? 'sync_interval: always' : '';
  const config = join(folder, 'nats.conf');
  writeFileSync(
    config,
    `listen: "127.0.0.1:${port}"\nhttp: "127.0.0.1:${monitorPort}"\njetstream {\n  store_dir: "${folder}"\n  ${syncLine}\n}\n`,
  );
  const child = spawn(binary.path, ['-c', config], { stdio: 'ignore' });
  await untilHealthy(`http://127.0.0.1:${monitorPort}`, child);
  return {
    url: `nats://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    version: binary.version,
    stop: async () => {
      await ended(child, () => child.kill('SIGTERM'));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function untilHealthy(monitorUrl: string, child: ChildProcess): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (performance.now() < deadlineMs) {
    if (child.exitCode !== null) throw new Error(`nats-server ended with ${child.exitCode}`);
    if ((await readNatsHealth(monitorUrl)).healthy) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('nats-server is not healthy after 20 s');
}

/** Resolves when the process is gone. */
export function ended(child: ChildProcess, end: () => void): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    end();
  });
}
