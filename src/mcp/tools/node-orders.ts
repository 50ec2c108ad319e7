import { countField, nodeIdField, reasonField } from '../../admin/schemas/fields.ts';
import { flag, nullable, object, oneOf, optional, text } from '../../admin/schema.ts';
import { auditNodeOrder } from '../../client/audited-commands.ts';
import { EngineError } from '../../core/errors.ts';
import type { NodeOrder } from '../../core/cluster-orders.ts';
import { tool, type Tool } from '../tool.ts';

type OrderName = 'cordon' | 'uncordon' | 'drain';

const orders: {
  readonly [Name in OrderName]: {
    readonly title: string;
    readonly what: string;
    readonly order: NodeOrder | null;
    readonly isDestructive: boolean;
  };
} = {
  cordon: {
    title: 'Cordon a node',
    what: 'The node keeps what it has and takes nothing new.',
    order: 'cordoned',
    isDestructive: false,
  },
  uncordon: {
    title: 'Uncordon a node',
    what: 'Takes a cordon or a drain of the node back.',
    order: null,
    isDestructive: false,
  },
  drain: {
    title: 'Drain a node',
    what: 'The node hands over all that it has to the others, and stays. Its stages that run are cut off after their grace.',
    order: 'draining',
    isDestructive: true,
  },
};

const orderAnswer = nullable(oneOf(['cordoned', 'draining']));

/** Orders to nodes. They are kept in the cluster until they are taken back, also for a node that is down. */
export const nodeOrderTools: readonly Tool[] = (Object.keys(orders) as readonly OrderName[]).map(orderTool);

function orderTool(name: OrderName): Tool {
  const { title, what, order, isDestructive } = orders[name];
  return tool({
    name: `${name}_node`,
    title,
    description: `${what} The order is kept until it is taken back; to give it again changes nothing.`,
    effect: { kind: 'write', isDestructive, isIdempotent: true },
    input: {
      nodeId: nodeIdField,
      reason: reasonField,
      dryRun: optional(flag(`only say what would be done; ${isDestructive} when left out`)),
    },
    answer: object({
      dryRun: flag('nothing was changed'),
      nodeId: nodeIdField,
      orderBefore: orderAnswer,
      order: orderAnswer,
      owned: nullable(countField),
      otherNodes: countField,
      isUp: flag(),
      cli: text({ most: 400 }),
    }),
    run: async ({ nodeId, reason, dryRun = isDestructive }, { engine, audit, by, logger, deadlineMs }) => {
      const { cluster } = engine.client;
      const { nodes, waitingOrders } = await cluster.status({ deadlineMs });
      const node = nodes.find((one) => one.nodeId === nodeId);
      const waiting = waitingOrders.find((one) => one.nodeId === nodeId);
      if (node === undefined && waiting === undefined) {
        throw new EngineError('NODE_NOT_FOUND', `no node ${nodeId} is there`, {
          field: 'nodeId',
          got: nodeId,
          hint: `there are ${nodes.map((one) => one.nodeId).join(', ')}`,
        });
      }
      const shared = {
        dryRun,
        nodeId,
        orderBefore: node?.order ?? waiting?.order ?? null,
        owned: node?.owned ?? null,
        otherNodes: nodes.filter((one) => one.nodeId !== nodeId && one.status === 'up').length,
        cli: `cabinet node ${name} ${nodeId}`,
      };
      if (dryRun) return { ...shared, order, isUp: node !== undefined && node.status !== 'down' };
      // The cluster's orders hold no reason: the audit log does, and this line where that is not for this user.
      logger.warn({ order: name, nodeId, by, reason }, 'an order to a node is given');
      const { orderBefore } = shared;
      const ordered = await auditNodeOrder(audit, { name, nodeId, by, reason, before: { order: orderBefore } }, () =>
        cluster[name](nodeId, { deadlineMs }),
      );
      return { ...shared, order: ordered.order, isUp: ordered.status !== null };
    },
  });
}
