import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client.ts';
import type { EngineChild } from '../support/engine-child.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { askNats } from '../support/nats-api.ts';
import { eventually } from '../support/nats-world.ts';

const orderCount = 60;
const kicks = 4;
/** A client library's default gives up after ten attempts: with the engine's pause between them that is 2.5 s. */
const longOutageMs = 6_000;
const accounts = [
  'accounts {',
  '  SYS { users: [{ user: sys, password: sys }] }',
  '  APP { jetstream: enabled, users: [{ user: app, password: app }] }',
  '}',
  'system_account: SYS',
  'no_auth_user: app',
].join('\n');

interface Connz {
  readonly server_id: string;
  readonly connections: readonly { readonly cid: number; readonly name?: string }[];
}

describe('a node that its server disconnects', () => {
  let world: EngineWorld;
  let client: Client;
  let engine: EngineChild;

  beforeAll(async () => {
    world = await EngineWorld.start({ provider: 'binary', extraConfig: accounts });
    engine = await world.startEngine();
    client = await world.connect();
  });

  afterAll(() => world?.stop());

  it('R-EVT-2 R-CORE-3: loses nothing, in state or in a feed, when its connections are closed again and again, as those of a slow consumer are', async () => {
    const [anyTask = ''] = await world.submitOrders(client, 'first', 1);
    const seen: number[] = [];
    const stop = new AbortController();
    const feed = (async () => {
      for await (const { sequence } of (await world.journal()).follow({ after: 0 as never, signal: stop.signal })) {
        seen.push(sequence);
      }
    })().catch((error: unknown) => {
      if (!stop.signal.aborted) throw error;
    });
    for (let round = 1; round <= kicks; round += 1) {
      const submitted = world.submitOrders(client, `kick-${round}`, orderCount);
      await world.ledger.interrupt(20, 'received', closeAllConnections);
      await submitted;
    }
    await world.untilAllEnd(client);
    const report = await world.expectAllDone();
    expect(report.tasks.size).toBe(kicks * orderCount + 1);
    expect((await client.get(anyTask)).status).toBe('completed');
    const { last } = await (await world.journal()).bounds();
    await eventually('the feed has the last message', () => seen.at(-1) === last);
    stop.abort();
    await feed;
    expect(seen).toEqual(Array.from({ length: last }, (_, index) => index + 1));
    expect((await engine.metrics())['appends_fenced_total']).toBe(0);
  });

  it('R-CORE-3: is back after an outage that is longer than ten attempts to connect', async () => {
    const submitted = world.submitOrders(client, 'long', orderCount);
    await world.ledger.interrupt(20, 'received', async () => world.nats.kill());
    const downAt = performance.now();
    await eventually('a long outage is over', () => performance.now() - downAt > longOutageMs);
    await world.nats.restart();
    await submitted;
    await world.untilAllEnd(client);
    await world.expectAllDone();
    expect(engine.hasExited).toBe(false);
  });

  /** The server closes the connections of engine and client; they are new ones afterwards. */
  async function closeAllConnections(): Promise<void> {
    const connz = (await (await fetch(`${world.nats.monitorUrls[0]}/connz`)).json()) as Connz;
    const closed = connz.connections.filter(({ name }) => name?.startsWith('cabinet') === true);
    expect(closed.length).toBeGreaterThan(1);
    for (const { cid } of closed) {
      await askNats({ url: world.nats.url, user: 'sys' }, `$SYS.REQ.SERVER.${connz.server_id}.KICK`, { cid });
    }
  }
});
