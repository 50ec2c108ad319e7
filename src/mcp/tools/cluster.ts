import { countField } from '../../admin/schemas/fields.ts';
import { anyJson, flag, listOf, object } from '../../admin/schema.ts';
import type { JsonValue } from '../../core/json.ts';
import { maximumListed, maximumUnsettledShards } from '../limits.ts';
import { reads, tool, type Tool } from '../tool.ts';

/** The nodes that share the work. */
export const clusterTools: readonly Tool[] = [
  tool({
    name: 'cluster_status',
    title: 'Show the cluster',
    description:
      'Who is there, how many shards each node has and should have, how many stages it runs and holds back, which ports it holds to fail, what is to move, and orders that wait for nodes that are not there.',
    effect: reads,
    input: {},
    answer: object({
      nodes: listOf(
        anyJson('nodeId, status, owned, desired, order, stages, openBreakers, loopLagMs and more'),
        maximumListed,
      ),
      nodeCount: countField,
      shardCount: countField,
      moves: countField,
      takeovers: countField,
      free: countField,
      isBalanced: flag(),
      unsettledShards: listOf(
        anyJson('a shard that is not where it should be: shard, from, to, kind, why'),
        maximumUnsettledShards,
      ),
      unsettledCount: countField,
      waitingOrders: listOf(anyJson('nodeId, order'), maximumListed),
    }),
    run: async (_args, { engine, deadlineMs }) => {
      const status = await engine.client.cluster.status({ deadlineMs });
      const { nodes, shards, moves, takeovers, free, isBalanced, waitingOrders } = status;
      const unsettled = shards.filter(({ kind }) => kind !== 'settled');
      return {
        nodes: nodes.slice(0, maximumListed) as unknown as readonly JsonValue[],
        nodeCount: nodes.length,
        shardCount: shards.length,
        moves,
        takeovers,
        free,
        isBalanced,
        unsettledShards: unsettled.slice(0, maximumUnsettledShards) as unknown as readonly JsonValue[],
        unsettledCount: unsettled.length,
        waitingOrders: waitingOrders.slice(0, maximumListed) as unknown as readonly JsonValue[],
      };
    },
  }),
];
