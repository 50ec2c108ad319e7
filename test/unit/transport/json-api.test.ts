import { describe, expect, it } from 'vitest';
import { EngineError, errorCatalog } from '../../../src/core/errors.ts';
import { shardOf } from '../../../src/core/hash.ts';
import type { ShardCommand } from '../../../src/core/messages.ts';
import type { Reply } from '../../../src/core/replies.ts';
import { deriveTaskId } from '../../../src/core/task-id.ts';
import type { TaskView } from '../../../src/core/task-view.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../../src/platform/memory-metrics.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { SystemClock } from '../../../src/platform/system-clock.ts';
import type { EngineInfo } from '../../../src/transport/engine-info.ts';
import { JsonApi } from '../../../src/transport/json-api.ts';
import { MemoryBus } from '../../../src/transport/memory-bus.ts';
import { ShardClient } from '../../../src/transport/shard-client.ts';
import { errorReplyOf, ShardServer } from '../../support/shard-server.ts';

const namespace = 'cabinet';
const info: EngineInfo = {
  namespace,
  shardCount: 4,
  node: 'n1',
  version: '0.1.0',
  protocol: { min: 1, max: 1 },
  maximumRequestBytes: 4_096,
  pipelines: [{ name: 'card', version: 1, fingerprint: 'f', stages: ['parse', 'photos'] }],
};

function aTask(taskId: string, status: TaskView['status'] = 'running'): TaskView {
  return { taskId, pipeline: 'card', status, state: `parse.${status}` } as unknown as TaskView;
}

const tasks = ['b', 'd', 'a', 'c', 'e', 'f'].map((taskId) =>
  aTask(taskId, taskId === 'c' ? 'deadLettered' : 'running'),
);

function answer(command: ShardCommand, shard: number): Reply {
  switch (command.type) {
    case 'task.submit':
      return { kind: 'accepted', taskId: command.taskId, state: 'parse.queued' };
    case 'task.get':
      return { kind: 'task', task: aTask(command.taskId) };
    case 'task.result':
      return { kind: 'pending', taskId: command.taskId, state: 'parse.running' };
    case 'task.list': {
      const { after = '', limit, status } = command;
      const found = tasks
        .filter(
          (task) => shardOf(task.taskId, 4) === shard && task.taskId > after && (!status || task.status === status),
        )
        .toSorted((one, other) => (one.taskId < other.taskId ? -1 : 1));
      return {
        kind: 'page',
        tasks: found.slice(0, limit),
        next: found.length > limit ? (found[limit - 1]?.taskId ?? null) : null,
      };
    }
    default:
      return { kind: 'done', taskId: command.taskId, state: 'parse.held', repeated: false };
  }
}

async function world(reply: typeof answer = answer) {
  const clock = new SystemClock();
  const logger = new MemoryLogger();
  const metrics = new MemoryMetrics();
  const random = new SeededRandom(3);
  const bus = new MemoryBus({ clock, logger });
  const server = await new ShardServer(bus, reply).serve(namespace, 4);
  const shardClient = new ShardClient({ bus, clock, random, namespace, shardCount: 4 });
  const api = new JsonApi({
    bus,
    clock,
    random,
    shardClient,
    namespace,
    node: 'n1',
    version: '0.1.0',
    info: () => info,
    pipelines: () => info.pipelines,
    logger,
    metrics,
    maximumRequestBytes: 4_096,
  });
  await api.start();
  const ask = async (subject: string, body: string) => {
    const outcome = await bus.request(subject, Buffer.from(body), { timeoutMs: 2_000 });
    if (outcome.kind !== 'reply') throw new Error(`no answer: ${outcome.kind}`);
    return { body: JSON.parse(Buffer.from(outcome.body).toString()) as unknown, headers: outcome.headers };
  };
  const call = (endpoint: string, request: unknown = {}) =>
    ask(`cabinet.api.${endpoint}`, typeof request === 'string' ? request : JSON.stringify(request));
  return { bus, api, server, logger, metrics, ask, call };
}

describe('the JSON API', () => {
  it('submits, by a given id, by an idempotency key, or with a new id', async () => {
    const { call, server } = await world();
    const submit = { pipeline: 'card', input: { sku: 'A' } };
    expect((await call('submit', { ...submit, taskId: 't-1', by: 'anna', deadlineMs: 5_000 })).body).toEqual({
      kind: 'accepted',
      taskId: 't-1',
      state: 'parse.queued',
    });
    const keyed = await call('submit', { ...submit, idempotencyKey: 'order 1' });
    expect(keyed.body).toMatchObject({ taskId: deriveTaskId('card' as never, 'order 1') });
    expect((await call('submit', submit)).body).toMatchObject({
      taskId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
    });
    expect(server.commands[0]).toEqual({ type: 'task.submit', ...submit, taskId: 't-1', commandId: 't-1', by: 'anna' });
  });

  it('submits many, with an outcome for each in its place: INVALID_TASK_ID leaves the others alone', async () => {
    const { call } = await world();
    const item = { pipeline: 'card', input: 1 };
    const { body } = await call('submit-many', {
      items: [{ ...item, taskId: 'a' }, { ...item, taskId: '.' }, 7, { ...item, taskId: 'b' }],
    });
    expect(body).toMatchObject({
      results: [
        { kind: 'accepted', taskId: 'a' },
        { error: { code: 'INVALID_TASK_ID' } },
        { error: { code: 'INVALID_ARGUMENT', field: 'items[2]' } },
        { kind: 'accepted', taskId: 'b' },
      ],
    });
  });

  it.each([
    ['pause', {}],
    ['resume', { by: 'anna' }],
    ['cancel', { reason: 'sold' }],
    ['redrive', { commandId: 'again-1' }],
    ['resolve', { resolution: { kind: 'notDone' } }],
  ])('sends %s to the task’s owner', async (endpoint, fields) => {
    const { call, server } = await world();
    expect((await call(endpoint, { taskId: 't-1', ...fields })).body).toEqual({
      kind: 'done',
      taskId: 't-1',
      state: 'parse.held',
      repeated: false,
    });
    expect(server.commands).toMatchObject([{ type: `task.${endpoint}`, taskId: 't-1', ...fields }]);
  });

  it('answers get, result, info and pipelines', async () => {
    const { call, ask } = await world();
    expect((await call('get', { taskId: 't-1', includePayloads: true })).body).toMatchObject({
      task: { taskId: 't-1' },
    });
    expect((await call('result', { taskId: 't-1', waitMs: 10 })).body).toMatchObject({ kind: 'pending' });
    expect((await ask('cabinet.api.info', '')).body).toEqual(info);
    expect((await call('pipelines')).body).toEqual({ pipelines: info.pipelines });
  });

  it('lists the tasks of all shards in the order of ids, page by page', async () => {
    const { call } = await world();
    const seen: string[] = [];
    let after: string | null | undefined;
    while (after !== null) {
      const page = (await call('list', { limit: 2, ...(after && { after }) })).body as {
        tasks: TaskView[];
        next: string | null;
      };
      expect(page.tasks.length).toBeLessThanOrEqual(2);
      seen.push(...page.tasks.map((task) => task.taskId));
      after = page.next;
    }
    expect(seen).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  });

  it('lists dead letters from their owners', async () => {
    const { call } = await world();
    expect((await call('dead-letters', {})).body).toMatchObject({ tasks: [{ taskId: 'c' }], next: null });
    expect((await call('dead-letters', { status: 'held' })).body).toMatchObject({
      error: { code: 'INVALID_ARGUMENT' },
    });
  });

  it.each<[string, keyof typeof errorCatalog, unknown, string]>([
    ['submit', 'INVALID_MESSAGE', '{"taskId":', '400'],
    ['submit', 'INVALID_MESSAGE', '{"pipeline":"card","pipeline":"card"}', '400'],
    ['submit', 'INVALID_ARGUMENT', '[]', '400'],
    ['submit', 'INVALID_ARGUMENT', { pipeline: 'card' }, '400'],
    ['submit', 'INVALID_ARGUMENT', { pipeline: 'card', input: 1, type: 'task.cancel' }, '400'],
    ['submit', 'INVALID_ARGUMENT', { pipeline: 'card', input: 1, commandId: 'c' }, '400'],
    ['submit', 'INVALID_ARGUMENT', '{"pipeline":"card","input":{"__proto__":1}}', '400'],
    ['submit', 'UNSERIALIZABLE', '{"pipeline":"card","input":-0}', '400'],
    ['submit', 'UNSERIALIZABLE', '{"pipeline":"card","input":1e999}', '400'],
    ['submit', 'PAYLOAD_TOO_LARGE', { pipeline: 'card', input: 'x'.repeat(5_000) }, '413'],
    ['submit', 'DEADLINE_EXCEEDED', { pipeline: 'card', input: 1, deadlineMs: 0 }, '504'],
    ['submit', 'INVALID_ARGUMENT', { pipeline: 'card', input: 1, deadlineMs: 3_600_001 }, '400'],
    ['submit', 'INVALID_ARGUMENT', { pipeline: 'card', input: 1, deadlineMs: '5' }, '400'],
    ['submit-many', 'INVALID_ARGUMENT', { items: [] }, '400'],
    ['get', 'INVALID_TASK_ID', {}, '400'],
    ['get', 'INVALID_TASK_ID', { taskId: 'a.b' }, '400'],
    ['get', 'INVALID_ARGUMENT', { taskId: 'a', waitMs: 1 }, '400'],
    ['resolve', 'INVALID_ARGUMENT', { taskId: 'a' }, '400'],
    ['list', 'INVALID_ARGUMENT', { limit: 0 }, '400'],
    ['info', 'INVALID_ARGUMENT', { verbose: true }, '400'],
  ])('%s answers %s to %j', async (endpoint, code, request, status) => {
    const { call, server } = await world();
    const { body, headers } = await call(endpoint, request);
    expect(body).toMatchObject({ error: { code, retryable: errorCatalog[code].retryable } });
    expect(headers.get('Nats-Service-Error-Code')).toBe(status);
    expect(headers.get('Nats-Service-Error')).toMatch(new RegExp(`^${code}: [\\x20-\\x7e]+$`));
    expect(server.envelopes).toEqual([]);
  });

  it('hands on the owner’s refusal: TASK_NOT_FOUND', async () => {
    const { call } = await world(() =>
      errorReplyOf(new EngineError('TASK_NOT_FOUND', 'no task t-1', { field: 'taskId' })),
    );
    const { body, headers } = await call('get', { taskId: 't-1' });
    expect(body).toEqual({
      error: { code: 'TASK_NOT_FOUND', message: 'no task t-1', field: 'taskId', retryable: false },
    });
    expect(headers.get('Nats-Service-Error-Code')).toBe('404');
  });

  it('drops a command without a reply subject, counts it and says so: it is never done on the quiet', async () => {
    const { bus, call, server, logger, metrics } = await world();
    bus.send('cabinet.api.cancel', Buffer.from('{"taskId":"t-1"}'));
    await call('info');
    expect(server.envelopes).toEqual([]);
    expect(metrics.value('api_unanswerable_messages_total', { endpoint: 'cancel' })).toBe(1);
    expect(logger.lines).toMatchObject([{ level: 'warn', fields: { endpoint: 'cancel' } }]);
  });
});

describe('service discovery', () => {
  it('answers PING, INFO and STATS by the micro service protocol, to all, by name and by id', async () => {
    const { ask, call } = await world();
    const ping = (await ask('$SRV.PING', '')).body as { id: string };
    expect(ping).toMatchObject({
      type: 'io.nats.micro.v1.ping_response',
      name: 'cabinet',
      version: '0.1.0',
      metadata: { node: 'n1' },
    });
    expect((await ask(`$SRV.PING.cabinet.${ping.id}`, '')).body).toEqual(ping);
    const described = (await ask('$SRV.INFO.cabinet', '')).body;
    expect(described).toMatchObject({
      type: 'io.nats.micro.v1.info_response',
      description: expect.any(String) as string,
    });
    expect((described as { endpoints: { name: string }[] }).endpoints.map(({ name }) => name).toSorted()).toEqual(
      'submit submit-many get result list pause resume cancel redrive resolve info pipelines dead-letters'
        .split(' ')
        .toSorted(),
    );
    await call('get', { taskId: 't-1' });
    await call('get', { taskId: '.' });
    const stats = (await ask(`$SRV.STATS.cabinet.${ping.id}`, '')).body as { endpoints: { name: string }[] };
    expect(stats).toMatchObject({
      type: 'io.nats.micro.v1.stats_response',
      started: expect.stringMatching(/Z$/) as string,
    });
    expect(stats.endpoints.find(({ name }) => name === 'get')).toMatchObject({
      subject: 'cabinet.api.get',
      queue_group: 'cabinet-api',
      num_requests: 2,
      num_errors: 1,
      last_error: expect.stringMatching(/^INVALID_TASK_ID:/) as string,
      average_processing_time: expect.any(Number) as number,
    });
  });

  it('ends with the service: nothing answers after stop', async () => {
    const { bus, api } = await world();
    await api.stop();
    for (const subject of ['$SRV.PING', '$SRV.INFO.cabinet', 'cabinet.api.info']) {
      expect(await bus.request(subject, new Uint8Array(), { timeoutMs: 500 })).toEqual({ kind: 'no-responders' });
    }
  });
});
