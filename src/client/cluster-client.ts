import { emptyView, memberKey, nextView, type Member } from '../cluster/membership.ts';
import { placeShards } from '../cluster/placement.ts';
import { rebalanceReport, type NodeRow, type RebalanceReport } from '../cluster/rebalance-report.ts';
import { EngineError } from '../core/errors.ts';
import { parseNodeId, type NodeId } from '../core/ids.ts';
import { decodeNodeReply, encodeNodeMessage, type NodeCommand, type NodeStatus } from '../core/node-messages.ts';
import { nodeSubject } from '../core/subjects.ts';
import type { Bus } from '../ports/bus.ts';
import type { LeaseStore } from '../ports/leases.ts';

/** What {@link ClusterClient} asks of the outside. */
export interface ClusterClientDeps {
  readonly bus: Bus;
  /** Without it only node commands work. */
  readonly leases: Pick<LeaseStore, 'listNodes' | 'listShards'> | undefined;
  readonly namespace: string;
  readonly shardCount: number;
  readonly deadlineMs: number;
}

/** One node as the cluster knows it, with what it says of itself. */
export interface ClusterNodeRow extends NodeRow {
  readonly incarnation: string;
  /** Shards that it hands over and that it could not open; null when it does not answer. */
  readonly handingOver: number | null;
  readonly failing: number | null;
}

/** The cluster at one moment: who is there, who owns what, and what will move. */
export interface ClusterStatus extends Omit<RebalanceReport, 'nodes'> {
  readonly nodes: readonly ClusterNodeRow[];
}

/** How long a node has to answer before it is shown as down. */
const nodeTimeoutMs = 1_000;

/** The nodes of a cluster, seen and commanded from outside. */
export class ClusterClient {
  readonly #deps: ClusterClientDeps;

  constructor(deps: ClusterClientDeps) {
    this.#deps = deps;
  }

  /**
   * Who is there, who owns what and where each shard should be. It is put together from leases, locks and the nodes' own answers,
   * each of which may be a moment old.
   *
   * @throws EngineError `UNAVAILABLE` when leases or locks cannot be read, `CONFIG_INVALID` when the client has no lease store
   */
  async status(options: { readonly deadlineMs?: number | undefined } = {}): Promise<ClusterStatus> {
    const { leases, shardCount, deadlineMs } = this.#deps;
    if (leases === undefined) {
      throw new EngineError('CONFIG_INVALID', 'this client has no leases to read', {
        field: 'leases',
        hint: 'pass a lease store to createClient, or use connectClient',
      });
    }
    const [nodes, locks] = await Promise.all([leases.listNodes(), leases.listShards()]);
    const { members } = nextView(emptyView, { leases: nodes });
    const timeoutMs = Math.min(nodeTimeoutMs, options.deadlineMs ?? deadlineMs);
    const answers = new Map<string, NodeStatus>();
    await Promise.all(
      members.map(async (member) => {
        const status = await this.#statusOf(member, timeoutMs);
        if (status !== null) answers.set(memberKey(member), status);
      }),
    );
    const down = new Set(members.map((member) => memberKey(member)).filter((key) => !answers.has(key)));
    const up = members.filter((member) => !down.has(memberKey(member)));
    const report = rebalanceReport({ desired: placeShards({ members: up, shardCount }), locks, members, down });
    return {
      ...report,
      nodes: report.nodes.map((row, index) => {
        const { incarnation } = members[index] as Member;
        const answer = answers.get(memberKey({ nodeId: row.nodeId, incarnation }));
        return { ...row, incarnation, handingOver: answer?.handingOver ?? null, failing: answer?.failing ?? null };
      }),
    };
  }

  /** The node keeps what it has and takes nothing new. @throws EngineError as {@link drain} */
  cordon(nodeId: string, options: { readonly deadlineMs?: number | undefined } = {}): Promise<NodeStatus> {
    return this.#command(nodeId, 'node.cordon', options.deadlineMs);
  }

  /** Takes a cordon or a drain back. @throws EngineError as {@link drain} */
  uncordon(nodeId: string, options: { readonly deadlineMs?: number | undefined } = {}): Promise<NodeStatus> {
    return this.#command(nodeId, 'node.uncordon', options.deadlineMs);
  }

  /**
   * The node hands over all that it has to the others, and stays; resolves when it has begun to.
   *
   * @throws EngineError `NO_OWNER` when no such node is there, `NATS_UNREACHABLE`, `DEADLINE_EXCEEDED` when the outcome is unknown,
   *   and what the node answered: `UNAVAILABLE`, `NOT_ALLOWED`
   */
  drain(nodeId: string, options: { readonly deadlineMs?: number | undefined } = {}): Promise<NodeStatus> {
    return this.#command(nodeId, 'node.drain', options.deadlineMs);
  }

  async #command(nodeId: string, type: NodeCommand['type'], timeoutMs = this.#deps.deadlineMs): Promise<NodeStatus> {
    const id = parseNodeId(nodeId);
    const { bus, namespace } = this.#deps;
    const outcome = await bus.request(nodeSubject(namespace, id), encodeNodeMessage({ type }), { timeoutMs });
    if (outcome.kind === 'reply') {
      const reply = decodeNodeReply(outcome.body);
      if (reply.kind === 'status') return reply.status;
      throw EngineError.fromReport(reply.error);
    }
    throw unanswered(outcome.kind, id, timeoutMs);
  }

  async #statusOf({ nodeId, incarnation }: Member, timeoutMs: number): Promise<NodeStatus | null> {
    const { bus, namespace } = this.#deps;
    const body = encodeNodeMessage({ type: 'node.status', incarnation });
    const outcome = await bus.request(nodeSubject(namespace, nodeId), body, { timeoutMs });
    if (outcome.kind !== 'reply') return null;
    const reply = decodeNodeReply(outcome.body);
    return reply.kind === 'status' && reply.status.incarnation === incarnation ? reply.status : null;
  }
}

function unanswered(
  kind: 'no-responders' | 'timeout' | 'disconnected',
  nodeId: NodeId,
  timeoutMs: number,
): EngineError {
  if (kind === 'no-responders') {
    return new EngineError('NO_OWNER', `no node ${nodeId} is there`, { hint: 'see `cabinet node list`' });
  }
  if (kind === 'disconnected') {
    return new EngineError('NATS_UNREACHABLE', 'the connection to the NATS server is down');
  }
  return new EngineError('DEADLINE_EXCEEDED', `node ${nodeId} has not answered within ${timeoutMs} ms`, {
    limit: `${timeoutMs} ms`,
    hint: 'the command may have been carried out: see `cabinet node list`',
  });
}
