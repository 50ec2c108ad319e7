import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client.ts';
import type { EngineChild } from '../support/engine-child.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { eventually } from '../support/nats-world.ts';

const shardCount = 4;

describe('an engine process that slept while another one took its place', () => {
  let world: EngineWorld;
  let client: Client;
  let zombie: EngineChild;
  let successor: EngineChild;

  beforeAll(async () => {
    // Renewals are rare, so that it is the journal that tells the zombie, not its lease.
    world = await EngineWorld.start({ config: { leaseTtlMs: 120_000, leaseRenewMs: 40_000 } });
    zombie = await world.startEngine();
    client = await world.connect();
  });

  afterAll(() => world?.stop());

  it('R-WRK-2 R-LOCK-2: the newer process takes every shard while the older one is frozen, and ends its tasks', async () => {
    const frozen = world.ledger.interrupt(60, 'applied', async () => zombie.freeze());
    const submitted = world.submitOrders(client, 'order', 60);
    await frozen;
    successor = await world.startEngine();
    expect((await successor.status()).owned).toHaveLength(shardCount);
    await submitted;
    await world.untilAllEnd(client);
    await world.expectAllDone();
  });

  it('R-LOCK-1: OWNERSHIP_LOST: the server refuses the appends of the one that wakes up, and it stops with an error', async () => {
    const before = await world.readJournal();
    zombie.resume();
    expect(await zombie.exit()).toBe(1);
    expect(zombie.said('failed')).toMatchObject({ code: 'OWNERSHIP_LOST', message: expect.stringContaining('n-1') });
    expect(zombie.said('failed')?.metrics['appends_fenced_total']).toBeGreaterThan(0);
    expect(zombie.logged('a shard was lost').map(({ err }) => err?.code)).toContain('OWNERSHIP_LOST');
    const after = await world.expectAllDone();
    expect(after.claims).toHaveLength(before.claims.length);
    expect(after.records).toHaveLength(before.records.length);
  });

  it('R-LOCK-1: the zombie’s drivers that were under way change nothing: the outside knows a newer fence', async () => {
    const { executions, duplicates } = world.ledger;
    expect(duplicates).toEqual([]);
    expect(executions.filter(({ fence, result }) => fence.epoch === 2 && result === 'fenced')).toEqual([]);
  });

  it('R-WRK-2: the newer process keeps every shard and goes on', async () => {
    expect((await successor.status()).owned.map(({ epoch }) => epoch)).toEqual([2, 2, 2, 2]);
    await world.submitOrders(client, 'later', 20);
    await world.untilAllEnd(client);
    const report = await world.expectAllDone();
    expect(new Set(report.claims.map(({ incarnation }) => incarnation)).size).toBe(2);
    await eventually('all of it is handed over', async () => (await successor.terminate()) === 0);
  });
});
