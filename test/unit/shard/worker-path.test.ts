import { describe, expect, it } from 'vitest';

import { RetryableError, type Fence, type StageContext } from '../../../src/index.ts';
import { Gate, tapJournal } from '../../support/port-taps.ts';
import { aPipeline, commitsOf, shard } from '../../support/shard-kit.ts';
import { outcomeOf, ShardWorld } from '../../support/shard-world.ts';

interface Start {
  readonly stage: string;
  readonly attempt: number;
  readonly fence: Fence;
}

async function recording() {
  const starts: Start[] = [];
  const run = (ctx: StageContext): string => {
    starts.push({ stage: ctx.stage, attempt: ctx.attempt, fence: ctx.fence });
    if (ctx.stage === 'photos' && ctx.attempt === 1) throw new RetryableError('once more');
    return ctx.stage;
  };
  const gate = new Gate();
  const world = new ShardWorld({ pipelines: [aPipeline({ stages: ['parse', 'photos', 'publish'], run })] });
  const journal = tapJournal(world.test.journal, async (call, make) => {
    if (call === 'journal.append') await gate.pass();
    return make();
  });
  await world.test.run(world.engine('node-1', { journal }).start());
  return { world, gate, starts };
}

describe('the way of a stage to its driver', () => {
  it('R-WRK-1 R-WRK-3 R-SUM-1: leads through a committed start, of a shard whose lock this node holds', async () => {
    const { world, gate, starts } = await recording();
    gate.shut();
    const submit = world.submit('a');
    await world.clock.advance(1_000);
    expect([outcomeOf(submit), starts]).toEqual([undefined, []]);
    gate.open();
    await world.answer(world.result('a'));
    const lock = await world.test.leases.readShard(shard);
    expect(lock.owner).toMatchObject({ nodeId: 'node-1' });
    // Each fence names the very commit that has the start.
    const commits = await world.test.run(commitsOf(world.test.journal));
    for (const { stage, fence } of starts) {
      const commit = commits.find(({ sequence }) => sequence === fence.sequence)?.commit;
      expect(commit?.records.map(({ to }) => to)).toEqual([`${stage}.running`]);
      expect(commit?.epoch).toBe(lock.epoch);
      expect(fence).toMatchObject({ shard, epoch: lock.epoch });
    }
    expect(starts.map(({ stage, attempt }) => `${stage}/${attempt}`)).toEqual([
      'parse/1',
      'photos/1',
      'photos/2',
      'publish/1',
    ]);
  });

  it('R-CORE-2: takes its stages in their order, each retried on its own, and everything is counted', async () => {
    const { world } = await recording();
    for (const id of ['a', 'b']) world.submit(id);
    await world.answer(world.result('a'));
    await world.answer(world.result('b'));
    const { metrics } = world.test;
    expect(metrics.value('tasks_accepted_total', { pipeline: 'card' })).toBe(2);
    expect(metrics.value('tasks_total', { pipeline: 'card', outcome: 'completed' })).toBe(2);
    expect(metrics.value('retries_total', { pipeline: 'card', stage: 'photos', class: 'retryable' })).toBe(2);
    expect(metrics.count('stage_duration_seconds', { stage: 'photos', outcome: 'failed' })).toBe(2);
    expect(metrics.count('stage_duration_seconds', { outcome: 'completed' })).toBe(6);
    expect(metrics.count('stage_queue_seconds')).toBe(8);
    expect(metrics.value('running_stages')).toBe(0);
    const records = (await world.test.run(commitsOf(world.test.journal))).flatMap(({ commit }) => commit.records);
    expect(records.filter(({ task }) => task === 'a').map(({ to }) => to)).toEqual([
      'parse.running',
      'photos.running',
      'photos.backingOff',
      'photos.running',
      'publish.running',
      'completed',
    ]);
  });
});
