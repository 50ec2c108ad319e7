import { describe, expect, it } from 'vitest';

import {
  checkOrderBounds,
  maximumOrderedNodes,
  noOrders,
  orderFlags,
  underOrders,
  withNodeOrder,
  withPin,
  type ClusterOrders,
} from '../../../src/core/cluster-orders.ts';
import type { ShardId } from '../../../src/core/ids.ts';
import { nodeOf } from '../../support/shard-kit.ts';

const a = nodeOf('a');
const b = nodeOf('b');
const shard = 3 as ShardId;

describe('orders', () => {
  it('are changed one by one and leave those before as they were', () => {
    const drained = withNodeOrder(noOrders, a, 'draining');
    const both = withNodeOrder(drained, b, 'cordoned');
    const pinned = withPin(both, shard, b);
    expect([...noOrders.nodes]).toEqual([]);
    expect([...drained.nodes]).toEqual([[a, 'draining']]);
    expect([...pinned.nodes]).toEqual([...both.nodes]);
    expect([...pinned.pins]).toEqual([[shard, b]]);
    expect([...withNodeOrder(both, a, 'cordoned').nodes]).toEqual([
      [a, 'cordoned'],
      [b, 'cordoned'],
    ]);
    expect([...withNodeOrder(both, a, null).nodes]).toEqual([[b, 'cordoned']]);
    expect([...withPin(pinned, shard, null).pins]).toEqual([]);
  });

  it('are the same object when nothing changes, so that nothing is written', () => {
    const given = withPin(withNodeOrder(noOrders, a, 'draining'), shard, b);
    expect(withNodeOrder(given, a, 'draining')).toBe(given);
    expect(withNodeOrder(given, b, null)).toBe(given);
    expect(withPin(given, shard, b)).toBe(given);
    expect(withPin(given, 4 as ShardId, null)).toBe(given);
  });

  it('put a node’s flags; of one that nobody ordered anything of both are off', () => {
    const given = withNodeOrder(withNodeOrder(noOrders, a, 'draining'), b, 'cordoned');
    expect(orderFlags(given, a)).toEqual({ draining: true, cordoned: false });
    expect(orderFlags(given, b)).toEqual({ draining: false, cordoned: true });
    expect(orderFlags(given, nodeOf('c'))).toEqual({ draining: false, cordoned: false });
  });

  it('count beside what a lease says itself: a node that stops drains without an order', () => {
    const given = withNodeOrder(noOrders, a, 'cordoned');
    expect(underOrders(given, { nodeId: a, draining: true })).toEqual({ nodeId: a, draining: true, cordoned: true });
    const other = { nodeId: b, draining: true };
    expect(underOrders(given, other)).toBe(other);
  });

  it('INVALID_ARGUMENT: of more nodes or pins than may be are refused, with what to do', () => {
    const nodes = Array.from(
      { length: maximumOrderedNodes + 1 },
      (_, index) => [nodeOf(`n${index}`), 'draining'] as const,
    );
    const many: ClusterOrders = { ...noOrders, nodes: new Map(nodes) };
    expect(() => checkOrderBounds(many)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', field: 'orders.nodes', limit: '1024' }),
    );
    const pinned = withPin(withPin(noOrders, 0 as ShardId, a), 1 as ShardId, a);
    expect(() => checkOrderBounds(pinned, 2)).not.toThrow();
    expect(() => checkOrderBounds(pinned, 1)).toThrow('orders for 2 pins are more than the 1 that may be');
  });
});
