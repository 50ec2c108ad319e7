import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client.ts';
import type { EngineChild } from '../support/engine-child.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { eventually } from '../support/nats-world.ts';

const orderCount = 100;
const takeoverCount = 2;

describe('a node on three NATS servers', () => {
  let world: EngineWorld;
  let client: Client;
  let engine: EngineChild;
  /** How often the shards were taken so far, by the processes that this test has started. */
  let epoch = 1;

  beforeAll(async () => {
    world = await EngineWorld.start({ servers: 3 });
    engine = await world.startEngine();
    client = await world.connect();
  });

  afterAll(() => world?.stop());

  it('R-CORE-3 R-LOCK-1: the pipeline goes on when the leader of its stream is killed, and no shard is lost', async () => {
    const submitted = world.submitOrders(client, 'kill', orderCount);
    let killed = 0;
    await world.ledger.interrupt(50, 'received', async () => {
      killed = await world.journalLeader();
      await world.nats.kill(killed);
    });
    await submitted;
    await world.untilAllEnd(client);
    await world.nats.restart(killed);
    await world.expectAllDone();
    await expectNoLoss();
  });

  it('R-CORE-3 R-LOCK-2: it keeps its shards when the leader of its stream freezes, which it is linked to itself', async () => {
    const frozen = await restartAtLeader();
    const submitted = world.submitOrders(client, 'freeze', orderCount);
    await world.ledger.interrupt(50, 'applied', async () => world.nats.freeze(frozen));
    await submitted;
    await world.untilAllEnd(client);
    await world.nats.resume(frozen);
    await eventually('the stream has all its replicas again', () => world.isJournalInSync(), 60_000);
    await world.expectAllDone();
    await expectNoLoss();
  });

  it('R-LOCK-1 R-LOCK-2: newer processes take over from one at work: each is fenced once and for all', async () => {
    const owners = [engine];
    for (let takeover = 1; takeover <= takeoverCount; takeover += 1) {
      const older = owners.at(-1);
      const newer = world.spawnEngine();
      owners.push(newer);
      // It is about to claim the shards: the older one shall be in the middle of its work then.
      await eventually('the newer process has checked the server', () => newer.logged('an acknowledgement').length > 0);
      const submitted = world.submitOrders(client, `takeover-${takeover}`, orderCount);
      await newer.ready();
      expect(await older?.exit()).toBe(1);
      expect(older?.said('failed')).toMatchObject({ code: 'OWNERSHIP_LOST' });
      await submitted;
    }
    await world.untilAllEnd(client);
    const { claims } = await world.expectAllDone();
    epoch += takeoverCount;
    for (const shard of [0, 1, 2, 3]) {
      const epochs = claims.filter((claim) => claim.shard === shard).map((claim) => claim.epoch);
      expect(epochs).toEqual(Array.from({ length: epoch }, (_, index) => index + 1));
    }
    engine = owners.at(-1) ?? engine;
  });

  it('R-LOCK-1 R-IDEM-3: an append that is in process (10164, 10158) is asked again until it is known, and never taken for a fence', async () => {
    // The leader takes appends and cannot commit them while its followers are frozen.
    const leader = await restartAtLeader();
    const followers = [0, 1, 2].filter((index) => index !== leader);
    const submitted = world.submitOrders(client, 'busy', orderCount);
    await world.ledger.interrupt(50, 'applied', async () => {
      for (const follower of followers) await world.nats.freeze(follower);
    });
    await eventually(
      'an append is in process',
      async () => (await engine.metrics())['appends_busy_total'] !== 0,
      30_000,
    );
    for (const follower of followers) await world.nats.resume(follower);
    await submitted;
    await world.untilAllEnd(client);
    await world.expectAllDone();
    await expectNoLoss();
    expect((await engine.metrics())['appends_unknown_total']).toBeGreaterThan(0);
  });

  /** Hands over to a new process that is linked to the server which leads the journal's stream now, and gives that server. */
  async function restartAtLeader(): Promise<number> {
    expect(await engine.terminate()).toBe(0);
    const leader = await world.journalLeader();
    engine = await world.startEngine({ servers: [world.nats.urls[leader] ?? ''] });
    epoch += 1;
    return leader;
  }

  async function expectNoLoss(): Promise<void> {
    const metrics = await engine.metrics();
    expect(metrics['appends_fenced_total']).toBe(0);
    expect(engine.logged('a shard was lost')).toEqual([]);
    const { owned } = await engine.status();
    expect(owned.map((shard) => shard.epoch)).toEqual([epoch, epoch, epoch, epoch]);
  }
});
