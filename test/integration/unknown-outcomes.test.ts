import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/platform/seeded-random.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { NatsProxy, publishFaults, type PublishFault } from '../support/nats-proxy.ts';

/** How often each fault hits each kind of write; more of them in a long run. */
const hitsPerPair = Number(process.env['CABINET_UNKNOWN_HITS'] ?? 1);
const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000);
/** Least time after a cut of the link until the next hit: a node that is cut off all the time shows nothing. */
const pauseMs = 120;
const cuts: ReadonlySet<PublishFault> = new Set(['landAfterReconnect', 'cutBefore', 'cutAfter', 'cutWithin']);
const ordersPerWave = 40;
const longestMs = 240_000 * hitsPerPair;

const namespace = 'it';
const kinds: Readonly<Record<string, RegExp>> = {
  journal: new RegExp(`^${namespace}\\.journal\\.\\d+$`),
  liveSnapshot: new RegExp(`^\\$KV\\.${namespace}-snapshots\\.\\d+\\.live\\.`),
  finishedSnapshot: new RegExp(`^\\$KV\\.${namespace}-snapshots\\.\\d+\\.finished\\.`),
  checkpoint: new RegExp(`^\\$KV\\.${namespace}-snapshots\\.\\d+\\.checkpoint$`),
  lease: new RegExp(`^\\$KV\\.${namespace}-nodes\\.`),
  lock: new RegExp(`^\\$KV\\.${namespace}-shards\\.lock\\.`),
};

interface Pair {
  readonly kind: string;
  readonly fault: PublishFault;
}

/** Hands out the faults that are still to happen, in an order that the seed draws, to the publishes that they fit. */
class FaultPlan {
  readonly hits = new Map<string, number>();
  readonly #left: Pair[];
  readonly #random: SeededRandom;
  #nextAtMs = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
    this.#left = Object.keys(kinds).flatMap((kind) =>
      publishFaults.flatMap((fault) => Array.from({ length: hitsPerPair }, () => ({ kind, fault }))),
    );
  }

  get left(): readonly Pair[] {
    return this.#left;
  }

  draw(subject: string): PublishFault | null {
    const nowMs = performance.now();
    const kind = Object.keys(kinds).find((name) => kinds[name]?.test(subject) === true);
    if (kind === undefined || nowMs < this.#nextAtMs) return null;
    const fitting = this.#left.filter((pair) => pair.kind === kind);
    const pair = fitting[Math.floor(this.#random.next() * fitting.length)];
    if (pair === undefined) return null;
    this.#left.splice(this.#left.indexOf(pair), 1);
    if (cuts.has(pair.fault)) this.#nextAtMs = nowMs + pauseMs;
    this.hits.set(`${pair.kind} ${pair.fault}`, (this.hits.get(`${pair.kind} ${pair.fault}`) ?? 0) + 1);
    return pair.fault;
  }
}

// At the same time: most of a run is waiting for what does not come.
describe.concurrent(`writes whose outcome nobody knows, seed ${seed}`, () => {
  it.each([1, 3] as const)(
    'R-IDEM-2 R-CORE-4: on %d server(s), every kind of write meets every fault on its way, and nothing is lost, repeated or guessed',
    async (servers) => {
      const world = await EngineWorld.start({ servers, config: { snapshotIntervalMs: 200, leaseRenewMs: 300 } });
      const proxies = await Promise.all(world.nats.urls.map((url) => NatsProxy.start(url)));
      try {
        await meetEveryFault(world, proxies);
      } finally {
        await world.stop();
        await Promise.all(proxies.map((proxy) => proxy.stop()));
      }
    },
    longestMs + 120_000,
  );
});

async function meetEveryFault(world: EngineWorld, proxies: readonly NatsProxy[]): Promise<void> {
  const plan = new FaultPlan(new SeededRandom(seed));
  const first = await world.startEngine({ servers: proxies.map(({ url }) => url), nodeId: 'a' });
  const client = await world.connect();
  for (const proxy of proxies) proxy.onPublish = ({ subject }) => plan.draw(subject);

  const untilMs = performance.now() + longestMs;
  for (let wave = 1; plan.left.length > 0 && performance.now() < untilMs; wave += 1) {
    // A second node, on the servers themselves, that comes and goes: where shards change hands locks are written and shards claimed.
    const second = await world.startEngine({ nodeId: 'b' });
    await world.submitOrders(client, `wave${wave}`, ordersPerWave);
    await world.untilAllEnd(client);
    expect(await second.terminate()).toBe(0);
  }
  for (const proxy of proxies) proxy.onPublish = () => null;
  expect(plan.left).toEqual([]);
  await world.untilAllEnd(client);
  await world.expectAllDone();
  expect(first.hasExited).toBe(false);
  expect(first.said('failed')).toBeUndefined();
  const metrics = await first.metrics();
  expect(metrics['appends_unknown_total']).toBeGreaterThan(0);
  expect(metrics['appends_unknown_resolved_total']).toBeGreaterThan(0);
}
