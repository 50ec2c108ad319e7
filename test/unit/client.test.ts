import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Client, type ClientDeps, createClient, deriveTaskId, TaskFailedError } from '../../src/client.ts';
import type { ClusterLeases } from '../../src/client/cluster-client.ts';
import { noOrders } from '../../src/core/cluster-orders.ts';
import { EngineError } from '../../src/core/errors.ts';
import { shardOf } from '../../src/core/hash.ts';
import { parseNodeId, parsePipelineName, parseTaskId, type Epoch, type Millis } from '../../src/core/ids.ts';
import type { ShardCommand } from '../../src/core/messages.ts';
import type { BlobReference } from '../../src/core/records.ts';
import type { Reply } from '../../src/core/replies.ts';
import type { TaskView } from '../../src/core/task-view.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { SeededRandom } from '../../src/platform/seeded-random.ts';
import { VirtualClock } from '../../src/platform/virtual-clock.ts';
import { encodeJson } from '../../src/transport/micro-service.ts';
import { type BusFault, MemoryBus } from '../../src/transport/memory-bus.ts';
import { aRecord, anOrigin, ArrayJournal, deadLettered, redriven, submitted } from '../support/array-journal.ts';
import { errorReplyOf, ShardServer } from '../support/shard-server.ts';

const namespace = 'cabinet';
const shardCount = 4;

const card = definePipeline({
  name: 'card',
  version: 3,
  input: z.object({ sku: z.string(), copies: z.number().default(1) }),
  stages: (pipeline) =>
    pipeline.stage('parse', {
      output: z.object({ title: z.string() }),
      driver: () => ({ title: 'x' }),
      retry: { maxAttempts: 3 },
      timeoutMs: 1_000,
    }),
});

const failure = { class: 'fatal', code: 'GONE', name: 'FatalError', message: 'the printer is gone' } as const;

function aTask(taskId: string, changes: Partial<TaskView> = {}): TaskView {
  const task = {
    taskId,
    pipeline: 'card',
    status: 'completed',
    state: 'completed',
    stage: null,
    failure: null,
    seq: 6,
  };
  return { ...task, ...changes } as TaskView;
}

function answer(command: ShardCommand): Reply {
  switch (command.type) {
    case 'task.submit':
      return { kind: 'accepted', taskId: command.taskId, state: 'parse.queued' };
    case 'task.get':
      return { kind: 'task', task: aTask(command.taskId) };
    case 'task.result':
      return { kind: 'ended', task: aTask(command.taskId, { outputs: { parse: { title: 'A' } } }) };
    case 'task.list':
      return { kind: 'page', tasks: [], next: null };
    default:
      return { kind: 'done', taskId: command.taskId, state: 'parse.held', repeated: false };
  }
}

type Script = (command: ShardCommand, shard: number) => Reply | Promise<Reply>;

async function world(
  script: Script | null = answer,
  options: Partial<ClientDeps> & { faults?: () => BusFault } = {},
): Promise<{
  client: Client;
  clock: VirtualClock;
  bus: MemoryBus;
  server: ShardServer;
  settle: <Value>(promise: Promise<Value>) => Promise<Value>;
}> {
  const clock = new VirtualClock();
  const { faults, ...deps } = options;
  const bus = new MemoryBus({ clock, logger: new MemoryLogger(), latencyMs: 2, ...(faults && { faults }) });
  const client = createClient({ bus, clock, random: new SeededRandom(5), namespace, shardCount, ...deps });
  const settle = async <Value>(promise: Promise<Value>): Promise<Value> => {
    let isSettled = false;
    const settled = promise.finally(() => (isSettled = true));
    settled.catch(() => undefined);
    await clock.runUntil(() => isSettled);
    return promise;
  };
  const server = new ShardServer(bus, (command, shard) => (script ?? answer)(command, shard));
  if (script !== null) await settle(server.serve(namespace, shardCount));
  return { client, clock, bus, server, settle };
}

describe('submit', () => {
  it('gives the definition’s name and version, and a new id', async () => {
    const { client, server, settle } = await world();
    const submittedTask = await settle(client.submit(card, { sku: 'A' }, { by: 'anna' }));
    expect(submittedTask).toMatchObject({ kind: 'accepted', state: 'parse.queued' });
    expect(server.commands).toEqual([
      {
        type: 'task.submit',
        taskId: submittedTask.taskId,
        commandId: submittedTask.taskId,
        pipeline: 'card',
        version: 3,
        input: { sku: 'A' },
        by: 'anna',
      },
    ]);
  });

  it('types the input by the definition’s schema', async () => {
    const { client, settle } = await world();
    // @ts-expect-error -- the schema asks for `sku`
    await settle(client.submit(card, { copies: 2 }));
    // @ts-expect-error -- `copies` is a number
    await settle(client.submit(card, { sku: 'A', copies: 'two' }));
    await settle(client.submit('card', { anything: true }));
  });

  it('R-IDEM-2: sends every submit with one idempotency key to one task', async () => {
    const { client, server, settle } = await world();
    const taskId = deriveTaskId(parsePipelineName('card'), 'order 1');
    for (let repeat = 0; repeat < 2; repeat += 1) {
      expect(await settle(client.submit(card, { sku: 'A' }, { idempotencyKey: 'order 1' }))).toMatchObject({ taskId });
    }
    expect(server.commands.map((command) => 'taskId' in command && command.taskId)).toEqual([taskId, taskId]);
  });

  it('says existing for a known id, but accepted when the task is its own from a try whose answer was lost', async () => {
    const existing: Script = (command) =>
      command.type === 'task.submit'
        ? { kind: 'existing', taskId: command.taskId, state: 'parse.running' }
        : answer(command);
    const { client, settle } = await world(existing);
    expect(await settle(client.submit(card, { sku: 'A' }, { taskId: 't-1' }))).toMatchObject({ kind: 'existing' });
    expect(await settle(client.submit(card, { sku: 'A' }))).toMatchObject({ kind: 'accepted' });
  });

  it.each([
    ['INVALID_TASK_ID', { taskId: 'a.b' }, { sku: 'A' }],
    ['INVALID_ARGUMENT', { taskId: 'a', idempotencyKey: 'k' }, { sku: 'A' }],
    ['INVALID_ARGUMENT', { version: 0 }, { sku: 'A' }],
    ['UNSERIALIZABLE', {}, { sku: 'A', at: new Date(0) }],
    ['UNSERIALIZABLE', {}, { sku: Number.NaN }],
    ['PAYLOAD_TOO_LARGE', {}, { sku: 'x'.repeat(1_100_000) }],
  ])('throws %s before anything is sent: %j', async (code, options, input) => {
    const { client, server, settle } = await world();
    await expect(settle(client.submit('card', input, options))).rejects.toMatchObject({ code });
    expect(server.envelopes).toEqual([]);
  });

  it.each(['INPUT_INVALID', 'TASK_CONFLICT', 'PIPELINE_UNKNOWN'] as const)('throws the owner’s %s', async (code) => {
    const { client, settle } = await world(() =>
      errorReplyOf(new EngineError(code, 'no', { field: 'input', hint: 'h' })),
    );
    await expect(settle(client.submit(card, { sku: 'A' }))).rejects.toMatchObject({ code, field: 'input', hint: 'h' });
  });

  it('throws NO_OWNER when no engine runs, and says what to look at', async () => {
    const { client, settle } = await world(null);
    await expect(settle(client.submit(card, { sku: 'A' }, { deadlineMs: 500 }))).rejects.toMatchObject({
      code: 'NO_OWNER',
      hint: expect.stringContaining('is the engine running?') as string,
    });
  });

  it('throws DEADLINE_EXCEEDED when the outcome is unknown', async () => {
    const { client, settle } = await world(answer, { faults: () => 'lostReply' });
    await expect(settle(client.submit(card, { sku: 'A' }, { deadlineMs: 500 }))).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: expect.stringContaining('the outcome is unknown') as string,
    });
  });

  it.each(['MAILBOX_FULL', 'OVERLOADED'] as const)(
    'throws %s with its delay when the owner has no room',
    async (code) => {
      const { client, settle } = await world(() => errorReplyOf(new EngineError(code, 'full', { retryAfterMs: 900 })));
      await expect(settle(client.submit(card, { sku: 'A' }, { deadlineMs: 500 }))).rejects.toMatchObject({
        code,
        retryAfterMs: 900,
      });
    },
  );

  it('throws CANCELED when its signal aborts', async () => {
    const { client, clock, settle } = await world(null);
    const controller = new AbortController();
    const submitting = client.submit(card, { sku: 'A' }, { signal: controller.signal });
    submitting.catch(() => undefined);
    await clock.advance(50);
    controller.abort();
    await expect(settle(submitting)).rejects.toMatchObject({ code: 'CANCELED' });
  });
});

describe('submitMany', () => {
  it('gives each item’s outcome in its place, errors as values, in one envelope a shard', async () => {
    const { client, server, settle } = await world((command) =>
      command.type === 'task.submit' && command.taskId === 'b'
        ? errorReplyOf(new EngineError('TASK_CONFLICT', 'no'))
        : answer(command),
    );
    const items = ['a', 'b', '.', 'c'].map((taskId) => ({ taskId, input: { sku: taskId } }));
    const outcomes = await settle(client.submitMany(card, items));
    expect(outcomes).toMatchObject([
      { kind: 'accepted', taskId: 'a' },
      { kind: 'error', error: { code: 'TASK_CONFLICT' } },
      { kind: 'error', error: { code: 'INVALID_TASK_ID' } },
      { kind: 'accepted', taskId: 'c' },
    ]);
    const shards = new Set(['a', 'b', 'c'].map((taskId) => shardOf(parseTaskId(taskId), shardCount)));
    expect(server.envelopes).toHaveLength(shards.size);
  });
});

describe('result', () => {
  it('gives the typed outputs of the stages', async () => {
    const { client, settle } = await world();
    const outputs = await settle(client.result(card, 't-1'));
    const title: string = outputs.parse.title;
    expect(title).toBe('A');
  });

  it('asks again while the task is pending', async () => {
    const waitsMs: number[] = [];
    const { client, settle } = await world((command) => {
      waitsMs.push(command.type === 'task.result' ? command.waitMs : 0);
      if (waitsMs.length < 6) return { kind: 'pending', taskId: 't-1' as never, state: 'parse.running' };
      return answer(command);
    });
    expect(await settle(client.result(card, 't-1'))).toEqual({ parse: { title: 'A' } });
    // Soon at first: an owner that is lost costs who waits for a short task little more than its takeover.
    expect(waitsMs).toEqual([1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
  });

  it('throws TASK_FAILED with the failure when the task was dead-lettered', async () => {
    const task = aTask('t-1', { status: 'deadLettered', stage: 'parse' as never, failure });
    const { client, settle } = await world(() => ({ kind: 'ended', task }));
    const error: unknown = await settle(client.result(card, 't-1')).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TaskFailedError);
    expect(error).toMatchObject({
      code: 'TASK_FAILED',
      message: "task t-1 was dead-lettered at stage 'parse': fatal GONE the printer is gone",
      failure,
      task,
      hint: expect.stringContaining('redrive') as string,
    });
  });

  it('throws TASK_FAILED when the task was canceled', async () => {
    const { client, settle } = await world(() => ({ kind: 'ended', task: aTask('t-1', { status: 'canceled' }) }));
    await expect(settle(client.result(card, 't-1'))).rejects.toMatchObject({
      code: 'TASK_FAILED',
      message: 'task t-1 was canceled',
      failure: null,
    });
  });

  it('throws DEADLINE_EXCEEDED with the state when the task has not ended in time', async () => {
    const clockOf: { clock?: VirtualClock } = {};
    const { client, clock, settle } = await world(async (command) => {
      const waitMs = command.type === 'task.result' ? command.waitMs : 0;
      await new Promise<void>((resolve) => void clockOf.clock?.setTimer(waitMs, resolve));
      return { kind: 'pending', taskId: 't-1' as never, state: 'photos.backingOff' };
    });
    clockOf.clock = clock;
    await expect(settle(client.result(card, 't-1', { timeoutMs: 12_000 }))).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: 'task t-1 has not ended within 12000 ms (photos.backingOff)',
    });
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(12_000);
    expect(clock.monotonicMs()).toBeLessThan(12_600);
  });

  it('finds the task at its next owner when the one it waits at dies', async () => {
    let isDead = true;
    const { client, clock, settle } = await world((command) =>
      isDead ? new Promise<Reply>(() => undefined) : answer(command),
    );
    const waiting = client.result(card, 't-1', { timeoutMs: 60_000 });
    await clock.advance(3_000);
    isDead = false;
    expect(await settle(waiting)).toEqual({ parse: { title: 'A' } });
    expect(clock.monotonicMs()).toBeLessThan(10_000);
  });

  it.each(['TASK_NOT_FOUND', 'RECORD_CORRUPT'] as const)('throws the owner’s %s at once', async (code) => {
    const { client, clock, settle } = await world(() => errorReplyOf(new EngineError(code, 'no')));
    await expect(settle(client.result(card, 't-1'))).rejects.toMatchObject({ code });
    expect(clock.monotonicMs()).toBeLessThan(100);
  });

  it('refuses another pipeline’s task with INVALID_ARGUMENT: its outputs would have other types', async () => {
    const { client, settle } = await world();
    await expect(settle(client.result('export', 't-1'))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: "task t-1 is of pipeline 'card', not of 'export'",
    });
  });

  it('throws CANCELED when its signal aborts', async () => {
    const { client, clock, settle } = await world(() => new Promise<Reply>(() => undefined));
    const controller = new AbortController();
    const waiting = client.result(card, 't-1', { signal: controller.signal });
    waiting.catch(() => undefined);
    await clock.advance(100);
    controller.abort();
    await expect(settle(waiting)).rejects.toMatchObject({ code: 'CANCELED' });
  });
});

describe('payloads over the inline limit', () => {
  const bytes = Buffer.from(JSON.stringify({ title: 'large' }));
  const $blob: BlobReference = {
    key: 'k',
    sizeBytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  };
  const script: Script = (command) => ({
    kind: command.type === 'task.get' ? 'task' : 'ended',
    task: aTask('t-1', { input: { $blob: 'mine' }, outputs: { parse: { $blob }, photos: [{ $blob }] as never } }),
  });

  it('are fetched from the blob store, and a user’s own $blob key is left alone', async () => {
    const blobs = { get: async () => bytes, put: async () => $blob, deleteTask: async () => undefined };
    const { client, settle } = await world(script, { blobs });
    expect(await settle(client.result(card, 't-1'))).toMatchObject({ parse: { title: 'large' }, photos: [{ $blob }] });
    expect(await settle(client.get('t-1', { includePayloads: true }))).toMatchObject({
      input: { $blob: 'mine' },
      outputs: { parse: { title: 'large' } },
    });
  });

  it('stay references without a blob store', async () => {
    const { client, settle } = await world(script);
    expect(await settle(client.result(card, 't-1'))).toMatchObject({ parse: { $blob } });
  });

  it('throw RECORD_CORRUPT when the store has something else', async () => {
    const blobs = { get: async () => Buffer.from('{'), put: async () => $blob, deleteTask: async () => undefined };
    const { client, settle } = await world(script, { blobs });
    await expect(settle(client.result(card, 't-1'))).rejects.toMatchObject({ code: 'RECORD_CORRUPT' });
  });
});

describe('commands and lists', () => {
  it.each(['pause', 'resume', 'cancel', 'redrive'] as const)(
    '%s goes to the owner under its own command id',
    async (name) => {
      const { client, server, settle } = await world();
      const options = { reason: 'sold', by: 'anna', commandId: 'c-9' };
      expect(await settle(client[name]('t-1', options))).toEqual({
        taskId: 't-1',
        state: 'parse.held',
        repeated: false,
      });
      await settle(client[name]('t-1'));
      expect(server.commands).toMatchObject([
        { type: `task.${name}`, taskId: 't-1', ...options },
        { type: `task.${name}`, commandId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string },
      ]);
    },
  );

  it('R-IDEM-1: a command whose reply was lost is repeated with the same command id', async () => {
    let faults = 1;
    const { client, server, settle } = await world(answer, { faults: () => (faults-- > 0 ? 'lostReply' : 'none') });
    await settle(client.cancel('t-1'));
    const ids = server.commands.map((command) => 'commandId' in command && command.commandId);
    expect(ids).toHaveLength(2);
    expect(ids[0]).toBe(ids[1]);
  });

  it('resolve says what became of an unknown outcome', async () => {
    const { client, server, settle } = await world();
    await settle(client.resolve('t-1', { kind: 'completed', output: { title: 'A' } }));
    expect(server.commands).toMatchObject([
      { type: 'task.resolve', resolution: { kind: 'completed', output: { title: 'A' } } },
    ]);
    await expect(settle(client.resolve('t-1', { kind: 'maybe' } as never))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('throws the owner’s NOT_ALLOWED', async () => {
    const { client, settle } = await world(() => errorReplyOf(new EngineError('NOT_ALLOWED', 'task t-1 is completed')));
    await expect(settle(client.pause('t-1'))).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
  });

  it('lists all shards or none: an owner that is away is an error, not a shorter list', async () => {
    const { client, server, settle } = await world((command, shard) =>
      shard === 2 ? errorReplyOf(new EngineError('NO_OWNER', 'away')) : answer(command),
    );
    await expect(settle(client.list({ pipeline: 'card', deadlineMs: 500 }))).rejects.toMatchObject({
      code: 'NO_OWNER',
    });
    expect(new Set(server.envelopes.map(({ shard }) => shard)).size).toBe(shardCount);
    await expect(settle(client.list({ limit: 1_001 }))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'limit',
    });
  });
});

describe('dead letters', () => {
  const letters = ['a', 'b', 'c', 'd'].map((taskId, index) =>
    aTask(taskId, {
      status: 'deadLettered',
      stage: 'parse' as never,
      failure: { ...failure, code: index < 3 ? 'GONE' : 'BUSY' },
    }),
  );
  const script: Script = (command, shard) => {
    if (command.type !== 'task.list') {
      return command.taskId === ('b' as never) && command.type === 'task.redrive'
        ? errorReplyOf(new EngineError('NOT_ALLOWED', 'no'))
        : answer(command);
    }
    const { after = '', limit, status } = command;
    const found = letters.filter(
      (task) => shardOf(task.taskId, shardCount) === shard && task.taskId > after && task.status === status,
    );
    return {
      kind: 'page',
      tasks: found.slice(0, limit),
      next: found.length > limit ? (found[limit - 1]?.taskId ?? null) : null,
    };
  };

  it('are listed by filter', async () => {
    const { client, settle } = await world(script);
    const ids = async (filter: object) =>
      (await settle(client.deadLetters.list(filter))).tasks.map(({ taskId }) => taskId);
    expect(await ids({})).toEqual(['a', 'b', 'c', 'd']);
    expect(await ids({ failureCode: 'BUSY' })).toEqual(['d']);
    expect(await ids({ failureClass: 'timeout' })).toEqual([]);
    expect(await ids({ stage: 'photos' })).toEqual([]);
  });

  it('are redriven by filter, each named after the record that gave it up, with an outcome for each', async () => {
    const { client, server, settle } = await world(script);
    expect(await settle(client.deadLetters.redrive({ failureCode: 'GONE' }, { by: 'ops' }))).toMatchObject([
      { kind: 'done', taskId: 'a' },
      { kind: 'error', taskId: 'b', error: { code: 'NOT_ALLOWED' } },
      { kind: 'done', taskId: 'c' },
    ]);
    const redrives = server.commands.filter((command) => command.type === 'task.redrive');
    expect(new Set(redrives.map(({ commandId }) => commandId))).toEqual(new Set(['redrive-6']));
  });

  it('are not redriven beyond the maximum', async () => {
    const { client, settle } = await world(script);
    expect(await settle(client.deadLetters.redrive({ all: true }, { maximum: 2 }))).toHaveLength(2);
  });

  it('are not all redriven by an empty filter: INVALID_ARGUMENT', async () => {
    const { client, server, settle } = await world(script);
    await expect(settle(client.deadLetters.redrive({}))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'filter',
    });
    await expect(settle(client.deadLetters.redrive({ stage: undefined }))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(server.envelopes).toEqual([]);
  });
});

describe('watch and history', () => {
  const shard = shardOf(parseTaskId('t-1'), shardCount);

  async function collect(
    client: Client,
    options: Parameters<Client['watch']>[1] = {},
  ): Promise<{ id: string; type: string }[]> {
    const events: { id: string; type: string }[] = [];
    for await (const { id, type } of client.watch('t-1', options)) events.push({ id, type });
    return events;
  }

  it('R-EVT-1: gives the task’s events up to its end, and goes on after a given one', async () => {
    const journal = new ArrayJournal();
    const { client } = await world(answer, { journal });
    journal.commit(shard, [submitted('t-1'), submitted('t-2')]);
    journal.commit(shard, [deadLettered('t-1', 2)]);
    journal.commit(shard, [redriven('t-1', 3)]);
    const canceled = { type: 'task.canceled', origin: anOrigin } as const;
    journal.commit(shard, [aRecord('t-1', 4, canceled, 'canceled')]);
    const all = await collect(client, { endOnDeadLetter: false });
    expect(all.at(0)?.type).toBe('io.cabinet.task.submitted');
    expect(all.at(-1)?.type).toBe('io.cabinet.task.canceled');
    const until = await collect(client);
    expect(until.at(-1)?.type).toBe('io.cabinet.task.dead-lettered');
    expect(await collect(client, { after: all.at(1)?.id, endOnDeadLetter: false })).toEqual(all.slice(2));
    expect(await client.history('t-1')).toMatchObject({ isComplete: true, records: { length: 4 } });
  });

  it('ends when the caller leaves, when the signal aborts, and when the client closes', async () => {
    const journal = new ArrayJournal();
    const { client } = await world(answer, { journal });
    journal.commit(shard, [submitted('t-1')]);
    for await (const event of client.watch('t-1')) {
      expect(event.type).toBe('io.cabinet.task.submitted');
      break;
    }
    const controller = new AbortController();
    const aborted = collect(client, { signal: controller.signal });
    controller.abort();
    await aborted;
    const closed = collect(client);
    await client.close();
    await closed;
  });

  it('throws INVALID_ARGUMENT for a position that is none, and CONFIG_INVALID without a journal', async () => {
    const { client } = await world(answer, { journal: new ArrayJournal() });
    await expect(collect(client, { after: 'yesterday' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'after',
    });
    const { client: blind } = await world();
    await expect(collect(blind)).rejects.toMatchObject({ code: 'CONFIG_INVALID', field: 'journal' });
    await expect(blind.history('t-1')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

describe('info and close', () => {
  const info = {
    namespace,
    shardCount,
    node: 'n1',
    version: '0.1.0',
    protocol: { min: 1, max: 1 },
    maximumRequestBytes: 1_048_576,
    pipelines: [],
  };
  const serveInfo = (bus: MemoryBus, body: unknown) =>
    bus.serve('cabinet.api.info', (request) => request.reply(encodeJson(body)));

  it('waits for an engine that starts later', async () => {
    const { client, clock, bus, settle } = await world(null);
    const asking = client.info();
    await clock.advance(700);
    await settle(serveInfo(bus, info));
    expect(await settle(asking)).toEqual(info);
  });

  it('throws NO_OWNER when no engine answers until the deadline', async () => {
    const { client, settle } = await world(null);
    await expect(settle(client.info({ deadlineMs: 2_000 }))).rejects.toMatchObject({
      code: 'NO_OWNER',
      hint: expect.stringContaining('is the engine running') as string,
    });
  });

  it.each<[string, BusFault]>([
    ['NATS_UNREACHABLE', 'disconnected'],
    ['DEADLINE_EXCEEDED', 'lostReply'],
  ])('throws %s when the link is %s', async (code, fault) => {
    const { client, bus, settle } = await world(null, { faults: () => fault });
    await settle(serveInfo(bus, info));
    await expect(settle(client.info({ deadlineMs: 2_000 }))).rejects.toMatchObject({ code });
  });

  it('throws BUS_FORBIDDEN with the subject at once, long before the deadline', async () => {
    const { client, clock, bus, settle } = await world(null, { faults: () => 'forbidden' });
    await settle(serveInfo(bus, info));
    await expect(settle(client.info({ deadlineMs: 60_000 }))).rejects.toMatchObject({
      code: 'BUS_FORBIDDEN',
      field: 'cabinet.api.info',
    });
    expect(clock.monotonicMs()).toBeLessThan(100);
  });

  it('throws BUS_FORBIDDEN for the state of a cluster whose nodes it may not ask: they are not known to be down', async () => {
    const lease = { nodeId: parseNodeId('n-1'), incarnation: 'i-1', startedAt: 0 as Millis, draining: false };
    const leases: ClusterLeases = {
      listNodes: async () => [lease],
      listShards: async () => [],
      readOrders: async () => ({ orders: noOrders, revision: 0 }),
      readNode: async () => lease,
      readShard: async (shard) => ({ shard, owner: null, epoch: 0 as Epoch, revision: 0 }),
      writeOrders: async () => ({ kind: 'held', revision: 1 }),
    };
    const { client, settle } = await world(null, { faults: () => 'forbidden', leases });
    const forbidden = { code: 'BUS_FORBIDDEN', field: 'cabinet.node.n-1' };
    await expect(settle(client.cluster.status())).rejects.toMatchObject(forbidden);
    await expect(settle(client.cluster.drain('n-1'))).rejects.toMatchObject(forbidden);
  });

  it.each([
    ['UNSUPPORTED_VERSION', { ...info, protocol: { min: 2, max: 4 } }],
    ['INVALID_MESSAGE', { ...info, shardCount: 0 }],
    ['INVALID_MESSAGE', { ...info, namespace: 'other' }],
    ['INVALID_MESSAGE', 7],
    ['INTERNAL', { error: new EngineError('INTERNAL', 'boom').toReport() }],
  ])('throws %s for an info that it cannot use', async (code, body) => {
    const { client, bus, settle } = await world(null);
    await settle(serveInfo(bus, body));
    await expect(settle(client.info())).rejects.toMatchObject({ code });
  });

  it('ends pending calls with CANCELED and closes what was opened, once', async () => {
    let closed = 0;
    const { client, settle } = await world(null, { onClose: async () => void (closed += 1) });
    const submitting = client.submit(card, { sku: 'A' });
    submitting.catch(() => undefined);
    await Promise.all([client.close(), client.close()]);
    await expect(settle(submitting)).rejects.toMatchObject({ code: 'CANCELED' });
    await expect(settle(client.get('t-1'))).rejects.toMatchObject({ code: 'CANCELED' });
    expect(closed).toBe(1);
  });
});
