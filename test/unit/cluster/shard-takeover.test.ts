import { describe, expect, it } from 'vitest';

import { mayTake, releaseShard, takeShard, type Claimant } from '../../../src/cluster/shard-takeover.ts';
import { assembleCommit } from '../../../src/core/commit-codec.ts';
import type { ShardId } from '../../../src/core/ids.ts';
import type { JournalEntry } from '../../../src/ports/journal.ts';
import type { NodeLease, ShardLock } from '../../../src/ports/leases.ts';
import type { LeaseOperation } from '../../../src/store/memory-leases.ts';
import type { StoreFault } from '../../../src/store/store-fault.ts';
import { MemoryJournal, MemoryLeaseStore, MemorySnapshotStore, VirtualClock } from '../../../src/testing.ts';
import { tapJournal } from '../../support/port-taps.ts';
import { epochOf, nodeOf, sequenceOf, shard } from '../../support/shard-kit.ts';

const me: Claimant = { nodeId: nodeOf('me'), incarnation: 'me-2' };
const otherShard = 1 as ShardId;
const other: Claimant = { nodeId: nodeOf('other'), incarnation: 'other-1' };

function lockOf(owner: Claimant | null): ShardLock {
  return { shard, owner, epoch: epochOf(3), revision: 7 };
}

function leaseOf({ nodeId, incarnation }: Claimant): NodeLease {
  return { nodeId, incarnation, startedAt: 1, draining: false };
}

describe('whether a node may try for a lock', () => {
  it.each([
    { what: 'of nobody', owner: null, live: [other], may: true },
    { what: 'of a live node', owner: other, live: [me, other], may: false },
    { what: 'of a node whose lease ran out', owner: other, live: [me], may: true },
    { what: 'of a live node’s earlier process', owner: { ...other, incarnation: 'other-0' }, live: [other], may: true },
    { what: 'of its own earlier process', owner: { ...me, incarnation: 'me-1' }, live: [me], may: true },
    { what: 'of itself, lost and not released', owner: me, live: [me], may: true },
    { what: 'of a live node, when no lease is known', owner: other, live: [], may: true },
  ])('R-LOCK-2: a lock $what: $may', ({ owner, live, may }) => {
    expect(mayTake(lockOf(owner), me, live.map(leaseOf))).toBe(may);
  });
});

class World {
  readonly clock = new VirtualClock();
  fault: (operation: LeaseOperation) => StoreFault = () => 'none';
  readonly leases = new MemoryLeaseStore({ clock: this.clock, faults: (operation) => this.fault(operation) });
  journal = new MemoryJournal({ clock: this.clock });
  snapshotFault: StoreFault = 'none';
  readonly snapshots = new MemorySnapshotStore({ clock: this.clock, faults: () => this.snapshotFault });

  async last(of = shard): Promise<JournalEntry | null> {
    const last = this.journal.readLast(of);
    await this.clock.advance(0);
    return last;
  }

  async append(epoch: number, to = shard): Promise<void> {
    const body = assembleCommit({ format: 1, epoch: epochOf(epoch), batch: 1, at: 1 }, []);
    const expectedLast = (await this.last(to))?.sequence ?? sequenceOf(0);
    const messageId = `m-${to}-${epoch}-${expectedLast}`;
    const appended = this.journal.append({ shard: to, body, expectedLast, messageId });
    await this.clock.advance(0);
    await appended;
  }

  async take(claimant = me, live: readonly Claimant[] = [me]) {
    const taken = takeShard(this, shard, claimant, live.map(leaseOf));
    taken.catch(() => {}); // Awaited below.
    await this.clock.advance(0);
    return taken;
  }
}

describe('taking a shard', () => {
  it('that was never taken gives epoch 1 over an empty journal, and the lock tells who', async () => {
    const world = new World();
    expect(await world.take()).toMatchObject({ kind: 'taken', taken: { epoch: 1, lastSequence: 0 } });
    expect(await world.leases.readShard(shard)).toMatchObject({ owner: me, epoch: 1 });
  });

  it('R-LOCK-2: raises the epoch each time, also over a lock that was given back', async () => {
    const world = new World();
    for (const epoch of [1, 2, 3]) {
      const takeover = await world.take();
      expect(takeover).toMatchObject({ kind: 'taken', taken: { epoch } });
      if (takeover.kind === 'taken') await releaseShard(world.leases, shard, takeover.taken);
      expect(await world.leases.readShard(shard)).toMatchObject({ owner: null, epoch });
    }
  });

  it('R-LOCK-1: gives an epoch above the journal’s, when the locks are younger than the journal', async () => {
    const world = new World();
    await world.append(41);
    expect(await world.take()).toMatchObject({ taken: { epoch: 42, lastSequence: 1 } });
  });

  it('R-LOCK-1: gives an epoch above the lock’s, when nothing of that one reached the journal', async () => {
    const world = new World();
    await world.append(1);
    for (let time = 0; time < 5; time += 1) await world.take();
    expect(await world.take()).toMatchObject({ taken: { epoch: 6 + 1, lastSequence: 1 } });
  });

  it('R-LOCK-2: that a live node holds changes nothing', async () => {
    const world = new World();
    await world.take(other, [other]);
    expect(await world.take(me, [me, other])).toEqual({ kind: 'held', by: 'other' });
    expect(await world.leases.readShard(shard)).toMatchObject({ owner: other, epoch: 1 });
  });

  it('R-LOCK-2: is lost when somebody was faster between the read and the write', async () => {
    const world = new World();
    const both = Promise.all([
      takeShard(world, shard, me, [leaseOf(me), leaseOf(other)]),
      takeShard(world, shard, other, [leaseOf(me), leaseOf(other)]),
    ]);
    await world.clock.advance(0);
    const kinds = (await both).map(({ kind }) => kind);
    expect(kinds.toSorted()).toEqual(['lost', 'taken']);
  });

  it('RECORD_CORRUPT: leaves a shard alone whose last message cannot be read', async () => {
    const world = new World();
    const appended = world.journal.append({
      shard,
      body: new Uint8Array([0xc1]),
      expectedLast: sequenceOf(0),
      messageId: 'x',
    });
    await world.clock.advance(0);
    await appended;
    await expect(world.take()).rejects.toMatchObject({ code: 'RECORD_CORRUPT' });
    expect(await world.leases.readShard(shard)).toMatchObject({ owner: null, epoch: 0 });
  });

  it.each(['readShard', 'writeShard'] as const)('UNAVAILABLE: fails when %s is not answered', async (operation) => {
    const world = new World();
    world.fault = (asked) => (asked === operation ? 'unavailable' : 'none');
    await expect(world.take()).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
  });

  it('R-LOCK-2: may be tried again when the answer to its write was lost', async () => {
    const world = new World();
    world.fault = (operation) => (operation === 'writeShard' ? 'lostAnswer' : 'none');
    await expect(world.take()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    world.fault = () => 'none';
    expect(await world.take()).toMatchObject({ taken: { epoch: 2 } });
  });
});

describe('taking a shard whose journal was lost or set back', () => {
  it('R-CORE-3 LOG_REGRESSED: is refused before anything is written, however often it is tried and whoever else writes', async () => {
    const world = new World();
    for (let epoch = 1; epoch <= 3; epoch += 1) await world.append(epoch);
    await world.snapshots.writer(shard, epochOf(3)).checkpoint(sequenceOf(3));
    world.journal = new MemoryJournal({ clock: world.clock });
    for (let time = 0; time < 5; time += 1) {
      await expect(world.take()).rejects.toMatchObject({
        code: 'LOG_REGRESSED',
        retryable: false,
        message: 'shard 0: its checkpoint is at 3, but the journal ends at 0',
      });
    }
    expect(await world.leases.readShard(shard)).toMatchObject({ owner: null, epoch: 0 });
    // Other shards of the stream, which have no checkpoint yet, bring its sequence past this one's checkpoint.
    for (let time = 0; time < 5; time += 1) await world.append(1, otherShard);
    await expect(world.take()).rejects.toMatchObject({ code: 'LOG_REGRESSED' });
    expect(await world.last()).toBeNull();
  });

  it('R-CORE-3 LOG_REGRESSED: is refused when it was set back by a single message, and taken when that is there', async () => {
    const world = new World();
    await world.append(1);
    await world.snapshots.writer(shard, epochOf(1)).checkpoint(sequenceOf(2));
    await expect(world.take()).rejects.toMatchObject({ code: 'LOG_REGRESSED', limit: '2 or later', got: '1' });
    await world.append(1);
    expect(await world.take()).toMatchObject({ kind: 'taken', taken: { lastSequence: 2 } });
  });

  it('R-LOCK-2: is not what an owner looks like that goes on writing while it is asked', async () => {
    const world = new World();
    await world.append(1);
    const taken = takeShard(
      {
        leases: world.leases,
        snapshots: world.snapshots,
        journal: tapJournal(world.journal, async (_call, make) => {
          const last = await make();
          // What the owner writes between the two reads: the journal first, its checkpoint behind it.
          await world.snapshots.writer(shard, epochOf(1)).checkpoint(sequenceOf(2));
          return last;
        }),
      },
      shard,
      me,
      [],
    );
    taken.catch(() => {}); // Awaited below.
    await world.clock.advance(0);
    expect(await taken).toMatchObject({ kind: 'taken', taken: { lastSequence: 1 } });
  });

  it('UNAVAILABLE: is left alone while its checkpoint cannot be read', async () => {
    const world = new World();
    world.snapshotFault = 'unavailable';
    await expect(world.take()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await world.leases.readShard(shard)).toMatchObject({ owner: null, epoch: 0 });
  });
});

describe('giving a shard back', () => {
  it('R-LOCK-2: does nothing to a lock that was taken meanwhile', async () => {
    const world = new World();
    const takeover = await world.take();
    await world.take(other, [other]);
    if (takeover.kind === 'taken') await releaseShard(world.leases, shard, takeover.taken);
    expect(await world.leases.readShard(shard)).toMatchObject({ owner: other, epoch: 2 });
  });
});
