import { asError, EngineError, unreachable } from '../core/errors.ts';
import {
  decodeNodeCommand,
  decodeNodeLife,
  decodeNodeReply,
  encodeNodeMessage,
  type NodeCommand,
  type NodeReply,
  type NodeStatus,
} from '../core/node-messages.ts';
import type { NodeId } from '../core/ids.ts';
import { clusterSubject, nodeSubject } from '../core/subjects.ts';
import type { Bus, BusRequest, BusService } from '../ports/bus.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { memberKey, type MemberIdentity } from './membership.ts';
import type { Heartbeat } from './peer-watch.ts';

/** What {@link ClusterLink} asks of the outside. */
export interface ClusterLinkDeps {
  readonly bus: Bus;
  readonly namespace: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** This node's life at this moment. */
  readonly self: () => MemberIdentity;
  /** What this node says of itself now. */
  readonly status: () => NodeStatus;
  /** Another node tells that something has changed. */
  readonly onChanged: () => void;
  /** Somebody tells that this process has ended. */
  readonly onExited: (peer: MemberIdentity) => void;
}

/** Least time from one notice of a change to the next; those between become one. */
const noticeIntervalMs = 50;
/** Nobody answers a notice: how long the bus keeps it in mind. */
const noticeTimeoutMs = 1;
/** The life that was asked for answers before another one of the same name. */
const otherLifeDelayMs = 50;
/** A heartbeat that has no answer in this part of its time is not waited for alone: the node also asks itself, in the rest of it. */
const selfCheckAfter = 0.2;
/** For so long after this node was cut off, a peer that is not served may only be slower to come back: it counts as silent. */
const reconnectGraceMs = 5_000;

/** One node's talk with the others over the bus: heartbeats and notices. What it carries are hints; locks and fences decide. */
export class ClusterLink {
  readonly #deps: ClusterLinkDeps;
  readonly #services: BusService[] = [];
  #noticeTimer: TimerHandle | null = null;
  #noticedMs = Number.NEGATIVE_INFINITY;
  #cutOffMs = Number.NEGATIVE_INFINITY;
  /** The question to itself that is under way: one for all peers that are silent now. */
  #selfCheck: Promise<boolean> | null = null;
  /** The last question that was heard, and the last answer of each peer with whether it was the peer's: most are the same again. */
  #heard: { readonly body: Uint8Array; readonly command: NodeCommand } | null = null;
  readonly #answers = new Map<NodeId, { readonly key: string; readonly body: Uint8Array; readonly isFrom: boolean }>();
  #stopped = false;

  constructor(deps: ClusterLinkDeps) {
    this.#deps = deps;
  }

  /** Serves the node's own subject and hears notices. @throws EngineError `BUS_FORBIDDEN`, `UNAVAILABLE` */
  async start(): Promise<void> {
    const { bus, namespace, self } = this.#deps;
    const serve = async (subject: string, handler: (request: BusRequest) => void): Promise<void> => {
      const service = await bus.serve(subject, (request) => {
        if (!this.#stopped) handler(request);
      });
      if (this.#stopped) await service.stop();
      else this.#services.push(service);
    };
    await Promise.all([
      serve(nodeSubject(namespace, self().nodeId), (request) => this.#answer(request)),
      serve(clusterSubject(namespace, '*'), (request) => this.#hear(request)),
    ]);
  }

  /** Answers nobody from now on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#noticeTimer?.cancel();
    await Promise.all(this.#services.splice(0).map((service) => service.stop()));
  }

  /**
   * Asks a peer whether it is there. A peer that is silent while this node cannot reach itself either over the same link says
   * nothing: a bus that stands still silences all alike, and whoever believed it would take what the others have.
   */
  async ping(peer: MemberIdentity, timeoutMs: number): Promise<Heartbeat> {
    const { bus, namespace, clock } = this.#deps;
    const body = encodeNodeMessage({ type: 'node.status', incarnation: peer.incarnation });
    // Within the time that the peer has: a bus that is back when that is over proves nothing of the time before.
    let reachesSelf: Promise<boolean> = Promise.resolve(false);
    const selfCheckMs = Math.ceil(timeoutMs * selfCheckAfter);
    const selfCheck = clock.setTimer(selfCheckMs, () => {
      reachesSelf = this.#reachesSelf(timeoutMs - selfCheckMs);
    });
    const outcome = await bus.request(nodeSubject(namespace, peer.nodeId), body, { timeoutMs });
    selfCheck.cancel();
    switch (outcome.kind) {
      case 'reply':
        return this.#isFrom(peer, outcome.body) ? 'answered' : 'refused';
      case 'no-responders':
        return clock.monotonicMs() - this.#cutOffMs < reconnectGraceMs ? 'timedOut' : 'refused';
      case 'timeout':
        return (await reachesSelf) ? 'timedOut' : 'cutOff';
      case 'disconnected':
        this.#cutOffMs = clock.monotonicMs();
        return 'cutOff';
      case 'forbidden':
        // This node's own permissions are wrong, which says nothing of the peer. The link has logged them.
        return 'cutOff';
      default:
        return unreachable(outcome);
    }
  }

  /** Tells the others to look again: a lock or a lease has changed. */
  changed(): void {
    if (this.#stopped || this.#noticeTimer !== null) return;
    const { clock } = this.#deps;
    const delayMs = Math.max(0, this.#noticedMs + noticeIntervalMs - clock.monotonicMs());
    if (delayMs === 0) this.#sendChanged();
    else this.#noticeTimer = clock.setTimer(delayMs, () => this.#sendChanged());
  }

  /** Whether a request to this node's own subject comes round in time. */
  #reachesSelf(timeoutMs: number): Promise<boolean> {
    const { bus, namespace, self } = this.#deps;
    const { nodeId, incarnation } = self();
    this.#selfCheck ??= bus
      .request(nodeSubject(namespace, nodeId), encodeNodeMessage({ type: 'node.status', incarnation }), { timeoutMs })
      .then(({ kind }) => kind === 'reply')
      .finally(() => {
        this.#selfCheck = null;
      });
    return this.#selfCheck;
  }

  #sendChanged(): void {
    const { bus, namespace, clock, self } = this.#deps;
    this.#noticeTimer = null;
    this.#noticedMs = clock.monotonicMs();
    void bus.request(clusterSubject(namespace, 'changed'), encodeNodeMessage(self()), { timeoutMs: noticeTimeoutMs });
  }

  #isFrom(peer: MemberIdentity, body: Uint8Array): boolean {
    const key = memberKey(peer);
    const last = this.#answers.get(peer.nodeId);
    if (last?.key === key && Buffer.compare(last.body, body) === 0) return last.isFrom;
    const isFrom = this.#isAnswerOf(peer, body);
    this.#answers.set(peer.nodeId, { key, body, isFrom });
    return isFrom;
  }

  #isAnswerOf(peer: MemberIdentity, body: Uint8Array): boolean {
    try {
      const reply = decodeNodeReply(body);
      return reply.kind === 'status' && memberKey(reply.status) === memberKey(peer);
    } catch (thrown) {
      this.#deps.logger.warn({ peer: peer.nodeId, err: asError(thrown) }, 'an answer to a heartbeat cannot be read');
      return false;
    }
  }

  #answer(request: BusRequest): void {
    if (!request.canReply) return;
    let command: NodeCommand;
    try {
      command = this.#read(request.body);
    } catch (thrown) {
      request.reply(encodeNodeMessage(errorReply(thrown)));
      return;
    }
    const { clock, self } = this.#deps;
    const isMeant = command.incarnation === undefined || command.incarnation === self().incarnation;
    if (isMeant) this.#tellStatus(request);
    else clock.setTimer(otherLifeDelayMs, () => this.#tellStatus(request));
  }

  /** @throws EngineError as {@link decodeNodeCommand} */
  #read(body: Uint8Array): NodeCommand {
    if (this.#heard !== null && Buffer.compare(this.#heard.body, body) === 0) return this.#heard.command;
    const command = decodeNodeCommand(body);
    this.#heard = { body, command };
    return command;
  }

  #tellStatus(request: BusRequest): void {
    if (this.#stopped) return;
    request.reply(encodeNodeMessage({ kind: 'status', status: this.#deps.status() }));
  }

  #hear({ subject, body }: BusRequest): void {
    const { namespace, logger, self, onChanged, onExited } = this.#deps;
    try {
      const life = decodeNodeLife(body);
      if (memberKey(life) === memberKey(self())) return;
      if (subject === clusterSubject(namespace, 'exited')) onExited(life);
      else if (subject === clusterSubject(namespace, 'changed')) onChanged();
    } catch (thrown) {
      logger.warn({ subject, err: asError(thrown) }, 'a notice cannot be read');
    }
  }
}

function errorReply(thrown: unknown): NodeReply {
  const error = asError(thrown);
  const known = error instanceof EngineError ? error : new EngineError('INTERNAL', error.message, { cause: error });
  return { kind: 'error', error: known.toReport() };
}
