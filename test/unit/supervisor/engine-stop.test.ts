import { describe, expect, it } from 'vitest';

import type { EngineConfig } from '../../../src/core/config.ts';
import { HeldDrivers } from '../../support/held-drivers.ts';
import { checkJournal } from '../../../src/checking/journal-report.ts';
import { readWholeJournal } from '../../../src/checking/whole-journal.ts';
import { Gate, tapJournal, tapLeases } from '../../support/port-taps.ts';
import { aPipeline, shard } from '../../support/shard-kit.ts';
import { outcomeOf, ShardWorld } from '../../support/shard-world.ts';

async function serving(config: Partial<EngineConfig> = {}) {
  const drivers = new HeldDrivers();
  const gate = new Gate();
  const pipelines = [aPipeline({ run: drivers.run, delayMs: 30_000 })];
  const world = new ShardWorld({ pipelines, config: { abortGraceMs: 1_000, ...config } });
  const journal = tapJournal(world.test.journal, async (call, make) => {
    if (call === 'journal.append') await gate.pass();
    return make();
  });
  const engine = world.engine('node-1', { journal });
  await world.test.run(engine.start());
  /** Starts a stop; says when it is over. */
  const stop = (graceMs: number) => {
    const progress = { isOver: false };
    void engine.stop({ graceMs }).finally(() => {
      progress.isOver = true;
    });
    return progress;
  };
  return { world, engine, drivers, gate, pipelines, stop };
}

describe('a stop', () => {
  it('R-LOCK-2 R-WRK-2: gives locks and lease back, so that another node starts with every shard at once', async () => {
    const { world, engine } = await serving({ shardCount: 4 });
    await world.test.run(engine.stop({ graceMs: 0 }));
    expect(await world.test.leases.listNodes()).toEqual([]);
    for (let index = 0; index < 4; index += 1) {
      expect(await world.test.leases.readShard(index as never)).toMatchObject({ owner: null, epoch: 1 });
    }
    const startedMs = world.clock.monotonicMs();
    const next = world.engine('node-2');
    await world.test.run(next.start());
    expect(next.status.owned).toHaveLength(4);
    expect(world.clock.monotonicMs()).toBe(startedMs);
  });

  it('I21: starts no stage from the moment that it is asked for, however long the store holds its last look up', async () => {
    const drivers = new HeldDrivers();
    const gate = new Gate();
    const pipelines = [aPipeline({ run: drivers.run })];
    const world = new ShardWorld({ pipelines });
    const leases = tapLeases(world.test.leases, async (call, make) => {
      if (call === 'leases.listNodes') await gate.pass();
      return make();
    });
    const engine = world.engine('node-1', { leases });
    await world.test.run(engine.start());
    await world.answer(world.submit('a'));
    gate.shut();
    engine.linkRestored();
    await world.clock.advance(10);
    const stopped = engine.stop({ graceMs: 1_000 });
    expect(drivers.running).toEqual(['a/parse/1']);
    drivers.finish();
    await world.clock.advance(500);
    expect(drivers.running).toEqual([]);
    gate.open();
    await world.test.run(stopped);
    await world.test.run(world.engine('node-2').start());
    await world.clock.advance(10);
    expect(drivers.running).toEqual(['a/publish/1']);
  });

  it('R-CORE-3: lets a running driver finish within the grace, commits its result, and leaves the next stage to the next owner', async () => {
    const { world, engine, drivers, stop } = await serving();
    await world.answer(world.submit('a'));
    const progress = stop(10_000);
    await world.clock.advance(5_000);
    expect(progress.isOver).toBe(false);
    expect(drivers.running).toEqual(['a/parse/1']);
    drivers.finish();
    await world.clock.advance(10);
    expect(progress.isOver).toBe(true);
    expect(engine.status.owned).toEqual([]);
    await world.test.run(world.engine('node-2').start());
    await world.clock.advance(10);
    expect(await world.answer(world.get('a'))).toMatchObject({ task: { state: 'publish.running', attempt: 1 } });
    expect(drivers.started).toEqual(['a/parse/1', 'a/publish/1']);
  });

  it('R-CORE-3: aborts a driver that runs on when the grace is over; its stage is released and goes on with the next owner', async () => {
    const { world, drivers, stop } = await serving();
    await world.answer(world.submit('a'));
    const progress = stop(10_000);
    await world.clock.advance(9_999);
    expect(drivers.running).toEqual(['a/parse/1']);
    await world.clock.advance(10);
    expect(drivers.running).toEqual([]);
    expect(progress.isOver).toBe(true);
    await world.test.run(world.engine('node-2').start());
    expect(await world.answer(world.get('a'))).toMatchObject({
      task: { state: 'parse.running', attempt: 2, stages: [{ interruptions: 0, handovers: 1 }] },
    });
  });

  it('gives up a driver that ignores its signal after the abort grace, and counts it', async () => {
    const { world, drivers, stop } = await serving();
    drivers.ignoresAbort = true;
    await world.answer(world.submit('a'));
    const progress = stop(2_000);
    await world.clock.advance(2_999);
    expect(progress.isOver).toBe(false);
    await world.clock.advance(2);
    expect(progress.isOver).toBe(true);
    expect(world.test.metrics.value('abandoned_drivers_total')).toBe(1);
    expect(world.test.metrics.value('running_stages')).toBe(0);
  });

  it('R-SUM-1: gives a driver whose start was being committed its grace too', async () => {
    const { world, drivers, gate, stop } = await serving();
    gate.shut();
    const submit = world.submit('a');
    await world.clock.advance(10);
    const progress = stop(10_000);
    gate.open();
    await world.clock.advance(1_000);
    expect(outcomeOf(submit)).toBe('accepted');
    expect(drivers.running).toEqual(['a/parse/1']);
    expect(progress.isOver).toBe(false);
    drivers.finish();
    await world.clock.advance(10);
    expect(progress.isOver).toBe(true);
    expect(drivers.started).toEqual(['a/parse/1']);
  });

  it('NO_OWNER: takes no command while it drains, and answers those who wait for a result', async () => {
    const { world, stop } = await serving();
    await world.answer(world.submit('a'));
    const result = world.result('a', 60_000);
    stop(10_000);
    await world.clock.advance(10);
    expect(() => world.submit('b')).toThrow('nobody serves shard 0');
    expect(result.replies).toEqual([]);
    await world.clock.advance(11_000);
    expect(outcomeOf(result)).toBe('NO_OWNER');
  });

  it('starts no queued stage and fires no timer while it drains', async () => {
    const { world, drivers, stop } = await serving({ maxRunningStages: 1 });
    await world.answer(world.submit('backs-off'));
    drivers.fail('backs-off/parse/1', new Error('later'));
    await world.clock.advance(29_000);
    for (const id of ['running', 'queued']) await world.answer(world.submit(id));
    stop(60_000);
    await world.clock.advance(30_000);
    drivers.finish();
    await world.clock.advance(10);
    expect(drivers.started).toEqual(['backs-off/parse/1', 'running/parse/1']);
  });

  it('R-FAIL-1: ends although the journal takes no append any more, and what it held was answered to nobody', async () => {
    const { world, gate, stop } = await serving();
    gate.shut();
    const submit = world.submit('a');
    await world.clock.advance(10);
    const progress = stop(1_000);
    await world.clock.advance(20_000);
    expect(progress.isOver).toBe(true);
    expect(outcomeOf(submit)).toBe('OWNERSHIP_LOST');
  });

  it('that is asked for twice is done once, and both wait for its end', async () => {
    const { world, engine, drivers, stop } = await serving();
    await world.answer(world.submit('a'));
    const first = stop(10_000);
    const second = stop(0);
    await world.clock.advance(5_000);
    expect([first.isOver, second.isOver]).toEqual([false, false]);
    expect((await world.test.leases.listNodes()).map(({ nodeId }) => nodeId)).toEqual(['node-1']);
    drivers.finish();
    await world.clock.advance(10);
    expect([first.isOver, second.isOver]).toEqual([true, true]);
    await expect(engine.stop({ graceMs: 0 })).resolves.toBeUndefined();
  });

  it('R-CORE-1: leaves snapshots behind from which the next owner replays nothing but its own claim', async () => {
    const { world, engine } = await serving();
    for (const id of ['a', 'b', 'c']) await world.answer(world.submit(id));
    await world.test.run(engine.stop({ graceMs: 0 }));
    await world.test.run(world.engine('node-2').start());
    const recovered = world.test.logger.lines.filter(({ message }) => message === 'the shard is recovered').at(-1);
    expect(recovered?.fields).toMatchObject({ live: 3, interrupted: 0, replayedRecords: 0 });
  });
});

describe('an engine that is abandoned', () => {
  it('R-LOCK-2: leaves lease and locks as they are, and a node of another name takes them when nobody answers for it', async () => {
    const { world, engine } = await serving({ leaseTtlMs: 20_000, leaseRenewMs: 5_000 });
    await world.answer(world.submit('a'));
    await world.test.run(engine.abandon());
    expect(await world.test.leases.readShard(shard)).toMatchObject({ owner: { nodeId: 'node-1' } });
    const next = world.engine('node-2');
    await world.test.run(next.start());
    expect(next.status.owned).toEqual([]);
    await world.clock.advance(300);
    expect(next.status.owned).toEqual([]);
    await world.clock.advance(700);
    expect(next.status.owned).toMatchObject([{ epoch: 2, tasks: 1 }]);
  });

  it('R-CORE-3: drops what was not committed, and no driver of it ever starts', async () => {
    const { world, engine, drivers, gate, pipelines } = await serving();
    gate.shut();
    const submit = world.submit('a');
    await world.clock.advance(10);
    await world.test.run(engine.abandon());
    expect(outcomeOf(submit)).toBe('OWNERSHIP_LOST');
    gate.open();
    await world.clock.advance(60_000);
    expect(drivers.started).toEqual([]);
    const entries = await world.test.run(readWholeJournal(world.test.journal, 1));
    expect(checkJournal(entries, pipelines).violations).toEqual([]);
  });

  it('while it opens its shards serves none of them afterwards', async () => {
    const world = new ShardWorld({ pipelines: [aPipeline()], config: { shardCount: 3 } });
    const gate = new Gate();
    gate.shut();
    const journal = tapJournal(world.test.journal, async (call, make) => {
      if (call === 'journal.append') await gate.pass();
      return make();
    });
    const engine = world.engine('node-1', { journal });
    const started = engine.start();
    await world.clock.advance(10);
    const abandoned = engine.abandon();
    gate.open();
    await world.test.run(Promise.allSettled([started, abandoned]));
    await world.clock.advance(10_000);
    expect(engine.status.owned).toEqual([]);
    expect(() => world.submit('a')).toThrow('nobody serves shard 0');
  });
});
