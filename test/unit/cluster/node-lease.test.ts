import { describe, expect, it } from 'vitest';

import { NodeLeaseKeeper } from '../../../src/cluster/node-lease.ts';
import type { LeaseOperation } from '../../../src/store/memory-leases.ts';
import type { StoreFault } from '../../../src/store/store-fault.ts';
import { MemoryLeaseStore, MemoryLogger, VirtualClock } from '../../../src/testing.ts';
import { nodeOf } from '../../support/shard-kit.ts';

/** Lives 20 s, is renewed every 5 s, and is good for the first 16 s after a renewal. */
const config = { leaseTtlMs: 20_000, leaseRenewMs: 5_000 };

class World {
  readonly clock = new VirtualClock();
  readonly logger = new MemoryLogger();
  readonly renewals: number[] = [];
  readonly events: string[] = [];
  fault: (operation: LeaseOperation) => StoreFault = () => 'none';
  readonly leases = new MemoryLeaseStore({
    clock: this.clock,
    faults: (operation) => {
      if (operation === 'renewNode') this.renewals.push(this.clock.monotonicMs());
      return this.fault(operation);
    },
  });

  keeper(incarnation = 'i-1', leases = this.leases): NodeLeaseKeeper {
    const { clock, logger, events } = this;
    return new NodeLeaseKeeper(
      {
        leases,
        clock,
        logger,
        config,
        onTaken: () => events.push(`${incarnation} taken`),
        onExpired: () => events.push(`${incarnation} expired at ${clock.monotonicMs()}`),
      },
      { nodeId: nodeOf('n-1'), incarnation, startedAt: 1, draining: false },
    );
  }

  async started(incarnation?: string): Promise<NodeLeaseKeeper> {
    const keeper = this.keeper(incarnation);
    await keeper.start();
    return keeper;
  }

  async live(): Promise<string[]> {
    return (await this.leases.listNodes()).map(({ incarnation }) => incarnation);
  }
}

describe('a node’s lease', () => {
  it('R-LOCK-2: is good from before its renewal was sent, however late the answer comes', async () => {
    const world = new World();
    let isOut = false;
    const slow = new MemoryLeaseStore({
      clock: world.clock,
      latencyMs: 4_000,
      faults: () => (isOut ? 'unavailable' : 'none'),
    });
    const keeper = world.keeper('i-1', slow);
    const started = keeper.start();
    await world.clock.advance(4_000);
    await started;
    isOut = true;
    await world.clock.advance(11_900);
    expect(keeper.isGood).toBe(true);
    await world.clock.advance(200);
    expect(keeper.isGood).toBe(false);
    keeper.abandon();
  });

  it('R-LOCK-2: is taken at the start and renewed in time, for as long as the node lives', async () => {
    const world = new World();
    const keeper = await world.started();
    await world.clock.advance(60_000);
    expect(world.renewals).toEqual([
      0, 5_000, 10_000, 15_000, 20_000, 25_000, 30_000, 35_000, 40_000, 45_000, 50_000, 55_000, 60_000,
    ]);
    expect(keeper.isGood).toBe(true);
    expect(await world.live()).toEqual(['i-1']);
    expect(world.events).toEqual([]);
  });

  it('UNAVAILABLE: is not taken at the start when the store does not answer', async () => {
    const world = new World();
    world.fault = () => 'unavailable';
    const keeper = world.keeper();
    await expect(keeper.start()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(keeper.isGood).toBe(false);
  });

  it('R-FAIL-1: is tried again within half a second when a renewal fails', async () => {
    const world = new World();
    const keeper = await world.started();
    world.fault = () => (world.renewals.length <= 4 ? 'unavailable' : 'none');
    await world.clock.advance(11_500);
    expect(world.renewals).toEqual([0, 5_000, 5_500, 6_000, 6_500, 11_500]);
    expect(keeper.isGood).toBe(true);
  });

  it('R-LOCK-2: is good until a fifth of its life is left, counted from before the renewal was sent', async () => {
    const world = new World();
    const keeper = await world.started();
    world.fault = () => 'unavailable';
    await world.clock.advance(15_999);
    expect(keeper.isGood).toBe(true);
    expect(world.events).toEqual([]);
    await world.clock.advance(1);
    expect(keeper.isGood).toBe(false);
    expect(world.events).toEqual(['i-1 expired at 16000']);
    // While it is still held in the store: nobody else may take its shards yet.
    expect(await world.leases.listNodes().catch(() => 'unavailable')).toBe('unavailable');
    world.fault = () => 'none';
    expect(await world.live()).toEqual(['i-1']);
  });

  it('R-LOCK-2: ends this life when the store’s clock has ended it before its time: the others hold it to be over for good', async () => {
    const world = new World();
    const keeper = await world.started();
    await world.clock.advance(1_000);
    const lease = keeper.lease;
    // As after a jump of the store's clock: the lease is gone, its holder has had it for a second.
    await world.leases.releaseNode(lease.nodeId, 1);
    await world.clock.advance(4_000);
    expect(world.events).toEqual(['i-1 expired at 5000']);
    expect(keeper.isGood).toBe(false);
    keeper.beginLife('i-2');
    await world.clock.advance(1_000);
    expect(await world.live()).toEqual(['i-2']);
    expect(keeper.isGood).toBe(true);
  });

  it('is taken anew, and good again, when it ran out while the store did not answer', async () => {
    const world = new World();
    const keeper = await world.started();
    world.fault = () => 'unavailable';
    await world.clock.advance(60_000);
    expect(keeper.isGood).toBe(false);
    world.fault = () => 'none';
    await world.clock.advance(2_000);
    expect(keeper.isGood).toBe(true);
    expect(world.events).toEqual(['i-1 expired at 16000']);
    expect(await world.live()).toEqual(['i-1']);
  });

  it('is kept when the answers to its renewals are lost', async () => {
    const world = new World();
    const keeper = await world.started();
    world.fault = (operation) => (operation === 'renewNode' && world.renewals.length % 3 !== 0 ? 'lostAnswer' : 'none');
    await world.clock.advance(120_000);
    expect(keeper.isGood).toBe(true);
    expect(world.events).toEqual([]);
  });

  it('R-LOCK-2: is not touched by a wall clock that jumps', async () => {
    const world = new World();
    const keeper = await world.started();
    world.clock.jumpWallClock(3_600_000);
    expect(keeper.isGood).toBe(true);
    await world.clock.advance(7_000);
    world.clock.jumpWallClock(-7_200_000);
    await world.clock.advance(8_000);
    expect(keeper.isGood).toBe(true);
    expect(world.renewals).toEqual([0, 5_000, 10_000, 15_000]);
    expect(world.events).toEqual([]);
  });
});

describe('a lease of which another process has the name', () => {
  it('R-LOCK-2 OWNERSHIP_LOST: is given up at the next renewal, and never taken back', async () => {
    const world = new World();
    const older = await world.started('i-1');
    const newer = await world.started('i-2');
    await world.clock.advance(5_000);
    expect(world.events).toEqual(['i-1 taken']);
    expect(older.isGood).toBe(false);
    await world.clock.advance(120_000);
    expect(newer.isGood).toBe(true);
    expect(await world.live()).toEqual(['i-2']);
    expect(world.events).toEqual(['i-1 taken']);
  });

  it('R-LOCK-2 I23: is given up although a list is old and shows this very process: the leader is asked', async () => {
    const world = new World();
    const older = await world.started('i-1');
    const stale = await world.leases.listNodes();
    await world.started('i-2');
    world.leases.listNodes = () => Promise.resolve(stale);
    await world.clock.advance(5_000);
    expect(world.events).toEqual(['i-1 taken']);
    expect(older.isGood).toBe(false);
    await world.clock.advance(60_000);
    expect((await world.leases.readNode(nodeOf('n-1')))?.incarnation).toBe('i-2');
  });

  it('R-LOCK-2: is taken anew when it ran out, although an old list shows another process', async () => {
    const world = new World();
    const keeper = await world.started('i-1');
    const other = { nodeId: nodeOf('n-1'), incarnation: 'i-0', startedAt: 0, draining: false };
    world.leases.listNodes = () => Promise.resolve([other]);
    world.fault = () => 'unavailable';
    await world.clock.advance(30_000);
    world.fault = () => 'none';
    await world.clock.advance(2_000);
    expect(keeper.isGood).toBe(true);
    expect(world.events).toEqual(['i-1 expired at 16000']);
  });

  it('R-LOCK-2: is told at once when it is asked to confirm', async () => {
    const world = new World();
    const older = await world.started('i-1');
    expect(await older.confirm()).toBe(true);
    await world.started('i-2');
    expect(await older.confirm()).toBe(false);
    expect(await older.confirm()).toBe(false);
    expect(world.events).toEqual(['i-1 taken']);
  });

  it('UNAVAILABLE: is not confirmed while the store does not answer', async () => {
    const world = new World();
    const keeper = await world.started();
    world.fault = () => 'unavailable';
    expect(await keeper.confirm()).toBe(false);
    world.fault = () => 'none';
    expect(await keeper.confirm()).toBe(true);
    // Out of turn as it was, the renewals go on in one row.
    await world.clock.advance(20_000);
    expect(world.renewals.filter((atMs) => atMs > 0)).toEqual([5_000, 10_000, 15_000, 20_000]);
  });
});

describe('a lease that goes on as another life', () => {
  it('R-LOCK-2: is the same node under a new incarnation, and the old one is gone', async () => {
    const world = new World();
    const keeper = await world.started('i-1');
    world.fault = () => 'unavailable';
    await world.clock.advance(16_000);
    keeper.beginLife('i-2');
    expect(keeper.lease).toMatchObject({ incarnation: 'i-2', startedAt: world.clock.now() });
    world.fault = () => 'none';
    await world.clock.advance(1_000);
    expect(await world.live()).toEqual(['i-2']);
    expect(keeper.isGood).toBe(true);
    expect(world.events).toEqual(['i-1 expired at 16000']);
  });

  it('R-LOCK-2: does not take its own life before for another process, when the answer to that one’s renewal was lost', async () => {
    const world = new World();
    const keeper = await world.started('i-1');
    world.fault = (operation) => (operation === 'renewNode' ? 'lostAnswer' : 'none');
    await world.clock.advance(16_000);
    keeper.beginLife('i-2');
    world.fault = () => 'none';
    await world.clock.advance(2_000);
    expect(await world.live()).toEqual(['i-2']);
    expect(world.events).toEqual(['i-1 expired at 16000']);
  });
});

describe('what a lease says', () => {
  it('can be put before its first word', async () => {
    const world = new World();
    const keeper = world.keeper();
    keeper.word({ draining: true });
    expect(world.renewals).toEqual([]);
    await keeper.start();
    expect(await world.leases.listNodes()).toMatchObject([{ draining: true }]);
    expect(world.renewals).toEqual([0]);
  });

  it('is told at once when it changes, and kept over renewals', async () => {
    const world = new World();
    const keeper = await world.started();
    expect(await keeper.update({ draining: true })).toBe(true);
    await world.clock.advance(10_000);
    expect(await world.leases.listNodes()).toMatchObject([{ draining: true }]);
  });

  it('UNAVAILABLE: is told later when the store does not answer now', async () => {
    const world = new World();
    const keeper = await world.started();
    world.fault = () => 'unavailable';
    expect(await keeper.update({ cordoned: true })).toBe(false);
    world.fault = () => 'none';
    await world.clock.advance(1_000);
    expect(await world.leases.listNodes()).toMatchObject([{ cordoned: true }]);
  });
});

describe('the end of a lease', () => {
  it('R-LOCK-2: gives it back at once when the node stops', async () => {
    const world = new World();
    const keeper = await world.started();
    await keeper.stop();
    expect(await world.live()).toEqual([]);
    expect(keeper.isGood).toBe(false);
    await world.clock.advance(60_000);
    expect(world.renewals).toEqual([0]);
    expect(world.events).toEqual([]);
  });

  it('leaves it to run out when the node is abandoned', async () => {
    const world = new World();
    const keeper = await world.started();
    keeper.abandon();
    expect(keeper.isGood).toBe(false);
    await world.clock.advance(19_999);
    expect(await world.live()).toEqual(['i-1']);
    await world.clock.advance(1);
    expect(await world.live()).toEqual([]);
    expect(world.clock.pendingTimers).toBe(0);
  });

  it('R-FAIL-1: does not fail when the store does not answer: it runs out by itself', async () => {
    const world = new World();
    const keeper = await world.started();
    world.fault = () => 'unavailable';
    await keeper.stop();
    expect(world.logger.messages('warn')).toEqual(['the node lease could not be given back']);
  });

  it('does not give back the lease of a newer process of the node', async () => {
    const world = new World();
    const older = await world.started('i-1');
    await world.started('i-2');
    await older.stop();
    expect(await world.live()).toEqual(['i-2']);
  });
});
