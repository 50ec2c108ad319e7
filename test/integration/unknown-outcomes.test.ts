import { afterEach, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/platform/seeded-random.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { NatsProxy, publishFaults, type PublishFault } from '../support/nats-proxy.ts';

/** How often each fault hits each kind of write; more of them in a long run. */
const hitsPerPair = Number(process.env['CABINET_UNKNOWN_HITS'] ?? 1);
const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000);
/** Least time between two hits: a node that is cut off all the time shows nothing. */
const pauseMs = 120;
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
    this.#nextAtMs = nowMs + pauseMs;
    this.hits.set(`${pair.kind} ${pair.fault}`, (this.hits.get(`${pair.kind} ${pair.fault}`) ?? 0) + 1);
    return pair.fault;
  }
}

describe(`writes whose outcome nobody knows, seed ${seed}`, () => {
  let world: EngineWorld | undefined;
  let proxies: readonly NatsProxy[] = [];

  afterEach(async () => {
    await world?.stop();
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  });

  it.each([1, 3] as const)(
    'R-IDEM-2 R-CORE-4: on %d server(s), every kind of write meets every fault on its way, and nothing is lost, repeated or guessed',
    async (servers) => {
      const started = await EngineWorld.start({ servers, config: { snapshotIntervalMs: 200, leaseRenewMs: 300 } });
      world = started;
      proxies = await Promise.all(started.nats.urls.map((url) => NatsProxy.start(url)));
      const plan = new FaultPlan(new SeededRandom(seed));
      const through = { servers: proxies.map(({ url }) => url) };
      const first = await started.startEngine({ ...through, nodeId: 'a' });
      const client = await started.connect();
      for (const proxy of proxies) proxy.onPublish = ({ subject }) => plan.draw(subject);

      const untilMs = performance.now() + longestMs;
      for (let wave = 1; plan.left.length > 0 && performance.now() < untilMs; wave += 1) {
        // A second node, on the servers themselves, that comes and goes: where shards change hands locks are written and shards claimed.
        const second = await started.startEngine({ nodeId: 'b' });
        await started.submitOrders(client, `wave${wave}`, ordersPerWave);
        await started.untilAllEnd(client);
        expect(await second.terminate()).toBe(0);
      }
      for (const proxy of proxies) proxy.onPublish = () => null;
      expect(plan.left).toEqual([]);
      await started.untilAllEnd(client);
      await started.expectAllDone();
      expect(first.hasExited).toBe(false);
      expect(first.said('failed')).toBeUndefined();
      const metrics = await first.metrics();
      expect(metrics['appends_unknown_total']).toBeGreaterThan(0);
      expect(metrics['appends_unknown_resolved_total']).toBeGreaterThan(0);
    },
    longestMs + 120_000,
  );
});
