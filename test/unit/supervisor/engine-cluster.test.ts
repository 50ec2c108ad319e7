import { afterEach, describe, expect, it } from 'vitest';

import type { EngineConfig } from '../../../src/core/config.ts';
import { ClusterWorld, stageMs } from '../../support/cluster-world.ts';
import { aPipeline } from '../../support/shard-kit.ts';

const worlds: ClusterWorld[] = [];

function aWorld(config: Partial<EngineConfig> = {}): ClusterWorld {
  const world = new ClusterWorld(config);
  worlds.push(world);
  return world;
}

afterEach(async () => {
  for (const world of worlds.splice(0)) await world.stop();
});

const sorted = (counts: readonly number[]): readonly number[] => counts.toSorted((left, right) => left - right);

describe('nodes that share the shards', () => {
  it('R-WRK-2 R-LOCK-2: two of twelve shards have five to seven each, and each shard one owner', async () => {
    const world = aWorld();
    const nodes = await world.startAll('node-1', 'node-2');
    expect(world.servedCounts).toEqual(Array.from({ length: 12 }, () => 1));
    for (const { shards } of nodes) {
      expect(shards.length).toBeGreaterThanOrEqual(5);
      expect(shards.length).toBeLessThanOrEqual(7);
    }
    expect(nodes.map(({ engine }) => engine.isReady)).toEqual([true, true]);
  });

  it('R-WRK-2: three have three to five each', async () => {
    const world = aWorld();
    const nodes = await world.startAll('node-1', 'node-2', 'node-3');
    expect(world.isServed).toBe(true);
    const [least = 0, , most = 0] = sorted(nodes.map(({ shards }) => shards.length));
    expect(least).toBeGreaterThanOrEqual(3);
    expect(most).toBeLessThanOrEqual(5);
  });

  it('R-LOCK-2: that start at one time share them too, and no shard is served twice on the way', async () => {
    const world = aWorld();
    const starting = Promise.all(['node-1', 'node-2', 'node-3'].map((nodeId) => world.begin(nodeId)));
    let most = 0;
    await world.until(() => {
      most = Math.max(most, ...world.servedCounts);
      return world.nodes.length === 3 && world.isServed && world.nodes.every(({ shards }) => shards.length >= 3);
    });
    await world.test.run(starting);
    expect(most).toBe(1);
    expect((await world.report()).violations).toEqual([]);
  });

  it('R-WRK-2: a node that joins gets its share by handover, few at a time; no stage repeats and no client sees an error', async () => {
    const world = aWorld({ maxMoves: 2 });
    await world.startAll('node-1', 'node-2');
    world.load(120, 10);
    await world.advance(200);
    const joined = world.begin('node-3');
    let mostMoving = 0;
    await world.until(() => {
      mostMoving = Math.max(mostMoving, world.servedCounts.filter((count) => count === 0).length);
      return (world.nodes[2]?.shards.length ?? 0) >= 3 && world.isServed;
    });
    await world.test.run(joined);
    await world.untilDone();
    expect(mostMoving).toBeGreaterThan(0);
    expect(mostMoving).toBeLessThanOrEqual(2);
    expect(world.repeats).toEqual([]);
    expect(await world.violations()).toEqual([]);
  });
});

describe('nodes that hear no notice', () => {
  it('R-WRK-2: find out by looking, share the shards all the same, and repeat nothing', async () => {
    const world = aWorld({ clusterPollMs: 1_000 });
    world.losesNotices = true;
    await world.start('node-1');
    world.load(100, 20);
    await world.advance(100);
    await world.start('node-2');
    await world.start('node-3');
    expect(await world.untilShared()).toBeLessThan(10_000);
    await world.untilDone();
    expect(world.repeats).toEqual([]);
    expect(await world.violations()).toEqual([]);
  });
});

describe('a node that is killed', () => {
  it('R-WRK-2: has its tasks running again in less than 1 s when its end is told', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2', 'node-3');
    world.load(60, 5);
    await world.advance(150);
    await second?.kill();
    second?.tellExited();
    expect(await world.untilServed()).toBeLessThan(1_000);
    await world.untilDone();
    expect(await world.violations()).toEqual([]);
  });

  it('R-WRK-2: has its tasks running again in less than 1.5 s when nobody tells, but its heartbeats are refused', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2', 'node-3');
    world.load(60, 5);
    await world.advance(150);
    await second?.kill();
    const takeoverMs = await world.untilServed();
    expect(takeoverMs).toBeGreaterThan(300);
    expect(takeoverMs).toBeLessThan(1_500);
    await world.untilDone();
    expect(await world.violations()).toEqual([]);
  });

  it('R-LOCK-2: has its shards taken when its lease has run out, though no heartbeat says anything', async () => {
    const world = aWorld({ clusterPollMs: 1_000 });
    const [first, second] = await world.startAll('node-1', 'node-2');
    if (first !== undefined) first.isBlind = true;
    await second?.kill();
    await world.advance(14_000);
    expect(world.isServed).toBe(false);
    const takeoverMs = 14_000 + (await world.untilServed());
    expect(takeoverMs).toBeLessThan(22_000);
    expect(first?.shards).toHaveLength(12);
  });

  it('R-LOCK-2: is not taken for dead because the observer itself was cut off from the bus', async () => {
    const world = aWorld();
    const [first, second] = await world.startAll('node-1', 'node-2');
    const before = second?.shards;
    if (first !== undefined) first.isBlind = true;
    await world.advance(4_000);
    if (first !== undefined) first.isBlind = false;
    await world.advance(4_000);
    expect(second?.shards).toEqual(before);
    expect(world.test.logger.messages('warn')).not.toContain('a node is held to be down');
  });

  it('R-WRK-2: and comes back under its name takes back its share under a new incarnation', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2');
    const before = second?.shards;
    await second?.kill();
    const again = await world.start('node-2');
    await world.untilShared();
    expect(again.shards).toEqual(before);
    expect(again.incarnation).not.toBe(second?.incarnation);
  });
});

describe('a bus that stands still', () => {
  const epochs = async (world: ClusterWorld): Promise<readonly number[]> => {
    const locks = await world.test.run(world.test.leases.listShards());
    return locks.map(({ epoch }) => epoch);
  };

  it.each([
    ['alone', 4_300, false],
    ['alone and for long', 14_000, false],
    ['with the stores, as a frozen server does', 4_300, true],
  ])('R-LOCK-2: %s, makes no node take what another has: no epoch is raised', async (_, forMs, withStores) => {
    const world = aWorld();
    const nodes = await world.startAll('node-1', 'node-2', 'node-3');
    const before = { epochs: await epochs(world), shards: nodes.map(({ shards }) => shards) };
    world.load(40, 50);
    // At another phase of the heartbeats each time.
    for (let time = 0; time < 3; time += 1) {
      await world.advance(5_000 + time * 110);
      world.busGate.shut();
      if (withStores) world.storeGate.shut();
      await world.advance(forMs);
      world.storeGate.open();
      world.busGate.open();
    }
    await world.advance(5_000);
    expect(await epochs(world)).toEqual(before.epochs);
    expect(nodes.map(({ shards }) => shards)).toEqual(before.shards);
    expect(world.test.logger.messages('warn')).not.toContain('a node is held to be down');
    await world.untilDone();
    expect(await world.violations()).toEqual([]);
  });

  it('R-WRK-2: hides a node that froze meanwhile only for as long: it is found in less than 6 s from there', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2', 'node-3');
    world.busGate.shut();
    await world.advance(2_000);
    second?.freeze();
    await world.advance(2_300);
    expect(world.isServed).toBe(false);
    world.busGate.open();
    const takeoverMs = await world.untilServed();
    expect(takeoverMs).toBeGreaterThan(2_000);
    expect(takeoverMs).toBeLessThan(6_000);
  });
});

describe('a node that is frozen', () => {
  it('R-WRK-2: has its tasks running again in less than 6 s, and not before a pause would be over', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2', 'node-3');
    world.load(60, 5);
    await world.advance(150);
    second?.freeze();
    const takeoverMs = await world.untilServed();
    expect(takeoverMs).toBeGreaterThan(2_000);
    expect(takeoverMs).toBeLessThan(6_000);
    await world.untilDone();
    expect(await world.violations()).toEqual([]);
  });

  it('R-IDEM-1 I47: answers its callers at its next owner within 1.2 s of the takeover, once each', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2', 'node-3');
    world.load(40, 5);
    await world.advance(60);
    second?.freeze();
    const frozenMs = world.nowMs;
    const calls = Array.from({ length: 24 }, async (_, index) => {
      const taskId = `late-${index}`;
      await world.client.submit(world.pipeline, taskId, { taskId });
      return world.nowMs - frozenMs;
    });
    const takeoverMs = await world.untilServed();
    const answeredMs = Math.max(...(await world.test.run(Promise.all(calls))));
    expect(answeredMs).toBeLessThan(takeoverMs + 1_200);
    // The frozen owner has all of them in its mailbox when it wakes up.
    second?.thaw();
    await world.untilDone();
    await world.advance(5_000);
    const report = await world.report();
    expect(report.violations).toEqual([]);
    expect(world.ledger.violations()).toEqual([]);
    expect([...report.tasks.keys()].filter((id) => id.startsWith('late-'))).toHaveLength(24);
  });

  it('R-LOCK-2: for less than two seconds keeps what it has', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2');
    const before = second?.shards;
    second?.freeze();
    await world.advance(1_900);
    second?.thaw();
    await world.advance(5_000);
    expect(second?.shards).toEqual(before);
    expect(world.test.logger.messages('warn')).not.toContain('a node is held to be down');
  });

  it('R-LOCK-1 R-LOCK-2: and wakes up after its lease ran out is fenced, and rejoins under a new incarnation', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2', 'node-3');
    const before = second?.incarnation;
    world.load(100, 5);
    await world.advance(150);
    second?.freeze();
    await world.untilDone();
    await world.advance(30_000);
    expect(world.isServed).toBe(true);
    second?.thaw();
    await world.advance(1);
    expect(Math.max(...world.servedCounts)).toBe(1);
    await world.untilShared();
    expect(second?.failures).toEqual([]);
    expect(second?.incarnation).not.toBe(before);
    world.load(30, 5);
    await world.untilDone();
    expect(await world.violations()).toEqual([]);
  });

  it('R-LOCK-1: and wakes up while its lease still runs loses its shards to the fence and gets its share back', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2', 'node-3');
    world.load(100, 5);
    await world.advance(150);
    second?.freeze();
    await world.untilServed();
    await world.advance(500);
    second?.thaw();
    await world.untilDone();
    await world.advance(10_000);
    expect(world.servedCounts).toEqual(Array.from({ length: 12 }, () => 1));
    expect(second?.shards.length).toBeGreaterThanOrEqual(3);
    expect(await world.violations()).toEqual([]);
  });
});

describe('a node that cannot open a shard', () => {
  /** A pipeline that only newer processes have; its tasks wait. */
  const waiting = aPipeline({
    name: 'waiting',
    delayMs: 600_000,
    run: (ctx) => {
      if (ctx.attempt === 1) throw new Error('later');
      return 'done';
    },
  });

  it('R-WRK-2 PIPELINE_VERSION_UNKNOWN: leaves it to one that can, says so in its lease, and keeps the rest', async () => {
    const world = aWorld();
    const newer = await world.start('node-1', [world.pipeline, waiting]);
    const taskIds = Array.from({ length: 40 }, (_, index) => `w-${index}`);
    for (const taskId of taskIds) await world.test.run(world.client.submit(waiting, taskId, { taskId }));
    const held = new Set((await world.report([waiting])).starts.map(({ shard }) => shard));
    expect(held.size).toBeGreaterThan(9);
    const older = await world.start('node-2', [world.pipeline]);
    await world.advance(30_000);
    expect(world.isServed).toBe(true);
    expect(older.shards.filter((shard) => held.has(shard))).toEqual([]);
    expect(older.engine.isReady).toBe(true);
    expect(older.engine.status.failing).toEqual([]);
    const leases = await world.test.leases.listNodes();
    const declines = leases.find(({ nodeId }) => nodeId === 'node-2')?.declines ?? [];
    expect(declines.length).toBeGreaterThan(3);
    expect(declines.every((shard) => newer.shards.includes(shard))).toBe(true);
    // A process with the version has its share again.
    await world.test.run(older.stop());
    const mended = await world.start('node-2', [world.pipeline, waiting]);
    await world.untilShared();
    expect(mended.shards.some((shard) => held.has(shard))).toBe(true);
    expect((await world.report([waiting])).violations).toEqual([]);
  });
});

describe('a node that leaves', () => {
  it('R-WRK-2 R-SUM-1: hands everything over at once; no stage repeats and no client sees an error', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2', 'node-3');
    world.load(100, 5);
    await world.advance(150);
    const before = second?.shards.length ?? 0;
    expect(before).toBeGreaterThan(0);
    const startMs = world.nowMs;
    await world.test.run(second?.stop() ?? Promise.resolve());
    await world.untilServed();
    expect(world.nowMs - startMs).toBeLessThan(1_000);
    await world.untilDone();
    expect(world.repeats).toEqual([]);
    expect(await world.violations()).toEqual([]);
    expect((await world.test.leases.listNodes()).map(({ nodeId }) => nodeId)).toEqual(['node-1', 'node-3']);
  });

  it('R-WRK-2: one after the other, as a rolling restart under load does, loses and repeats nothing', async () => {
    const world = aWorld();
    await world.startAll('node-1', 'node-2', 'node-3');
    world.load(400, 10);
    for (const nodeId of ['node-1', 'node-2', 'node-3']) {
      await world.advance(300);
      const node = world.running.find((one) => one.nodeId === nodeId);
      await world.test.run(node?.stop() ?? Promise.resolve());
      await world.start(nodeId);
      await world.untilShared();
    }
    await world.untilDone();
    expect(world.repeats).toEqual([]);
    expect(await world.violations()).toEqual([]);
    const report = await world.report();
    expect(new Set(report.claims.map(({ incarnation }) => incarnation)).size).toBe(6);
  });

  it('waits for a driver within the grace, and the others wait for the shard', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2');
    world.load(12, 0);
    await world.advance(stageMs / 2);
    const stopping = second?.stop();
    await world.advance(1);
    expect(world.isServed).toBe(false);
    await world.test.run(stopping ?? Promise.resolve());
    await world.untilDone();
    expect(world.repeats).toEqual([]);
  });
});

describe('an operator', () => {
  it('R-WRK-2: drains a node: it hands over all that it has and stays, until it is uncordoned', async () => {
    const world = aWorld();
    const [, second] = await world.startAll('node-1', 'node-2', 'node-3');
    const before = second?.shards;
    world.load(60, 5);
    expect(await world.test.run(world.client.cluster.drain('node-2'))).toMatchObject({ status: { draining: true } });
    await world.until(() => second?.shards.length === 0 && world.isServed);
    expect(second?.engine.isReady).toBe(true);
    expect(await world.test.run(world.client.cluster.uncordon('node-2'))).toMatchObject({
      status: { draining: false },
    });
    await world.untilShared();
    expect(second?.shards).toEqual(before);
    await world.untilDone();
    expect(world.repeats).toEqual([]);
    expect(await world.violations()).toEqual([]);
  });

  it('cordons a node: it keeps what it has, and takes nothing of one that dies', async () => {
    const world = aWorld();
    const [first, second, third] = await world.startAll('node-1', 'node-2', 'node-3');
    const before = second?.shards;
    expect(await world.test.run(world.client.cluster.cordon('node-2'))).toMatchObject({ status: { cordoned: true } });
    await third?.kill();
    await world.untilServed();
    await world.advance(1_000);
    expect(second?.shards).toEqual(before);
    expect(first?.shards).toHaveLength(12 - (before?.length ?? 0));
  });

  it('sees every node and shard, which is down and what moves', async () => {
    const world = aWorld();
    const [first, second] = await world.startAll('node-1', 'node-2');
    const settled = await world.test.run(world.client.cluster.status());
    expect(settled).toMatchObject({ isBalanced: true, moves: 0, takeovers: 0, free: 0 });
    expect(settled.nodes.map(({ nodeId, status, owned, failing }) => [nodeId, status, owned, failing])).toEqual([
      ['node-1', 'up', first?.shards.length, 0],
      ['node-2', 'up', second?.shards.length, 0],
    ]);
    expect(settled.shards).toHaveLength(12);
    await second?.kill();
    const torn = await world.test.run(world.client.cluster.status());
    expect(torn).toMatchObject({
      isBalanced: false,
      takeovers: second === undefined ? -1 : 12 - (first?.shards.length ?? 0),
    });
    expect(torn.nodes[1]).toMatchObject({ nodeId: 'node-2', status: 'down', failing: null });
  });

  it('NODE_NOT_FOUND: is told when the node of an order is not there', async () => {
    const world = aWorld();
    await world.startAll('node-1');
    await expect(world.test.run(world.client.cluster.drain('node-9'))).rejects.toMatchObject({
      code: 'NODE_NOT_FOUND',
      message: 'no node node-9 is there',
    });
  });

  it('INVALID_ARGUMENT: is told when the name cannot be one of a node', async () => {
    const world = aWorld();
    await expect(world.client.cluster.cordon('a.b')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('a node alone', () => {
  it('that is drained keeps its shards: there is nobody to hand them to', async () => {
    const world = aWorld();
    const [only] = await world.startAll('node-1');
    await world.test.run(world.client.cluster.drain('node-1'));
    await world.advance(5_000);
    expect(only?.shards).toHaveLength(12);
  });

  it('R-LOCK-2: whose lease ran out drops its shards and takes them again under a new incarnation', async () => {
    const world = aWorld();
    const [only] = await world.startAll('node-1');
    const before = only?.incarnation;
    only?.freeze();
    await world.advance(40_000);
    only?.thaw();
    await world.untilServed();
    expect(only?.incarnation).not.toBe(before);
    expect(only?.engine.isReady).toBe(true);
  });
});
