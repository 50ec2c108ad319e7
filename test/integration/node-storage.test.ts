import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { connectClient, type Client } from '../../src/client.ts';
import { EngineError } from '../../src/core/errors.ts';
import { journalStream } from '../../src/core/subjects.ts';
import { type RunningNode, startNode } from '../../src/node.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../src/platform/memory-metrics.ts';
import { ensureJournalStream } from '../../src/store/journal-stream.ts';
import { checkJournal } from '../../src/checking/journal-report.ts';
import { readWholeJournal } from '../../src/checking/whole-journal.ts';
import { startNats } from '../support/nats-server.ts';
import { eventually, NatsWorld } from '../support/nats-world.ts';

const namespace = 'storage';
const shardCount = 2;
const smallJournalBytes = 256 * 1024;
const inlinePayloadBytes = 4_096;
const maxPayloadBytes = 600_000;
/** Many more tasks than the small journal can hold. */
const mostFilling = 500;

const echo = definePipeline({
  name: 'echo',
  version: 1,
  input: z.object({ text: z.string() }),
  stages: (pipeline) =>
    pipeline.stage('copy', {
      output: z.object({ text: z.string() }),
      retry: { maxAttempts: 3, initialDelayMs: 50, maxDelayMs: 500 },
      timeoutMs: 10_000,
      driver: ({ input }) => ({ text: input.text }),
    }),
});

describe('a node whose storage has limits', () => {
  let world: NatsWorld;
  let node: RunningNode;
  let client: Client;

  beforeAll(async () => {
    const nats = await startNats();
    world = new NatsWorld(nats, 1);
    const { clock, logger } = world;
    // An operator's limit on the journal, which the node takes as it finds it.
    const limits = { namespace, replicas: 1, clock, logger, maximumBytes: smallJournalBytes };
    await ensureJournalStream(await world.link(), limits);
    node = await startNode({
      pipelines: [echo],
      nodeId: 'n-1',
      config: { namespace, shardCount, inlinePayloadBytes, maxPayloadBytes },
      nats: { servers: nats.url },
      logger: new MemoryLogger(),
      metrics: new MemoryMetrics(),
    });
    client = await connectClient({ servers: nats.url, namespace });
  });

  afterAll(async () => {
    await client?.close();
    await node?.stop({ graceMs: 1_000 });
    await world?.stop();
  });

  async function setJournalLimit(maximumBytes: number): Promise<void> {
    const { connection } = await world.link();
    const name = journalStream(namespace);
    const info = (await connection.request(`$JS.API.STREAM.INFO.${name}`)).json<{ readonly config: object }>();
    const update = JSON.stringify({ ...info.config, max_bytes: maximumBytes });
    const answer = (await connection.request(`$JS.API.STREAM.UPDATE.${name}`, update)).json<{
      readonly error?: unknown;
    }>();
    expect(answer.error).toBeUndefined();
  }

  /** Repeats a submit with its id, as its error allows, until it is taken: a shard notices within a second that it may write. */
  async function submitAgain(taskId: string, text: string): Promise<void> {
    await eventually(`${taskId} is taken`, () =>
      client.submit(echo, { text }, { taskId, deadlineMs: 5_000 }).then(
        () => true,
        (error: unknown) => {
          expect(error).toMatchObject({ code: 'STORAGE_FULL', retryable: true });
          return false;
        },
      ),
    );
  }

  it('R-IDEM-3: STORAGE_FULL: a full journal refuses new tasks, keeps every accepted one, and goes on when it may grow', async () => {
    const text = 'x'.repeat(2_000);
    const accepted: string[] = [];
    const fill = async (): Promise<unknown> => {
      for (let index = 0; index < mostFilling; index += 1) {
        const taskId = `fill-${index}`;
        try {
          await client.submit(echo, { text }, { taskId, deadlineMs: 5_000 });
        } catch (error) {
          return error;
        }
        accepted.push(taskId);
      }
      return null;
    };
    const refusal = await fill();
    expect(refusal).toMatchObject({ code: 'STORAGE_FULL', retryable: true, hint: expect.any(String) });
    expect(accepted.length).toBeGreaterThan(10);
    // Reads are served while nothing can be written.
    expect((await client.get(accepted[0] ?? '')).status).toBe('completed');
    await setJournalLimit(64 * 1024 * 1024);
    for (const taskId of accepted) expect(await client.result(echo, taskId)).toEqual({ copy: { text } });
    await submitAgain('after', text);
    const report = checkJournal(await readWholeJournal(await world.journal(namespace), shardCount), [echo]);
    expect(report.violations).toEqual([]);
    expect(report.claims).toHaveLength(shardCount);
    expect(accepted.filter((taskId) => report.tasks.get(taskId as never)?.machine.value !== 'completed')).toEqual([]);
  });

  it('R-IDEM-3: a submit that was refused with STORAGE_FULL can be repeated with its id, and exists once', async () => {
    await setJournalLimit(smallJournalBytes);
    const refused = await client
      .submit(echo, { text: 'again' }, { taskId: 'again', deadlineMs: 5_000 })
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: expect.stringMatching(/^(STORAGE_FULL|DEADLINE_EXCEEDED)$/) });
    await setJournalLimit(64 * 1024 * 1024);
    await submitAgain('again', 'again');
    expect(await client.result(echo, 'again')).toEqual({ copy: { text: 'again' } });
    const report = checkJournal(await readWholeJournal(await world.journal(namespace), shardCount), [echo]);
    expect(report.violations).toEqual([]);
    expect(
      report.records.filter(({ task, event }) => task === 'again' && event.type === 'task.submitted'),
    ).toHaveLength(1);
  });

  it('R-JOB-1: a payload over the inline limit goes through the Object Store, as the claim check in the journal says', async () => {
    const text = 'y'.repeat(200_000);
    const { taskId } = await client.submit(echo, { text });
    expect(await client.result(echo, taskId)).toEqual({ copy: { text } });
    const report = checkJournal(await readWholeJournal(await world.journal(namespace), shardCount), [echo]);
    const state = report.tasks.get(taskId);
    expect(state?.input).toMatchObject({ blob: { sizeBytes: expect.any(Number), sha256: expect.any(String) } });
    expect(state?.outputs['copy']).toMatchObject({ blob: { sizeBytes: expect.any(Number) } });
    const shown = await client.get(taskId, { includePayloads: true });
    expect(shown.input).toEqual({ text });
  });

  it('R-JOB-1: PAYLOAD_TOO_LARGE: an input over the maximum is refused before anything is written', async () => {
    const before = (await (await world.journal(namespace)).bounds()).last;
    const refused: unknown = await client
      .submit(echo, { text: 'z'.repeat(maxPayloadBytes) }, { taskId: 'too-large' })
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(EngineError);
    expect(refused).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', field: 'input', limit: `${maxPayloadBytes} bytes` });
    await expect(client.get('too-large')).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' });
    expect((await (await world.journal(namespace)).bounds()).last).toBe(before);
  });

  it('R-FAIL-1: PAYLOAD_TOO_LARGE: an output over the maximum fails its stage as a broken contract, not the node', async () => {
    const wide = definePipeline({
      name: 'wide',
      version: 1,
      input: z.object({}),
      stages: (pipeline) =>
        pipeline.stage('grow', {
          output: z.object({ text: z.string() }),
          retry: { maxAttempts: 3 },
          timeoutMs: 10_000,
          driver: () => ({ text: 'w'.repeat(maxPayloadBytes) }),
        }),
    });
    const other = await startNode({
      pipelines: [wide],
      nodeId: 'n-2',
      config: { namespace: 'wide', shardCount: 1, inlinePayloadBytes, maxPayloadBytes },
      nats: { servers: node.natsUrl },
      logger: new MemoryLogger(),
      metrics: new MemoryMetrics(),
    });
    try {
      const { taskId } = await other.client.submit(wide, {});
      await expect(other.client.result(wide, taskId)).rejects.toMatchObject({
        code: 'TASK_FAILED',
        failure: { class: 'contract', code: 'PAYLOAD_TOO_LARGE' },
      });
      expect(other.isReady).toBe(true);
    } finally {
      await other.stop({ graceMs: 0 });
    }
  });
});

describe('a node whose NATS account is full', () => {
  const account =
    'accounts { small: { users: [{ user: u, password: p }], jetstream: { max_file: 4MB } } }\nno_auth_user: u';
  let world: NatsWorld;
  let node: RunningNode;

  beforeAll(async () => {
    const nats = await startNats({ extraConfig: account });
    world = new NatsWorld(nats, 1);
    node = await startNode({
      pipelines: [echo],
      nodeId: 'n-1',
      config: { namespace, shardCount },
      nats: { servers: nats.url },
      logger: new MemoryLogger(),
      metrics: new MemoryMetrics(),
    });
  });

  afterAll(async () => {
    await node?.stop({ graceMs: 1_000 });
    await world?.stop();
  });

  it('R-FAIL-1 R-IDEM-3: STORAGE_FULL: it refuses work while others fill the account, loses nothing, and goes on when they leave', async () => {
    const { client } = node;
    const { connection } = await world.link();
    const api = async (name: string, body = ''): Promise<unknown> =>
      (await connection.request(`$JS.API.STREAM.${name}.filler`, body)).json();
    await api('CREATE', JSON.stringify({ name: 'filler', subjects: ['filler'], storage: 'file', num_replicas: 1 }));
    const accepted = await client.submitMany(
      echo,
      Array.from({ length: 50 }, (_, index) => ({ taskId: `before-${index}`, input: { text: `${index}` } })),
    );
    expect(accepted.map(({ kind }) => kind)).not.toContain('error');
    // To the last byte: an append of the engine is small.
    for (const sizeBytes of [65_536, 4_096, 0]) {
      await eventually('the account is full', async () => {
        const answer = await connection.request('filler', new Uint8Array(sizeBytes));
        return answer.json<{ readonly error?: unknown }>().error !== undefined;
      });
    }
    const refused = await client
      .submit(echo, { text: 'now' }, { taskId: 'now', deadlineMs: 5_000 })
      .catch((e: unknown) => e);
    expect(refused).toMatchObject({ code: 'STORAGE_FULL', retryable: true });
    await api('DELETE');
    await eventually('it is taken', () =>
      client.submit(echo, { text: 'now' }, { taskId: 'now', deadlineMs: 5_000 }).then(
        () => true,
        () => false,
      ),
    );
    expect(await client.result(echo, 'now')).toEqual({ copy: { text: 'now' } });
    for (let index = 0; index < 50; index += 1) await client.result(echo, `before-${index}`);
    const report = checkJournal(await readWholeJournal(await world.journal(namespace), shardCount), [echo]);
    expect(report.violations).toEqual([]);
    expect(report.claims).toHaveLength(shardCount);
    expect(node.isReady).toBe(true);
  });
});
