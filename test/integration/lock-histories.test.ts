import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Epoch, NodeId, ShardId } from '../../src/core/ids.ts';
import { SeededRandom } from '../../src/platform/seeded-random.ts';
import type { ShardLock } from '../../src/ports/leases.ts';
import { NatsLeaseStore } from '../../src/store/nats-leases.ts';
import { counter, HistoryLog } from '../models/linearizability/history-log.ts';
import { checkEachKey } from '../models/linearizability/linearizability.ts';
import { freeLock, lockModel, type LockAnswer, type LockInput } from '../models/linearizability/sequential-models.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';
import { freshNamespace, openStoreKit, type NatsStoreKit } from '../support/nats-store-kit.ts';

const claimants = 5;
const stepsEach = 40;
const shards = [0, 1] as const;

/** Claimants that take the locks from each other as fast as they can, each by what it last saw. */
class LockRace {
  readonly history = new HistoryLog<LockInput, LockAnswer>(counter());
  readonly #random = new SeededRandom(7);

  async claim(store: NatsLeaseStore, node: number): Promise<void> {
    const seen = new Map<number, ShardLock>();
    for (let step = 0; step < stepsEach; step += 1) {
      const shard = (shards[Math.floor(this.#random.next() * shards.length)] ?? 0) as ShardId;
      const known = seen.get(shard);
      // What was seen is old by now, more often than not.
      if (known === undefined || this.#random.next() < 0.5) {
        await this.#read(store, shard, (lock) => seen.set(shard, lock));
        continue;
      }
      const owner = { nodeId: `n-${node}` as NodeId, incarnation: `${node}-${step}` };
      const lock = { shard, owner: this.#random.next() < 0.8 ? owner : null, epoch: (known.epoch + 1) as Epoch };
      await this.#write(store, lock, known.revision, (revision) => seen.set(shard, { ...lock, revision }));
    }
  }

  async #read(store: NatsLeaseStore, shard: ShardId, see: (lock: ShardLock) => void): Promise<void> {
    await this.history.record({ kind: 'read', shard }, () => store.readShard(shard), {
      result: (lock) => {
        see(lock);
        return { kind: 'read', value: textOf(lock), revision: lock.revision };
      },
      error: () => null,
    });
  }

  async #write(
    store: NatsLeaseStore,
    lock: Omit<ShardLock, 'revision'>,
    expectedRevision: number,
    see: (revision: number) => void,
  ): Promise<void> {
    const input: LockInput = { kind: 'write', shard: lock.shard, value: textOf(lock), expectedRevision };
    await this.history.record(input, () => store.writeShard(lock, expectedRevision), {
      result: (outcome) => {
        if (outcome.kind === 'held') see(outcome.revision);
        return outcome;
      },
      error: () => null,
    });
  }
}

function textOf({ owner, epoch }: Omit<ShardLock, 'revision'>): string {
  return owner === null && epoch === 0 ? freeLock : `${epoch} ${owner?.nodeId ?? 'nobody'} ${owner?.incarnation ?? ''}`;
}

describe.each([1, 3] as const)('locks on %i nats-server', (servers) => {
  let nats: NatsFixture;
  const kits: NatsStoreKit[] = [];

  beforeAll(async () => {
    nats = await startNats({ servers });
    for (let index = 0; index < claimants; index += 1) {
      kits.push(await openStoreKit(nats.urls[index % nats.urls.length] ?? nats.url, 2_000));
    }
  });

  afterAll(async () => {
    for (const kit of kits) await kit.close();
    await nats?.stop();
  });

  it('R-LOCK-1 R-LOCK-2: are linearizable registers with compare-and-set, whoever asks which server', async () => {
    const namespace = await freshNamespace(kits[0] as NatsStoreKit, { replicas: servers });
    const race = new LockRace();
    await Promise.all(kits.map((kit, node) => race.claim(new NatsLeaseStore({ ...kit, namespace }), node)));
    const { operations } = race.history;
    const verdicts = checkEachKey(lockModel, operations, ({ shard }) => String(shard));
    expect([...verdicts.values()].filter(({ kind }) => kind === 'violated')).toEqual([]);
    const count = (kind: LockAnswer['kind']): number => operations.filter(({ output }) => output?.kind === kind).length;
    process.stdout.write(`${servers}: ${count('read')} reads, ${count('held')} held, ${count('lost')} lost\n`);
    expect(Math.min(count('read'), count('held'), count('lost'))).toBeGreaterThan(5);
  });

  it('R-LOCK-1: stay so when a server is killed under them, and nobody knows what became of what was asked', async () => {
    const namespace = await freshNamespace(kits[0] as NatsStoreKit, { replicas: servers });
    const race = new LockRace();
    const racing = Promise.all(kits.map((kit, node) => race.claim(new NatsLeaseStore({ ...kit, namespace }), node)));
    const { operations } = race.history;
    while (operations.length < 40) await new Promise((resolve) => setImmediate(resolve));
    await nats.kill(0);
    await nats.restart(0);
    await racing;
    const verdicts = checkEachKey(lockModel, operations, ({ shard }) => String(shard));
    expect([...verdicts.values()].filter(({ kind }) => kind === 'violated')).toEqual([]);
    const unknown = operations.filter(({ output }) => output === null).length;
    process.stdout.write(`${servers}, killed: ${operations.length} operations, ${unknown} unknown\n`);
    expect(unknown).toBeGreaterThan(0);
  });
});
