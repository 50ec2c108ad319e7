import { describe, expect, it } from 'vitest';

import type { Engine } from '../../../src/supervisor/engine.ts';
import { TestEngine } from '../../../src/testing.ts';
import type { Clock } from '../../../src/ports/clock.ts';
import type { SnapshotStore } from '../../../src/ports/snapshots.ts';
import { loadLive } from '../../support/live-snapshots.ts';
import { HeldDrivers } from '../../support/held-drivers.ts';
import { checkJournal } from '../../../src/checking/journal-report.ts';
import { readWholeJournal } from '../../../src/checking/whole-journal.ts';
import { Gate, tapJournal, tapLeases, tapSnapshots } from '../../support/port-taps.ts';
import { aPipeline, epochOf, shard } from '../../support/shard-kit.ts';
import { outcomeOf, ShardWorld } from '../../support/shard-world.ts';

/** Two processes over the same stores: one that is cut off from them at will, and the one that takes over. */
class World {
  readonly drivers = new HeldDrivers();
  readonly pipeline = aPipeline({ run: this.drivers.run });
  readonly test = TestEngine.create({
    pipelines: [this.pipeline],
    config: { leaseTtlMs: 20_000, leaseRenewMs: 5_000, abortGraceMs: 100 },
  });
  /** While it is shut, nothing of the first process gets through, and nothing is refused: a frozen process. */
  readonly frozen = new Gate();
  readonly zombieFailures: string[] = [];
  zombie!: Engine;

  async start(overrides: { readonly snapshots?: SnapshotStore; readonly clock?: Clock } = {}): Promise<void> {
    const { test, frozen } = this;
    const tap = async <Result>(_call: string, make: () => Promise<Result>): Promise<Result> => {
      await frozen.pass();
      return make();
    };
    this.zombie = test.createEngine('node-1', undefined, {
      journal: tapJournal(test.journal, tap),
      snapshots: overrides.snapshots ?? tapSnapshots(test.snapshots, tap),
      leases: tapLeases(test.leases, tap),
      ...(overrides.clock === undefined ? {} : { clock: overrides.clock }),
      onFailed: (error) => this.zombieFailures.push(error.code),
    });
    await test.run(this.zombie.start());
  }

  async takeOver(nodeId: string): Promise<Engine> {
    const owner = this.test.createEngine(nodeId);
    await this.test.run(owner.start());
    return owner;
  }

  async violations(): Promise<readonly string[]> {
    const entries = await this.test.run(readWholeJournal(this.test.journal, 1));
    return checkJournal(entries, [this.pipeline]).violations;
  }

  state(taskId: string): Promise<string> {
    return this.test.run(this.test.client.get(taskId)).then(({ state }) => state);
  }
}

describe('a zombie', () => {
  it('R-LOCK-1 OWNERSHIP_LOST: whose append was on its way is refused, drops its shard and lets no effect out', async () => {
    const world = new World();
    await world.start();
    const { test, drivers, frozen, zombie } = world;
    await test.run(test.client.submit(world.pipeline, 'in', { taskId: 'a' }));
    frozen.shut();
    drivers.finish('a/parse/1'); // The zombie decides the next stage, and its append does not get through.
    await test.advance(10);
    const owner = await world.takeOver('node-1');
    await test.advance(10);
    frozen.open();
    await test.advance(300);
    expect(zombie.status.owned).toEqual([]);
    expect(owner.status.owned).toMatchObject([{ epoch: 2 }]);
    expect(test.metrics.value('appends_fenced_total')).toBeGreaterThan(0);
    // The result that the zombie had is dropped; the stage ran again under the new owner, with a new attempt.
    expect(drivers.started).toEqual(['a/parse/1', 'a/parse/2']);
    drivers.finish();
    await test.advance(10);
    drivers.finish();
    await test.run(test.client.result(world.pipeline, 'a'));
    expect(drivers.started).toEqual(['a/parse/1', 'a/parse/2', 'a/publish/1']);
    expect(await world.violations()).toEqual([]);
  });

  it('R-LOCK-1: aborts the drivers that it runs when it is refused', async () => {
    const world = new World();
    await world.start();
    const { test, drivers, frozen } = world;
    for (const taskId of ['a', 'b']) await test.run(test.client.submit(world.pipeline, 'in', { taskId }));
    frozen.shut();
    drivers.finish('a/parse/1');
    await world.takeOver('node-1');
    await test.advance(10);
    frozen.open();
    await test.advance(200);
    expect(drivers.running).toEqual(['a/parse/2', 'b/parse/2']);
  });

  it('R-WRK-2: clients see retries and never an error while the shard changes hands under their commands', async () => {
    const world = new World();
    await world.start();
    const { test, drivers, frozen } = world;
    frozen.shut();
    const submits = Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        test.client.submit(world.pipeline, `in-${index}`, { taskId: `t-${index}` }),
      ),
    );
    await test.advance(100);
    await world.takeOver('node-1');
    frozen.open();
    const results = await test.run(submits);
    expect(results.map(({ taskId }) => taskId)).toEqual(Array.from({ length: 20 }, (_, index) => `t-${index}`));
    await test.advance(10);
    expect(new Set(drivers.started).size).toBe(drivers.started.length);
    expect(await world.violations()).toEqual([]);
  });

  it('R-CORE-3 R-LOCK-1: brings no ended task back by a snapshot and a checkpoint that land late (ADR 5)', async () => {
    const world = new World();
    const late: (() => Promise<void>)[] = [];
    const { snapshots } = world.test;
    const inner = snapshots.writer(shard, epochOf(1));
    const isOld = (epoch: number): boolean => epoch === 1;
    // The first owner's writes stay on their way until the test lets them land.
    await world.start({
      snapshots: {
        maximumSnapshotBytes: snapshots.maximumSnapshotBytes,
        writer: (of, epoch) =>
          isOld(epoch)
            ? {
                write: (writes) => new Promise((resolve) => late.push(() => inner.write(writes).then(resolve))),
                checkpoint: (sequence) =>
                  new Promise((resolve) => late.push(() => inner.checkpoint(sequence).then(resolve))),
                dropEarlierEpochs: () => inner.dropEarlierEpochs(),
                read: (ids, from) => inner.read(ids, from),
                forget: (taskId) => inner.forget(taskId),
              }
            : snapshots.writer(of, epoch),
        checkpoint: (of) => snapshots.checkpoint(of),
        loadLive: (of, into) => snapshots.loadLive(of, into),
        findFinished: (of, ids) => snapshots.findFinished(of, ids),
        finishedIds: (of) => snapshots.finishedIds(of),
      },
    });
    const { test, drivers } = world;
    await test.run(test.client.submit(world.pipeline, 'in', { taskId: 'a' }));
    await test.advance(2_000);
    expect(late).toHaveLength(1);
    const owner = await world.takeOver('node-1');
    await test.run(test.client.cancel('a'));
    await test.advance(5_000);
    const { checkpoint } = await loadLive(snapshots, shard);
    expect(checkpoint).toMatchObject({ epoch: 2, sequence: (await test.run(test.journal.readLast(shard)))?.sequence });
    // Now the zombie's snapshot of the running task lands, and then what follows it: a checkpoint that is refused.
    for (let write = late.shift(); write !== undefined; write = late.shift()) {
      await write().catch(() => {});
      await test.advance(0);
    }
    await test.run(owner.abandon());
    const next = await world.takeOver('node-1');
    expect(await world.state('a')).toBe('canceled');
    await test.advance(1_000);
    expect(next.status.owned).toMatchObject([{ tasks: 0, running: 0 }]);
    expect(drivers.running).toEqual([]);
  });
});

describe('a node that cannot renew its lease', () => {
  it('R-LOCK-2: drops its shards and aborts its drivers before the lease runs out, and another node takes over', async () => {
    const world = new World();
    await world.start();
    const { test, drivers, frozen, zombie } = world;
    await test.run(test.client.submit(world.pipeline, 'in', { taskId: 'a' }));
    const other = await world.takeOver('node-2');
    expect(other.status.owned).toEqual([]);
    frozen.shut();
    await test.advance(15_900);
    expect(zombie.status).toMatchObject({ leaseIsGood: true, owned: [{ running: 1 }] });
    await test.advance(200);
    expect(zombie.status).toMatchObject({ leaseIsGood: false, owned: [] });
    expect(zombie.isReady).toBe(false);
    expect(drivers.running).toEqual([]);
    // At no time do both serve.
    expect(other.status.owned).toEqual([]);
    await test.advance(5_000);
    expect(other.status.owned).toMatchObject([{ epoch: 2, running: 1 }]);
    expect(drivers.started).toEqual(['a/parse/1', 'a/parse/2']);
  });

  it('R-LOCK-2: starts no driver when its lease has run out while it slept, though the timer that says so is late', async () => {
    const world = new World();
    const { test, drivers, frozen } = world;
    let sleptMs = 0;
    const inner = test.clock;
    // Timers of a process that slept come after what its sockets bring.
    const clock: Clock = {
      now: () => inner.now() + sleptMs,
      monotonicMs: () => inner.monotonicMs() + sleptMs,
      setTimer: (delayMs, fn) => inner.setTimer(delayMs, fn),
      defer: (fn) => inner.defer(fn),
    };
    await world.start({ clock });
    frozen.shut();
    const submitted = test.client.submit(world.pipeline, 'in', { taskId: 'a' });
    submitted.catch(() => {});
    await test.clock.runUntil(() => frozen.waiting > 0);
    sleptMs = 60_000;
    frozen.open();
    await test.advance(0);
    // The start is durable, and who owns the shard next finds it; this process may not act on it.
    expect(drivers.started).toEqual([]);
    expect(await world.violations()).toEqual([]);
  });

  it('R-LOCK-2 NO_OWNER: answers nothing, not even a question, when its lease has run out while it slept', async () => {
    const world = new ShardWorld({ pipelines: [aPipeline()], config: { leaseTtlMs: 20_000, leaseRenewMs: 5_000 } });
    let sleptMs = 0;
    const inner = world.clock;
    const clock: Clock = {
      now: () => inner.now() + sleptMs,
      monotonicMs: () => inner.monotonicMs() + sleptMs,
      setTimer: (delayMs, fn) => inner.setTimer(delayMs, fn),
      defer: (fn) => inner.defer(fn),
    };
    const engine = world.engine('node-1', { clock });
    await world.test.run(engine.start());
    expect(await world.answer(world.submit('a'))).toMatchObject({ kind: 'accepted' });
    sleptMs = 60_000;
    expect(engine.status.owned).toHaveLength(1);
    expect([world.get('a'), world.result('a'), world.submit('b')].map(outcomeOf)).toEqual([
      'NO_OWNER',
      'NO_OWNER',
      'NO_OWNER',
    ]);
  });

  it('R-LOCK-2: takes its shards again when it can renew, if nobody else did', async () => {
    const world = new World();
    await world.start();
    const { test, frozen, zombie } = world;
    await test.run(test.client.submit(world.pipeline, 'in', { taskId: 'a' }));
    frozen.shut();
    await test.advance(60_000);
    expect(zombie.status.owned).toEqual([]);
    frozen.open();
    await test.advance(5_000);
    expect(zombie.status).toMatchObject({ leaseIsGood: true, owned: [{ epoch: 2 }] });
    expect(await world.state('a')).toBe('parse.running');
    expect(world.zombieFailures).toEqual([]);
  });

  it('R-LOCK-2 OWNERSHIP_LOST: stops for good when a newer process has its name', async () => {
    const world = new World();
    await world.start();
    const owner = await world.takeOver('node-1');
    await world.test.advance(6_000);
    expect(world.zombieFailures).toEqual(['OWNERSHIP_LOST']);
    expect(world.zombie.status.owned).toEqual([]);
    expect(owner.status).toMatchObject({ leaseIsGood: true, owned: [{ epoch: 2 }] });
    await world.test.advance(60_000);
    expect(owner.status.owned).toMatchObject([{ epoch: 2 }]);
  });
});
