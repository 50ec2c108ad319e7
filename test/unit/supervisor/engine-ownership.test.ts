import { describe, expect, it } from 'vitest';

import { EngineError } from '../../../src/core/errors.ts';
import type { Metrics } from '../../../src/ports/metrics.ts';
import { TestEngine } from '../../../src/testing.ts';
import { HeldDrivers } from '../../support/held-drivers.ts';
import { tapJournal, tapSnapshots } from '../../support/port-taps.ts';
import { aPipeline, shard } from '../../support/shard-kit.ts';
import { outcomeOf, ShardWorld } from '../../support/shard-world.ts';

const card = aPipeline();
const idle = { stop: () => Promise.resolve() };

describe('a shard that was lost', () => {
  it('R-WRK-2 OWNERSHIP_LOST: is taken again when its new owner is gone', async () => {
    const test = TestEngine.create({ pipelines: [card], config: { leaseTtlMs: 20_000, leaseRenewMs: 5_000 } });
    const first = test.createEngine('node-2');
    await test.run(first.start());
    // An operator's mistake: the lock is given away while its owner lives.
    const lock = await test.leases.readShard(shard);
    await test.leases.writeShard({ ...lock, owner: null }, lock.revision);
    // Placement gives the shard to this one when both are there.
    const second = test.createEngine('node-1');
    await test.run(second.start());
    await test.run(test.client.submit(card, 'x', { taskId: 'a' }));
    await test.advance(10);
    expect([first.status.owned.length, second.status.owned.length]).toEqual([0, 1]);
    expect(test.logger.lines.find(({ message }) => message === 'a shard was lost')?.fields).toMatchObject({
      err: { code: 'OWNERSHIP_LOST' },
    });
    await test.run(second.stop({ graceMs: 0 }));
    await test.advance(2_000);
    expect(first.status.owned).toMatchObject([{ epoch: 3 }]);
    expect(first.isReady).toBe(true);
    expect(await test.result(card, 'a' as never)).toEqual({ parse: 'parse-x', publish: 'publish-x' });
    await test.run(first.stop({ graceMs: 0 }));
  });

  it('R-LOCK-1 OWNERSHIP_LOST: is found out by a snapshot round too, when it has nothing to append', async () => {
    const drivers = new HeldDrivers();
    const world = new ShardWorld({ pipelines: [aPipeline({ run: drivers.run })] });
    const { test } = world;
    let isDown = true;
    const snapshots = tapSnapshots(test.snapshots, (call, make) =>
      isDown && call === 'snapshots.write' ? Promise.reject(new EngineError('UNAVAILABLE', call)) : make(),
    );
    const first = world.engine('node-2', { snapshots });
    await test.run(first.start());
    await world.answer(world.submit('a'));
    const lock = await test.leases.readShard(shard);
    await test.leases.writeShard({ ...lock, owner: null }, lock.revision);
    const second = test.createEngine('node-1');
    await test.run(second.start());
    await test.advance(3_000);
    isDown = false;
    await test.advance(1_000);
    expect([first.status.owned.length, second.status.owned.length]).toEqual([0, 1]);
    expect(test.metrics.value('appends_fenced_total')).toBe(0);
    expect(drivers.running).toEqual(['a/parse/2']);
  });

  it('R-WRK-2: to a write of the process before that came late, while it was taken, is taken soon after, not at the next look', async () => {
    const test = TestEngine.create({ pipelines: [card] });
    const snapshots = tapSnapshots(test.snapshots, async (call, make) => {
      // Longer than it takes to look again: that look finds the shard on its way.
      if (call === 'snapshots.readCheckpoint') await new Promise<void>((go) => test.clock.setTimer(1_000, go));
      return make();
    });
    const engine = test.createEngine('node-1', undefined, { snapshots });
    const starting = engine.start();
    await test.advance(500);
    const { revision } = await test.leases.readShard(shard);
    const before = { nodeId: 'node-1' as never, incarnation: 'before' };
    await test.leases.writeShard({ shard, owner: before, epoch: 1 as never }, revision);
    await test.run(starting);
    expect(engine.status.owned).toEqual([]);
    await test.advance(2_500);
    expect(engine.status.owned).toMatchObject([{ epoch: 2 }]);
    await test.run(engine.stop({ graceMs: 0 }));
  });

  it('OWNERSHIP_LOST: while it was being opened is not taken for owned', async () => {
    const test = TestEngine.create({
      pipelines: [aPipeline({ delayMs: 1, run: () => Promise.reject(new Error('x')) })],
    });
    const before = test.createEngine('node-1');
    await test.run(before.start());
    await test.run(test.client.submit(card, 'x', { taskId: 'a' }));
    await test.run(before.abandon());
    // The first one waits to be served while the second takes the shard, and its recovered task makes it append.
    let serve: () => void = () => {};
    const first = test.createEngine('node-1', undefined, {
      serve: () =>
        new Promise((resolve) => {
          serve = () => resolve(idle);
        }),
    });
    const started = first.start();
    await test.advance(0);
    const second = test.createEngine('node-1');
    await test.run(second.start());
    await test.advance(100);
    serve();
    await test.run(started.catch(() => {}));
    expect(first.status.owned).toEqual([]);
    expect(second.status.owned).toHaveLength(1);
  });

  it('R-FAIL-1 INTERNAL: for a bug in what follows a commit is opened anew, and its tasks go on', async () => {
    const drivers = new HeldDrivers();
    const world = new ShardWorld({ pipelines: [aPipeline({ run: drivers.run })] });
    const { metrics } = world.test;
    let bugs = 0;
    // A counter that throws stands for any bug of ours after an acknowledgement.
    const broken: Metrics = {
      gauge: (definition) => metrics.gauge(definition),
      histogram: (definition) => metrics.histogram(definition),
      beforeRead: (refresh) => metrics.beforeRead(refresh),
      counter: (definition) => ({
        add: (by, labels) => {
          if (definition.name === 'tasks_accepted_total' && bugs > 0) {
            bugs -= 1;
            throw new TypeError('a bug');
          }
          metrics.counter(definition).add(by, labels);
        },
      }),
    };
    const engine = world.engine('node-1', { metrics: broken });
    await world.test.run(engine.start());
    bugs = 1;
    const submits = ['a', 'b'].map((id) => world.submit(id));
    await world.clock.advance(100);
    expect(submits.map(outcomeOf)).toEqual(['OWNERSHIP_LOST', 'OWNERSHIP_LOST']);
    expect(engine.status).toMatchObject({ owned: [], failing: [{ error: 'shard 0: a bug' }] });
    await world.clock.advance(2_000);
    expect(engine.status).toMatchObject({ owned: [{ epoch: 2, tasks: 2, running: 2 }], failing: [] });
    for (const id of ['a', 'b']) expect(await world.answer(world.submit(id))).toMatchObject({ kind: 'existing' });
    expect(metrics.value('running_stages')).toBe(2);
  });
});

describe('the list of a shard', () => {
  it('has all finished tasks that can be read, and says which one cannot', async () => {
    const test = await TestEngine.start({ pipelines: [card] });
    await test.submit(card, 'x', { taskId: 'old' });
    await test.result(card, 'old' as never);
    await test.advance(5_000);
    await test.stop();
    const next = aPipeline({ version: 2 });
    await test.restart([next]);
    await test.submit(next, 'x', { taskId: 'new' });
    await test.result(next, 'new' as never);
    const { tasks } = await test.run(test.client.list({ includeFinished: true }));
    expect(tasks.map(({ taskId }) => taskId)).toEqual(['new']);
    expect(test.logger.lines.find(({ message }) => message === 'a finished task is not listed')?.fields).toMatchObject({
      taskId: 'old',
      err: { code: 'PIPELINE_VERSION_UNKNOWN' },
    });
    await test.stop();
  });

  it('UNAVAILABLE: is refused when the finished ones cannot be read, and live ones are listed all the same', async () => {
    const drivers = new HeldDrivers();
    const world = new ShardWorld({ pipelines: [aPipeline({ run: drivers.run })] });
    let isDown = false;
    const snapshots = tapSnapshots(world.test.snapshots, (call, make) =>
      isDown && call.startsWith('snapshots.fin') ? Promise.reject(new EngineError('UNAVAILABLE', call)) : make(),
    );
    await world.test.run(world.engine('node-1', { snapshots }).start());
    await world.answer(world.submit('a'));
    await world.clock.advance(10);
    isDown = true;
    const all = world.send({ type: 'task.list', limit: 10, includeFinished: true });
    const live = world.send({ type: 'task.list', limit: 10 });
    await world.clock.advance(10);
    expect([all, live].map(outcomeOf)).toEqual(['UNAVAILABLE', 'page']);
  });
});

describe('a shard that cannot be opened', () => {
  /** An engine whose journal cannot be read while `error` says so. */
  const aWorld = () => {
    const world = new ShardWorld({ pipelines: [card] });
    const { test } = world;
    const state: { error: EngineError | null; tries: number } = { error: null, tries: 0 };
    const journal = tapJournal(test.journal, (call, make) => {
      if (call !== 'journal.read') return make();
      state.tries += 1;
      return state.error === null ? make() : Promise.reject(state.error);
    });
    return { world, test, state, engine: world.engine('node-1', { journal }) };
  };

  it('R-WRK-2 UNAVAILABLE: during a long outage is served at most 2 s after it, though no link was seen to break', async () => {
    const { test, state, engine } = aWorld();
    state.error = new EngineError('UNAVAILABLE', 'the journal is away');
    await test.run(engine.start());
    await test.advance(90_000);
    expect(state.tries).toBeGreaterThan(45);
    expect(engine.isReady).toBe(false);
    state.error = null;
    await test.advance(2_001);
    expect(engine.isReady).toBe(true);
    await test.run(engine.stop({ graceMs: 0 }));
  });

  it('R-WRK-2 UNAVAILABLE: is tried at once when the link is back', async () => {
    const { test, state, engine } = aWorld();
    state.error = new EngineError('UNAVAILABLE', 'the journal is away');
    await test.run(engine.start());
    await test.advance(30_000);
    state.error = null;
    engine.linkRestored();
    await test.advance(20);
    expect(engine.isReady).toBe(true);
    await test.run(engine.stop({ graceMs: 0 }));
  });

  it('R-FAIL-1 INTERNAL: for a fault of its own waits longer and longer, and a link that is back changes nothing', async () => {
    const { test, state, engine } = aWorld();
    await test.run(engine.start());
    state.error = new EngineError('INTERNAL', 'a bug');
    const lock = await test.leases.readShard(shard);
    await test.leases.writeShard({ ...lock, epoch: (lock.epoch + 1) as never, owner: null }, lock.revision);
    await test.advance(60_000);
    const { tries } = state;
    expect(tries).toBeLessThan(15);
    for (let time = 0; time < 5; time += 1) {
      engine.linkRestored();
      await test.advance(100);
    }
    expect(state.tries - tries).toBeLessThanOrEqual(1);
    await test.run(engine.stop({ graceMs: 0 }));
  });

  it('asks for nothing when the link of an engine is back that does not run', async () => {
    const { test, state, engine } = aWorld();
    engine.linkRestored();
    await test.advance(1_000);
    expect(state.tries).toBe(0);
  });
});
