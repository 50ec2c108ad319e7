import { describe, expect, it } from 'vitest';

import { FatalError } from '../../../src/index.ts';
import { HeldDrivers } from '../../support/held-drivers.ts';
import { aPipeline } from '../../support/shard-kit.ts';
import { ShardWorld } from '../../support/shard-world.ts';

describe('the numbers of a shard', () => {
  it('count a dead letter by stage and by the class of its failure, and show that it waits', async () => {
    const run = (): never => {
      throw new FatalError('no');
    };
    const [world] = await ShardWorld.start({ pipelines: [aPipeline({ run })] });
    const { metrics } = world.test;
    await world.answer(world.submit('a'));
    await world.clock.advance(1_000);
    expect(metrics.value('dead_letters_total', { pipeline: 'card', stage: 'parse', class: 'fatal' })).toBe(1);
    expect(metrics.value('live_tasks', { status: 'deadLettered' })).toBe(1);
    expect(metrics.value('tasks_total', { outcome: 'deadLettered' })).toBe(1);
  });

  it('show each live task under its status, also after another owner has recovered it', async () => {
    const drivers = new HeldDrivers();
    const [world, first] = await ShardWorld.start({ pipelines: [aPipeline({ run: drivers.run, concurrency: 1 })] });
    const { metrics } = world.test;
    for (const id of ['a', 'b']) await world.answer(world.submit(id));
    expect(metrics.value('live_tasks', { status: 'running' })).toBe(1);
    expect(metrics.value('live_tasks', { status: 'queued' })).toBe(1);
    await world.test.run(first.abandon());
    expect(metrics.value('live_tasks')).toBe(0);
    await world.test.run(world.engine('node-2').start());
    await world.clock.advance(40_000);
    expect(metrics.value('live_tasks')).toBe(2);
    expect(metrics.count('recovery_duration_seconds')).toBe(2);
  });

  it('measure how long a stage has waited for its slot', async () => {
    const drivers = new HeldDrivers();
    const [world] = await ShardWorld.start({ pipelines: [aPipeline({ run: drivers.run, concurrency: 1 })] });
    for (const id of ['a', 'b']) await world.answer(world.submit(id));
    await world.clock.advance(5_000);
    const before = world.test.metrics.value('stage_queue_seconds', { stage: 'parse' });
    expect([before, world.test.metrics.count('stage_queue_seconds', { stage: 'parse' })]).toEqual([0, 1]);
    drivers.finish();
    await world.clock.advance(10);
    expect(world.test.metrics.value('stage_queue_seconds', { stage: 'parse' })).toBeGreaterThanOrEqual(5);
  });

  it('show how old the oldest change without a snapshot is, and nothing once all is written', async () => {
    const [world] = await ShardWorld.start({ pipelines: [aPipeline()], config: { snapshotIntervalMs: 4_000 } });
    const { metrics } = world.test;
    await world.clock.advance(10_000);
    expect(metrics.value('snapshot_lag_seconds')).toBe(0);
    await world.answer(world.submit('a'));
    await world.clock.advance(3_000);
    expect(metrics.value('snapshot_lag_seconds')).toBeGreaterThanOrEqual(2.9);
    await world.clock.advance(10_000);
    expect(metrics.value('snapshot_lag_seconds')).toBe(0);
  });
});
