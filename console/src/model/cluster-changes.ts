import type { ClusterStatus } from '../api/types.ts';

/** Something that became different between two looks at the cluster. */
export interface ClusterChange {
  readonly at: number;
  readonly text: string;
}

/** Nodes that came, went, or changed their state, and shards that changed their owner; shards of one way are told together. */
export function changesBetween(
  before: Pick<ClusterStatus, 'nodes' | 'shards'>,
  after: Pick<ClusterStatus, 'nodes' | 'shards'>,
  at: number,
): readonly ClusterChange[] {
  const texts: string[] = [];
  const known = new Map(before.nodes.map((node) => [node.nodeId, node]));
  for (const node of after.nodes) {
    const was = known.get(node.nodeId);
    known.delete(node.nodeId);
    if (was === undefined) texts.push(`${node.nodeId} joined`);
    else if (was.incarnation !== node.incarnation) texts.push(`${node.nodeId} started again`);
    else if (was.status !== node.status) texts.push(`${node.nodeId} is ${node.status}, was ${was.status}`);
  }
  for (const nodeId of known.keys()) texts.push(`${nodeId} left`);
  const owners = new Map(before.shards.map(({ shard, from }) => [shard, from]));
  const ways = new Map<string, number[]>();
  for (const { shard, from } of after.shards) {
    const was = owners.get(shard);
    if (was === undefined || was === from) continue;
    const way = `${was ?? 'nobody'} → ${from ?? 'nobody'}`;
    ways.set(way, [...(ways.get(way) ?? []), shard]);
  }
  for (const [way, shards] of ways) {
    texts.push(shards.length === 1 ? `shard ${shards[0]}: ${way}` : `${shards.length} shards: ${way}`);
  }
  return texts.map((text) => ({ at, text }));
}
