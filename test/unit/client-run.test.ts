import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createClient, TaskFailedError } from '../../src/client.ts';
import { invalidArgument } from '../../src/core/errors.ts';
import { parsePipelineName } from '../../src/core/ids.ts';
import type { ShardCommand } from '../../src/core/messages.ts';
import type { Reply } from '../../src/core/replies.ts';
import type { TaskView } from '../../src/core/task-view.ts';
import { definePipeline, FatalError } from '../../src/index.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { SeededRandom } from '../../src/platform/seeded-random.ts';
import { TestEngine, VirtualClock } from '../../src/testing.ts';
import { MemoryBus } from '../../src/transport/memory-bus.ts';
import { errorReplyOf, ShardServer } from '../support/shard-server.ts';

/** The engine's time, which its drivers take. */
let clock: VirtualClock;

const card = definePipeline({
  name: 'card',
  version: 1,
  input: z.object({ sku: z.string(), delayMs: z.number().default(0), isBroken: z.boolean().default(false) }),
  stages: (pipeline) =>
    pipeline
      .stage('parse', {
        output: z.object({ title: z.string() }),
        driver: async ({ input }) => {
          if (input.isBroken) throw new FatalError('no such card');
          await new Promise<void>((resolve) => void clock.setTimer(input.delayMs, resolve));
          return { title: input.sku };
        },
        retry: { maxAttempts: 1 },
        timeoutMs: 600_000,
      })
      .stage('print', {
        output: z.object({ pages: z.number() }),
        driver: () => ({ pages: 2 }),
        retry: { maxAttempts: 1 },
        timeoutMs: 1_000,
      }),
});

const outputs = { parse: { title: 'A' }, print: { pages: 2 } };

async function aNewEngine(): Promise<TestEngine> {
  const engine = await TestEngine.start({ pipelines: [card], config: { shardCount: 1 } });
  clock = engine.clock;
  return engine;
}

/** An engine whose client knows by an answer that it answers in parts. */
async function anEngine(): Promise<TestEngine> {
  const engine = await aNewEngine();
  await engine.run(engine.client.run(card, { sku: 'first' }));
  return engine;
}

describe('run, with an engine', () => {
  it('gives the typed outputs of the stages, at the first run and at those after it', async () => {
    const engine = await aNewEngine();
    for (let round = 0; round < 3; round += 1) {
      const ran = await engine.run(engine.client.run(card, { sku: 'A' }));
      expect(ran).toEqual(outputs);
      const title: string = ran.parse.title;
      expect(title).toBe('A');
    }
    await engine.stop();
  });

  it('R-IDEM-2: with one idempotency key is one task, and a later run has the outputs of the first', async () => {
    const engine = await anEngine();
    const options = { idempotencyKey: 'order-7' };
    const all = await engine.run(
      Promise.all([1, 2, 3].map(() => engine.client.run(card, { sku: 'A', delayMs: 500 }, options))),
    );
    expect(all).toEqual([outputs, outputs, outputs]);
    expect(await engine.run(engine.client.run(card, { sku: 'A', delayMs: 500 }, options))).toEqual(outputs);
    const { tasks } = await engine.run(engine.client.list({ includeFinished: true }));
    expect(tasks).toHaveLength(2);
    await engine.stop();
  });

  it('waits on for a task that takes longer than one wait at its owner', async () => {
    const engine = await anEngine();
    const ran = await engine.run(engine.client.run(card, { sku: 'A', delayMs: 45_000 }));
    expect(ran).toEqual(outputs);
    await engine.stop();
  });

  it('R-LOCK-1: has its result from the next owner when the first one is killed', async () => {
    const engine = await anEngine();
    const running = engine.client.run(card, { sku: 'A', delayMs: 3_000 });
    await engine.advance(500);
    await engine.kill();
    await engine.restart();
    expect(await engine.run(running)).toEqual(outputs);
    await engine.stop();
  });

  it('throws TASK_FAILED with the whole task when it was dead-lettered', async () => {
    const engine = await anEngine();
    const failing = engine.run(engine.client.run(card, { sku: 'A', isBroken: true }, { taskId: 't-1' }));
    const thrown: unknown = await failing.catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(TaskFailedError);
    expect(thrown).toMatchObject({
      code: 'TASK_FAILED',
      failure: { class: 'fatal', message: 'no such card' },
      task: { taskId: 't-1', status: 'deadLettered', stages: [{ stage: 'parse', status: 'failed' }] },
    });
    await engine.stop();
  });

  it('throws DEADLINE_EXCEEDED with the task and its state when it has not ended in time; the task goes on', async () => {
    const engine = await anEngine();
    for (const timeoutMs of [0, 100, 5_000]) {
      const taskId = `slow-${timeoutMs}`;
      const late = engine.run(engine.client.run(card, { sku: 'A', delayMs: 20_000 }, { taskId, timeoutMs }));
      await expect(late).rejects.toMatchObject({
        code: 'DEADLINE_EXCEEDED',
        field: 'timeoutMs',
        message: expect.stringContaining(
          `task ${taskId} has not ended within ${timeoutMs} ms (parse.running`,
        ) as string,
      });
      expect(await engine.run(engine.client.result(card, taskId))).toEqual(outputs);
    }
    await engine.stop();
  });

  it.each([
    ['INPUT_INVALID', { sku: 7 }, {}],
    ['TASK_CONFLICT', { sku: 'another' }, { taskId: 'known' }],
    ['INVALID_TASK_ID', { sku: 'A' }, { taskId: 'a.b' }],
    ['INVALID_ARGUMENT', { sku: 'A' }, { timeoutMs: Number.NaN }],
    ['INVALID_ARGUMENT', { sku: 'A' }, { timeoutMs: Infinity }],
    ['UNSERIALIZABLE', { sku: () => 'A' }, {}],
  ])('throws %s for what cannot be run, and runs nothing', async (code, input, options) => {
    const engine = await anEngine();
    await engine.run(engine.client.run(card, { sku: 'A' }, { taskId: 'known' }));
    await expect(engine.run(engine.client.run('card', input, options))).rejects.toMatchObject({ code });
    const { tasks } = await engine.run(engine.client.list({ includeFinished: true }));
    expect(tasks).toHaveLength(2);
    await engine.stop();
  });

  it('throws PIPELINE_UNKNOWN for a pipeline that nobody has registered', async () => {
    const engine = await anEngine();
    await expect(engine.run(engine.client.run('unheard-of', {}))).rejects.toMatchObject({ code: 'PIPELINE_UNKNOWN' });
    await engine.stop();
  });

  it('throws CANCELED when its signal aborts, and the task goes on', async () => {
    const engine = await anEngine();
    const controller = new AbortController();
    const { signal } = controller;
    const running = engine.client.run(card, { sku: 'A', delayMs: 5_000 }, { taskId: 't-1', signal });
    const canceled = expect(running).rejects.toMatchObject({ code: 'CANCELED' });
    await engine.advance(1_500);
    controller.abort();
    await canceled;
    expect(await engine.run(engine.client.result(card, 't-1'))).toEqual(outputs);
    await engine.stop();
  });
});

const parts = { parse: { title: 'A' } };

/** An owner that may be older than answers in parts, and then refuses what it does not know. */
async function aWorld(isOlder: boolean) {
  const time = new VirtualClock();
  const bus = new MemoryBus({ clock: time, logger: new MemoryLogger(), latencyMs: 2 });
  const client = createClient({ bus, clock: time, random: new SeededRandom(5), namespace: 'cabinet', shardCount: 1 });
  const settle = async <Value>(promise: Promise<Value>): Promise<Value> => {
    let isSettled = false;
    const settled = promise.finally(() => (isSettled = true));
    settled.catch(() => undefined);
    await time.runUntil(() => isSettled);
    return promise;
  };
  const start = async (older: boolean): Promise<ShardServer> => {
    const server = new ShardServer(bus, (command) => (older ? olderAnswer : newerAnswer)(command), { isOlder: older });
    await settle(server.serve('cabinet', 1));
    return server;
  };
  return { client, settle, start, server: await start(isOlder) };
}

function newerAnswer(command: ShardCommand): Reply {
  if (command.type === 'task.submit' && command.waitMs !== undefined)
    return { kind: 'completed', taskId: command.taskId, pipeline: parsePipelineName('card'), outputs: parts };
  return olderAnswer(
    command.type === 'task.result' ? { type: 'task.result', taskId: command.taskId, waitMs: 1 } : command,
  );
}

function olderAnswer(command: ShardCommand): Reply {
  const unknown = ['waitMs', 'brief'].find(
    (field) => field in command && (field === 'brief' || command.type === 'task.submit'),
  );
  if (unknown !== undefined) {
    return errorReplyOf(invalidArgument({ field: unknown, message: `unknown field '${unknown}' of ${command.type}` }));
  }
  if (command.type === 'task.submit') return { kind: 'accepted', taskId: command.taskId, state: 'parse.queued' };
  if (command.type !== 'task.result') throw new Error(`not asked here: ${command.type}`);
  const task = { taskId: command.taskId, pipeline: 'card', status: 'completed', outputs: parts } as unknown as TaskView;
  return { kind: 'ended', task };
}

describe('run, between versions', () => {
  it('is a submit and a question for the result, each in the older form, where the owner is an older one', async () => {
    const { client, settle, server } = await aWorld(true);
    for (let round = 0; round < 2; round += 1) expect(await settle(client.run('card', { sku: 'A' }))).toEqual(parts);
    expect(server.commands.map(({ type }) => type)).toEqual([
      'task.submit',
      'task.result',
      'task.submit',
      'task.result',
    ]);
    expect(
      server.commands.filter(
        (command) => 'brief' in command || (command.type === 'task.submit' && 'waitMs' in command),
      ),
    ).toEqual([]);
  });

  it('is one command when the owner has shown that it is a newer one', async () => {
    const { client, settle, server } = await aWorld(false);
    for (let round = 0; round < 3; round += 1) expect(await settle(client.run('card', { sku: 'A' }))).toEqual(parts);
    expect(server.commands.map(({ type }) => type)).toEqual([
      'task.submit',
      'task.result',
      'task.submit',
      'task.submit',
    ]);
  });

  it('R-IDEM-1: is asked for in the older form when an older owner has taken over, of the same task', async () => {
    const { client, settle, start, server } = await aWorld(false);
    await settle(client.run('card', { sku: 'A' }));
    await server.stop();
    const older = await start(true);
    expect(await settle(client.run('card', { sku: 'B' }, { taskId: 't-1' }))).toEqual(parts);
    const submits = older.commands.filter(({ type }) => type === 'task.submit');
    expect(submits.map((command) => 'waitMs' in command)).toEqual([true, false]);
    expect(submits).toMatchObject([
      { taskId: 't-1', commandId: 't-1' },
      { taskId: 't-1', commandId: 't-1' },
    ]);
  });

  it('asks for a result in the older form when an older owner has taken over', async () => {
    const { client, settle, start, server } = await aWorld(false);
    await settle(client.run('card', { sku: 'A' }));
    await server.stop();
    const older = await start(true);
    expect(await settle(client.result('card', 't-1'))).toEqual(parts);
    expect(older.commands.map((command) => 'brief' in command)).toEqual([true, false]);
  });

  it('throws INVALID_ARGUMENT for a task of another pipeline', async () => {
    const { client, settle } = await aWorld(false);
    for (let round = 0; round < 2; round += 1) {
      await expect(settle(client.run('poster', { sku: 'A' }))).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        field: 'pipeline',
      });
    }
  });
});
