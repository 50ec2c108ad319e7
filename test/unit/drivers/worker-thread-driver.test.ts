import { fileURLToPath } from 'node:url';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { afterAll, afterEach, describe, expect, it } from 'vitest';

import {
  createWorkerThreadDriver,
  type WorkerThreadDriver,
  type WorkerThreadDriverOptions,
} from '../../../src/drivers/worker-thread-driver.ts';
import type { TaskId } from '../../../src/core/ids.ts';
import { clock, failureOf, StageKit, until } from './stage-kit.ts';

const module = new URL('../../fixtures/drivers/poison-driver.mjs', import.meta.url);
const drivers: WorkerThreadDriver[] = [];

let sharedDriver: WorkerThreadDriver | null = null;

afterEach(async () => {
  await Promise.all(drivers.splice(0).map((driver) => driver.close()));
});

afterAll(async () => {
  await sharedDriver?.close();
});

/** One pool for the tests that do no harm to its thread: loading TypeScript in a thread takes its time. */
function shared(): WorkerThreadDriver {
  sharedDriver ??= createWorkerThreadDriver(settingsOf({}));
  return sharedDriver;
}

function settingsOf(options: Partial<WorkerThreadDriverOptions>): WorkerThreadDriverOptions {
  const execArgv = ['--import', new URL('register-tsx.mjs', module).href];
  return { module, size: 1, abortGraceMs: 20_000, execArgv, clock, ...options };
}

function driverOf(options: Partial<WorkerThreadDriverOptions> = {}): WorkerThreadDriver {
  const driver = createWorkerThreadDriver(settingsOf(options));
  drivers.push(driver);
  return driver;
}

function acting(act: string, more: object = {}): StageKit {
  return new StageKit({ input: { act, ...more } });
}

/** A driver whose thread is up, so that what follows is not measured with its start. */
async function warm(options: Partial<WorkerThreadDriverOptions> = {}): Promise<WorkerThreadDriver> {
  const driver = driverOf(options);
  await acting('nothing').run(driver);
  return driver;
}

describe('the worker-thread driver', () => {
  it('R-DRV-3: gives the thread one stage, and brings its output back', async () => {
    const kit = acting('echo');
    const { threadId, ...seen } = (await kit.run(shared())) as { threadId: number };
    expect(threadId).toBeGreaterThan(0);
    expect(seen).toEqual({
      taskId: 'task-1',
      pipeline: 'cards',
      stage: 'export',
      attempt: 2,
      idempotencyKey: 'cabinet:task-1:export',
      fence: { shard: 3, epoch: 5, sequence: 77 },
      input: { act: 'echo' },
      outputs: { parse: { title: 'Käse' } },
      ports: {},
    });
  });

  it('R-DRV-2: builds integrations in the thread, from settings that are handed to a function', async () => {
    const driver = driverOf({ exportName: 'configured', settings: { url: 'http://board' } });
    expect(await new StageKit().run(driver)).toEqual({ url: 'http://board' });
  });

  it('gives undefined for undefined: the schema says whether that is an output', async () => {
    expect(await acting('nothing').run(shared())).toBeUndefined();
  });

  it('R-FAIL-1: keeps the event loop of the engine free while a driver blocks its thread for 2 s', async () => {
    const driver = await warm();
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const startedAt = performance.now();
    expect(await acting('block', { ms: 2_000 }).run(driver)).toBe('blocked');
    delay.disable();
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1_990);
    expect(delay.max / 1e6).toBeLessThan(1_000);
    expect(delay.percentile(50) / 1e6).toBeLessThan(50);
  });

  it('brings log lines to the log of the stage, with errors as errors', async () => {
    const kit = acting('log');
    await kit.run(shared());
    const [first, second, third] = kit.logger.lines;
    expect(first).toEqual({ level: 'info', message: 'resized', fields: { size: 3, at: '1970-01-01T00:00:00.000Z' } });
    expect(second).toMatchObject({ level: 'warn', message: 'odd part', fields: { part: 'a' } });
    expect(second?.fields['err']).toBeInstanceOf(Error);
    expect(second?.fields['err']).toMatchObject({ message: 'odd', code: 'EODD' });
    expect(third?.message).toBe('strange fields');
    expect(JSON.stringify(third?.fields).length).toBeLessThan(1_000);
  });

  it('passes on so many log lines of a million, and counts the rest', async () => {
    const kit = acting('logFlood');
    expect(await kit.run(driverOf({ maximumLogLines: 10 }))).toBe('logged');
    expect(kit.logger.messages('info')).toHaveLength(10);
    expect(kit.logger.lines.at(-1)).toMatchObject({ level: 'warn', fields: { dropped: 999_990 } });
  });

  it('sends few messages for a million heartbeats of code that blocks', async () => {
    const kit = acting('heartbeatFlood');
    expect(await kit.run(shared())).toBe('beaten');
    expect(kit.heartbeats).toBeGreaterThan(0);
    expect(kit.heartbeats).toBeLessThan(1_000);
  });

  it('runs checkpoints in the thread and commits them at the stage, once', async () => {
    const driver = shared();
    const kit = acting('checkpoint');
    expect(await kit.run(driver)).toEqual({ first: { id: 1 }, second: { id: 2 }, runs: 2 });
    expect([...kit.committed]).toEqual([
      ['photo-1', { id: 1 }],
      ['photo-2', { id: 2 }],
    ]);
    const later = acting('checkpoint');
    later.committed.set('photo-1', { id: 'from before' });
    expect(await later.run(driver)).toEqual({ first: { id: 'from before' }, second: { id: 2 }, runs: 1 });
  });

  it('gives a checkpoint that throws its own error back', async () => {
    expect(await acting('checkpointThrows').run(shared())).toEqual({ isSame: true });
  });

  it.each(['checkpointNotJson', 'checkpointBadName'])('says contract for %s', async (act) => {
    expect(await acting(act).failure(shared())).toMatchObject({ class: 'contract' });
  });

  it('bounds the checkpoints that are open at one time', async () => {
    expect(await acting('checkpointFlood').run(shared())).toEqual({
      rejected: 99_744,
      message: 'more than 256 checkpoints are open at one time',
    });
  });

  it.each([
    ['retryable', { class: 'retryable', code: 'LATER', message: 'later', causes: ['Error: deep'] }],
    ['fatal', { class: 'fatal', code: 'NEVER', message: 'never' }],
    ['rateLimited', { class: 'rateLimited', code: 'RATE_LIMITED', retryAfterMs: 5_000 }],
    ['network', { class: 'retryable', code: 'ECONNRESET' }],
    ['status', { class: 'retryable', code: 'HTTP_502' }],
    ['custom', { class: 'unexpected', code: 'CARD_LOCKED', name: 'CardError', message: 'the card is locked' }],
    ['throwUndefined', { class: 'unexpected' }],
    ['throwString', { class: 'unexpected', message: expect.stringContaining('text') }],
    ['throwGetters', { class: 'unexpected', code: 'UNREADABLE_ERROR' }],
    ['throwProxy', { class: 'unexpected' }],
    ['recurse', { class: 'unexpected', name: 'RangeError' }],
    ['cyclic', { class: 'contract' }],
    ['bigint', { class: 'contract', code: 'UNSERIALIZABLE' }],
    ['function', { class: 'contract', code: 'UNSERIALIZABLE' }],
    ['symbol', { class: 'contract', code: 'UNSERIALIZABLE' }],
    ['map', { class: 'contract', code: 'UNSERIALIZABLE' }],
    ['getter', { class: 'unexpected', message: 'a getter that throws' }],
  ] as const)('R-FAIL-1: keeps class and code of a driver that does %s, and its thread', async (act, failure) => {
    const driver = shared();
    expect(await acting(act).failure(driver)).toMatchObject(failure);
    expect(await acting('nothing').run(driver)).toBeUndefined();
    expect(driver.counts).toMatchObject({ threads: 1, died: 0, overran: 0 });
  });

  it('says PAYLOAD_TOO_LARGE for a huge output, which stays in the thread', async () => {
    const failure = await acting('huge').failure(driverOf({ maximumValueBytes: 1_000_000 }));
    expect(failure).toMatchObject({ class: 'contract', code: 'PAYLOAD_TOO_LARGE' });
  });

  it.each(['exit', 'exitZero', 'stray', 'unhandled', 'memory'])(
    'R-FAIL-1: survives a thread that dies of %s, says WORKER_DIED, counts it and goes on with another',
    async (act) => {
      const driver = await warm({ maximumHeapMb: 64 });
      expect(await acting(act).failure(driver)).toMatchObject({ name: 'UncertainError', code: 'WORKER_DIED' });
      expect(await acting('nothing').run(driver)).toBeUndefined();
      expect(driver.counts).toMatchObject({ threads: 1, died: 1, overran: 0 });
    },
  );

  it('R-FAIL-1: does not call a death retryable for an atMostOnce stage: its effect may have happened', async () => {
    expect(await acting('exit').failure(driverOf(), 'atMostOnce')).toMatchObject({ class: 'unexpected' });
  });

  it('loses no run to a thread that dies while it is idle', async () => {
    const driver = await warm();
    expect(await acting('strayAfterwards').run(driver)).toBe('fine');
    await until('the thread has died', () => driver.counts.died === 1);
    expect(await acting('nothing').run(driver)).toBeUndefined();
  });

  it('R-FAIL-1: takes no harm from foreign messages of a thread', async () => {
    const kit = acting('junk');
    const driver = driverOf();
    const failing = failureOf(() => kit.run(driver));
    expect(await failing).toMatchObject({ code: 'WORKER_DIED' });
    expect(await acting('nothing').run(driver)).toBeUndefined();
  });

  it('R-FAIL-1: stops believing a thread whose built-in objects a driver has changed', async () => {
    const kit = acting('prototype');
    const driver = driverOf({ abortGraceMs: 200 });
    const failing = failureOf(() => kit.run(driver));
    setTimeout(() => kit.abort.abort(new Error('timed out')), 500);
    expect(await failing).toMatchObject({ message: 'timed out' });
    expect(await acting('nothing').run(driver)).toBeUndefined();
  });

  it('R-FAIL-1: calls no driver for a run that was aborted while its thread was starting', async () => {
    const driver = driverOf();
    const kit = acting('blockForever');
    const running = kit.run(driver);
    kit.abort.abort(new Error('timed out'));
    await expect(running).rejects.toThrow('timed out');
    expect(driver.counts).toMatchObject({ threads: 1, overran: 0 });
  });

  it('aborts the signal in the thread, with the reason', async () => {
    const driver = shared();
    const kit = acting('wait');
    const running = kit.run(driver);
    await until('the driver runs', () => kit.heartbeats > 0);
    kit.abort.abort(new Error('the task was canceled'));
    await expect(running).rejects.toThrow('the task was canceled');
    expect(driver.counts).toMatchObject({ threads: 1, overran: 0 });
  });

  it('aborts the signal of code that blocks, when it looks', async () => {
    const driver = driverOf();
    const kit = acting('blockLooking');
    const running = kit.run(driver);
    await until('the driver runs', () => kit.heartbeats > 0);
    kit.abort.abort(new Error('lease lost'));
    await expect(running).rejects.toThrow('lease lost');
    expect(driver.counts).toMatchObject({ threads: 1, overran: 0 });
  });

  it.each(['blockForever', 'never'])(
    'R-FAIL-1: ends and replaces a thread whose driver does %s past abort and grace',
    async (act) => {
      const driver = await warm({ abortGraceMs: 200 });
      const kit = acting(act);
      const running = kit.run(driver);
      await until('the driver runs', () => driver.counts.running === 1);
      kit.abort.abort(new Error('the stage timed out'));
      await expect(running).rejects.toThrow('the stage timed out');
      expect(driver.counts.overran).toBe(1);
      expect(await acting('nothing').run(driver)).toBeUndefined();
    },
  );

  it('starts nothing for a run that is aborted before it', async () => {
    const driver = driverOf();
    const kit = acting('nothing');
    kit.abort.abort(new Error('too late'));
    await expect(kit.run(driver)).rejects.toThrow('too late');
    expect(driver.counts.threads).toBe(0);
  });
});

describe('the pool of the worker-thread driver', () => {
  it('runs no more at one time than it has threads, in the order of their coming', async () => {
    const driver = await warm();
    const order: number[] = [];
    const runs = [1, 2, 3].map(async (number) => {
      await acting('block', { ms: 20 }).run(driver);
      order.push(number);
    });
    expect(driver.counts).toMatchObject({ threads: 1, running: 1, queued: 2 });
    await Promise.all(runs);
    expect(order).toEqual([1, 2, 3]);
    expect(driver.counts).toMatchObject({ threads: 1, running: 0, queued: 0 });
  });

  it('runs on as many threads as it may have', async () => {
    const driver = driverOf({ size: 2 });
    const ids = await Promise.all([acting('threadId').run(driver), acting('threadId').run(driver)]);
    expect(new Set(ids).size).toBe(2);
  });

  it('refuses a run over its queue with WORKER_POOL_FULL', async () => {
    const driver = driverOf({ maximumQueued: 1 });
    const waiting = [acting('block', { ms: 50 }).run(driver), acting('nothing').run(driver)];
    expect(await acting('nothing').failure(driver, 'atMostOnce')).toMatchObject({
      class: 'retryable',
      code: 'WORKER_POOL_FULL',
    });
    await Promise.all(waiting);
  });

  it('lets a queued run go when it is aborted', async () => {
    const driver = driverOf();
    const first = acting('block', { ms: 100 }).run(driver);
    const kit = acting('nothing');
    const queued = kit.run(driver);
    kit.abort.abort(new Error('not needed'));
    await expect(queued).rejects.toThrow('not needed');
    expect(driver.counts.queued).toBe(0);
    expect(await first).toBe('blocked');
  });

  it('replaces a thread after so many runs', async () => {
    const driver = driverOf({ maximumRunsPerThread: 2 });
    const ids: unknown[] = [];
    for (let run = 1; run <= 4; run += 1) ids.push(await acting('threadId').run(driver));
    expect(ids[0]).toBe(ids[1]);
    expect(ids[2]).toBe(ids[3]);
    expect(ids[1]).not.toBe(ids[2]);
    expect(driver.counts).toMatchObject({ died: 0, overran: 0 });
  });

  it('is closed with its threads: queued runs fail, running ones are aborted, new ones are refused', async () => {
    const driver = driverOf();
    const kit = acting('wait');
    const running = failureOf(() => kit.run(driver));
    await until('the driver runs', () => kit.heartbeats > 0);
    const queued = failureOf(() => acting('nothing').run(driver));
    await driver.close();
    expect(await running).toMatchObject({ message: 'the worker pool is closed' });
    expect(await queued).toMatchObject({ class: 'retryable', code: 'WORKER_POOL_CLOSED' });
    expect(await acting('nothing').failure(driver)).toMatchObject({ class: 'retryable', code: 'WORKER_POOL_CLOSED' });
    expect(driver.counts.threads).toBe(0);
    await driver.close();
  });

  it('is closed over a driver that never stops', async () => {
    const driver = await warm({ abortGraceMs: 200 });
    const running = failureOf(() => acting('blockForever').run(driver));
    await driver.close();
    expect(await running).toMatchObject({ name: 'UncertainError', code: 'WORKER_DIED' });
  });
});

describe('the module of the worker-thread driver', () => {
  it.each([
    ['a missing module', { module: new URL('missing.mjs', module) }],
    ['an export that is no driver', { exportName: 'notDriver' }],
    ['an export that is not there', { exportName: 'absent' }],
    ['a function that throws', { exportName: 'throwing' }],
  ])('R-FAIL-1: is fatal, WORKER_MODULE_INVALID, for %s', async (_, options) => {
    expect(await new StageKit().failure(driverOf(options))).toMatchObject({
      class: 'fatal',
      code: 'WORKER_MODULE_INVALID',
    });
  });

  it('R-FAIL-1: fails a run as retryable WORKER_DIED when each thread dies before it calls the driver', async () => {
    const driver = driverOf({ module: new URL('exiting-module.mjs', module) });
    const failure = await new StageKit({ taskId: 'task-2' as TaskId }).failure(driver, 'atMostOnce');
    expect(failure).toMatchObject({ class: 'retryable', code: 'WORKER_DIED' });
    expect(driver.counts.died).toBe(3);
  });

  it('is given as an absolute path or a file: URL', async () => {
    expect(await acting('nothing').run(driverOf({ module: fileURLToPath(module) }))).toBeUndefined();
    for (const wrong of ['./driver.js', 'driver', '']) {
      expect(() => driverOf({ module: wrong })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    }
  });

  it.each([{ size: 0 }, { size: 1.5 }, { maximumQueued: -1 }, { abortGraceMs: Number.NaN }, { settings: new Map() }])(
    'is refused with settings such as %o',
    (options) => {
      expect(() => driverOf(options)).toThrow(/must be|holds/);
    },
  );
});

describe('the lookup of the worker-thread driver', () => {
  it('is there only when it is said to be', () => {
    expect(driverOf().lookup).toBeUndefined();
  });

  it('asks the driver in the thread, which has neither heartbeat nor checkpoint', async () => {
    const driver = driverOf({ lookup: true });
    const ask = (act: string) => driver.lookup?.(acting(act).ctx);
    expect(await ask('notDone')).toEqual({ kind: 'notDone' });
    expect(await ask('nonsense')).toEqual({ kind: 'unknown' });
    const answer = await ask('context');
    expect(answer).toMatchObject({ kind: 'done' });
    expect(answer?.kind === 'done' ? answer.output : []).not.toContain('checkpoint');
    await expect(ask('throw')).rejects.toThrow('later');
  });
});
