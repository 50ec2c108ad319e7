import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client.ts';
import type { EngineChild } from '../support/engine-child.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { eventually } from '../support/nats-world.ts';

const ordersPerOutage = 60;
/** Each outage ends the only server in another way. */
const outages = ['SIGTERM', 'SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGKILL'] as const;

describe('a node whose only NATS server is restarted under load', () => {
  let world: EngineWorld;
  let client: Client;
  let engine: EngineChild;

  beforeAll(async () => {
    world = await EngineWorld.start();
    engine = await world.startEngine();
    client = await world.connect();
  });

  afterAll(() => world?.stop());

  it('R-CORE-3 R-FAIL-1: clients see no error within their deadline, and no accepted task is lost, over 5 restarts', async () => {
    for (const [index, signal] of outages.entries()) {
      const submitted = world.submitOrders(client, `outage-${index + 1}`, ordersPerOutage);
      await world.ledger.interrupt(5 + index * 40, 'received', async () => {
        if (signal === 'SIGKILL') await world.nats.kill();
        await world.nats.restart();
      });
      await submitted;
    }
    await world.untilAllEnd(client);
    const report = await world.expectAllDone();
    expect(report.tasks.size).toBe(outages.length * ordersPerOutage);
  });

  it('R-SUM-1: no shard was lost for an outage, and every append of unknown outcome became known', async () => {
    const metrics = await engine.metrics();
    expect(metrics['appends_unknown_total']).toBeGreaterThan(0);
    expect(metrics['appends_fenced_total']).toBe(0);
    const report = await world.readJournal();
    expect(report.claims.map(({ epoch }) => epoch)).toEqual([1, 1, 1, 1]);
    expect(report.records.filter(({ event }) => event.type === 'owner.changed')).toEqual([]);
    await eventually('no shard waits for its journal', async () =>
      (await engine.status()).owned.every(({ stalledMs }) => stalledMs === 0),
    );
  });
});
