import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { noOrders, withNodeOrder, withPin, type ClusterOrders } from '../../../src/core/cluster-orders.ts';
import type { ShardId } from '../../../src/core/ids.ts';
import { decodeOrders, encodeOrders } from '../../../src/store/orders-codec.ts';
import { nodeOf } from '../../support/shard-kit.ts';

const nodeIds = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,20}$/).map((name) => nodeOf(name));
const orders: fc.Arbitrary<ClusterOrders> = fc.record({
  nodes: fc
    .array(fc.tuple(nodeIds, fc.constantFrom('cordoned' as const, 'draining' as const)))
    .map((all) => new Map(all)),
  pins: fc
    .array(fc.tuple(fc.integer({ min: 0, max: 4_095 }), nodeIds))
    .map((all) => new Map(all.map(([shard, nodeId]) => [shard as ShardId, nodeId]))),
});
const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('stored orders', () => {
  it('are read as they were written, and equal ones are equal bytes in whatever order they were given', () => {
    fc.assert(
      fc.property(orders, (given) => {
        expect(decodeOrders(encodeOrders(given))).toEqual(given);
        const turned = { nodes: new Map([...given.nodes].toReversed()), pins: new Map([...given.pins].toReversed()) };
        expect(encodeOrders(turned)).toEqual(encodeOrders(given));
      }),
    );
  });

  it('of a node with the name of a property of every object are orders like any other', () => {
    const given = withPin(withNodeOrder(noOrders, nodeOf('constructor'), 'draining'), 1 as ShardId, nodeOf('toString'));
    expect(decodeOrders(encodeOrders(given))).toEqual(given);
  });

  it('without nodes or pins, or with what a newer version adds, are read', () => {
    expect(decodeOrders(bytes('{}'))).toEqual(noOrders);
    expect(decodeOrders(bytes('{"pins":{"7":"a"},"later":[1]}'))).toEqual(withPin(noOrders, 7 as ShardId, nodeOf('a')));
  });

  it.each([
    ['no JSON', '{"nodes"'],
    ['a list', '[]'],
    ['null', 'null'],
    ['nodes in a list', '{"nodes":["a"]}'],
    ['an unknown order', '{"nodes":{"a":"gone"}}'],
    ['a node id that cannot be', '{"nodes":{"a.b":"draining"}}'],
    ['a pin to a number', '{"pins":{"1":2}}'],
    ['a pin of no shard', '{"pins":{"one":"a"}}'],
    ['a pin of a shard in two spellings', '{"pins":{"01":"a"}}'],
    ['a pin of a shard that no cluster has', '{"pins":{"4096":"a"}}'],
    [
      'more nodes than may be',
      JSON.stringify({ nodes: Object.fromEntries(Array.from({ length: 1_025 }, (_, n) => [`n${n}`, 'draining'])) }),
    ],
  ])('RECORD_CORRUPT: %s is refused, with how to mend it', (_what, text) => {
    expect(() => decodeOrders(bytes(text))).toThrow(
      expect.objectContaining({ code: 'RECORD_CORRUPT', hint: expect.stringContaining('`orders`') as string }),
    );
  });
});
