import { EngineError } from './errors.ts';
import type { NodeId, ShardId } from './ids.ts';

/**
 * What an operator wants of a node.
 *
 * - `cordoned`: it keeps what it has and takes nothing new
 * - `draining`: it hands over what it has and takes nothing new, and stays
 */
export type NodeOrder = 'cordoned' | 'draining';

/** What operators want of the cluster: one document, the same for all nodes, in force until it is taken back. */
export interface ClusterOrders {
  readonly nodes: ReadonlyMap<NodeId, NodeOrder>;
  /** Shards that are to be at a named node, whenever it may take them. */
  readonly pins: ReadonlyMap<ShardId, NodeId>;
}

/** The orders of a cluster to which nobody has given any. */
export const noOrders: ClusterOrders = { nodes: new Map(), pins: new Map() };
/** Most nodes that orders name: with the pins they stay well under the limit of one message. */
export const maximumOrderedNodes = 1_024;
/** Most pins: one for each shard of the largest cluster. */
export const maximumPins = 4_096;

/** The orders with this one for the node, or with none. Pure; the same object when nothing changes. */
export function withNodeOrder(orders: ClusterOrders, nodeId: NodeId, order: NodeOrder | null): ClusterOrders {
  const nodes = changed(orders.nodes, nodeId, order);
  return nodes === orders.nodes ? orders : { ...orders, nodes };
}

/** The orders with the shard pinned to the node, or not pinned. Pure; the same object when nothing changes. */
export function withPin(orders: ClusterOrders, shard: ShardId, nodeId: NodeId | null): ClusterOrders {
  const pins = changed(orders.pins, shard, nodeId);
  return pins === orders.pins ? orders : { ...orders, pins };
}

/** Flags of a node's lease as an order puts them. */
export interface OrderFlags {
  readonly draining: boolean;
  readonly cordoned: boolean;
}

/** What a node's lease says when it follows the orders. */
export function orderFlags(orders: ClusterOrders, nodeId: NodeId): OrderFlags {
  const order = orders.nodes.get(nodeId);
  return { draining: order === 'draining', cordoned: order === 'cordoned' };
}

/**
 * A lease as it counts for placement: what it says itself, which may be older, and what is ordered of its node.
 *
 * A stop says `draining` without an order, and an order counts before the node has followed it, or when it cannot.
 */
export function underOrders<
  Lease extends { readonly nodeId: NodeId; readonly draining: boolean; readonly cordoned?: boolean | undefined },
>(orders: ClusterOrders, lease: Lease): Lease {
  const { draining, cordoned } = orderFlags(orders, lease.nodeId);
  if (!draining && !cordoned) return lease;
  return { ...lease, draining: lease.draining || draining, cordoned: lease.cordoned === true || cordoned };
}

/** @throws EngineError `INVALID_ARGUMENT` when there are more orders than may be */
export function checkOrderBounds({ nodes, pins }: ClusterOrders, mostPins = maximumPins): void {
  if (nodes.size > maximumOrderedNodes) {
    throw tooMany('nodes', nodes.size, maximumOrderedNodes, 'uncordon nodes that are gone for good');
  }
  if (pins.size > mostPins) throw tooMany('pins', pins.size, mostPins, 'unpin shards');
}

function tooMany(field: 'nodes' | 'pins', got: number, most: number, hint: string): EngineError {
  return new EngineError('INVALID_ARGUMENT', `orders for ${got} ${field} are more than the ${most} that may be`, {
    field: `orders.${field}`,
    limit: `${most}`,
    got,
    hint,
  });
}

function changed<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key, value: Value | null): ReadonlyMap<Key, Value> {
  if ((map.get(key) ?? null) === value) return map;
  const next = new Map(map);
  if (value === null) next.delete(key);
  else next.set(key, value);
  return next;
}
