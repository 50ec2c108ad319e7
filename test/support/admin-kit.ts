import { createHash } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { z } from 'zod';
import type { AdminClient } from '../../src/admin/admin-client.ts';
import type { AdminAuditEntry, AuditListQuery, AuditPage, AuditSink } from '../../src/admin/audit-sink.ts';
import type { Role } from '../../src/admin/principal.ts';
import { startAdmin, type AdminOptions, type RunningAdmin } from '../../src/admin/server.ts';
import type { EngineError } from '../../src/core/errors.ts';
import type { TaskId } from '../../src/core/ids.ts';
import type { TaskView } from '../../src/core/task-view.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { SeededRandom } from '../../src/platform/seeded-random.ts';
import { SystemClock } from '../../src/platform/system-clock.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Secrets } from '../../src/ports/secrets.ts';
import type {
  IndexedTask,
  TaskFilter,
  TaskGroup,
  TaskIndex,
  TaskListQuery,
  TaskPage,
} from '../../src/ports/task-index.ts';
import { MemoryDocumentStore } from '../../src/store/memory-documents.ts';

/** Bytes that differ and can be told beforehand. */
export class CountingSecrets implements Secrets {
  #count = 0;

  bytes(count: number): Uint8Array {
    this.#count += 1;
    return createHash('shake256', { outputLength: count }).update(String(this.#count)).digest();
  }
}

/** An indexed task of which only what matters is said. */
export function anIndexedTask(taskId: string, changes: Partial<IndexedTask> = {}): IndexedTask {
  const task = {
    taskId,
    pipeline: 'card',
    version: 1,
    shard: 0,
    status: 'deadLettered',
    state: 'deadLettered.print',
    stage: 'print',
    attempt: 3,
    submittedAt: 1_000,
    updatedAt: 2_000,
    endedAt: null,
    dueAt: null,
    seq: 7,
    failureCount: 3,
    interruptionCount: 0,
    failure: { class: 'fatal', message: 'no paper', code: 'PAPER' },
    failureFingerprint: 'abcdef0123456789',
  };
  return { ...task, ...changes } as IndexedTask;
}

/** A task index over a map, with every part of the port that the admin API uses. */
export class FakeIndex implements TaskIndex {
  readonly tasks = new Map<string, IndexedTask>();
  readonly queries: TaskListQuery[] = [];
  position: string | null = '9.1';
  /** When set, every method throws it. */
  failure: EngineError | null = null;

  put(...tasks: readonly IndexedTask[]): void {
    for (const task of tasks) this.tasks.set(task.taskId, task);
  }

  async get(taskId: TaskId): Promise<IndexedTask | null> {
    this.#check();
    return this.tasks.get(taskId) ?? null;
  }

  async list(query: TaskListQuery): Promise<TaskPage> {
    this.#check();
    this.queries.push(query);
    const sorted = this.#matching(query.filter).toSorted((one, other) => compare(one, other, query));
    const at = query.cursor === undefined ? 0 : sorted.findIndex(({ taskId }) => taskId === query.cursor) + 1;
    const tasks = sorted.slice(at, at + query.limit);
    return { tasks, next: at + query.limit < sorted.length ? (tasks.at(-1)?.taskId ?? null) : null };
  }

  async count(filter: TaskFilter): Promise<number> {
    this.#check();
    return this.#matching(filter).length;
  }

  async countBy(
    field: keyof IndexedTask | 'failureClass',
    filter: TaskFilter,
    limit: number,
  ): Promise<readonly TaskGroup[]> {
    this.#check();
    const counts = new Map<string | number | null, number>();
    for (const task of this.#matching(filter)) {
      const key = (field === 'failureClass' ? (task.failure?.class ?? null) : task[field]) as string | number | null;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const groups = [...counts].map(([key, count]) => ({ key, count }));
    return groups.toSorted((one, other) => other.count - one.count).slice(0, limit);
  }

  #check(): void {
    if (this.failure !== null) throw this.failure;
  }

  #matching(filter: TaskFilter): IndexedTask[] {
    return [...this.tasks.values()].filter(
      (task) =>
        (filter.pipelines?.includes(task.pipeline) ?? true) &&
        (filter.statuses?.includes(task.status) ?? true) &&
        (filter.taskIds?.includes(task.taskId) ?? true) &&
        (filter.failureFingerprints === undefined ||
          (task.failureFingerprint !== null && filter.failureFingerprints.includes(task.failureFingerprint))) &&
        (filter.taskIdPrefix === undefined || task.taskId.startsWith(filter.taskIdPrefix)) &&
        (filter.submittedBefore === undefined || task.submittedAt < filter.submittedBefore),
    );
  }
}

function compare(one: IndexedTask, other: IndexedTask, { sortBy, descending }: TaskListQuery): number {
  const [first, second] = descending ? [other, one] : [one, other];
  const [left, right] = [first[sortBy] ?? 0, second[sortBy] ?? 0];
  if (left !== right) return left < right ? -1 : 1;
  return first.taskId < second.taskId ? -1 : 1;
}

/** An audit log in memory; `failure` makes it refuse. */
export class MemoryAudit implements AuditSink {
  readonly entries: AdminAuditEntry[] = [];
  failure: EngineError | null = null;

  async append(entry: AdminAuditEntry): Promise<void> {
    if (this.failure !== null) throw this.failure;
    this.entries.push(entry);
  }

  async list(query: AuditListQuery): Promise<AuditPage> {
    const entries = this.entries.filter(({ action }) => query.action === undefined || action === query.action);
    return { entries: entries.toReversed().slice(0, query.limit), next: null };
  }
}

/** A task's view of which only what matters is said. */
export function aTaskView(taskId: string, changes: Partial<TaskView> = {}): TaskView {
  const view = {
    taskId,
    pipeline: 'card',
    version: 1,
    shard: 0,
    state: 'print.running',
    status: 'running',
    stage: 'print',
    attempt: 1,
    dueAt: null,
    pausing: false,
    submittedAt: 1_000,
    updatedAt: 2_000,
    endedAt: null,
    inputHash: 'hash',
    seq: 2,
    failure: null,
    stages: [],
    legalCommands: ['pause', 'cancel'],
    owner: { node: 'n-1', epoch: 1 },
  };
  return { ...view, ...changes } as unknown as TaskView;
}

/** A call that a {@link FakeClient} got. */
export interface ClientCall {
  readonly name: string;
  readonly args: readonly unknown[];
}

/** An engine's client that answers what the test says, and remembers what it was asked. */
export class FakeClient {
  readonly calls: ClientCall[] = [];
  /** By name of the call; what it gives is the answer, what it throws is thrown. */
  readonly answers: Record<string, (...args: never[]) => unknown> = {};

  asClient(): AdminClient {
    const of =
      (name: string, usual: unknown) =>
      async (...args: unknown[]): Promise<unknown> => {
        this.calls.push({ name, args });
        const answer = this.answers[name];
        return answer === undefined ? usual : answer(...(args as never[]));
      };
    const controlled = { taskId: 't-1', state: 'print.held', repeated: false };
    const status = { nodes: [], shards: [], moves: 0, takeovers: 0, free: 0, isBalanced: true, waitingOrders: [] };
    const ordered = { nodeId: 'n-1', order: 'cordoned', status: null };
    const pinned = { shard: 0, pinnedTo: 'n-1', pinnedBefore: null, owner: null };
    return {
      submit: of('submit', { kind: 'accepted', taskId: 't-1', state: 'print.running' }),
      get: of('get', aTaskView('t-1')),
      pause: of('pause', controlled),
      resume: of('resume', controlled),
      cancel: of('cancel', controlled),
      redrive: of('redrive', controlled),
      resolve: of('resolve', controlled),
      history: of('history', { taskId: 't-1', shard: 0, records: [], isComplete: false, missingCount: 0, through: 0 }),
      info: of('info', { pipelines: [{ name: 'card', version: 1, fingerprint: 'f', stages: ['print'] }] }),
      cluster: {
        status: of('cluster.status', status),
        cordon: of('cluster.cordon', ordered),
        uncordon: of('cluster.uncordon', ordered),
        drain: of('cluster.drain', ordered),
        moveShard: of('cluster.moveShard', pinned),
        planMove: of('cluster.planMove', []),
        unpinShard: of('cluster.unpinShard', pinned),
      },
    } as unknown as AdminClient;
  }

  named(name: string): readonly ClientCall[] {
    return this.calls.filter((call) => call.name === name);
  }
}

/** A pipeline of one stage, known to the server itself. */
export const card = definePipeline({
  name: 'card',
  version: 1,
  input: z.object({ sku: z.string() }),
  stages: (pipeline) =>
    pipeline.stage('print', {
      output: z.object({ page: z.number() }),
      driver: () => ({ page: 1 }),
      retry: { maxAttempts: 3 },
      timeoutMs: 1_000,
      port: 'printer',
    }),
});

/** An answer to a request of {@link AdminWorld}. */
export interface AdminAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly body: unknown;
  readonly errorCode: string | undefined;
}

/** A request as a test says it; what it leaves out is as a well-behaved program sends it. */
export interface AdminAsk {
  readonly method?: string;
  readonly token?: string | null;
  readonly headers?: Readonly<Record<string, string | null>>;
  readonly body?: unknown;
  /** The bytes of the body as they are. */
  readonly raw?: string | Buffer;
}

/** A server on a real socket over fakes. */
export interface AdminWorld {
  readonly admin: RunningAdmin;
  readonly client: FakeClient;
  readonly index: FakeIndex;
  readonly audit: MemoryAudit;
  readonly documents: MemoryDocumentStore;
  readonly logger: MemoryLogger;
  readonly clock: Clock;
  readonly tokens: { readonly [Name in Role]: string };
  ask(path: string, options?: AdminAsk): Promise<AdminAnswer>;
  stop(): Promise<void>;
}

/** Starts the server on a free port, with one token of each role. */
export async function startAdminWorld(options: Partial<AdminOptions> = {}): Promise<AdminWorld> {
  const client = new FakeClient();
  const index = new FakeIndex();
  const audit = new MemoryAudit();
  const logger = new MemoryLogger();
  const documents = (options.documents as MemoryDocumentStore | undefined) ?? new MemoryDocumentStore();
  const clock = options.clock ?? new SystemClock();
  const unlimited = { perSecond: 1e6, burst: 1e6 };
  const admin = await startAdmin({
    client: client.asClient(),
    index,
    audit,
    blobs: null,
    definitions: [card],
    health: {
      live: () => [{ name: 'loop', isGood: true }],
      ready: () => [{ name: 'nats', isGood: true }],
      started: () => true,
    },
    metrics: async () => '# HELP up Up\nup 1\n',
    clock,
    random: new SeededRandom(7),
    secrets: new CountingSecrets(),
    logger,
    version: '0.0.0',
    port: 0,
    rates: { principal: unlimited, stranger: unlimited, failedLogin: unlimited },
    ...options,
    documents,
  });
  const first = admin.firstToken ?? '';
  const ask = (path: string, request: AdminAsk = {}): Promise<AdminAnswer> =>
    askServer(admin.port, path, { token: first, ...request });
  const tokenOf = async (role: Role): Promise<string> => {
    const made = await ask('/api/tokens', { method: 'POST', body: { name: `a-${role}`, role } });
    return (made.body as { readonly token: string }).token;
  };
  // This kit speaks no TLS.
  const canAsk = first !== '' && options.tls === undefined;
  const tokens = {
    viewer: canAsk ? await tokenOf('viewer') : '',
    operator: canAsk ? await tokenOf('operator') : '',
    admin: first,
  };
  audit.entries.length = 0;
  return {
    admin,
    client,
    index,
    audit,
    documents,
    logger,
    clock,
    tokens,
    ask,
    stop: () => admin.stop({ graceMs: 100 }),
  };
}

/** Sends the request with its path as it is written, and reads the answer. */
export function askServer(port: number, path: string, request: AdminAsk): Promise<AdminAnswer> {
  const { method = 'GET', token = null, body, raw } = request;
  const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const usual: Record<string, string | null> = {
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    ...(method === 'GET' ? {} : { 'content-type': 'application/json', 'x-cabinet-request': '1' }),
    ...(payload === undefined ? {} : { 'content-length': String(Buffer.byteLength(payload)) }),
    ...request.headers,
  };
  const headers = Object.fromEntries(
    Object.entries(usual).filter((entry): entry is [string, string] => entry[1] !== null),
  );
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const isJson = answer.headers['content-type']?.startsWith('application/json') === true && text !== '';
        const value: unknown = isJson ? JSON.parse(text) : undefined;
        const errorCode = (value as { readonly error?: { readonly code?: string } } | undefined)?.error?.code;
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text, body: value, errorCode });
      });
    });
    sent.on('error', reject);
    sent.end(payload);
  });
}

/** Writes bytes to the server as the test says, and gives all that comes back until the connection ends. */
export function talkRaw(port: number, write: (send: (text: string) => void) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => write((text) => void (socket.writable && socket.write(text))));
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString('utf8')));
    socket.on('close', () => resolve(text));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
  });
}
