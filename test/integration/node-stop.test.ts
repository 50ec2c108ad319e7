import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client.ts';
import type { EngineChild } from '../support/engine-child.ts';
import { EngineWorld } from '../support/engine-world.ts';

const orderCount = 120;
const rounds = 3;
/** An idle node has nothing to wait for. */
const promptStopMs = 3_000;
/** A node without its server waits for its grace and the bounds of its requests. */
const darkStopMs = 25_000;

describe('a node that is told to stop', () => {
  let world: EngineWorld;
  let client: Client;
  let engine: EngineChild;

  beforeAll(async () => {
    world = await EngineWorld.start();
    engine = await world.startEngine();
    client = await world.connect();
  });

  afterAll(() => world?.stop());

  it('R-WRK-2 R-LOCK-2: hands over under load, again and again: nothing is interrupted, lost or done twice', async () => {
    for (let round = 1; round <= rounds; round += 1) {
      const submitted = world.submitOrders(client, `round-${round}`, orderCount);
      // It is told so in the middle of an effect, which it waits for.
      let stopped: Promise<number | null> | undefined;
      await world.ledger.interrupt(round * 60, 'received', async () => {
        stopped = engine.terminate();
      });
      expect(await stopped).toBe(0);
      const older = engine;
      engine = await world.startEngine();
      await submitted;
      expect(older.said('stopped')?.metrics['abandoned_drivers_total']).toBe(0);
      const recovered = engine.logged('the shard is recovered');
      expect(recovered.map(({ interrupted }) => interrupted)).toEqual([0, 0, 0, 0]);
      expect(recovered.map(({ epoch }) => epoch)).toEqual([0, 0, 0, 0].map(() => round + 1));
    }
    await world.untilAllEnd(client);
    const report = await world.expectAllDone();
    expect(report.tasks.size).toBe(orderCount * rounds);
    expect(report.records.filter(({ event }) => event.type === 'owner.changed')).toEqual([]);
    expect(world.ledger.executions.filter(({ result }) => result !== 'applied')).toEqual([]);
  });

  it('R-LOCK-2: what it owned is free at once: another node has every shard without waiting for a lease to run out', async () => {
    const stoppingMs = performance.now();
    expect(await engine.terminate()).toBe(0);
    // Nothing that it has opened holds the process.
    expect(performance.now() - stoppingMs).toBeLessThan(promptStopMs);
    const startedMs = performance.now();
    engine = await world.startEngine({ nodeId: 'n-2' });
    expect((await engine.status()).owned).toHaveLength(4);
    expect(performance.now() - startedMs).toBeLessThan(world.leaseTtlMs);
    await world.submitOrders(client, 'other', 10);
    await world.untilAllEnd(client);
    await world.expectAllDone();
  });

  it('R-SUM-1: a driver that takes longer than the grace is aborted and runs again with the same key', async () => {
    expect(await engine.terminate()).toBe(0);
    engine = await world.startEngine({ config: { ...world.settings.config, drainGraceMs: 200 } });
    const submitted = world.submitOrders(client, 'slow', 4);
    let stopped: Promise<number | null> | undefined;
    const older = engine;
    await world.ledger.interrupt(3, 'received', async () => {
      stopped = older.terminate();
      // The effect is held until the process has given it up and gone.
      expect(await stopped).toBe(0);
    });
    engine = await world.startEngine();
    await submitted;
    await world.untilAllEnd(client);
    const report = await world.expectAllDone();
    const released = report.records.filter(({ event }) => event.type === 'stage.released');
    // The one that was held, and whatever else the grace did not let finish.
    expect(released.length).toBeGreaterThanOrEqual(1);
    for (const { task } of released) expect(task).toMatch(/^slow-/);
    expect(report.records.filter(({ event }) => event.type === 'owner.changed')).toEqual([]);
  });

  it('R-FAIL-1: it stops in bounded time when its NATS server is gone, and the next start loses nothing', async () => {
    expect(await engine.terminate()).toBe(0);
    engine = await world.startEngine({ config: { ...world.settings.config, drainGraceMs: 1_000 } });
    const submitted = world.submitOrders(client, 'dark', 20);
    let stopped: Promise<number | null> | undefined;
    await world.ledger.interrupt(20, 'applied', async () => {
      await world.nats.kill();
      stopped = engine.terminate(darkStopMs);
    });
    expect(await stopped).toBe(0);
    await world.nats.restart();
    engine = await world.startEngine();
    await submitted;
    await world.untilAllEnd(client);
    await world.expectAllDone();
  });
});
