import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { definePipeline, RetryableError } from '../../../src/index.ts';
import { TestEngine } from '../../../src/testing.ts';

function flaky(failures: number) {
  const calls: string[] = [];
  const definition = definePipeline({
    name: 'card',
    version: 1,
    input: z.object({ url: z.string() }),
    stages: (pipeline) =>
      pipeline
        .stage('parse', {
          output: z.object({ title: z.string() }),
          driver: (ctx) => {
            calls.push(`${ctx.stage}:${ctx.attempt}:${ctx.idempotencyKey}`);
            if (ctx.attempt <= failures) throw new RetryableError('not yet');
            return { title: ctx.input.url };
          },
          retry: { maxAttempts: 10, initialDelayMs: 3_600_000, factor: 1, maxDelayMs: 3_600_000, jitter: 0 },
          timeoutMs: 5_000,
        })
        .stage('publish', {
          output: z.object({ id: z.string() }),
          driver: (ctx) => ({ id: `p-${ctx.outputs.parse.title}` }),
          retry: { maxAttempts: 1 },
          timeoutMs: 5_000,
        }),
  });
  return { definition, calls };
}

describe('an engine in virtual time', () => {
  it('R-RETRY-1: eight hours of backoff pass in virtual time, each attempt with the same key', async () => {
    const { definition, calls } = flaky(8);
    const engine = await TestEngine.start({ pipelines: [definition] });
    const { taskId } = await engine.submit(definition, { url: 'u' });
    const startedAt = engine.clock.now();
    expect(await engine.result(definition, taskId)).toEqual({ parse: { title: 'u' }, publish: { id: 'p-u' } });
    expect(engine.clock.now() - startedAt).toBeGreaterThanOrEqual(8 * 3_600_000);
    expect(calls).toEqual(Array.from({ length: 9 }, (_, index) => `parse:${index + 1}:cabinet:${taskId}:parse`));
    await engine.stop();
  });

  it('R-CORE-3: a task that backs off when its engine is killed goes on in the next process', async () => {
    const { definition, calls } = flaky(1);
    const engine = await TestEngine.start({ pipelines: [definition] });
    const { taskId } = await engine.submit(definition, { url: 'u' });
    await engine.advance(1_000);
    await engine.kill();
    await engine.restart();
    expect(await engine.result(definition, taskId)).toMatchObject({ publish: { id: 'p-u' } });
    expect(calls).toHaveLength(2);
    await engine.stop();
  });
});
