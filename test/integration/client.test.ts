import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Client, connectClient, TaskFailedError } from '../../src/client.ts';
import { FatalError } from '../../src/core/driver-errors.ts';
import { type RunningNode, startNode } from '../../src/node.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../src/platform/memory-metrics.ts';
import { type NatsFixture, startNats } from '../support/nats-server.ts';

const card = definePipeline({
  name: 'card',
  version: 1,
  input: z.object({ sku: z.string(), sizeBytes: z.number().default(0) }),
  stages: (pipeline) =>
    pipeline
      .stage('parse', {
        output: z.object({ title: z.string() }),
        retry: { maxAttempts: 1 },
        timeoutMs: 5_000,
        driver: ({ input }) => {
          if (input.sku === 'broken') throw new FatalError('the card is broken', { code: 'BROKEN' });
          return { title: `card ${input.sku}` };
        },
      })
      .stage('photos', {
        output: z.object({ pixels: z.string() }),
        retry: { maxAttempts: 1 },
        timeoutMs: 5_000,
        driver: ({ input }) => ({ pixels: 'x'.repeat(input.sizeBytes) }),
      }),
});

describe('a client over real NATS', () => {
  let nats: NatsFixture;
  let node: RunningNode;
  let client: Client;
  let foreign: NatsConnection;

  beforeAll(async () => {
    nats = await startNats();
    // The client may be there first: it waits for the engine.
    const connecting = connectClient({ servers: nats.url, connectTimeoutMs: 60_000 });
    node = await startNode({
      pipelines: [card],
      nodeId: 'n-1',
      config: { shardCount: 4 },
      nats: { servers: nats.url },
      logger: new MemoryLogger(),
      metrics: new MemoryMetrics(),
    });
    client = await connecting;
    foreign = await connect({ servers: nats.url });
  });

  afterAll(async () => {
    await foreign?.close();
    await client?.close();
    await node?.stop({ graceMs: 1_000 });
    await nats?.stop();
  });

  it('submits, awaits the typed outputs, and watches the task to its end', async () => {
    const { taskId } = await client.submit(card, { sku: 'A' }, { by: 'anna' });
    const outputs = await client.result(card, taskId);
    expect(outputs.parse.title).toBe('card A');
    const types: string[] = [];
    for await (const event of client.watch(taskId)) types.push(event.type);
    expect(types.at(0)).toBe('io.cabinet.task.submitted');
    expect(types.at(-1)).toBe('io.cabinet.task.completed');
    expect((await client.history(taskId)).isComplete).toBe(true);
  });

  it('R-IDEM-2: finds the task of an idempotency key, and TASK_CONFLICT for another input', async () => {
    const first = await client.submit(card, { sku: 'B' }, { idempotencyKey: 'order B' });
    expect(await client.submit(card, { sku: 'B' }, { idempotencyKey: 'order B' })).toMatchObject({
      kind: 'existing',
      taskId: first.taskId,
    });
    await expect(client.submit(card, { sku: 'C' }, { idempotencyKey: 'order B' })).rejects.toMatchObject({
      code: 'TASK_CONFLICT',
    });
  });

  it('submits a thousand in a few envelopes', async () => {
    const items = Array.from({ length: 1_000 }, (_, index) => ({
      taskId: `many-${index}`,
      input: { sku: `${index}` },
    }));
    const outcomes = await client.submitMany(card, items);
    expect(outcomes.filter(({ kind }) => kind !== 'accepted')).toEqual([]);
    expect(await client.result(card, 'many-999')).toMatchObject({ parse: { title: 'card 999' } });
  });

  it('fetches outputs over the inline limit from the blob store', async () => {
    const { taskId } = await client.submit(card, { sku: 'large', sizeBytes: 200_000 });
    expect((await client.result(card, taskId)).photos.pixels).toHaveLength(200_000);
  });

  it('throws TASK_FAILED with the driver’s failure; lists and redrives the dead letter', async () => {
    const { taskId } = await client.submit(card, { sku: 'broken' });
    const error: unknown = await client.result(card, taskId).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TaskFailedError);
    expect(error).toMatchObject({ code: 'TASK_FAILED', failure: { class: 'fatal', code: 'BROKEN' } });
    const page = await client.deadLetters.list({ failureCode: 'BROKEN' });
    expect(page.tasks.map((task) => task.taskId)).toEqual([taskId]);
    expect(await client.deadLetters.redrive({ failureCode: 'BROKEN' })).toMatchObject([{ kind: 'done', taskId }]);
    await expect(client.result(card, taskId)).rejects.toMatchObject({ code: 'TASK_FAILED' });
  });

  it('throws TASK_NOT_FOUND, INPUT_INVALID, PIPELINE_UNKNOWN and NOT_ALLOWED as the owner says', async () => {
    await expect(client.get('nobody')).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' });
    await expect(client.submit('card', { sku: 7 })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    await expect(client.submit('unheard-of', 1)).rejects.toMatchObject({ code: 'PIPELINE_UNKNOWN' });
    await client.submit(card, { sku: 'D' }, { taskId: 'done-1' });
    await client.result(card, 'done-1');
    await expect(client.pause('done-1')).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
  });

  it('throws PAYLOAD_TOO_LARGE for a request that NATS would not take, and stays connected', async () => {
    await expect(client.submit(card, { sku: 'x'.repeat(1_100_000) })).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    });
    expect(await client.info()).toMatchObject({ namespace: 'cabinet', shardCount: 4, node: 'n-1' });
  });

  it('answers any NATS client in JSON, with error headers, and is found by $SRV', async () => {
    const ask = async (subject: string, request: unknown) => {
      const message = await foreign.request(subject, JSON.stringify(request), { timeout: 5_000 });
      return { body: message.json<Record<string, unknown>>(), code: message.headers?.get('Nats-Service-Error-Code') };
    };
    expect(
      (await ask('cabinet.api.submit', { pipeline: 'card', taskId: 'json-1', input: { sku: 'J' } })).body,
    ).toMatchObject({
      kind: 'accepted',
      taskId: 'json-1',
    });
    expect((await ask('cabinet.api.result', { taskId: 'json-1', waitMs: 5_000 })).body).toMatchObject({
      kind: 'ended',
    });
    expect(await ask('cabinet.api.get', { taskId: 'nobody' })).toMatchObject({
      body: { error: { code: 'TASK_NOT_FOUND' } },
      code: '404',
    });
    const service = await foreign.request('$SRV.INFO.cabinet', '', { timeout: 5_000 });
    expect(service.json()).toMatchObject({ name: 'cabinet', metadata: { node: 'n-1' } });
  });

  it('throws NO_OWNER for a namespace without an engine, and NATS_UNREACHABLE without a server', async () => {
    await expect(
      connectClient({ servers: nats.url, namespace: 'elsewhere', connectTimeoutMs: 600 }),
    ).rejects.toMatchObject({ code: 'NO_OWNER' });
    await expect(connectClient({ servers: 'nats://127.0.0.1:1', connectTimeoutMs: 300 })).rejects.toMatchObject({
      code: 'NATS_UNREACHABLE',
    });
  });
});
