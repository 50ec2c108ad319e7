import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { protocolsWithTicket } from '../../src/admin/live/protocol.ts';
import type { RunningAdmin } from '../../src/admin/server.ts';
import { openAdmin } from '../../src/admin.ts';
import { connectClient, type Client } from '../../src/client.ts';
import { FatalError } from '../../src/core/driver-errors.ts';
import { type RunningNode, startNode } from '../../src/node.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../src/platform/memory-metrics.ts';
import type { TaskListQuery, TaskPage } from '../../src/ports/task-index.ts';
import type { PipelineEvent } from '../../src/projections/cloud-event.ts';
import { fingerprintFailure } from '../../src/projections/failure-fingerprint.ts';
import {
  type AdminAnswer,
  type AdminAsk,
  anIndexedTask,
  askServer,
  FakeIndex,
  MemoryAudit,
} from '../support/admin-kit.ts';
import { framesOf, openSocket } from '../support/live-clients.ts';
import { type NatsFixture, startNats } from '../support/nats-server.ts';

const namespace = 'admin';
/** The driver waits here, so that a task can be found at work, and fails while the world is broken. */
const gate = { open: Promise.resolve(), release: (): void => undefined };
let isBroken = false;

const parcel = definePipeline({
  name: 'parcel',
  version: 1,
  input: z.object({ weightGrams: z.number(), note: z.string().optional() }),
  stages: (pipeline) =>
    pipeline.stage('weigh', {
      output: z.object({ weightGrams: z.number() }),
      retry: { maxAttempts: 1 },
      timeoutMs: 20_000,
      driver: async ({ input }) => {
        await gate.open;
        if (isBroken) throw new FatalError('the scales are broken', { code: 'SCALES' });
        return { weightGrams: input.weightGrams };
      },
    }),
});

/** The index of a moment: what the engine's own lists tell, read anew at every question. */
class LiveIndex extends FakeIndex {
  readonly #client: Client;

  constructor(client: Client) {
    super();
    this.#client = client;
  }

  override async list(query: TaskListQuery): Promise<TaskPage> {
    await this.#refresh();
    return super.list(query);
  }

  override async count(filter: TaskListQuery['filter']): Promise<number> {
    await this.#refresh();
    return super.count(filter);
  }

  async #refresh(): Promise<void> {
    const { tasks } = await this.#client.list({ includeFinished: true, limit: 1_000 });
    for (const task of tasks) {
      const { failure, taskId } = task;
      const failureFingerprint = failure === null ? null : fingerprintFailure(task.stage, failure, taskId);
      const { pipeline, version, shard, status, state, stage, attempt, submittedAt, updatedAt, endedAt, dueAt, seq } =
        task;
      const row = {
        pipeline,
        version,
        shard,
        status,
        state,
        stage,
        attempt,
        submittedAt,
        updatedAt,
        endedAt,
        dueAt,
        seq,
      };
      const seen = failure === null ? null : { class: failure.class, message: failure.message, code: failure.code };
      this.put(anIndexedTask(taskId, { ...row, failure: seen, failureFingerprint }));
    }
  }
}

/** Asks again until it holds, more seldom than the API's own limit of requests. */
const settled = (check: () => Promise<void>): Promise<void> => vi.waitFor(check, { timeout: 30_000, interval: 200 });

describe('the admin API of a running engine', () => {
  let nats: NatsFixture;
  let node: RunningNode;
  let reader: Client;
  let admin: RunningAdmin;
  let folder: string;
  let token = '';
  const audit = new MemoryAudit();
  const logger = new MemoryLogger();

  async function openApi(): Promise<RunningAdmin> {
    return openAdmin({
      nats: { servers: nats.url, namespace },
      dataDir: folder,
      pipelines: [parcel],
      port: 0,
      index: new LiveIndex(reader),
      audit,
      health: { live: () => [], ready: () => [{ name: 'node', isGood: node.isReady }], started: () => true },
      metrics: async () => '',
      logger,
    });
  }

  beforeAll(async () => {
    nats = await startNats();
    node = await startNode({
      pipelines: [parcel],
      nodeId: 'n-1',
      config: { namespace, shardCount: 2, inlinePayloadBytes: 1_024 },
      nats: { servers: nats.url },
      logger: new MemoryLogger(),
      metrics: new MemoryMetrics(),
    });
    reader = await connectClient({ servers: nats.url, namespace });
    folder = await mkdtemp(join(tmpdir(), 'cabinet-admin-'));
    admin = await openApi();
    token = admin.firstToken ?? '';
  });

  afterAll(async () => {
    gate.release();
    await admin?.stop({ graceMs: 500 });
    await reader?.close();
    await node?.stop({ graceMs: 1_000 });
    await nats?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const ask = (path: string, request: AdminAsk = {}): Promise<AdminAnswer> =>
    askServer(admin.port, path, { token, ...request });
  const post = (path: string, body: unknown): Promise<AdminAnswer> => ask(path, { method: 'POST', body });

  it('submits a task, lists it, says why it stands, cancels it once, and the audit log shows it', async () => {
    gate.open = new Promise((resolve) => (gate.release = resolve));
    const submitted = await post('/api/tasks', {
      pipeline: 'parcel',
      input: { weightGrams: 7 },
      idempotencyKey: 'order 7',
      reason: 'a test',
    });
    expect(submitted).toMatchObject({ status: 202, body: { kind: 'accepted' } });
    const { taskId } = submitted.body as { taskId: string };
    const again = await post('/api/tasks', {
      pipeline: 'parcel',
      input: { weightGrams: 7 },
      idempotencyKey: 'order 7',
    });
    expect(again.body).toMatchObject({ kind: 'existing', taskId });
    expect((await post('/api/tasks', { pipeline: 'parcel', input: { weightGrams: 'x' } })).errorCode).toBe(
      'INPUT_INVALID',
    );

    const list = await ask('/api/tasks?statuses=running');
    expect(list.body).toMatchObject({ tasks: [{ taskId, pipeline: 'parcel', state: 'weigh.running' }], next: null });
    expect((await ask(`/api/tasks/${taskId}/why`)).body).toMatchObject({
      sentence: 'The driver of stage weigh works on attempt 1.',
      holds: [{ kind: 'driver', timeoutMs: 20_000 }],
      legalCommands: expect.arrayContaining(['cancel']),
      legalEvents: expect.arrayContaining(['stage.completed']),
    });

    const cancel = { commandId: 'c-1', reason: 'wrong address' };
    expect((await post(`/api/tasks/${taskId}/cancel`, cancel)).body).toMatchObject({
      state: 'canceled',
      repeated: false,
    });
    expect((await post(`/api/tasks/${taskId}/cancel`, cancel)).body).toMatchObject({
      state: 'canceled',
      repeated: true,
    });
    expect((await post(`/api/tasks/${taskId}/redrive`, {})).errorCode).toBe('NOT_ALLOWED');
    gate.release();

    const history = await ask(`/api/tasks/${taskId}/history`);
    expect(history.body).toMatchObject({ isComplete: true, next: null });
    expect(history.text).toContain('"origin":{"commandId":"c-1","by":"first-admin","reason":"wrong address"}');
    const shown = (await ask('/api/audit?action=task.cancel')).body as { entries: Record<string, unknown>[] };
    expect(shown.entries).toMatchObject([
      { outcome: 'done', target: taskId, principal: 'first-admin', commandId: 'c-1', after: { repeated: true } },
      { outcome: 'allowed' },
      { outcome: 'done', reason: 'wrong address', after: { state: 'canceled', repeated: false } },
      { outcome: 'allowed' },
    ]);
  });

  it('shows a payload over the inline limit only when it was asked to', async () => {
    const note = 'x'.repeat(60 * 1024);
    const { body } = await post('/api/tasks', {
      pipeline: 'parcel',
      input: { weightGrams: 1, note },
      taskId: 'large-1',
    });
    expect(body).toMatchObject({ taskId: 'large-1' });
    const payloads = '/api/tasks/large-1/payloads';
    expect((await ask(`${payloads}?maxBytes=1000`)).body).toMatchObject({ name: 'input', isShown: false });
    expect((await ask(`${payloads}?maxBytes=100000`)).body).toMatchObject({ isShown: true, value: { note } });
  });

  it('redrives a group of dead letters, over a restart of the API, each once', async () => {
    isBroken = true;
    const ids = Array.from({ length: 25 }, (_, index) => `dead-${index}`);
    await Promise.all(
      ids.map((taskId) => post('/api/tasks', { pipeline: 'parcel', input: { weightGrams: 1 }, taskId })),
    );
    await settled(async () => {
      expect((await ask('/api/tasks/count?statuses=deadLettered')).body).toMatchObject({ count: 25 });
    });
    const groups = (await ask('/api/dead-letters?limit=1')).body as { tasks: { failureFingerprint: string }[] };
    const failureFingerprints = [groups.tasks[0]?.failureFingerprint ?? ''];
    isBroken = false;
    const action = { action: 'redrive', filter: { failureFingerprints }, reason: 'the scales are mended' };
    expect((await post('/api/bulk', { ...action, dryRun: true })).body).toMatchObject({ count: 25, run: null });
    const pace = { firstBatch: 2, watchMs: 10_000, ratePerSecond: 10 };
    expect((await post('/api/bulk', { ...action, ...pace, bulkId: 'mend-1' })).status).toBe(202);
    await settled(async () => {
      const { sent } = (await ask('/api/bulk/mend-1')).body as { sent: number };
      expect(sent).toBeGreaterThan(2);
    });

    await admin.stop({ graceMs: 500 });
    admin = await openApi();
    expect(admin.firstToken).toBeNull();
    await settled(async () => {
      expect((await ask('/api/bulk/mend-1')).body).toMatchObject({
        end: 'completed',
        done: 25,
        failed: 0,
        skipped: 0,
        failedAgain: 0,
      });
    });
    for (const taskId of ids) {
      const { text } = await ask(`/api/tasks/${taskId}/history`);
      expect([taskId, text.split('"type":"task.redriven"').length - 1]).toEqual([taskId, 1]);
    }
  });

  it("tells a task's events over the socket, to who has a ticket", async () => {
    const { ticket } = (await post('/api/session/ticket', {})).body as { ticket: string };
    const socket = openSocket(admin.port, { protocols: protocolsWithTicket(ticket) });
    const frames = framesOf(socket);
    socket.on('open', () => socket.send(JSON.stringify({ type: 'subscribe', id: 'e', topic: 'events' })));
    await settled(async () => expect(frames.some(({ type }) => type === 'snapshot')).toBe(true));
    await post('/api/tasks', { pipeline: 'parcel', input: { weightGrams: 1 }, taskId: 'told-1' });
    await settled(async () => {
      const events = frames.flatMap((frame) => (frame.type === 'delta' ? (frame.data as PipelineEvent[]) : []));
      expect(events.filter(({ subject }) => subject === 'told-1').map(({ type }) => type)).toEqual([
        'io.cabinet.task.submitted',
        'io.cabinet.stage.started',
        'io.cabinet.stage.completed',
        'io.cabinet.task.completed',
      ]);
    });
    socket.send(JSON.stringify({ type: 'subscribe', id: 'one', topic: 'task:told-1' }));
    socket.send(JSON.stringify({ type: 'subscribe', id: 'all', topic: 'overview' }));
    await settled(async () => {
      expect(frames).toContainEqual(
        expect.objectContaining({
          type: 'snapshot',
          id: 'one',
          data: expect.objectContaining({ taskId: 'told-1', status: 'completed' }),
        }),
      );
      expect(frames.some((frame) => frame.type === 'snapshot' && frame.id === 'all')).toBe(true);
    });
    socket.terminate();
  });

  it('shows the cluster, and orders its nodes', async () => {
    expect((await ask('/api/cluster')).body).toMatchObject({ nodes: [{ nodeId: 'n-1', status: 'up', owned: 2 }] });
    expect((await post('/api/cluster/nodes/n-1/cordon', { reason: 'a test' })).status).toBe(200);
    expect((await ask('/api/cluster/nodes')).body).toMatchObject({ nodes: [{ status: 'cordoned' }] });
    expect((await post('/api/cluster/nodes/n-1/uncordon', {})).status).toBe(200);
    expect((await post('/api/cluster/nodes/nobody/drain', {})).status).toBeGreaterThanOrEqual(404);
  });

  it('answers health by the node, and keeps its tokens for its own user alone, as hashes', async () => {
    expect(await ask('/readyz', { token: null })).toMatchObject({ status: 200, body: { ok: true } });
    const file = join(folder, 'admin', 'access-tokens.json');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const secret = token.slice(-43);
    expect(await readFile(file, 'utf8')).not.toContain(secret);
    expect(JSON.stringify([logger.lines, audit.entries])).not.toContain(secret);
  });
});
