import type { Epoch, NodeId, ShardId } from '../core/ids.ts';

/** Who owns a shard, in which epoch. */
export interface ShardOwner {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly node: NodeId;
  readonly incarnation: string;
}
