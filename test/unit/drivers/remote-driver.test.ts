import { afterEach, describe, expect, it } from 'vitest';

import { FatalError, RateLimitedError, RetryableError } from '../../../src/core/driver-errors.ts';
import type { Epoch, Sequence, ShardId, TaskId } from '../../../src/core/ids.ts';
import { createRemoteDriver, type RemoteDriverOptions } from '../../../src/drivers/remote-driver.ts';
import {
  startRemoteService,
  type RemoteService,
  type RemoteServiceOptions,
} from '../../../src/drivers/remote-service.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import type { AnyDriver, Fence, StageContext } from '../../../src/ports/driver.ts';
import { MemoryBus, type BusFault } from '../../../src/transport/memory-bus.ts';
import { failureOf, StageKit } from './stage-kit.ts';

const subject = 'drivers.cards.export';

/** A bus in virtual time, with services and drivers on it. */
class World {
  readonly clock = new VirtualClock();
  readonly logger = new MemoryLogger();
  readonly random = new SeededRandom(7);
  readonly services: RemoteService[] = [];
  /** Subjects of the requests, in order. */
  readonly requests: string[] = [];
  /** Says what goes wrong with a request. */
  fault: (operation: string) => BusFault = () => 'none';
  readonly bus = new MemoryBus({
    clock: this.clock,
    logger: this.logger,
    latencyMs: 2,
    faults: ({ subject: asked }) => {
      const operation = asked.slice(asked.lastIndexOf('.') + 1);
      this.requests.push(operation);
      return this.fault(operation);
    },
  });

  async serve(driver: AnyDriver, options: Partial<RemoteServiceOptions> = {}): Promise<RemoteService> {
    const { bus, clock, random, logger } = this;
    const service = await this.run(startRemoteService({ bus, subject, driver, clock, random, logger, ...options }));
    this.services.push(service);
    return service;
  }

  /** Serves one operation as a service in another language might: text for text. */
  async answer(operation: string, reply: () => string): Promise<void> {
    const serving = this.bus.serve(`${subject}.${operation}`, (request) => request.reply(Buffer.from(reply())));
    await this.run(serving);
  }

  driver(options: Partial<RemoteDriverOptions> = {}): AnyDriver {
    return createRemoteDriver({ bus: this.bus, clock: this.clock, subject, ...options });
  }

  /** Lets virtual time run until the promise settles. */
  async run<Value>(promise: Promise<Value>): Promise<Value> {
    let isSettled = false;
    const watched = promise.finally(() => {
      isSettled = true;
    });
    watched.catch(() => undefined);
    await this.clock.runUntil(() => isSettled);
    return watched;
  }

  execute(kit = new StageKit(), options: Partial<RemoteDriverOptions> = {}): Promise<unknown> {
    return this.run(kit.run(this.driver(options)));
  }

  failure(kit = new StageKit(), options: Partial<RemoteDriverOptions> = {}, effect?: 'atMostOnce') {
    return failureOf(() => this.execute(kit, options), effect);
  }
}

let world = new World();

afterEach(async () => {
  await world.run(Promise.all(world.services.map((service) => service.stop(0))));
  world = new World();
});

function waits(ctx: StageContext, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = world.clock.setTimer(ms, resolve);
    ctx.signal.addEventListener('abort', () => {
      timer.cancel();
      reject(ctx.signal.reason as Error);
    });
  });
}

function fence(sequence: number, epoch = 5): Fence {
  return { shard: 3 as ShardId, epoch: epoch as Epoch, sequence: sequence as Sequence };
}

describe('the remote driver', () => {
  it('R-DRV-3: has a service do one stage, and takes its output', async () => {
    let seen: StageContext | undefined;
    await world.serve(
      {
        execute: (ctx) => {
          seen = ctx;
          return { id: 'p-1' };
        },
      },
      { ports: { board: 'the board' } },
    );
    expect(await world.execute()).toEqual({ id: 'p-1' });
    expect(seen).toMatchObject({
      taskId: 'task-1',
      pipeline: 'cards',
      stage: 'export',
      attempt: 2,
      idempotencyKey: 'cabinet:task-1:export',
      fence: { shard: 3, epoch: 5, sequence: 77 },
      input: { url: 'https://example.test/1' },
      outputs: { parse: { title: 'Käse' } },
      ports: { board: 'the board' },
    });
    expect(world.requests).toEqual(['offer', 'start']);
  });

  it('R-DRV-2: lets the served driver call its own integrations through ports', async () => {
    await world.serve(
      { execute: ({ ports }) => (ports['double'] as (n: number) => number)(21) },
      {
        ports: { double: (n: number) => n * 2 },
      },
    );
    expect(await world.execute()).toBe(42);
  });

  it('waits for long work by polls that wait themselves', async () => {
    await world.serve({ execute: (ctx) => waits(ctx, 60_000).then(() => 'at last') });
    expect(await world.execute()).toBe('at last');
    expect(world.requests.filter((operation) => operation === 'poll').length).toBeLessThan(20);
  });

  it('brings heartbeats, few for many, and log lines stay with the service', async () => {
    await world.serve({
      execute: async (ctx) => {
        for (let beat = 0; beat < 100_000; beat += 1) ctx.heartbeat();
        await waits(ctx, 1_000);
        ctx.heartbeat();
        await waits(ctx, 1_000);
        ctx.log.info({ size: 1 }, 'done');
      },
    });
    const kit = new StageKit();
    expect(await world.execute(kit)).toBeUndefined();
    expect(kit.heartbeats).toBe(2);
    expect(world.logger.lines.find(({ message }) => message === 'done')?.fields).toMatchObject({ taskId: 'task-1' });
  });

  it('commits checkpoints at the engine, and gives those of earlier attempts', async () => {
    const ran: string[] = [];
    await world.serve({
      execute: async (ctx) => {
        const all: unknown[] = [];
        for (const name of ['photo-1', 'photo-2', 'photo-3']) {
          all.push(
            await ctx.checkpoint(name, async () => {
              await waits(ctx, 500);
              ran.push(name);
              return { name };
            }),
          );
        }
        return all;
      },
    });
    const kit = new StageKit();
    kit.committed.set('photo-2', { name: 'committed before' });
    expect(await world.execute(kit)).toEqual([{ name: 'photo-1' }, { name: 'committed before' }, { name: 'photo-3' }]);
    expect(ran).toEqual(['photo-1', 'photo-3']);
    expect(kit.committed.get('photo-3')).toEqual({ name: 'photo-3' });
  });

  it.each([
    [new RetryableError('later', { code: 'LATER' }), { class: 'retryable', code: 'LATER', message: 'later' }],
    [new FatalError('never', { code: 'NEVER' }), { class: 'fatal', code: 'NEVER' }],
    [new RateLimitedError('slowly', 9_000), { class: 'rateLimited', retryAfterMs: 9_000 }],
    [Object.assign(new Error('odd'), { code: 'EODD' }), { class: 'unexpected', code: 'EODD', message: 'odd' }],
    ['a text', { class: 'unexpected' }],
    [undefined, { class: 'unexpected' }],
  ])('R-FAIL-1: keeps class and code of %o', async (thrown, failure) => {
    await world.serve({
      execute: () => {
        throw thrown;
      },
    });
    expect(await world.failure()).toMatchObject(failure);
  });

  it.each([() => 1, 1n, Symbol('x'), new Map(), Number.NaN])('says contract for the output %o', async (output) => {
    await world.serve({ execute: () => output });
    expect(await world.failure()).toMatchObject({ class: 'contract', code: 'UNSERIALIZABLE' });
  });

  it('says PAYLOAD_TOO_LARGE for an output, and for an input, that is too large for a message', async () => {
    await world.serve({ execute: () => 'x'.repeat(2_000) }, { maximumValueBytes: 1_000 });
    expect(await world.failure()).toMatchObject({ class: 'contract', code: 'PAYLOAD_TOO_LARGE' });
    const large = new StageKit({ input: 'x'.repeat(2_000) });
    expect(await world.failure(large, { maximumRequestBytes: 1_000 })).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  });

  it('R-FAIL-1: is retryable, NO_WORKER, also for an atMostOnce stage, when nobody serves', async () => {
    expect(await world.failure(new StageKit(), {}, 'atMostOnce')).toMatchObject({
      class: 'retryable',
      code: 'NO_WORKER',
    });
  });

  it.each(['offer', 'start'])(
    'is retryable, BUS_FORBIDDEN with the subject, when the node may not send its %s',
    async (forbidden) => {
      await world.serve({ execute: () => 1 });
      world.fault = (operation) => (operation === forbidden ? 'forbidden' : 'none');
      // An atMostOnce stage: nothing has been begun, so it may be tried again.
      expect(await world.failure(new StageKit(), {}, 'atMostOnce')).toMatchObject({
        class: 'retryable',
        code: 'BUS_FORBIDDEN',
        message: expect.stringContaining(`${subject}.`),
      });
      expect(world.clock.monotonicMs()).toBeLessThan(1_000);
    },
  );

  it('is rate limited, WORKER_BUSY, when all runs are taken', async () => {
    await world.serve({ execute: (ctx) => waits(ctx, 10_000) }, { maximumRuns: 1 });
    const first = world.driver().execute(new StageKit().ctx);
    const second = await world.failure(new StageKit({ taskId: 'task-2' as TaskId }));
    expect(second).toMatchObject({ class: 'rateLimited', code: 'WORKER_BUSY', retryAfterMs: 1_000 });
    await world.run(Promise.resolve(first));
  });

  it('is retryable, NO_ANSWER, when the offer is not answered: nothing was begun', async () => {
    await world.serve({ execute: () => 1 });
    world.fault = (operation) => (operation === 'offer' ? 'lostReply' : 'none');
    expect(await world.failure(new StageKit(), {}, 'atMostOnce')).toMatchObject({
      class: 'retryable',
      code: 'NO_ANSWER',
    });
  });

  it.each(['lostRequest', 'lostReply', 'disconnected'] as const)(
    'R-IDEM-1: runs once, also among three services, when the start ends as %s',
    async (fault) => {
      let runs = 0;
      const driver: AnyDriver = {
        execute: async (ctx) => {
          runs += 1;
          await waits(ctx, 100);
          return runs;
        },
      };
      for (let service = 1; service <= 3; service += 1) await world.serve(driver);
      let faults = 2;
      world.fault = (operation) => (operation === 'start' && (faults -= 1) >= 0 ? fault : 'none');
      expect(await world.execute()).toBe(1);
      expect(runs).toBe(1);
      expect(world.requests.filter((operation) => operation === 'start')).toHaveLength(3);
    },
  );

  it('loses no checkpoint and no result to lost requests and answers', async () => {
    await world.serve({
      execute: async (ctx) => {
        const sum = [];
        for (let part = 1; part <= 5; part += 1) sum.push(await ctx.checkpoint(`part-${part}`, () => part));
        return sum;
      },
    });
    const chance = new SeededRandom(11);
    const faults: readonly BusFault[] = ['lostRequest', 'lostReply', 'disconnected', 'none', 'none'];
    world.fault = (operation) =>
      operation === 'offer' ? 'none' : (faults[Math.floor(chance.next() * faults.length)] ?? 'none');
    const kit = new StageKit();
    expect(await world.execute(kit, { lostAfterMs: 600_000 })).toEqual([1, 2, 3, 4, 5]);
    expect(kit.committed.size).toBe(5);
  });

  it('R-FAIL-1: is uncertain, WORKER_LOST, when its service is gone under the run: atMostOnce may not repeat it', async () => {
    const service = await world.serve({ execute: () => new Promise(() => undefined) }, { cancelGraceMs: 1 });
    const running = world.driver().execute(new StageKit().ctx) as Promise<unknown>;
    const failing = failureOf(() => running, 'atMostOnce');
    await world.clock.advance(1_000);
    void service.stop(0);
    expect(await world.run(failing)).toMatchObject({
      class: 'unexpected',
      code: 'WORKER_LOST',
      name: 'UncertainError',
    });
  });

  it('is uncertain, WORKER_LOST, when the answers stay away', async () => {
    await world.serve({ execute: (ctx) => waits(ctx, 60_000) });
    world.fault = (operation) => (operation === 'poll' ? 'lostRequest' : 'none');
    expect(await world.failure()).toMatchObject({ name: 'UncertainError', code: 'WORKER_LOST' });
  });

  it('passes an abort on, waits for the driver to end, and ends with the reason of the signal', async () => {
    let endedAt = -1;
    await world.serve({
      execute: async (ctx) => {
        try {
          await waits(ctx, 60_000);
        } catch (error) {
          await new Promise<void>((resolve) => void world.clock.setTimer(300, resolve));
          endedAt = world.clock.monotonicMs();
          throw error;
        }
      },
    });
    const kit = new StageKit();
    const running = failureOf(() => kit.run(world.driver()));
    await world.clock.advance(1_000);
    kit.abort.abort(new Error('the task was canceled'));
    expect(await world.run(running)).toMatchObject({ message: 'the task was canceled' });
    expect(endedAt).toBeGreaterThan(1_000);
    expect(world.requests).toContain('tell');
  });

  it('gives up a driver that ignores the abort, after the grace', async () => {
    await world.serve({ execute: () => new Promise(() => undefined) }, { cancelGraceMs: 1 });
    const kit = new StageKit();
    const running = failureOf(() => kit.run(world.driver({ cancelGraceMs: 500 })));
    await world.clock.advance(1_000);
    kit.abort.abort(new Error('lease lost'));
    const abortedAt = world.clock.monotonicMs();
    expect(await world.run(running)).toMatchObject({ message: 'lease lost' });
    expect(world.clock.monotonicMs() - abortedAt).toBeLessThan(1_000);
  });

  it('cancels a run whose start was on its way when the abort came', async () => {
    let aborted = false;
    await world.serve({
      execute: (ctx) =>
        waits(ctx, 60_000).catch((error: unknown) => {
          aborted = true;
          throw error;
        }),
    });
    const kit = new StageKit();
    const running = failureOf(() => kit.run(world.driver()));
    await world.clock.advance(2.5); // The offer is answered; the start is on its way.
    expect(world.requests).toEqual(['offer', 'start']);
    kit.abort.abort(new Error('canceled'));
    expect(await world.run(running)).toMatchObject({ message: 'canceled' });
    expect(aborted || world.services[0]?.running === 0).toBe(true);
  });

  it('asks nobody when it is aborted before', async () => {
    const kit = new StageKit();
    kit.abort.abort(new Error('too late'));
    await expect(kit.run(world.driver())).rejects.toThrow('too late');
    expect(world.requests).toEqual([]);
  });

  it.each([
    ['offer', 'not json'],
    ['offer', '[]'],
    ['offer', '{"status":"offered","instance":"a.b>"}'],
    ['offer', '{"status":"perhaps"}'],
    ['start', 'not json'],
    ['start', '{"status":"perhaps"}'],
    ['start', '{"status":"running","messages":7}'],
  ])('R-FAIL-1: says contract when a service answers the %s with %s', async (operation, text) => {
    await world.answer('offer', () => (operation === 'offer' ? text : '{"status":"offered","instance":"one"}'));
    await world.answer('one.start', () => text);
    expect(await world.failure()).toMatchObject({ class: 'contract', code: 'INVALID_MESSAGE' });
  });

  it('takes the least that a service in another language may say', async () => {
    const answers = [
      '{"status":"running"}',
      '{"status":"running","messages":[{"number":1,"message":{"type":"heartbeat"}}]}',
    ];
    await world.answer('offer', () => '{"status":"offered","instance":"one"}');
    const failed = '{"status":"failed","error":{"class":"fatal","code":"NOPE","message":"no"}}';
    await world.answer('one.*', () => answers.shift() ?? failed);
    const kit = new StageKit();
    expect(await world.failure(kit)).toMatchObject({ class: 'fatal', code: 'NOPE', message: 'no' });
    expect(kit.heartbeats).toBe(1);
  });

  it.each(['', 'a..b', 'a.*', 'a.>', 'a b'])(
    'refuses the subject %j when it is made, with INVALID_ARGUMENT',
    (wrong) => {
      expect(() => world.driver({ subject: wrong })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
      expect(() => world.driver({ pollWaitMs: 0 })).toThrow(expect.objectContaining({ field: 'pollWaitMs' }));
    },
  );
});

describe('the lookup of the remote driver', () => {
  const ask = (driver: AnyDriver) => world.run(Promise.resolve(driver.lookup?.(new StageKit().ctx)));

  it('is there only when it is said to be', () => {
    expect(world.driver().lookup).toBeUndefined();
  });

  it.each([
    [
      { kind: 'done', output: { id: 1 } },
      { kind: 'done', output: { id: 1 } },
    ],
    [{ kind: 'notDone' }, { kind: 'notDone' }],
    [{ kind: 'unknown' }, { kind: 'unknown' }],
    [{ kind: 'nonsense' }, { kind: 'unknown' }],
  ])('brings the answer %j', async (answer, expected) => {
    await world.serve({ execute: () => 1, lookup: async () => answer as { kind: 'notDone' } });
    expect(await ask(world.driver({ lookup: true }))).toEqual(expected);
  });

  it('is unknown when the served driver has none', async () => {
    await world.serve({ execute: () => 1 });
    expect(await ask(world.driver({ lookup: true }))).toEqual({ kind: 'unknown' });
  });

  it('throws when the service throws, is silent or is not there, so that the engine asks again', async () => {
    const driver = world.driver({ lookup: true });
    await expect(ask(driver)).rejects.toThrow('no-responders');
    await world.serve({
      execute: () => 1,
      lookup: () => {
        throw new Error('the board is down');
      },
    });
    await expect(ask(driver)).rejects.toThrow('the board is down');
    world.fault = () => 'lostReply';
    await expect(ask(driver)).rejects.toThrow('timeout');
  });
});

describe('a remote service', () => {
  const start = (kit: StageKit) => kit.run(world.driver());

  it('R-LOCK-1: ends the older attempt of a key before it begins the newer', async () => {
    const log: string[] = [];
    await world.serve({
      execute: async (ctx) => {
        log.push(`${ctx.attempt} begins`);
        try {
          await waits(ctx, 5_000);
          return ctx.attempt;
        } finally {
          log.push(`${ctx.attempt} ends`);
        }
      },
    });
    const older = failureOf(() => start(new StageKit({ attempt: 1, fence: fence(70) })));
    await world.clock.advance(1_000);
    const newer = start(new StageKit({ attempt: 2, fence: fence(71) }));
    expect(await world.run(newer)).toBe(2);
    expect(log).toEqual(['1 begins', '1 ends', '2 begins', '2 ends']);
    expect(await world.run(older)).toMatchObject({ name: 'UncertainError' });
  });

  it('begins the newer attempt after the grace when the older one does not end', async () => {
    await world.serve(
      { execute: (ctx) => (ctx.attempt === 1 ? new Promise(() => undefined) : 'second') },
      { cancelGraceMs: 1_000 },
    );
    const older = failureOf(() => start(new StageKit({ attempt: 1, fence: fence(70) })));
    await world.clock.advance(100);
    expect(await world.run(start(new StageKit({ attempt: 2, fence: fence(71) })))).toBe('second');
    expect(await world.run(older)).toMatchObject({ code: 'WORKER_LOST' });
  });

  it('refuses an attempt that is older than the one it knows, with STALE_FENCE', async () => {
    await world.serve({ execute: (ctx) => ctx.attempt });
    expect(await world.run(start(new StageKit({ attempt: 2, fence: fence(1, 6) })))).toBe(2);
    const zombie = new StageKit({ attempt: 3, fence: fence(90, 5) });
    expect(await world.failure(zombie)).toMatchObject({ class: 'retryable', code: 'STALE_FENCE' });
  });

  it('R-IDEM-1: gives a repeated start the run that is there, also when it has ended', async () => {
    let runs = 0;
    await world.serve({ execute: () => (runs += 1) });
    expect(await world.execute()).toBe(1);
    expect(await world.execute()).toBe(1);
    expect(runs).toBe(1);
  });

  it('forgets a result after its time', async () => {
    let runs = 0;
    await world.serve({ execute: () => (runs += 1) }, { keepResultMs: 1_000 });
    expect(await world.execute()).toBe(1);
    await world.clock.advance(1_001);
    expect(await world.execute()).toBe(2);
  });

  it('keeps so many results', async () => {
    let runs = 0;
    await world.serve({ execute: () => (runs += 1) }, { maximumKept: 2 });
    for (const task of ['a', 'b', 'c', 'a']) await world.execute(new StageKit({ taskId: task as TaskId }));
    expect(runs).toBe(4);
    await world.execute(new StageKit({ taskId: 'c' as TaskId }));
    expect(runs).toBe(4);
  });

  it('aborts a run for which nobody asks any more', async () => {
    let reason: unknown;
    const service = await world.serve(
      {
        execute: (ctx) =>
          waits(ctx, 600_000).catch((error: unknown) => {
            reason = error;
          }),
      },
      { orphanAfterMs: 5_000 },
    );
    world.fault = (operation) => (operation === 'poll' ? 'lostRequest' : 'none');
    await world.failure();
    await world.clock.advance(10_000);
    expect(reason).toMatchObject({ message: 'nobody has asked for the run for 5000 ms' });
    expect(service.running).toBe(0);
  });

  it('stops: offers nothing, lets runs end within the grace, and is gone', async () => {
    const service = await world.serve({ execute: (ctx) => waits(ctx, 2_000).then(() => 'in time') });
    const running = start(new StageKit());
    await world.clock.advance(100);
    const stopped = service.stop(5_000);
    expect(await world.run(running)).toBe('in time');
    await world.run(stopped);
    expect(await world.failure(new StageKit({ taskId: 'task-2' as TaskId }))).toMatchObject({ code: 'NO_WORKER' });
    expect(world.clock.pendingTimers).toBe(0);
  });

  it('stops: aborts what runs on after the grace, and its engine hears of it', async () => {
    const service = await world.serve({ execute: (ctx) => waits(ctx, 600_000) });
    const failing = failureOf(() => start(new StageKit()));
    await world.clock.advance(100);
    const stopped = service.stop(1_000);
    expect(await world.run(failing)).toMatchObject({
      name: 'UncertainError',
      message: 'the remote driver is being stopped',
    });
    await world.run(stopped);
  });

  it.each([
    ['offer', 'not json'],
    ['offer', '{"protocol":2}'],
    ['lookup', '{"protocol":1}'],
    ['lookup', '{"protocol":1,"taskId":"t","pipeline":"p","stage":"s","attempt":0,"idempotencyKey":"k"}'],
  ])('R-FAIL-1: answers a bad %s (%s) with INVALID_MESSAGE and goes on', async (operation, text) => {
    await world.serve({ execute: () => 1 });
    const outcome = await world.run(
      world.bus.request(`${subject}.${operation}`, Buffer.from(text), { timeoutMs: 100 }),
    );
    const reply: unknown = outcome.kind === 'reply' ? JSON.parse(Buffer.from(outcome.body).toString()) : outcome;
    expect(reply).toMatchObject({ status: 'failed', error: { class: 'contract', code: 'INVALID_MESSAGE' } });
    expect(await world.execute()).toBe(1);
  });
});
