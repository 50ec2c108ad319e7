import { emptyView, memberKey, nextView, type Member } from '../cluster/membership.ts';
import type { Pins } from '../cluster/load-bounds.ts';
import { placeShards } from '../cluster/placement.ts';
import {
  movingShards,
  rebalanceReport,
  type NodeRow,
  type RebalanceReport,
  type ShardRow,
} from '../cluster/rebalance-report.ts';
import {
  orderFlags,
  underOrders,
  withNodeOrder,
  withPin,
  type ClusterOrders,
  type NodeOrder,
} from '../core/cluster-orders.ts';
import { EngineError, invalidArgument, showValue } from '../core/errors.ts';
import { forbiddenError } from '../core/forbidden.ts';
import { parseNodeId, type NodeId, type ShardId } from '../core/ids.ts';
import {
  decodeNodeReply,
  encodeNodeMessage,
  type NodeStatus,
  type OpenBreaker,
  type StageLoad,
} from '../core/node-messages.ts';
import { nodeSubject } from '../core/subjects.ts';
import type { Bus } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { LeaseStore, NodeLease, ShardLock } from '../ports/leases.ts';
import { checkOptions, checkTimeoutMs } from './call-options.ts';
import { OrderWriter } from './order-writer.ts';

/** What a client reads of leases and locks, and writes of orders. */
export type ClusterLeases = Pick<
  LeaseStore,
  'readNode' | 'listNodes' | 'readShard' | 'listShards' | 'readOrders' | 'writeOrders'
>;

/** What {@link ClusterClient} asks of the outside. */
export interface ClusterClientDeps {
  readonly bus: Bus;
  readonly clock: Clock;
  /** Without it nothing works. */
  readonly leases: ClusterLeases | undefined;
  readonly namespace: string;
  readonly shardCount: number;
  readonly deadlineMs: number;
}

/** One node as the cluster knows it, with what it says of itself. */
export interface ClusterNodeRow extends NodeRow {
  readonly incarnation: string;
  /** What operators want of it. */
  readonly order: NodeOrder | null;
  /** Shards that it hands over and that it could not open, and how late its event loop is; null when it does not answer. */
  readonly handingOver: number | null;
  readonly failing: number | null;
  readonly loopLagMs: number | null;
  /** Its stages in numbers, the ports that it holds to fail, at most so many as a node names, and how many it holds to; null also of an older version. */
  readonly stages: StageLoad | null;
  readonly openBreakers: readonly OpenBreaker[] | null;
  readonly openBreakerCount: number | null;
}

/** An order for a node that has no lease: it waits for it. */
export interface WaitingOrder {
  readonly nodeId: NodeId;
  readonly order: NodeOrder;
}

/** The cluster at one moment: who is there, who owns what, and what will move. */
export interface ClusterStatus extends Omit<RebalanceReport, 'nodes'> {
  readonly nodes: readonly ClusterNodeRow[];
  readonly waitingOrders: readonly WaitingOrder[];
}

/** What came of an order for a node. It is kept until it is taken back, whatever becomes of the node. */
export interface NodeOrdered {
  readonly nodeId: NodeId;
  /** Null: none is in force. */
  readonly order: NodeOrder | null;
  /** What the node says of itself when it has followed; null when it is not up, and will follow when it comes. */
  readonly status: NodeStatus | null;
}

/** What came of a shard's pin. It is kept until it is taken back. */
export interface ShardPinned {
  readonly shard: ShardId;
  /** The node that it is pinned to now; null: it goes where placement likes. */
  readonly pinnedTo: NodeId | null;
  /** The pin before it. */
  readonly pinnedBefore: NodeId | null;
  /** Its owner, when it was waited for; null when it was not, or nobody has it. */
  readonly owner: NodeId | null;
}

/** How a cluster call may be bounded. */
export interface ClusterCallOptions {
  /** The client's own when left out. */
  readonly deadlineMs?: number | undefined;
}

/** How long a node has to answer before it is shown as down. */
const nodeTimeoutMs = 1_000;
/** Pause between two looks whether what was ordered is so. */
const waitPollMs = 100;

/** What the client reads of the cluster at one moment. */
interface ClusterLook {
  readonly leases: readonly NodeLease[];
  readonly locks: readonly ShardLock[];
  readonly orders: ClusterOrders;
}

/** The nodes of a cluster, seen and commanded from outside. */
export class ClusterClient {
  readonly #deps: ClusterClientDeps;

  constructor(deps: ClusterClientDeps) {
    this.#deps = deps;
  }

  /**
   * Who is there, who owns what and where each shard should be. It is put together from leases, locks, orders and the nodes' own
   * answers, each of which may be a moment old.
   *
   * @throws EngineError `UNAVAILABLE` when leases or locks cannot be read, `RECORD_CORRUPT` when the orders cannot, `CONFIG_INVALID`
   *   when the client has no lease store, `BUS_FORBIDDEN` when its NATS user may not ask the nodes
   */
  async status(options: ClusterCallOptions = {}): Promise<ClusterStatus> {
    const timeoutMs = this.#timeoutOf(options);
    const look = await this.#look();
    return this.#report(look, await this.#ask(look.leases, timeoutMs));
  }

  /** The node keeps what it has and takes nothing new. @throws EngineError as {@link drain} */
  cordon(nodeId: string, options: ClusterCallOptions = {}): Promise<NodeOrdered> {
    return this.#order(nodeId, 'cordoned', options);
  }

  /** Takes a cordon or a drain back. @throws EngineError as {@link drain} */
  uncordon(nodeId: string, options: ClusterCallOptions = {}): Promise<NodeOrdered> {
    return this.#order(nodeId, null, options);
  }

  /**
   * The node hands over all that it has to the others, and stays; resolves when it has begun to, or is seen not to be up. The order
   * is kept over restarts of the node until {@link uncordon} takes it back.
   *
   * @throws EngineError `NODE_NOT_FOUND` when the node has neither a lease nor an order, `DEADLINE_EXCEEDED` when the order is kept
   *   and the node has not followed it yet, `NATS_UNREACHABLE`, `UNAVAILABLE`, `BUS_FORBIDDEN`
   */
  drain(nodeId: string, options: ClusterCallOptions = {}): Promise<NodeOrdered> {
    return this.#order(nodeId, 'draining', options);
  }

  /**
   * Pins a shard to a node, and waits until that node has it. A pin is kept until {@link unpinShard} takes it back; while its node
   * is away or may take nothing the shard is placed as any other.
   *
   * @param options.wait - false: resolves when the pin is kept
   * @throws EngineError `INVALID_ARGUMENT` for a shard out of range, `NODE_NOT_FOUND` when the node has no lease, `NOT_ALLOWED` when
   *   it is cordoned or drains, `DEADLINE_EXCEEDED` when the pin is kept and the node does not have the shard yet, `UNAVAILABLE`,
   *   `BUS_FORBIDDEN`
   */
  async moveShard(
    shard: number,
    nodeId: string,
    options: ClusterCallOptions & { readonly wait?: boolean | undefined } = {},
  ): Promise<ShardPinned> {
    const timeoutMs = this.#timeoutOf(options);
    const id = this.#parseShard(shard);
    const target = parseNodeId(nodeId);
    const { before } = await this.#writer.change(async (orders) => {
      await this.#checkTarget(orders, target);
      return withPin(orders, id, target);
    });
    const pinned = { shard: id, pinnedTo: target, pinnedBefore: before.pins.get(id) ?? null };
    if (options.wait === false) return { ...pinned, owner: null };
    const isThere = async (): Promise<boolean> => (await this.#leases.readShard(id)).owner?.nodeId === target;
    if (!(await this.#poll(timeoutMs, isThere))) {
      throw notYet(`shard ${id} is not at node ${target}`, timeoutMs, 'the pin is kept: see `cabinet shard list`');
    }
    return { ...pinned, owner: target };
  }

  /** What {@link moveShard} would change: the whole of it, with shards that others get for it. @throws EngineError as {@link moveShard} */
  async planMove(shard: number, nodeId: string, options: ClusterCallOptions = {}): Promise<readonly ShardRow[]> {
    const id = this.#parseShard(shard);
    const target = parseNodeId(nodeId);
    const timeoutMs = this.#timeoutOf(options);
    const look = await this.#look();
    await this.#checkTarget(look.orders, target);
    const answers = await this.#ask(look.leases, timeoutMs);
    return movingShards(this.#report({ ...look, orders: withPin(look.orders, id, target) }, answers));
  }

  /** Takes a shard's pin back: it goes where placement likes. @throws EngineError `INVALID_ARGUMENT`, `UNAVAILABLE`, `BUS_FORBIDDEN` */
  async unpinShard(shard: number): Promise<ShardPinned> {
    const id = this.#parseShard(shard);
    const { before } = await this.#writer.change((orders) => withPin(orders, id, null));
    return { shard: id, pinnedTo: null, pinnedBefore: before.pins.get(id) ?? null, owner: null };
  }

  get #leases(): ClusterLeases {
    const { leases } = this.#deps;
    if (leases !== undefined) return leases;
    throw new EngineError('CONFIG_INVALID', 'this client has no leases to read', {
      field: 'leases',
      hint: 'pass a lease store to createClient, or use connectClient',
    });
  }

  get #writer(): OrderWriter {
    return new OrderWriter({ ...this.#deps, leases: this.#leases });
  }

  async #look(): Promise<ClusterLook> {
    const store = this.#leases;
    const [leases, locks, { orders }] = await Promise.all([store.listNodes(), store.listShards(), store.readOrders()]);
    return { leases: leases.map((lease) => underOrders(orders, lease)), locks, orders };
  }

  /** What each node says of itself, by its life; those that do not answer are left out. */
  async #ask(leases: readonly NodeLease[], deadlineMs: number): Promise<ReadonlyMap<string, NodeStatus>> {
    const answers = new Map<string, NodeStatus>();
    await Promise.all(
      leases.map(async ({ nodeId, incarnation }) => {
        const answer = await this.#statusOf(nodeId, Math.min(nodeTimeoutMs, deadlineMs), incarnation);
        if (typeof answer !== 'string' && answer.incarnation === incarnation) answers.set(memberKey(answer), answer);
      }),
    );
    return answers;
  }

  #report({ leases, locks, orders }: ClusterLook, answers: ReadonlyMap<string, NodeStatus>): ClusterStatus {
    const { members } = nextView(emptyView, { leases });
    const down = new Set(members.map((member) => memberKey(member)).filter((key) => !answers.has(key)));
    const up = members.filter((member) => !down.has(memberKey(member)));
    const pins: Pins = orders.pins;
    const desired = placeShards({ members: up, shardCount: this.#deps.shardCount, pins });
    const report = rebalanceReport({ desired, locks, members, down, pins });
    const present = new Set(members.map(({ nodeId }) => nodeId));
    return {
      ...report,
      nodes: report.nodes.map((row, index) => {
        const { incarnation } = members[index] as Member;
        const answer = answers.get(memberKey({ nodeId: row.nodeId, incarnation }));
        return {
          ...row,
          incarnation,
          order: orders.nodes.get(row.nodeId) ?? null,
          handingOver: answer?.handingOver ?? null,
          failing: answer?.failing ?? null,
          loopLagMs: answer?.loopLagMs ?? null,
          stages: answer?.stages ?? null,
          openBreakers: answer?.openBreakers ?? null,
          openBreakerCount: answer?.openBreakerCount ?? null,
        };
      }),
      waitingOrders: [...orders.nodes]
        .filter(([nodeId]) => !present.has(nodeId))
        .map(([nodeId, order]) => ({ nodeId, order })),
    };
  }

  async #order(name: string, order: NodeOrder | null, options: ClusterCallOptions): Promise<NodeOrdered> {
    const timeoutMs = this.#timeoutOf(options);
    const nodeId = parseNodeId(name);
    const { after } = await this.#writer.change(async (orders) => {
      if (!orders.nodes.has(nodeId)) await this.#findNode(nodeId);
      return withNodeOrder(orders, nodeId, order);
    });
    const wanted = orderFlags(after, nodeId);
    let status: NodeStatus | null = null;
    const isFollowed = async (remainingMs: number): Promise<boolean> => {
      const answer = await this.#statusOf(nodeId, Math.min(nodeTimeoutMs, remainingMs));
      if (answer === 'disconnected') {
        throw new EngineError('NATS_UNREACHABLE', 'the connection to the NATS server is down', {
          hint: `the order for node ${nodeId} is kept`,
        });
      }
      // Nobody serves its subject, or its lease is gone: it is not up. One that is only silent may come back.
      if (answer === 'no-responders') return true;
      if (answer === 'timeout') return (await this.#leases.readNode(nodeId)) === null;
      status = answer;
      return answer.draining === wanted.draining && answer.cordoned === wanted.cordoned;
    };
    if (await this.#poll(timeoutMs, isFollowed)) return { nodeId, order, status };
    throw notYet(`node ${nodeId} has not followed`, timeoutMs, 'the order is kept: see `cabinet node list`');
  }

  /** @throws EngineError `NODE_NOT_FOUND` when the node has no lease */
  async #findNode(nodeId: NodeId): Promise<NodeLease> {
    const lease = await this.#leases.readNode(nodeId);
    if (lease !== null) return lease;
    throw new EngineError('NODE_NOT_FOUND', `no node ${nodeId} is there`, { hint: 'see `cabinet node list`' });
  }

  async #checkTarget(orders: ClusterOrders, nodeId: NodeId): Promise<void> {
    const { draining, cordoned = false } = underOrders(orders, await this.#findNode(nodeId));
    if (!draining && !cordoned) return;
    throw new EngineError('NOT_ALLOWED', `node ${nodeId} ${draining ? 'drains' : 'is cordoned'}: it takes no shard`, {
      hint: `\`cabinet node uncordon ${nodeId}\` lets it`,
    });
  }

  #timeoutOf(options: ClusterCallOptions): number {
    return checkTimeoutMs(checkOptions(options).deadlineMs ?? this.#deps.deadlineMs);
  }

  #parseShard(shard: number): ShardId {
    const most = this.#deps.shardCount - 1;
    if (Number.isSafeInteger(shard) && shard >= 0 && shard <= most) return shard as ShardId;
    throw invalidArgument({
      field: 'shard',
      message: `there is no shard ${showValue(shard)}`,
      limit: `0 to ${most}`,
      got: shard,
    });
  }

  /** Asks again and again. @returns whether it became true in time */
  async #poll(timeoutMs: number, isTrue: (remainingMs: number) => Promise<boolean>): Promise<boolean> {
    const { clock } = this.#deps;
    const untilMs = clock.monotonicMs() + timeoutMs;
    for (;;) {
      const remainingMs = untilMs - clock.monotonicMs();
      if (remainingMs < 1) return false;
      if (await isTrue(remainingMs)) return true;
      await new Promise<void>((resolve) => void clock.setTimer(Math.min(waitPollMs, remainingMs), resolve));
    }
  }

  async #statusOf(
    nodeId: NodeId,
    timeoutMs: number,
    incarnation?: string,
  ): Promise<NodeStatus | 'no-responders' | 'timeout' | 'disconnected'> {
    const { bus, namespace } = this.#deps;
    const body = encodeNodeMessage({ type: 'node.status', incarnation });
    const outcome = await bus.request(nodeSubject(namespace, nodeId), body, { timeoutMs });
    // A node that may not be asked is not known to be down.
    if (outcome.kind === 'forbidden') throw forbiddenError(outcome);
    if (outcome.kind !== 'reply') return outcome.kind;
    const reply = decodeNodeReply(outcome.body);
    if (reply.kind === 'status') return reply.status;
    throw EngineError.fromReport(reply.error);
  }
}

function notYet(what: string, timeoutMs: number, hint: string): EngineError {
  return new EngineError('DEADLINE_EXCEEDED', `${what} after ${timeoutMs} ms`, { limit: `${timeoutMs} ms`, hint });
}
