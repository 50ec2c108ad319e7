import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { startAdmin, type RunningAdmin } from '../../src/admin/server.ts';
import { connectConsole, type Client } from '../../src/client.ts';
import { journalStream } from '../../src/core/subjects.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../src/platform/memory-metrics.ts';
import { MetricJoin } from '../../src/platform/metric-join.ts';
import { SystemClock } from '../../src/platform/system-clock.ts';
import { SystemRandom } from '../../src/platform/system-random.ts';
import { SystemSecrets } from '../../src/platform/system-secrets.ts';
import { TaskProjector } from '../../src/projections/task-projector.ts';
import { MemoryDocumentStore } from '../../src/store/memory-documents.ts';
import { MemoryTaskIndex } from '../../src/store/memory-task-index.ts';
import { NatsJournal } from '../../src/store/nats-journal.ts';
import { MemoryAudit } from './admin-kit.ts';
import { listingPipeline, longPipeline } from './console-pipelines.ts';
import { startNats } from './nats-server.ts';
import { openStoreKit } from './nats-store-kit.ts';
import { eventually } from './nats-world.ts';

/** A cluster with its console, for a browser. */
export interface ConsoleWorld {
  readonly admin: RunningAdmin;
  /** Of the first admin. */
  readonly token: string;
  readonly client: Client;
  readonly index: MemoryTaskIndex;
  readonly audit: MemoryAudit;
  /** SIGKILL. */
  killNode(nodeId: string): Promise<void>;
  startNode(nodeId: string): Promise<void>;
  /** Makes every question for the tasks fail, until it is undone. */
  breakIndex(isBroken: boolean): void;
  stop(): Promise<void>;
}

const entry = resolve(import.meta.dirname, 'console-process.ts');
const startTimeoutMs = 60_000;
const namespace = 'cabinet';

/** Starts a real nats-server, two nodes as processes, the task index and the admin API with its page. */
export async function startConsoleWorld(): Promise<ConsoleWorld> {
  const nats = await startNats();
  const clock = new SystemClock();
  const random = new SystemRandom();
  const logger = new MemoryLogger();
  const join = new MetricJoin();
  const nodes = new Map<string, ChildProcess>();
  let lives = 0;
  const startNode = async (nodeId: string): Promise<void> => {
    const slot = Number(nodeId.slice(2));
    lives += 1;
    const life = lives;
    const child = spawn(process.execPath, ['--import', 'tsx', entry, JSON.stringify({ nodeId, servers: [nats.url] })], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    nodes.set(nodeId, child);
    join.started(slot, life);
    let isReady = false;
    child.on('message', (message: { readonly type: string; readonly snapshot?: readonly unknown[] }) => {
      if (message.type === 'ready') isReady = true;
      else join.update(slot, life, message.snapshot ?? [], clock.monotonicMs());
    });
    child.once('exit', () => join.ended(slot, life));
    await eventually(`${nodeId} is ready`, () => isReady, startTimeoutMs);
  };
  await Promise.all(['n-1', 'n-2'].map(startNode));

  const kit = await openStoreKit(nats.url);
  const stream = {
    name: journalStream(namespace),
    subjects: `${namespace}.journal.*`,
    replicas: 1,
    maximumMessageBytes: 1_048_576,
  };
  const journal = new NatsJournal({ ...kit, namespace, stream });
  const index = new MemoryTaskIndex();
  const projector = new TaskProjector({
    journal,
    index,
    clock,
    logger,
    metrics: new MemoryMetrics(),
    finishedRetentionMs: 3_600_000,
  });
  projector.start();
  const { client, blobs } = await connectConsole({ servers: nats.url });
  const audit = new MemoryAudit();
  let isBroken = false;
  const admin = await startAdmin({
    client,
    index: new Proxy(index, {
      get: (target, name) => {
        if (isBroken && name !== 'position') throw new Error('the index is broken for a test');
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
      },
    }),
    audit,
    blobs,
    definitions: [listingPipeline, longPipeline],
    health: { live: () => [], ready: () => [], started: () => true },
    metrics: async () => join.render(clock.monotonicMs()),
    clock,
    random,
    secrets: new SystemSecrets(),
    logger,
    documents: new MemoryDocumentStore(),
    version: '0.0.0',
    port: 0,
  });
  const killNode = async (nodeId: string): Promise<void> => {
    const child = nodes.get(nodeId);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  return {
    admin,
    token: admin.firstToken ?? '',
    client,
    index,
    audit,
    killNode,
    startNode,
    breakIndex: (value) => (isBroken = value),
    stop: async () => {
      await admin.stop({ graceMs: 500 });
      await projector.stop();
      journal.close();
      await client.close();
      await kit.close();
      await Promise.all([...nodes.keys()].map(killNode));
      await nats.stop();
    },
  };
}
