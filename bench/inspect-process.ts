import { connectConsole } from '../src/client.ts';
import { shardOf } from '../src/core/hash.ts';
import type { TaskId } from '../src/core/ids.ts';
import { inspectTask } from '../src/inspector/inspect-task.ts';
import { machineOf } from '../src/inspector/inspected-machine.ts';
import { ShardTaps } from '../src/inspector/shard-taps.ts';
import { SystemClock } from '../src/platform/system-clock.ts';
import { ownSettings } from './child-process.ts';
import type { WatchPlace } from './inspector.ts';
import { workload } from './workload.ts';

// The inspector as a process of its own, with the settings of a `WatchPlace`. Each viewer looks at a task of its own, which never
// moves: all shards are followed, and every entry is held against the ids of all who look. What that costs is the reader's price; of
// the tasks' own few steps nothing is told.

const { servers, namespace, clients } = ownSettings() as WatchPlace;
const { client, journal, shardCount } = await connectConsole({ servers, namespace, name: 'cabinet-inspect' });
const looking: AbortController[] = [];
const deps = {
  journal,
  taps: new ShardTaps({ journal }),
  clock: new SystemClock(),
  shardOf: (taskId: TaskId) => shardOf(taskId, shardCount),
  findMachine: async () => machineOf(workload),
  findTask: async () => ({ pipeline: 'bench', version: 1, state: 'parse.running', seq: 1, updatedAt: 1 }),
};

async function look(taskId: TaskId, onBegun: () => void): Promise<void> {
  const leaving = new AbortController();
  looking.push(leaving);
  const request = { taskId, format: 'stately', from: 'start', speed: 'max', showsPayloads: false } as const;
  const inspection = inspectTask(deps, request, { signal: leaving.signal });
  while ((await inspection.next()).done !== true) onBegun();
}

await Promise.all(
  Array.from(
    { length: clients },
    (_, index) => new Promise<void>((resolve) => void look(`looked-at-${index}` as TaskId, resolve)),
  ),
);
process.send?.('ready');
process.on('disconnect', () => process.exit(1));
process.on('message', () => {
  for (const leaving of looking) leaving.abort();
  void client.close().then(() => process.exit(0));
});
