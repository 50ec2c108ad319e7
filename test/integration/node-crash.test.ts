import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client.ts';
import { SeededRandom } from '../../src/platform/seeded-random.ts';
import type { EngineChild } from '../support/engine-child.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { eventually } from '../support/nats-world.ts';

const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000);
const orderCount = 300;
const killCount = 8;

describe(`an engine process that is killed at random, seed ${seed}`, () => {
  let world: EngineWorld;
  let client: Client;
  let engine: EngineChild;

  beforeAll(async () => {
    world = await EngineWorld.start();
    engine = await world.startEngine();
    client = await world.connect();
  });

  afterAll(() => world?.stop());

  /** Kills in the middle of an effect, or as soon as a shard is recovered, or between the effects: as the seed says. */
  async function killOnce(random: SeededRandom): Promise<void> {
    const count = 10 + Math.floor(random.next() * 150);
    const kind = random.next();
    if (kind < 0.35) return world.ledger.interrupt(count, 'received', () => engine.kill());
    if (kind < 0.7) return world.ledger.interrupt(count, 'applied', () => engine.kill());
    if (kind < 0.85) return world.ledger.interrupt(count, 'applied', async () => void engine.kill());
    await world.ledger.interrupt(count, 'received', () => engine.kill());
    engine = world.spawnEngine();
    await eventually('a shard is recovered', () => engine.logged('the shard is recovered').length > 0, 60_000);
    return engine.kill();
  }

  it('R-WRK-2 R-CORE-3 R-IDEM-1: every task ends, and no effect happens twice, over 8 kills at random moments', async () => {
    const random = new SeededRandom(seed);
    const submitted = world.submitOrders(client, 'order', orderCount);
    for (let kill = 1; kill <= killCount; kill += 1) {
      await killOnce(random);
      engine = await world.startEngine();
    }
    await submitted;
    await world.untilAllEnd(client);
    const report = await world.expectAllDone();
    const interruptions = report.records.filter(({ event }) => event.type === 'owner.changed');
    const epochs = Math.max(...report.claims.map(({ epoch }) => epoch));
    expect(interruptions.length).toBeGreaterThanOrEqual(killCount);
    expect(epochs).toBeGreaterThan(killCount);
  });

  it('R-IDEM-3: what nobody could know was parked, asked of the driver’s lookup or of the operator, and never guessed', async () => {
    const report = await world.readJournal();
    const decisions = new Map<string, Set<string>>();
    for (const { event, to } of report.records) {
      if (event.type !== 'owner.changed') continue;
      const stage = to.split('.')[0] ?? '';
      decisions.set(stage, (decisions.get(stage) ?? new Set()).add(event.decision.kind));
    }
    for (const stage of ['parse', 'photos', 'cleanup'])
      expect([...(decisions.get(stage) ?? ['rerun'])]).toEqual(['rerun']);
    expect([...(decisions.get('publish') ?? ['lookup'])]).toEqual(['lookup']);
    expect([...(decisions.get('charge') ?? ['park'])]).toEqual(['park']);
    expect(decisions.get('publish') ?? decisions.get('charge')).toBeDefined();
  });
});
