import { describe, expect, it } from 'vitest';

import { ClusterLink } from '../../../src/cluster/cluster-link.ts';
import { decodeNodeReply, encodeNodeMessage } from '../../../src/core/node-messages.ts';
import type { Bus, RequestOutcome } from '../../../src/ports/bus.ts';
import { MemoryBus, MemoryLogger, VirtualClock } from '../../../src/testing.ts';
import { nodeOf } from '../../support/shard-kit.ts';

class World {
  readonly clock = new VirtualClock();
  readonly logger = new MemoryLogger();
  readonly bus = new MemoryBus({ clock: this.clock, logger: this.logger });
  /** What each node was asked and told, as `<incarnation> <what>`. */
  readonly seen: string[] = [];

  link(name: string, incarnation: string, bus: Bus = this.bus): ClusterLink {
    const { clock, logger, seen } = this;
    const nodeId = nodeOf(name);
    return new ClusterLink({
      bus,
      namespace: 'ns',
      clock,
      logger,
      self: () => ({ nodeId, incarnation }),
      status: () => {
        seen.push(`${incarnation} node.status`);
        const counts = { capacity: 1, owned: 0, handingOver: 0, failing: 0, loopLagMs: 0 };
        return { nodeId, incarnation, draining: false, cordoned: false, leaseIsGood: true, ...counts };
      },
      onChanged: () => seen.push(`${incarnation} changed`),
      onExited: (peer) => seen.push(`${incarnation} exited ${peer.nodeId}/${peer.incarnation}`),
    });
  }

  async started(name: string, incarnation: string): Promise<ClusterLink> {
    const link = this.link(name, incarnation);
    await this.settle(link.start());
    return link;
  }

  async settle<Value>(promise: Promise<Value>): Promise<Value> {
    let isOver = false;
    const watched = promise.finally(() => {
      isOver = true;
    });
    watched.catch(() => {});
    await this.clock.runUntil(() => isOver);
    return watched;
  }

  tell(notice: string, body: Uint8Array): Promise<RequestOutcome> {
    return this.settle(this.bus.request(`ns.cluster.${notice}`, body, { timeoutMs: 1 }));
  }
}

const peer = { nodeId: nodeOf('n-2'), incarnation: 'b-1' };

describe('a heartbeat', () => {
  it('is answered by the life that is asked for', async () => {
    const world = new World();
    const asker = await world.started('n-1', 'a-1');
    await world.started('n-2', 'b-1');
    expect(await world.settle(asker.ping(peer, 500))).toBe('answered');
  });

  it('is refused when nobody serves the node, and when another life of it answers', async () => {
    const world = new World();
    const asker = await world.started('n-1', 'a-1');
    expect(await world.settle(asker.ping(peer, 500))).toBe('refused');
    await world.started('n-2', 'b-2');
    expect(await world.settle(asker.ping(peer, 500))).toBe('refused');
  });

  it('R-LOCK-2: is answered by the newer life of a name although a zombie of it is there too', async () => {
    const world = new World();
    const asker = await world.started('n-1', 'a-1');
    await world.started('n-2', 'b-0');
    await world.started('n-2', 'b-1');
    expect(await world.settle(asker.ping(peer, 500))).toBe('answered');
  });

  it('of an answer that cannot be read is refused, and said', async () => {
    const world = new World();
    const asker = await world.started('n-1', 'a-1');
    await world.settle(world.bus.serve('ns.node.n-2', (request) => request.reply(Buffer.from('pong'))));
    expect(await world.settle(asker.ping(peer, 500))).toBe('refused');
    expect(world.logger.messages('warn')).toEqual(['an answer to a heartbeat cannot be read']);
  });

  it('times out at a node that is silent', async () => {
    const world = new World();
    const asker = await world.started('n-1', 'a-1');
    await world.settle(world.bus.serve('ns.node.n-2', () => undefined));
    expect(await world.settle(asker.ping(peer, 500))).toBe('timedOut');
    expect(world.clock.monotonicMs()).toBe(500);
  });

  it('R-LOCK-2: says nothing of peers that are silent while the node cannot reach itself either, and asks itself once for all', async () => {
    const world = new World();
    const asked: string[] = [];
    const bus: Bus = {
      request: (subject, _body, { timeoutMs }) =>
        new Promise((resolve) => {
          asked.push(subject);
          world.clock.setTimer(timeoutMs, () => resolve({ kind: 'timeout' }));
        }),
      serve: (subject, handler) => world.bus.serve(subject, handler),
    };
    const asker = world.link('n-1', 'a-1', bus);
    const other = { nodeId: nodeOf('n-3'), incarnation: 'c-1' };
    const pings = Promise.all([asker.ping(peer, 500), asker.ping(other, 500)]);
    expect(await world.settle(pings)).toEqual(['cutOff', 'cutOff']);
    expect(asked).toEqual(['ns.node.n-2', 'ns.node.n-3', 'ns.node.n-1']);
    expect(world.clock.monotonicMs()).toBe(500);
  });

  it('asks itself nothing while the peers answer', async () => {
    const world = new World();
    const asker = await world.started('n-1', 'a-1');
    await world.started('n-2', 'b-1');
    for (let time = 0; time < 3; time += 1) await world.settle(asker.ping(peer, 500));
    await world.clock.advance(1_000);
    expect(world.seen).toEqual(['b-1 node.status', 'b-1 node.status', 'b-1 node.status']);
    expect(world.clock.pendingTimers).toBe(0);
  });

  it('R-WRK-2: believes a refusal also just after the bus was slow: the server itself says that nobody is there', async () => {
    const world = new World();
    let outcome: RequestOutcome = { kind: 'timeout' };
    const bus: Bus = {
      request: () => Promise.resolve(outcome),
      serve: (subject, handler) => world.bus.serve(subject, handler),
    };
    const asker = world.link('n-1', 'a-1', bus);
    expect(await asker.ping(peer, 500)).toBe('cutOff');
    outcome = { kind: 'no-responders' };
    expect(await asker.ping(peer, 500)).toBe('refused');
  });

  it('R-LOCK-2: says nothing of a peer that it may not ask: its own permissions are wrong', async () => {
    const world = new World();
    const bus: Bus = {
      request: (subject) => Promise.resolve({ kind: 'forbidden', operation: 'publish', subject }),
      serve: (subject, handler) => world.bus.serve(subject, handler),
    };
    expect(await world.link('n-1', 'a-1', bus).ping(peer, 500)).toBe('cutOff');
  });

  it('R-LOCK-2: says nothing of the peer while the asker is cut off, and no refusal counts just after it', async () => {
    const world = new World();
    let outcome: RequestOutcome = { kind: 'disconnected' };
    const bus: Bus = {
      request: () => Promise.resolve(outcome),
      serve: (subject, handler) => world.bus.serve(subject, handler),
    };
    const asker = world.link('n-1', 'a-1', bus);
    expect(await asker.ping(peer, 500)).toBe('cutOff');
    outcome = { kind: 'no-responders' };
    expect(await asker.ping(peer, 500)).toBe('timedOut');
    await world.clock.advance(5_000);
    expect(await asker.ping(peer, 500)).toBe('refused');
  });
});

describe('a question for the status', () => {
  it('R-LOCK-2: meant for another life of the node is answered a moment later, so that the one that is meant comes first', async () => {
    const world = new World();
    await world.started('n-2', 'b-1');
    const body = encodeNodeMessage({ type: 'node.status', incarnation: 'b-0' });
    await world.settle(world.bus.request('ns.node.n-2', body, { timeoutMs: 500 }));
    expect(world.seen).toEqual(['b-1 node.status']);
    expect(world.clock.monotonicMs()).toBe(50);
  });

  it('INVALID_MESSAGE: that cannot be read is answered so, and one that nobody would hear the answer of is dropped', async () => {
    const world = new World();
    await world.started('n-2', 'b-1');
    const outcome = await world.settle(world.bus.request('ns.node.n-2', Buffer.from('{'), { timeoutMs: 500 }));
    expect(outcome.kind === 'reply' && decodeNodeReply(outcome.body)).toMatchObject({
      error: { code: 'INVALID_MESSAGE' },
    });
    world.bus.send('ns.node.n-2', encodeNodeMessage({ type: 'node.status' }));
    await world.clock.advance(1_000);
    expect(world.seen).toEqual([]);
  });
});

describe('a notice', () => {
  it('of a change is heard by all others, and many in a row become two', async () => {
    const world = new World();
    const teller = await world.started('n-1', 'a-1');
    await world.started('n-2', 'b-1');
    await world.started('n-3', 'c-1');
    await world.clock.advance(100);
    for (let time = 0; time < 10; time += 1) teller.changed();
    await world.clock.advance(100);
    expect(world.seen.toSorted()).toEqual(['b-1 changed', 'b-1 changed', 'c-1 changed', 'c-1 changed']);
  });

  it('of an exit names who has ended, and is not believed of oneself', async () => {
    const world = new World();
    await world.started('n-1', 'a-1');
    await world.started('n-2', 'b-1');
    await world.tell('exited', encodeNodeMessage(peer));
    expect(world.seen).toEqual(['a-1 exited n-2/b-1']);
  });

  it('INVALID_MESSAGE: that cannot be read is said and changes nothing', async () => {
    const world = new World();
    await world.started('n-1', 'a-1');
    await world.tell('exited', Buffer.from('n-2'));
    await world.tell('unheard-of', encodeNodeMessage(peer));
    expect(world.seen).toEqual([]);
    expect(world.logger.messages('warn')).toEqual(['a notice cannot be read']);
  });

  it('is neither sent nor heard by a link that has stopped', async () => {
    const world = new World();
    const teller = await world.started('n-1', 'a-1');
    const hearer = await world.started('n-2', 'b-1');
    await hearer.stop();
    await world.tell('changed', encodeNodeMessage({ nodeId: nodeOf('n-3'), incarnation: 'c-1' }));
    await teller.stop();
    teller.changed();
    await world.clock.advance(1_000);
    expect(world.seen).toEqual(['a-1 changed']);
    expect(world.clock.pendingTimers).toBe(0);
  });
});
