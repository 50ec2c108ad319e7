import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { journalStream } from '../../src/core/subjects.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { askNats } from '../support/nats-api.ts';

describe('a node whose journal was lost or set back', () => {
  let world: EngineWorld;

  beforeAll(async () => {
    world = await EngineWorld.start({ provider: 'binary' });
  });

  afterAll(() => world?.stop());

  it('R-CORE-3: LOG_REGRESSED: owns nothing when the journal is shorter than what it knows to have been acknowledged', async () => {
    const engine = await world.startEngine();
    const client = await world.connect();
    await world.submitOrders(client, 'kept', 20);
    await world.untilAllEnd(client);
    expect(await engine.terminate()).toBe(0);
    const stream = journalStream('it');
    const deleted = await askNats<{ readonly success?: boolean }>(world.nats, `$JS.API.STREAM.DELETE.${stream}`);
    expect(deleted.success).toBe(true);
    // Neither the first nor a later one: what the first has written must not make the journal look whole.
    for (let start = 1; start <= 2; start += 1) {
      const next = world.spawnEngine();
      expect(await next.exit(60_000)).toBe(1);
      expect(next.said('failed')).toMatchObject({ code: 'LOG_REGRESSED' });
      expect(next.said('ready')).toBeUndefined();
    }
    // Not even a claim: enough of them would bring the journal past every checkpoint.
    expect(await (await world.journal()).bounds()).toEqual({ first: 0, last: 0 });
  });
});
