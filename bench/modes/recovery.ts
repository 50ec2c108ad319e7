import type { BenchServer } from '../bench-server.ts';
import { ask, killChild, messageOf } from '../child-process.ts';
import { startEngine, startEngines, until } from '../engines.ts';
import type { EngineMemory, EngineTasks } from '../engine-process.ts';
import { onFreshServers } from '../fresh-servers.ts';
import type { BenchOptions } from '../options.ts';
import type { Measured } from '../result-file.ts';
import type { Figures } from '../statistics.ts';
import { submitWaiting } from '../waiting-tasks.ts';

const recoveryTimeoutMs = 300_000;
const lookMs = 10;

/** Kills a node whose tasks all back off, and starts it again: how long until it holds every one of them. */
export async function recovery(options: BenchOptions): Promise<Measured> {
  const { sync, replicas } = options;
  const settings = { sync, replicas, shards: options.shards?.[0] ?? 16, tasks: options.tasks ?? 100_000 };
  const measured = await onFreshServers(options, (server, run) => recover(server, `recovery${run}`, settings));
  return { settings, ...measured };
}

async function recover(
  server: BenchServer,
  namespace: string,
  { replicas, shards, tasks }: { readonly replicas: number; readonly shards: number; readonly tasks: number },
): Promise<Figures> {
  const settings = { servers: server.urls, namespace, replicas, shards };
  const engines = await startEngines({ ...settings, nodes: 1 });
  try {
    await submitWaiting(engines, settings, tasks);
    await Promise.all(engines.children.map(killChild));
  } finally {
    await engines.stop();
  }
  const begunMs = performance.now();
  // The same name: the new process takes the place of the one that is gone.
  const again = startEngine({ ...settings, nodeId: 'bench-0' });
  try {
    await messageOf(again);
    const startedMs = performance.now() - begunMs;
    await until(
      'all tasks are recovered',
      recoveryTimeoutMs,
      async () => {
        const held = (await ask(again, 'tasks')) as EngineTasks;
        return held.shards === shards && held.tasks >= tasks;
      },
      lookMs,
    );
    const recoveredMs = performance.now() - begunMs;
    const { residentBytes } = (await ask(again, 'memory')) as EngineMemory;
    return {
      startedMs,
      recoveredMs,
      tasksPerSecond: tasks / (recoveredMs / 1_000),
      residentMegabytes: residentBytes / 1_048_576,
    };
  } finally {
    await killChild(again);
  }
}
