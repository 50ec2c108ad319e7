import { describe, expect, it } from 'vitest';

import { memberKey } from '../../../src/cluster/membership.ts';
import { movingShards, rebalanceReport } from '../../../src/cluster/rebalance-report.ts';
import type { ClusterPicture } from '../../../src/cluster/shard-standing.ts';
import type { Epoch, NodeId, ShardId } from '../../../src/core/ids.ts';
import { aLock, aMember, aPicture, desiredOf, members } from './cluster-builders.ts';

const picture: ClusterPicture = {
  desired: desiredOf('a', 'b', 'b', 'b', 'a', 'a', 'a', 'q', 'a'),
  locks: [
    aLock(0, 'a'),
    aLock(1, 'a'),
    aLock(2, 'c'),
    aLock(3, null, { epoch: 4 as Epoch }),
    aLock(5, 'd'),
    aLock(6, 'z'),
    aLock(7, 'a'),
    aLock(8, 'b', { owner: { nodeId: 'b' as NodeId, incarnation: 'b-0' } }),
  ],
  members: [...members('a', 'b'), aMember('c', { cordoned: true }), aMember('d'), aMember('e', { draining: true })],
  down: new Set([memberKey(aMember('d'))]),
};

describe('rebalanceReport', () => {
  it('tells of every shard where it is, where it goes and why', () => {
    const rows = rebalanceReport(picture).shards.map(({ shard, from, to, kind, why }) => [shard, from, to, kind, why]);
    expect(rows).toEqual([
      [0, 'a', 'a', 'settled', 'where it should be'],
      [1, 'a', 'b', 'misplaced', 'placement gives it to b'],
      [2, 'c', 'b', 'kept', 'c is cordoned and keeps it'],
      [3, null, 'b', 'free', 'released, not yet taken'],
      [4, null, 'a', 'free', 'never owned'],
      [5, 'd', 'a', 'orphaned', 'd is down'],
      [6, 'z', 'a', 'orphaned', 'z has left'],
      [7, 'a', 'q', 'stranded', 'q is not up'],
      [8, 'b', 'a', 'orphaned', 'b started again'],
    ]);
  });

  it('counts moves, takeovers and free shards, and lists only what goes somewhere', () => {
    const report = rebalanceReport(picture);
    expect([report.moves, report.takeovers, report.free, report.isBalanced]).toEqual([1, 3, 2, false]);
    expect(movingShards(report).map(({ shard }) => shard)).toEqual([1, 3, 4, 5, 6, 8]);
  });

  it('tells of every node what it has, what it should have and within which bounds', () => {
    const rows = rebalanceReport(picture).nodes.map(({ nodeId, status, owned, desired, share, least, most }) => {
      return { nodeId, status, owned, desired, bounds: [share, least, most] };
    });
    expect(rows).toEqual([
      { nodeId: 'a', status: 'up', owned: 3, desired: 5, bounds: [4.5, 4, 5] },
      { nodeId: 'b', status: 'up', owned: 0, desired: 3, bounds: [4.5, 4, 5] },
      { nodeId: 'c', status: 'cordoned', owned: 1, desired: 0, bounds: [null, null, null] },
      { nodeId: 'd', status: 'down', owned: 1, desired: 0, bounds: [null, null, null] },
      { nodeId: 'e', status: 'draining', owned: 0, desired: 0, bounds: [null, null, null] },
    ]);
  });

  it('is balanced when every shard is where placement puts it', () => {
    const settled = aPicture({ members: members('a'), locks: [aLock(0, 'a'), aLock(1, 'a')], shardCount: 2 });
    const report = rebalanceReport(settled);
    expect(report).toMatchObject({ moves: 0, takeovers: 0, free: 0, isBalanced: true });
    expect(movingShards(report)).toEqual([]);
  });

  it('tells of pins: who is where for one, who goes where, which cannot be honored, and that one leaves a cordoned node', () => {
    const pins = new Map([
      [0 as ShardId, 'a' as NodeId],
      [1 as ShardId, 'b' as NodeId],
      [2 as ShardId, 'b' as NodeId],
      [3 as ShardId, 'b' as NodeId],
      [4 as ShardId, 'c' as NodeId],
    ]);
    const rows = rebalanceReport({ ...picture, pins }).shards.map(({ kind, pinnedTo, why }) => [kind, pinnedTo, why]);
    expect(rows.slice(0, 6)).toEqual([
      ['settled', 'a', 'pinned to a'],
      ['misplaced', 'b', 'pinned to b'],
      ['misplaced', 'b', 'pinned to b'],
      ['free', 'b', 'released, not yet taken; pinned to b'],
      ['free', 'c', 'never owned; pinned to c, which may not take it'],
      ['orphaned', null, 'd is down'],
    ]);
  });

  it('shows a cluster in which no node may take a shard', () => {
    const drained = aPicture({
      members: [aMember('a', { draining: true })],
      locks: [aLock(0, 'a'), aLock(1, null)],
      shardCount: 2,
    });
    const report = rebalanceReport(drained);
    expect(report.shards.map(({ kind, to, why }) => [kind, to, why])).toEqual([
      ['stranded', null, 'no node may take it'],
      ['free', null, 'released, not yet taken'],
    ]);
    expect(report.nodes).toMatchObject([{ status: 'draining', share: null }]);
  });
});
