import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { AdminAuditEntry } from '../../src/admin/audit-sink.ts';
import { connectClient, type Client } from '../../src/client.ts';
import type { TaskGroup } from '../../src/ports/task-index.ts';
import type { AdminReady, ToAdmin } from './console-admin-process.ts';
import { startNats } from './nats-server.ts';
import { eventually } from './nats-world.ts';

/** A cluster with its console, for a browser: every part is the one that runs in earnest, in a process of its own. */
export interface ConsoleWorld {
  readonly url: string;
  /** Of the first admin. */
  readonly token: string;
  readonly client: Client;
  /** Asks the API as the first admin. @throws Error for any other answer than a good one */
  ask<Answer>(path: string, request?: { readonly method: 'POST' | 'DELETE'; readonly body: object }): Promise<Answer>;
  /** Tasks by status, as the index has them. */
  countByStatus(): Promise<ReadonlyMap<string, number>>;
  /** The newest lines of the audit log of that action. */
  auditOf(action: string): Promise<readonly AdminAuditEntry[]>;
  /** SIGKILL. */
  killNode(nodeId: string): Promise<void>;
  startNode(nodeId: string): Promise<void>;
  /** Ends the admin server, with SIGKILL or in good order, and starts it again at the same address and on the same folder. */
  restartAdmin(signal?: 'SIGKILL'): Promise<void>;
  stop(): Promise<void>;
}

const startTimeoutMs = 60_000;
/** Also in the threads of a process, such as the task index's. */
const loader = new URL('../fixtures/drivers/register-tsx.mjs', import.meta.url).href;

/** Starts a real nats-server, two nodes, and the admin server with all that stands behind it. */
export async function startConsoleWorld(): Promise<ConsoleWorld> {
  const nats = await startNats();
  const servers = [nats.url];
  const dataDir = await mkdtemp(join(tmpdir(), 'cabinet-console-'));
  const nodes = new Map<string, ChildProcess>();
  /** What a new admin server must be told of those that run. */
  const running = new Map<number, number>();
  let admin: ChildProcess | null = null;
  let lives = 0;
  const tell = (message: ToAdmin): void => {
    if (admin?.connected === true) admin.send(message);
  };
  const startNode = async (nodeId: string): Promise<void> => {
    const slot = Number(nodeId.slice(2));
    lives += 1;
    const life = lives;
    const child = start('console-process.ts', { nodeId, servers });
    nodes.set(nodeId, child);
    running.set(slot, life);
    tell({ type: 'started', slot, life });
    let isReady = false;
    child.on('message', (message: { readonly type: string; readonly snapshot?: readonly unknown[] }) => {
      if (message.type === 'ready') isReady = true;
      else tell({ type: 'metrics', slot, life, snapshot: message.snapshot ?? [] });
    });
    child.once('exit', () => {
      running.delete(slot);
      tell({ type: 'ended', slot, life });
    });
    await eventually(`${nodeId} is ready`, () => isReady, startTimeoutMs);
  };
  const startAdmin = async (port: number): Promise<AdminReady> => {
    const child = start('console-admin-process.ts', { servers, dataDir, port });
    admin = child;
    for (const [slot, life] of running) tell({ type: 'started', slot, life });
    const [ready] = (await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => Promise.reject(new Error('the admin server did not start'))),
    ])) as [AdminReady];
    return ready;
  };
  const stopAdmin = async (signal?: 'SIGKILL'): Promise<void> => {
    if (admin === null || admin.exitCode !== null || admin.signalCode !== null) return;
    const exited = once(admin, 'exit');
    if (signal === undefined) admin.send({ type: 'stop' } satisfies ToAdmin);
    else admin.kill(signal);
    await exited;
  };
  const killNode = async (nodeId: string): Promise<void> => {
    const child = nodes.get(nodeId);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };

  await Promise.all(['n-1', 'n-2'].map(startNode));
  const { url, firstToken } = await startAdmin(0);
  const token = firstToken ?? '';
  const client = await connectClient({ servers });
  const ask: ConsoleWorld['ask'] = async (path, request) => {
    const answer = await fetch(`${url}${path}`, {
      method: request?.method ?? 'GET',
      headers: {
        authorization: `Bearer ${token}`,
        ...(request === undefined ? {} : { 'content-type': 'application/json', 'x-cabinet-request': '1' }),
      },
      ...(request === undefined ? {} : { body: JSON.stringify(request.body) }),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as never;
  };
  return {
    url,
    token,
    client,
    ask,
    countByStatus: async () => {
      const { groups } = await ask<{ readonly groups: readonly TaskGroup[] }>('/api/tasks/groups?by=status');
      return new Map(groups.map(({ key, count }) => [String(key), count]));
    },
    auditOf: async (action) =>
      (await ask<{ readonly entries: readonly AdminAuditEntry[] }>(`/api/audit?action=${action}&limit=50`)).entries,
    killNode,
    startNode,
    restartAdmin: async (signal) => {
      await stopAdmin(signal);
      await startAdmin(Number(new URL(url).port));
    },
    stop: async () => {
      await stopAdmin();
      await client.close();
      await Promise.all([...nodes.keys()].map(killNode));
      await nats.stop();
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function start(file: string, settings: object): ChildProcess {
  const entry = resolve(import.meta.dirname, file);
  return spawn(process.execPath, ['--import', loader, entry, JSON.stringify(settings)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
}
