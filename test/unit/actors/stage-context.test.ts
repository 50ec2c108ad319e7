import { describe, expect, it } from 'vitest';
import type { StageContext } from '../../../src/ports/driver.ts';
import { idempotencyKeyOf } from '../../../src/actors/stage-context.ts';
import { aRun, type RunSettings } from '../../support/a-stage-run.ts';
import { stageOf } from '../../support/a-task.ts';

/** The context that a driver gets. */
async function contextOf(settings: RunSettings = {}): Promise<StageContext> {
  let seen: StageContext | null = null;
  await aRun((ctx) => {
    seen = ctx;
    return null;
  }, settings).started();
  if (seen === null) throw new Error('the driver was not called');
  return seen;
}

/** Everything that can be reached on an object, its prototype's members too. */
function keysOf(object: object): string[] {
  const prototype = Object.getPrototypeOf(object) as object;
  const keys = [...Reflect.ownKeys(object), ...Reflect.ownKeys(prototype)].map(String);
  return keys.filter((key) => key !== 'constructor').toSorted();
}

describe('the context of an attempt', () => {
  it('R-DRV-3: has no way to choose a stage, to schedule or to retry: this is all there is', async () => {
    const keys = [
      'attempt',
      'checkpoint',
      'fence',
      'heartbeat',
      'idempotencyKey',
      'input',
      'log',
      'outputs',
      'pipeline',
      'ports',
      'signal',
      'stage',
      'taskId',
    ];
    expect(keysOf(await contextOf())).toEqual(keys);
  });

  it('R-JOB-1: names its task, pipeline, stage and attempt, and the fence of the commit that started it', async () => {
    const ctx = await contextOf({ attempt: 4 });
    expect(ctx).toMatchObject({ taskId: 't-1', pipeline: 'listing', stage: 'photos', attempt: 4 });
    expect(ctx.fence).toEqual({ shard: 3, epoch: 5, sequence: 70 });
  });

  it('R-JOB-1: cannot be changed by its driver', async () => {
    const ctx = (await contextOf()) as { -readonly [Key in keyof StageContext]: StageContext[Key] };
    expect(() => {
      ctx.attempt = 9;
    }).toThrow(TypeError);
    expect(() => {
      (ctx.input as { url: string }).url = 'b';
    }).toThrow(TypeError);
    expect(() => {
      (ctx.outputs['parse'] as unknown[]).push(1);
    }).toThrow(TypeError);
  });

  it('R-DRV-1: is a fresh one for each attempt, with the same input, outputs and key', async () => {
    const first = await contextOf({ attempt: 1 });
    const second = await contextOf({ attempt: 2 });
    expect(second).not.toBe(first);
    expect([second.input, second.outputs]).toEqual([first.input, first.outputs]);
    expect([first.attempt, second.attempt]).toEqual([1, 2]);
    expect([first.idempotencyKey, second.idempotencyKey]).toEqual(['cabinet:t-1:photos', 'cabinet:t-1:photos']);
  });

  it('R-IDEM-2: has a key in every attempt, another one for each task, stage and cluster', () => {
    const keys = ['a', 'b'].flatMap((namespace) =>
      ['t-1', 't-2'].flatMap((task) =>
        ['photos', 'publish'].map((stage) => idempotencyKeyOf(namespace, task as never, stageOf(stage))),
      ),
    );
    expect(new Set(keys).size).toBe(8);
    expect(keys.every((key) => /^[\w:-]+$/.test(key))).toBe(true);
  });

  it("R-DRV-2: hands on the user's integrations as they are", async () => {
    const shop = { publish: () => 'ok' };
    expect((await contextOf({ ports: { shop } })).ports['shop']).toBe(shop);
  });

  it('logs with the ids of the attempt', async () => {
    const run = await aRun((ctx) => ctx.log.info({ count: 3 }, 'photos taken'), { attempt: 2 }).started();
    expect(run.logger.lines).toEqual([
      {
        level: 'info',
        message: 'photos taken',
        fields: { taskId: 't-1', pipeline: 'listing', stage: 'photos', attempt: 2, count: 3 },
      },
    ]);
  });
});
