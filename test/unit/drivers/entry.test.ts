import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { commandDriver, httpDriver, remoteDriver, serveRemoteDriver, simulatedDriver } from '../../../src/drivers.ts';
import { definePipeline } from '../../../src/index.ts';
import { MemoryBus, MemoryLogger, TestEngine, VirtualClock } from '../../../src/testing.ts';
import { StageKit } from './stage-kit.ts';

const Card = z.object({ id: z.string() });
const retry = { maxAttempts: 5, jitter: 0 };

describe('cabinet-pipeline/drivers', () => {
  it('gives drivers that fit into a pipeline, typed by the stage that they do', async () => {
    const clock = new VirtualClock();
    const effects = new Map();
    const pipeline = definePipeline({
      name: 'cards',
      version: 1,
      input: z.object({ url: z.string() }),
      stages: (stages) =>
        stages
          .stage('parse', {
            output: Card,
            driver: simulatedDriver({ clock, output: () => ({ id: 'c-1' }), script: [{ kind: 'retryable' }] }),
            retry,
            timeoutMs: 60_000,
          })
          .stage('publish', {
            output: Card,
            driver: simulatedDriver({ clock, effects, script: [{ kind: 'uncertain' }], output: () => ({ id: 'p-1' }) }),
            retry,
            timeoutMs: 60_000,
          }),
    });
    const engine = await TestEngine.start({ pipelines: [pipeline] });
    const { taskId } = await engine.submit(pipeline, { url: 'https://example.test/1' });
    const outputs = await engine.result(pipeline, taskId);
    expect(outputs).toEqual({ parse: { id: 'c-1' }, publish: { id: 'p-1' } });
    expect(outputs.parse.id).toBe('c-1');
    expect([...effects.values()]).toEqual([{ output: { id: 'p-1' }, times: 2 }]);
    await engine.stop();
  });

  it('R-FAIL-1: dead-letters a task whose simulated driver breaks its contract, with the failure recorded', async () => {
    const clock = new VirtualClock();
    const pipeline = definePipeline({
      name: 'cards',
      version: 1,
      input: z.object({}),
      stages: (stages) =>
        stages.stage('parse', {
          output: z.any(),
          driver: simulatedDriver({ clock, script: [{ kind: 'broken' }] }),
          retry,
          timeoutMs: 1_000,
        }),
    });
    const engine = await TestEngine.start({ pipelines: [pipeline] });
    const { taskId } = await engine.submit(pipeline, {});
    await expect(engine.result(pipeline, taskId)).rejects.toThrow(expect.objectContaining({ code: 'TASK_FAILED' }));
    await engine.stop();
  });

  it('has a stage done by a service on the bus', async () => {
    const clock = new VirtualClock();
    const bus = new MemoryBus({ clock, logger: new MemoryLogger() });
    const run = async <Value>(promise: Promise<Value>): Promise<Value> => {
      let isSettled = false;
      const watched = promise.finally(() => {
        isSettled = true;
      });
      await clock.runUntil(() => isSettled);
      return watched;
    };
    const driver = { execute: ({ input }: { readonly input: unknown }) => ({ id: JSON.stringify(input) }) };
    const service = await run(serveRemoteDriver({ bus, subject: 'drivers.parse', clock, driver }));
    const remote = remoteDriver<unknown>({ bus, subject: 'drivers.parse', clock });
    expect(await run(Promise.resolve(remote.execute(new StageKit({ input: 7 }).ctx)))).toEqual({ id: '7' });
    expect(service.running).toBe(0);
    await run(service.stop(0));
  });

  it('lets a child inherit what it needs to find programs, and no secret', async () => {
    const script = 'console.log(JSON.stringify(Object.keys(process.env)))';
    const command = { command: 'node', args: ['-e', script] };
    process.env['DRIVER_TEST_SECRET'] = 'hush';
    try {
      const names = await commandDriver<string[]>(command).execute(new StageKit().ctx);
      expect(names).toContain('PATH');
      expect(names).not.toContain('DRIVER_TEST_SECRET');
      const asked = commandDriver<string[]>({
        ...command,
        inheritEnv: ['PATH', 'DRIVER_TEST_SECRET'],
        env: { A: '1' },
      });
      const more = await asked.execute(new StageKit().ctx);
      expect(more).toEqual(expect.arrayContaining(['DRIVER_TEST_SECRET', 'A']));
    } finally {
      delete process.env['DRIVER_TEST_SECRET'];
    }
  });

  it('takes the clock of this machine when it is given none', async () => {
    const driver = httpDriver({ url: 'http://127.0.0.1:1/' });
    expect('lookup' in driver).toBe(false);
    await expect(driver.execute(new StageKit().ctx)).rejects.toMatchObject({ code: 'INVALID_URL' });
  });
});
