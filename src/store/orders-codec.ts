import { checkOrderBounds, maximumPins, noOrders, type ClusterOrders, type NodeOrder } from '../core/cluster-orders.ts';
import { asError, EngineError } from '../core/errors.ts';
import { parseNodeId, type NodeId, type ShardId } from '../core/ids.ts';

/** Orders as JSON, `{ nodes: { [nodeId]: order }, pins: { [shard]: nodeId } }`, sorted: equal orders are equal bytes. */
export function encodeOrders({ nodes, pins }: ClusterOrders): Uint8Array {
  return Buffer.from(
    JSON.stringify({
      nodes: Object.fromEntries([...nodes].toSorted(([left], [right]) => (left < right ? -1 : 1))),
      pins: Object.fromEntries([...pins].toSorted(([left], [right]) => left - right)),
    }),
  );
}

/** The orders in a stored value. What a newer version adds beside nodes and pins is not read. @throws EngineError `RECORD_CORRUPT` */
export function decodeOrders(bytes: Uint8Array): ClusterOrders {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    const { nodes, pins } = fieldsOf('the document', value);
    const orders: ClusterOrders = {
      nodes: new Map(entriesOf('nodes', nodes).map(([name, order]) => [parseNodeId(name), parseOrder(order)])),
      pins: new Map(entriesOf('pins', pins).map(([name, nodeId]) => [parseShard(name), parseNodeId(nodeId)])),
    };
    checkOrderBounds(orders);
    return orders.nodes.size + orders.pins.size === 0 ? noOrders : orders;
  } catch (thrown) {
    throw new EngineError('RECORD_CORRUPT', `the cluster's orders cannot be read: ${asError(thrown).message}`, {
      hint: 'remove the key `orders` from the bucket of shard locks, and give the orders anew',
      cause: thrown,
    });
  }
}

function entriesOf(name: string, value: unknown): readonly (readonly [string, unknown])[] {
  return value === undefined ? [] : Object.entries(fieldsOf(name, value));
}

function fieldsOf(name: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error(`${name} is not an object`);
}

function parseOrder(value: unknown): NodeOrder {
  if (value === 'cordoned' || value === 'draining') return value;
  throw new Error('an order is neither cordoned nor draining');
}

function parseShard(name: string): ShardId {
  if (/^(?:0|[1-9]\d{0,3})$/.test(name) && Number(name) < maximumPins) return Number(name) as ShardId;
  throw new Error('a pin is not of a shard');
}

/** Orders apart from those of the caller, so that nobody's later change is another's. */
export function copyOrders({ nodes, pins }: ClusterOrders): ClusterOrders {
  return { nodes: new Map<NodeId, NodeOrder>(nodes), pins: new Map<ShardId, NodeId>(pins) };
}
