import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { RetryableError } from '../../../src/core/driver-errors.ts';
import type { StageContext } from '../../../src/ports/driver.ts';
import { abortGraceMs, aRun, payloadLimits, type RunSettings } from '../../support/a-stage-run.ts';

/** A driver that ends only when it is told to. */
function aSlowDriver() {
  let resolve: (value: unknown) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<unknown>((onDone, onFailed) => {
    resolve = onDone;
    reject = onFailed;
  });
  const seen: { ctx: StageContext | null } = { ctx: null };
  const execute = (ctx: StageContext) => {
    seen.ctx = ctx;
    return promise;
  };
  return { execute, resolve, reject, seen };
}

describe('a stage run', () => {
  it('reports what its driver returns, with the way on, after it gave its slot back', async () => {
    const run = aRun((ctx) => Promise.resolve({ of: ctx.input, after: ctx.outputs }));
    await run.started();
    expect(run.outcomes).toEqual([
      {
        type: 'stage.settled',
        stage: 'photos',
        attempt: 1,
        result: {
          kind: 'completed',
          output: { json: { of: { url: 'a' }, after: { parse: 'parsed' } } },
          next: 'publish',
          skipped: [],
        },
      },
    ]);
    expect(run.ends).toEqual(['settled']);
    expect(run.run.isEnded).toBe(true);
    expect(run.clock.pendingTimers).toBe(0);
  });

  it('R-JOB-2: never runs its driver inline: whoever starts it goes on first', async () => {
    const order: string[] = [];
    const run = aRun(() => order.push('driver'));
    run.start();
    order.push('starter');
    await run.clock.advance(0);
    expect(order).toEqual(['starter', 'driver']);
  });

  it('R-STAGE-2: the declared skip decides on the way on, by input and outputs with this one', async () => {
    const run = aRun(() => 'no photos', {
      skipNext: {
        reason: 'nothing to show',
        when: ({ outputs }) => (outputs as { photos: string }).photos === 'no photos',
      },
    });
    await run.started();
    expect(run.result).toMatchObject({ next: 'announce', skipped: [{ stage: 'publish', reason: 'nothing to show' }] });
  });

  it('R-STAGE-2, R-FAIL-1: a skip rule that throws fails the stage visibly, and is not retried', async () => {
    const run = aRun(() => 1, {
      skipNext: {
        reason: 'never',
        when: () => {
          throw new TypeError('photos is undefined');
        },
      },
    });
    await run.started();
    expect(run.result).toMatchObject({
      kind: 'failed',
      failure: {
        class: 'contract',
        code: 'PIPELINE_INVALID',
        message: 'stages.publish.skip.when threw: photos is undefined',
        causes: ['TypeError: photos is undefined'],
      },
    });
  });

  it('keeps what the output schema gives out', async () => {
    const run = aRun(() => ({ count: '7', more: 1 }), { stage: { output: z.object({ count: z.coerce.number() }) } });
    await run.started();
    expect(run.result).toMatchObject({ output: { json: { count: 7 } } });
  });

  it('stores a large result outside the record', async () => {
    const run = aRun(() => 'x'.repeat(2_000));
    await run.started();
    expect(run.result).toMatchObject({ output: { blob: { key: expect.stringMatching(/^t-1\/photos\.output\//) } } });
  });

  it('unpacks an input that lies outside', async () => {
    const { blobs, deps, job } = aRun(() => null);
    const input = await deps.payloads.pack(job.taskId, 'input', 'x'.repeat(2_000));
    const run = await aRun((ctx) => (ctx.input as string).length, { input, blobs }).started();
    expect(run.result).toMatchObject({ output: { json: 2_000 } });
  });
});

describe('a driver that breaks its contract', () => {
  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;
  it.each<[string, unknown, string]>([
    ['a BigInt', 7n, 'UNSERIALIZABLE'],
    ['a function', () => 1, 'UNSERIALIZABLE'],
    ['a symbol', Symbol('x'), 'UNSERIALIZABLE'],
    ['a Map', new Map(), 'UNSERIALIZABLE'],
    ['NaN', Number.NaN, 'UNSERIALIZABLE'],
    ['a value that holds itself', cyclic, 'INVALID_ARGUMENT'],
    ['a forbidden key', JSON.parse('{"__proto__": 1}'), 'INVALID_ARGUMENT'],
    ['more than the maximum', 'x'.repeat(payloadLimits.maxPayloadBytes), 'PAYLOAD_TOO_LARGE'],
  ])('R-FAIL-1: by returning %s fails with class contract, which no policy retries', async (_what, returned, code) => {
    const run = aRun(() => returned);
    await run.started();
    expect(run.result).toMatchObject({ kind: 'failed', failure: { class: 'contract', code } });
  });

  it('R-FAIL-1: by a value that is not of its output schema fails with the path and the reason', async () => {
    const run = aRun(() => ({ photos: ['a', 7] }), { stage: { output: z.object({ photos: z.array(z.string()) }) } });
    await run.started();
    expect(run.result).toMatchObject({
      failure: { class: 'contract', code: 'INVALID_ARGUMENT', message: expect.stringContaining('$.photos[1]: ') },
    });
  });

  it('undefined is kept as null where the schema allows it', async () => {
    const run = await aRun(() => undefined).started();
    expect(run.result).toMatchObject({ kind: 'completed', output: { json: null } });
    const strict = await aRun(() => undefined, { stage: { output: z.string() } }).started();
    expect(strict.result).toMatchObject({ failure: { class: 'contract' } });
  });
});

describe('a driver that throws', () => {
  it.each<[string, (ctx: StageContext) => unknown]>([
    [
      'at once',
      () => {
        throw new RetryableError('busy', { code: 'BUSY' });
      },
    ],
    ['later', () => Promise.reject(new RetryableError('busy', { code: 'BUSY' }))],
    [
      'as a thenable',
      () => ({
        // oxlint-disable-next-line unicorn/no-thenable -- a driver may return one
        then: (_: unknown, reject: (error: Error) => void) => reject(new RetryableError('busy', { code: 'BUSY' })),
      }),
    ],
  ])('R-RETRY-1, R-FAIL-1: %s fails with its class and code', async (_what, execute) => {
    const run = await aRun(execute).started();
    expect(run.result).toEqual({
      kind: 'failed',
      failure: { class: 'retryable', code: 'BUSY', name: 'RetryableError', message: 'busy' },
    });
    expect(run.ends).toEqual(['settled']);
  });

  it("R-RETRY-1: is classified by its stage's own rule", async () => {
    const run = await aRun(() => Promise.reject(new Error('quota')), {
      stage: { classify: () => ({ class: 'fatal', code: 'QUOTA' }) },
    }).started();
    expect(run.result).toMatchObject({ failure: { class: 'fatal', code: 'QUOTA' } });
  });

  it('R-IDEM-1: in an atMostOnce stage by a broken connection fails as unexpected', async () => {
    const reset = Object.assign(new Error('reset'), { code: 'ECONNRESET' });
    const run = await aRun(() => Promise.reject(reset), { stage: { effect: 'atMostOnce' } }).started();
    expect(run.result).toMatchObject({ failure: { class: 'unexpected', code: 'ECONNRESET' } });
  });

  it('R-IDEM-1: a store that is away fails an atMostOnce stage as retryable before its driver is called, not after', async () => {
    let calls = 0;
    const blob = { key: `t-1/input/${'a'.repeat(64)}`, sizeBytes: 1, sha256: 'a'.repeat(64) };
    const driver = () => {
      calls += 1;
      return 'x'.repeat(2_000);
    };
    const settings: RunSettings = { stage: { effect: 'atMostOnce' }, faults: () => 'unavailable' };
    const before = await aRun(driver, { ...settings, input: { blob } }).started();
    expect([calls, before.result]).toMatchObject([0, { failure: { class: 'retryable', code: 'UNAVAILABLE' } }]);
    const after = await aRun(driver, settings).started();
    expect([calls, after.result]).toMatchObject([1, { failure: { class: 'unexpected', code: 'UNAVAILABLE' } }]);
  });

  it('R-FAIL-1: what cannot be read is captured all the same', async () => {
    const unreadable = new Proxy(new Error('x'), {
      get: () => {
        throw new Error('no');
      },
    });
    const run = await aRun(() => {
      throw unreadable;
    }).started();
    expect(run.result).toMatchObject({ failure: { class: 'unexpected', code: 'UNREADABLE_ERROR' } });
  });
});

describe('a timeout', () => {
  it('R-LOCK-1: aborts the driver and is reported only when the driver has stopped', async () => {
    const driver = aSlowDriver();
    const run = await aRun(driver.execute).started();
    await run.clock.advance(999);
    expect(driver.seen.ctx?.signal.aborted).toBe(false);
    await run.clock.advance(1);
    expect(driver.seen.ctx?.signal.reason).toMatchObject({ name: 'TimeoutError', message: 'no result within 1000 ms' });
    expect([run.outcomes, run.ends]).toEqual([[], []]);
    driver.reject(new Error('stopped'));
    await run.clock.advance(0);
    expect(run.result).toEqual({
      kind: 'failed',
      failure: { class: 'timeout', code: 'STAGE_TIMEOUT', name: 'TimeoutError', message: 'no result within 1000 ms' },
    });
    expect(run.ends).toEqual(['settled']);
    expect(run.clock.pendingTimers).toBe(0);
  });

  it('R-FAIL-1: of a driver that never settles is reported after the grace, which is logged; a late result is dropped', async () => {
    const driver = aSlowDriver();
    const run = await aRun(driver.execute).started();
    await run.clock.advance(1_000 + abortGraceMs - 1);
    expect(run.outcomes).toEqual([]);
    await run.clock.advance(1);
    expect(run.result).toMatchObject({ failure: { class: 'timeout' } });
    expect(run.ends).toEqual(['abandoned']);
    expect(run.logger.lines).toMatchObject([
      { level: 'warn', fields: { taskId: 't-1', stage: 'photos', attempt: 1, graceMs: abortGraceMs } },
    ]);
    driver.resolve('late');
    await run.clock.advance(10_000);
    expect([run.outcomes.length, run.ends.length]).toEqual([1, 1]);
  });

  it('wins over a result that comes while the driver is to stop', async () => {
    const driver = aSlowDriver();
    const run = await aRun(driver.execute).started();
    await run.clock.advance(1_000);
    driver.resolve('too late');
    await run.clock.advance(0);
    expect(run.result).toMatchObject({ kind: 'failed', failure: { class: 'timeout' } });
  });

  it('a driver that asks for its signal only after the timeout finds it aborted', async () => {
    const driver = aSlowDriver();
    const run = await aRun(driver.execute).started();
    await run.clock.advance(1_000);
    expect(driver.seen.ctx?.signal.aborted).toBe(true);
    expect(() => driver.seen.ctx?.signal.throwIfAborted()).toThrow('no result within 1000 ms');
  });
});

describe('heartbeats', () => {
  const stage = { timeoutMs: 10_000, heartbeatTimeoutMs: 100 };

  it('that stay away abort the driver', async () => {
    const driver = aSlowDriver();
    const run = await aRun(driver.execute, { stage }).started();
    await run.clock.advance(100);
    expect(driver.seen.ctx?.signal.reason).toMatchObject({ message: 'no heartbeat within 100 ms' });
    driver.resolve(1);
    await run.clock.advance(0);
    expect(run.result).toMatchObject({ failure: { class: 'heartbeatTimeout', code: 'HEARTBEAT_TIMEOUT' } });
  });

  it('keep a long attempt alive, and count from the last one', async () => {
    const driver = aSlowDriver();
    const run = await aRun(driver.execute, { stage }).started();
    for (let beat = 0; beat < 20; beat += 1) {
      await run.clock.advance(90);
      driver.seen.ctx?.heartbeat();
    }
    expect(driver.seen.ctx?.signal.aborted).toBe(false);
    await run.clock.advance(99);
    expect(driver.seen.ctx?.signal.aborted).toBe(false);
    await run.clock.advance(1);
    expect(driver.seen.ctx?.signal.aborted).toBe(true);
  });

  it('do not keep an attempt alive past its timeout', async () => {
    const driver = aSlowDriver();
    const run = await aRun(driver.execute, { stage: { timeoutMs: 250, heartbeatTimeoutMs: 100 } }).started();
    for (let beat = 0; beat < 5; beat += 1) {
      await run.clock.advance(50);
      driver.seen.ctx?.heartbeat();
    }
    expect(driver.seen.ctx?.signal.reason).toMatchObject({ message: 'no result within 250 ms' });
  });

  it('are not asked of a stage without a heartbeat timeout', async () => {
    const driver = aSlowDriver();
    const run = await aRun(driver.execute, { stage: { timeoutMs: 10_000 } }).started();
    driver.seen.ctx?.heartbeat();
    await run.clock.advance(9_999);
    expect(driver.seen.ctx?.signal.aborted).toBe(false);
  });
});

describe('an abort from outside', () => {
  it('reaches the driver with its reason; the run reports nothing and gives its slot back', async () => {
    const driver = aSlowDriver();
    const run = await aRun(driver.execute).started();
    const reason = new Error('task t-1 was canceled');
    run.run.abort(reason);
    expect(driver.seen.ctx?.signal.reason).toBe(reason);
    expect(run.ends).toEqual([]);
    driver.resolve('done');
    await run.clock.advance(10_000);
    expect([run.outcomes, run.ends]).toEqual([[], ['settled']]);
  });

  it('R-WRK-2: of a driver that ignores it gives the slot back after the grace', async () => {
    const driver = aSlowDriver();
    const run = await aRun(driver.execute).started();
    run.run.abort(new Error('ownership lost'));
    await run.clock.advance(abortGraceMs);
    expect([run.outcomes, run.ends]).toEqual([[], ['abandoned']]);
  });

  it('after a timeout silences it: nobody waits for the attempt any more', async () => {
    const driver = aSlowDriver();
    const run = await aRun(driver.execute).started();
    await run.clock.advance(1_000);
    run.run.abort(new Error('canceled'));
    await run.clock.advance(abortGraceMs);
    expect([run.outcomes, run.ends]).toEqual([[], ['abandoned']]);
    expect(driver.seen.ctx?.signal.reason).toMatchObject({ name: 'TimeoutError' });
  });

  it('before the driver was called keeps it from being called', async () => {
    const driver = aSlowDriver();
    const run = aRun(driver.execute).start();
    run.run.abort(new Error('canceled'));
    await run.clock.advance(10_000);
    expect([driver.seen.ctx, run.outcomes, run.ends]).toEqual([null, [], ['settled']]);
  });

  it('of a run that has ended does nothing', async () => {
    const run = await aRun(() => 1).started();
    run.run.abort(new Error('late'));
    await run.clock.advance(10_000);
    expect([run.outcomes.length, run.ends]).toEqual([1, ['settled']]);
  });
});
