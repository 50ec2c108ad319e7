import { memberKey, type Member, type ObservedLease } from '../../../src/cluster/membership.ts';
import { placeShards } from '../../../src/cluster/placement.ts';
import type { ClusterPicture } from '../../../src/cluster/shard-standing.ts';
import type { Epoch, NodeId, ShardId } from '../../../src/core/ids.ts';
import type { ShardLock } from '../../../src/ports/leases.ts';

/** A member named by a short name; its first incarnation is `<name>-1`. */
export function aMember(name: string, more: Partial<Omit<Member, 'nodeId'>> = {}): Member {
  return {
    nodeId: name as NodeId,
    incarnation: `${name}-1`,
    capacity: 1,
    draining: false,
    cordoned: false,
    ...more,
  };
}

export function members(...names: readonly string[]): readonly Member[] {
  return names.map((name) => aMember(name));
}

export function aLease(name: string, more: Partial<ObservedLease> = {}): ObservedLease {
  return { nodeId: name as NodeId, incarnation: `${name}-1`, draining: false, startedAt: 0, ...more };
}

/** A lock of `owner`'s first incarnation, or a free one. */
export function aLock(shard: number, owner: string | null, more: Partial<ShardLock> = {}): ShardLock {
  return {
    shard: shard as ShardId,
    owner: owner === null ? null : { nodeId: owner as NodeId, incarnation: `${owner}-1` },
    epoch: 1 as Epoch,
    revision: 100 + shard,
    ...more,
  };
}

/** Who should own which shard, by position. */
export function desiredOf(...names: readonly string[]): ReadonlyMap<ShardId, NodeId> {
  return new Map(names.map((name, shard) => [shard as ShardId, name as NodeId]));
}

export function shards(...numbers: readonly number[]): ReadonlySet<ShardId> {
  return new Set(numbers as readonly ShardId[]);
}

/** A picture in which placement is what {@link placeShards} says of the members that are up. */
export function aPicture(input: {
  readonly members: readonly Member[];
  readonly locks: readonly ShardLock[];
  readonly shardCount: number;
  readonly down?: ReadonlySet<string>;
}): ClusterPicture {
  const down = input.down ?? new Set<string>();
  const up = input.members.filter((member) => !down.has(memberKey(member)));
  return {
    desired: placeShards({ members: up, shardCount: input.shardCount }),
    locks: input.locks,
    members: input.members,
    down,
  };
}
