import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { FatalError } from '../../src/core/driver-errors.ts';
import { type RunningNode, startNode } from '../../src/node.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../src/platform/memory-metrics.ts';
import { type NatsFixture, startNats } from '../support/nats-server.ts';
import { eventually } from '../support/nats-world.ts';

const namespace = 'json';

/** Waits in `gate` until the test opens it, so that a task can be found running. */
const gate = { open: Promise.resolve(), release: (): void => undefined };

function closeGate(): void {
  gate.open = new Promise((resolve) => (gate.release = resolve));
}

const parcel = definePipeline({
  name: 'parcel',
  version: 1,
  input: z.object({ weightGrams: z.number(), broken: z.boolean().default(false) }),
  stages: (pipeline) =>
    pipeline
      .stage('weigh', {
        output: z.object({ weightGrams: z.number() }),
        retry: { maxAttempts: 1 },
        timeoutMs: 20_000,
        driver: async ({ input }) => {
          await gate.open;
          if (input.broken) throw new FatalError('the scales are broken', { code: 'SCALES' });
          return { weightGrams: input.weightGrams };
        },
      })
      .stage('label', {
        output: z.object({ label: z.string() }),
        retry: { maxAttempts: 1 },
        timeoutMs: 20_000,
        driver: ({ taskId }) => ({ label: `parcel ${taskId}` }),
      }),
});

interface Answer {
  readonly body: Readonly<Record<string, unknown>>;
  readonly errorCode: string | undefined;
}

describe('the JSON micro service, for a NATS client that knows nothing of the engine', () => {
  let nats: NatsFixture;
  let bare: NatsConnection;
  const nodes: RunningNode[] = [];

  beforeAll(async () => {
    nats = await startNats();
    for (const nodeId of ['n-1', 'n-2']) {
      nodes.push(
        await startNode({
          pipelines: [parcel],
          nodeId,
          config: { namespace, shardCount: 2 },
          nats: { servers: nats.url },
          logger: new MemoryLogger(),
          metrics: new MemoryMetrics(),
        }),
      );
    }
    bare = await connect({ servers: nats.url });
  });

  afterAll(async () => {
    await bare?.close();
    for (const node of nodes) await node.stop({ graceMs: 1_000 });
    await nats?.stop();
  });

  async function ask(endpoint: string, request?: unknown): Promise<Answer> {
    return askRaw(endpoint, request === undefined ? '' : JSON.stringify(request));
  }

  async function askRaw(endpoint: string, body: string): Promise<Answer> {
    const message = await bare.request(`${namespace}.api.${endpoint}`, body, { timeout: 10_000 });
    return {
      body: message.json(),
      errorCode: message.headers?.get('Nats-Service-Error-Code'),
    };
  }

  /** All answers to a question that every node answers. */
  async function askAll(subject: string): Promise<readonly Record<string, unknown>[]> {
    const answers: Record<string, unknown>[] = [];
    const replies = await bare.requestMany(subject, '', {
      strategy: 'count',
      maxMessages: nodes.length,
      maxWait: 5_000,
    });
    for await (const reply of replies) answers.push(reply.json());
    return answers;
  }

  it('is found by $SRV.PING, and tells its endpoints and their numbers, on every node', async () => {
    const pings = await askAll('$SRV.PING');
    expect(pings).toHaveLength(nodes.length);
    for (const ping of pings) {
      expect(ping).toMatchObject({ type: 'io.nats.micro.v1.ping_response', name: 'cabinet', metadata: { namespace } });
    }
    expect(new Set(pings.map(({ id }) => id)).size).toBe(nodes.length);
    const [info] = await askAll('$SRV.INFO.cabinet');
    const endpoints = info?.['endpoints'] as readonly { readonly name: string; readonly subject: string }[];
    expect(endpoints.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['submit', 'get', 'result', 'list', 'info', 'redrive', 'dead-letters']),
    );
    expect(endpoints.find(({ name }) => name === 'submit')?.subject).toBe(`${namespace}.api.submit`);
    await ask('info');
    const stats = await askAll('$SRV.STATS.cabinet');
    const asked = stats.flatMap(
      ({ endpoints: all }) => all as { readonly name: string; readonly num_requests: number }[],
    );
    expect(asked.filter(({ name }) => name === 'info').reduce((sum, one) => sum + one.num_requests, 0)).toBe(1);
  });

  it('R-WRK-1: submits a task, answers before it has run, and gives its result to whoever waits', async () => {
    closeGate();
    const { body } = await ask('submit', { pipeline: 'parcel', taskId: 'p-1', input: { weightGrams: 5 }, by: 'anna' });
    expect(body).toMatchObject({ kind: 'accepted', taskId: 'p-1' });
    expect((await ask('get', { taskId: 'p-1' })).body).toMatchObject({
      task: { taskId: 'p-1', status: 'running', stage: 'weigh', attempt: 1, legalCommands: ['pause', 'cancel'] },
    });
    expect((await ask('result', { taskId: 'p-1', waitMs: 10 })).body).toMatchObject({ kind: 'pending' });
    const waiting = ask('result', { taskId: 'p-1', waitMs: 10_000 });
    gate.release();
    expect((await waiting).body).toMatchObject({
      kind: 'ended',
      task: { status: 'completed', outputs: { weigh: { weightGrams: 5 }, label: { label: 'parcel p-1' } } },
    });
  });

  it('R-IDEM-2: finds the task of an idempotency key from any process, and refuses another input with TASK_CONFLICT', async () => {
    const request = { pipeline: 'parcel', idempotencyKey: 'order 7', input: { weightGrams: 7 } };
    const first = await ask('submit', request);
    const { taskId } = first.body;
    expect((await ask('submit', request)).body).toMatchObject({ kind: 'existing', taskId });
    expect(await ask('submit', { ...request, input: { weightGrams: 8 } })).toMatchObject({
      body: { error: { code: 'TASK_CONFLICT', retryable: false } },
      errorCode: '409',
    });
  });

  it('submits many in one request, each with its own outcome', async () => {
    const items = [
      { pipeline: 'parcel', taskId: 'm-1', input: { weightGrams: 1 } },
      { pipeline: 'parcel', taskId: 'm-2', input: { weightGrams: 'heavy' } },
      { pipeline: 'unheard-of', taskId: 'm-3', input: {} },
      { pipeline: 'parcel', taskId: 'bad id', input: { weightGrams: 1 } },
    ];
    expect((await ask('submit-many', { items })).body).toMatchObject({
      results: [
        { kind: 'accepted', taskId: 'm-1' },
        { error: { code: 'INPUT_INVALID' } },
        { error: { code: 'PIPELINE_UNKNOWN' } },
        { error: { code: 'INVALID_TASK_ID' } },
      ],
    });
  });

  it('pauses, resumes and cancels a task; a repeated command has no further effect', async () => {
    closeGate();
    await ask('submit', { pipeline: 'parcel', taskId: 'c-1', input: { weightGrams: 1 } });
    const pause = { taskId: 'c-1', commandId: 'pause-1', by: 'ops', reason: 'wait' };
    expect((await ask('pause', pause)).body).toMatchObject({ kind: 'done', repeated: false });
    expect((await ask('pause', pause)).body).toMatchObject({ kind: 'done', repeated: true });
    gate.release();
    await eventually('it is held', async () => {
      const { task } = (await ask('get', { taskId: 'c-1' })).body as { readonly task: { readonly status: string } };
      return task.status === 'held';
    });
    closeGate();
    expect((await ask('resume', { taskId: 'c-1' })).body).toMatchObject({ kind: 'done' });
    gate.release();
    expect((await ask('result', { taskId: 'c-1', waitMs: 10_000 })).body).toMatchObject({ kind: 'ended' });
    expect(await ask('cancel', { taskId: 'c-1' })).toMatchObject({
      body: { error: { code: 'NOT_ALLOWED' } },
      errorCode: expect.stringMatching(/^4/),
    });
  });

  it('R-JOB-2: lists tasks page by page and dead letters, and redrives one', async () => {
    await ask('submit', { pipeline: 'parcel', taskId: 'broken-1', input: { weightGrams: 1, broken: true } });
    expect((await ask('result', { taskId: 'broken-1', waitMs: 10_000 })).body).toMatchObject({
      kind: 'ended',
      task: {
        status: 'deadLettered',
        failure: { class: 'fatal', code: 'SCALES' },
        legalCommands: ['redrive'],
      },
    });
    expect((await ask('dead-letters', { pipeline: 'parcel' })).body).toMatchObject({
      deadLetters: [{ taskId: 'broken-1', stage: 'weigh', reason: 'notRetryable' }],
    });
    expect((await ask('redrive', { taskId: 'broken-1' })).body).toMatchObject({ kind: 'done' });
    const ids: string[] = [];
    let after: string | undefined;
    do {
      const page = (await ask('list', { limit: 2, includeFinished: true, after })).body as {
        readonly tasks: readonly { readonly taskId: string }[];
        readonly next: string | null;
      };
      ids.push(...page.tasks.map(({ taskId }) => taskId));
      after = page.next ?? undefined;
    } while (after !== undefined);
    expect(ids).toEqual(expect.arrayContaining(['p-1', 'm-1', 'c-1', 'broken-1']));
    expect(ids).toEqual([...new Set(ids)].toSorted());
  });

  it('tells of the engine and its pipelines', async () => {
    expect((await ask('info')).body).toMatchObject({ namespace, shardCount: 2, pipelines: [{ name: 'parcel' }] });
    expect((await ask('pipelines', {})).body).toMatchObject({
      pipelines: [{ name: 'parcel', version: 1, stages: ['weigh', 'label'] }],
    });
  });

  it.each([
    ['get', '{"taskId":"nobody"}', 'TASK_NOT_FOUND', '404'],
    ['get', '{"taskId":"no such id"}', 'INVALID_TASK_ID', '400'],
    ['get', '{"taskId":"p-1","color":"red"}', 'INVALID_ARGUMENT', '400'],
    ['get', '{', 'INVALID_MESSAGE', '400'],
    ['get', '{"taskId":"p-1","taskId":"p-2"}', 'INVALID_MESSAGE', '400'],
    ['submit', '{"pipeline":"parcel","input":{"weightGrams":1},"deadlineMs":0}', 'DEADLINE_EXCEEDED', '504'],
    ['submit', '{"pipeline":"parcel","version":9,"input":{"weightGrams":1}}', 'PIPELINE_VERSION_UNKNOWN', '404'],
  ])('answers %s of %s with %s and the error headers of the protocol', async (endpoint, body, code, errorCode) => {
    expect(await askRaw(endpoint, body)).toMatchObject({ body: { error: { code } }, errorCode });
  });

  it('R-JOB-2: a request that wants no answer does nothing, and the service goes on', async () => {
    bare.publish(`${namespace}.api.submit`, '{"pipeline":"parcel","taskId":"silent","input":{"weightGrams":1}}');
    expect((await ask('get', { taskId: 'silent' })).body).toMatchObject({ error: { code: 'TASK_NOT_FOUND' } });
    expect((await ask('info')).errorCode).toBeUndefined();
  });

  it('R-WRK-2: is served on by the other node when one stops', async () => {
    const [first] = nodes.splice(0, 1);
    await first?.stop({ graceMs: 1_000 });
    const { body } = await ask('submit', { pipeline: 'parcel', taskId: 'late', input: { weightGrams: 2 } });
    expect(body).toMatchObject({ kind: 'accepted' });
    expect((await ask('result', { taskId: 'late', waitMs: 10_000 })).body).toMatchObject({ kind: 'ended' });
    expect(await askAll('$SRV.PING.cabinet')).toMatchObject([{ metadata: { node: 'n-2' } }]);
  });
});
