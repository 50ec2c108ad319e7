import { movingShards } from '../../cluster/rebalance-report.ts';
import type { JsonValue } from '../../core/json.ts';
import type { RouteDeps } from '../admin-deps.ts';
import { route, type Route } from '../route.ts';
import { anyJson, flag, integer, listOf, object, optional } from '../schema.ts';
import { countField, nodeIdField, reasonField } from '../schemas/fields.ts';

const maximumNodes = 10_000;
const maximumShards = 4_096;
const tag = 'cluster';
const nodeJson = anyJson('a node: nodeId, status, capacity, owned, desired, orders, load');
const shardJson = anyJson('a shard: shard, from, to, epoch, kind, why');

/** Who is there, who owns what, and the orders to nodes and shards. */
export function clusterRoutes({ client }: Pick<RouteDeps, 'client'>): readonly Route[] {
  const { cluster } = client;
  const look = { method: 'GET', role: 'viewer', tag } as const;
  return [
    route({
      ...look,
      path: '/api/cluster',
      summary: 'The cluster at one moment: nodes, shards and what will move',
      answer: anyJson('nodes, shards, moves, takeovers, free, isBalanced, orders that wait'),
      handler: async () => (await cluster.status()) as unknown as JsonValue,
    }),
    route({
      ...look,
      path: '/api/cluster/nodes',
      summary: 'The nodes',
      answer: object({ nodes: listOf(nodeJson, maximumNodes) }),
      handler: async () => ({ nodes: (await cluster.status()).nodes as unknown as readonly JsonValue[] }),
    }),
    route({
      ...look,
      path: '/api/cluster/shards',
      summary: 'The shards with their owners',
      answer: object({ shards: listOf(shardJson, maximumShards) }),
      handler: async () => ({ shards: (await cluster.status()).shards as unknown as readonly JsonValue[] }),
    }),
    route({
      ...look,
      path: '/api/cluster/rebalance',
      summary: 'Which shards are about to move, and why; the nodes rebalance by themselves',
      answer: object({
        shards: listOf(shardJson, maximumShards),
        moves: countField,
        takeovers: countField,
        free: countField,
        isBalanced: flag(),
      }),
      handler: async () => {
        const status = await cluster.status();
        const { moves, takeovers, free, isBalanced } = status;
        const shards = movingShards(status) as unknown as readonly JsonValue[];
        return { shards, moves, takeovers, free, isBalanced };
      },
    }),
    ...(['cordon', 'uncordon', 'drain'] as const).map((name) => orderRoute(cluster, name)),
    ...shardRoutes(cluster),
  ];
}

const orderSummaries = {
  cordon: 'The node keeps what it has and takes nothing new',
  uncordon: 'Take a cordon or a drain back',
  drain: 'The node hands over all that it has, and stays',
} as const;

function orderRoute(cluster: RouteDeps['client']['cluster'], name: keyof typeof orderSummaries): Route {
  return route({
    method: 'POST',
    path: `/api/cluster/nodes/:nodeId/${name}`,
    role: 'admin',
    tag,
    summary: orderSummaries[name],
    params: { nodeId: nodeIdField },
    body: object({ reason: optional(reasonField) }),
    answer: anyJson('the order that is in force, and what the node says of itself'),
    audit: ({ params, body }) => ({ action: `node.${name}`, target: params.nodeId, reason: body.reason }),
    handler: async ({ params, noteChange }) => {
      const ordered = (await cluster[name](params.nodeId)) as unknown as JsonValue;
      noteChange({ after: ordered });
      return ordered;
    },
  });
}

const shardParameter = { shard: integer(0, maximumShards - 1) } as const;

const pinnedAnswer = anyJson('shard, pinnedTo, pinnedBefore, owner');

function shardRoutes(cluster: RouteDeps['client']['cluster']): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/api/cluster/shards/:shard/move-plan',
      role: 'viewer',
      tag,
      summary: 'What a move of the shard to a node would change, also for other shards',
      params: shardParameter,
      query: { nodeId: nodeIdField },
      answer: object({ shards: listOf(shardJson, maximumShards) }),
      handler: async ({ params, query }) => ({
        shards: (await cluster.planMove(params.shard, query.nodeId)) as unknown as readonly JsonValue[],
      }),
    }),
    route({
      method: 'POST',
      path: '/api/cluster/shards/:shard/move',
      role: 'admin',
      tag,
      summary: 'Pin the shard to a node, which takes it over',
      params: shardParameter,
      body: object({
        nodeId: nodeIdField,
        wait: optional(flag('whether to answer only when it is there')),
        reason: optional(reasonField),
      }),
      answer: pinnedAnswer,
      audit: ({ params, body }) => ({ action: 'shard.move', target: String(params.shard), reason: body.reason }),
      handler: async ({ params, body, noteChange }) => {
        const pinned = await cluster.moveShard(params.shard, body.nodeId, { wait: body.wait });
        noteChange({ before: { pinnedTo: pinned.pinnedBefore }, after: { pinnedTo: pinned.pinnedTo } });
        return pinned as unknown as JsonValue;
      },
    }),
    route({
      method: 'POST',
      path: '/api/cluster/shards/:shard/unpin',
      role: 'admin',
      tag,
      summary: "Take the shard's pin back: it goes where placement likes",
      params: shardParameter,
      body: object({ reason: optional(reasonField) }),
      answer: pinnedAnswer,
      audit: ({ params, body }) => ({ action: 'shard.unpin', target: String(params.shard), reason: body.reason }),
      handler: async ({ params, noteChange }) => {
        const pinned = await cluster.unpinShard(params.shard);
        noteChange({ before: { pinnedTo: pinned.pinnedBefore }, after: { pinnedTo: null } });
        return pinned as unknown as JsonValue;
      },
    }),
  ];
}
