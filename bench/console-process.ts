import { join } from 'node:path';
import type { AuditSink } from '../src/admin/audit-sink.ts';
import { openAdmin } from '../src/admin.ts';
import { connectConsole } from '../src/client.ts';
import { PinoLogger } from '../src/index.ts';
import { SystemClock } from '../src/platform/system-clock.ts';
import { TaskProjector } from '../src/projections/task-projector.ts';
import { SqliteTaskIndex } from '../src/store/sqlite-task-index.ts';
import { MemoryMetrics } from '../src/testing.ts';
import { ownSettings } from './child-process.ts';
import { workload } from './workload.ts';

/**
 * Settings of all of the console but its page, a process of its own. It keeps the task index in step with the journal, and serves API and
 * WebSocket. Sends its port, and its token if the folder is new, to its parent.
 */
export interface ConsoleSettings {
  readonly servers: readonly string[];
  readonly namespace: string;
  readonly folder: string;
  /** 0: any. */
  readonly port: number;
}

const { servers, namespace, folder, port } = ownSettings() as ConsoleSettings;
const logger = new PinoLogger({ level: 'error', destination: 'stderr', format: 'json' });
const reading = await connectConsole({ servers, namespace, name: 'cabinet-index', logger });
const index = await SqliteTaskIndex.open({ file: join(folder, 'tasks.sqlite'), logger });
const projector = new TaskProjector({
  journal: reading.journal,
  index,
  clock: new SystemClock(),
  logger,
  metrics: new MemoryMetrics(),
  finishedRetentionMs: 3_600_000,
});
projector.start();
const audit: AuditSink = { append: async () => undefined, list: async () => ({ entries: [], next: null }) };
const admin = await openAdmin({
  nats: { servers, namespace },
  dataDir: folder,
  pipelines: [workload],
  port,
  index,
  audit,
  health: { live: () => [], ready: () => [], started: () => true },
  metrics: async () => '',
  liveLimits: { maximumConnectionsPerPrincipal: 1_000 },
  logger,
});
process.send?.({ port: admin.port, token: admin.firstToken });
process.on('message', () => void stop());
process.on('disconnect', () => process.exit(1));

async function stop(): Promise<void> {
  await admin.stop({ graceMs: 1_000 });
  await projector.stop();
  await index.close();
  await reading.client.close();
  process.exit(0);
}
