import type { EngineConfig } from '../core/config.ts';
import { underOrders, type ClusterOrders } from '../core/cluster-orders.ts';
import { asError } from '../core/errors.ts';
import type { NodeId, ShardId } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { LeaseStore, NodeLease, ShardLock } from '../ports/leases.ts';
import type { Logger } from '../ports/logger.ts';
import { planAssignment, type AssignmentPlan, type PlannedAcquire, type PlannedRelease } from './assignment-plan.ts';
import type { ClusterMetrics } from './cluster-metrics.ts';
import type { DetectorPolicy } from './failure-detector.ts';
import type { Pins } from './load-bounds.ts';
import { emptyView, memberKey, nextView, type Member, type MemberIdentity, type MembershipView } from './membership.ts';
import type { OrderBook } from './order-book.ts';
import { PeerWatch, type Heartbeat } from './peer-watch.ts';
import { placeShards } from './placement.ts';
import type { ClusterPicture } from './shard-standing.ts';
import { ShardTimes } from './shard-times.ts';

/** The node whose shards an agent decides on. */
export interface AgentHost {
  /** Shards that the node serves, opens or hands over at this moment. */
  readonly serving: () => ReadonlySet<ShardId>;
  /** Shards that the node is handing over. */
  readonly handingOver: () => ReadonlySet<ShardId>;
  /** Shards that could not be opened and are not yet tried again; the host wakes the agent when one is. */
  readonly resting: () => ReadonlySet<ShardId>;
  /** Takes a lock and opens the shard; a failure is the host's to tell. Never rejects. @returns whether the shard is served now */
  readonly acquire: (planned: PlannedAcquire, up: readonly MemberIdentity[]) => Promise<boolean>;
  /** Hands a shard over, or gives a lock back that is held and not served. Never rejects. */
  readonly release: (planned: PlannedRelease) => Promise<void>;
  /** A look has succeeded: what it saw of orders, for the node to say in its lease, and of locks, which may show newer owners. */
  readonly looked: (orders: ClusterOrders, locks: readonly ShardLock[]) => void;
}

/** This node's own lease, as it knows it at first hand. */
export interface OwnLease {
  readonly isGood: boolean;
  readonly lease: NodeLease;
  /** Asks the store itself whether another process has the node's name; false when it has, or the store does not answer. */
  readonly confirm: () => Promise<boolean>;
}

/** What a {@link ClusterAgent} asks of the outside. */
export interface ClusterAgentDeps {
  readonly config: Pick<EngineConfig, 'shardCount' | 'clusterPollMs' | 'maxMoves'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly leases: LeaseStore;
  readonly orders: OrderBook;
  readonly metrics: ClusterMetrics;
  readonly own: OwnLease;
  readonly ping: (peer: MemberIdentity, timeoutMs: number) => Promise<Heartbeat>;
  readonly host: AgentHost;
  /** Times of the heartbeats; the defaults when left out. */
  readonly detector?: DetectorPolicy;
}

/** Shards that are opened at one time. */
const maximumOpening = 8;
/** Pause before the next look while something is on its way, or could not be seen. */
const busyPollMs = 200;
/** A handover that takes longer is set aside, so that it does not hold up the others. */
const stuckHandoverMs = 120_000;
/** A released shard that its next owner does not take in this time does not hold up the others either. */
const stuckReleasedMs = 10_000;

/**
 * One node's part in the cluster: it looks who is there and who owns what, plans, and lets its host take and hand over shards.
 * What it sees may be stale; the compare-and-set of a lock and the fence of a journal decide.
 *
 * It looks when it is woken (by a notice, a peer that went down, something that ended here), every `busyPollMs` while something
 * is on its way, else every `clusterPollMs`. Openings and handovers go on behind the looks.
 */
export class ClusterAgent {
  readonly #deps: ClusterAgentDeps;
  readonly #peers: PeerWatch;
  #view: MembershipView = emptyView;
  #picture: ClusterPicture | null = null;
  /** The last placement, with what it was made from. */
  #placement: {
    readonly members: readonly Member[];
    readonly down: string;
    readonly pins: Pins;
    readonly desired: ReadonlyMap<ShardId, NodeId>;
  } | null = null;
  #plan: AssignmentPlan = { acquire: [], release: [], waiting: [] };
  /** What is still to be taken of the last plan. */
  #wanted: PlannedAcquire[] = [];
  readonly #openings = new Map<ShardId, Promise<void>>();
  /** Since when it has been decided that a shard is to be taken. */
  readonly #decided: ShardTimes;
  readonly #handovers: ShardTimes;
  readonly #released: ShardTimes;
  #timer: TimerHandle | null = null;
  #round: Promise<void> | null = null;
  #isDoubtful = false;
  #sawAll = false;
  #wakeAgain = false;
  /** A look is about to begin. */
  #isWoken = false;
  /** A shard that was wanted was not taken: somebody was faster, or the plan was older than it. */
  #missedOne = false;
  #stopped = false;

  constructor(deps: ClusterAgentDeps) {
    this.#deps = deps;
    this.#decided = new ShardTimes(deps.clock);
    this.#handovers = new ShardTimes(deps.clock);
    this.#released = new ShardTimes(deps.clock);
    this.#peers = new PeerWatch({
      clock: deps.clock,
      ping: deps.ping,
      ...(deps.detector === undefined ? {} : { policy: deps.detector }),
      onChange: (peer, state) => {
        const fields = {
          peer: peer.nodeId,
          incarnation: peer.incarnation,
          why: state.status === 'down' ? state.why : null,
        };
        if (state.status === 'down') deps.logger.warn(fields, 'a node is held to be down');
        else deps.logger.info(fields, 'a node is back');
        this.wake();
      },
    });
  }

  /** What the last look saw, or null before the first. */
  get picture(): ClusterPicture | null {
    return this.#picture;
  }

  /** Whether the last look succeeded and this node serves what it should, but for what others still have. */
  get isSettled(): boolean {
    const serving = this.#deps.host.serving();
    return this.#sawAll && this.#plan.acquire.every(({ shard }) => serving.has(shard)) && this.#wanted.length === 0;
  }

  /** Whether the shard falls to this node, as far as it has seen. */
  isForSelf(shard: ShardId): boolean {
    return this.#picture === null || this.#picture.desired.get(shard) === this.#deps.own.lease.nodeId;
  }

  /** A newer epoch has taken a shard of this node: perhaps a newer process of it, whose place it is then. */
  doubt(): void {
    this.#isDoubtful = true;
  }

  /** Something may have changed: looks soon, once however often it is asked. */
  wake(): void {
    if (this.#stopped) return;
    if (this.#round !== null) {
      this.#wakeAgain = true;
      return;
    }
    this.#isWoken = true;
    this.#timer?.cancel();
    this.#timer = this.#deps.clock.setTimer(0, () => void this.round());
  }

  /** A process of another node has been seen to end. */
  exited(peer: MemberIdentity): void {
    this.#peers.exited(peer);
  }

  /** Looks, plans and begins what is planned, once. */
  round(): Promise<void> {
    this.#timer?.cancel();
    this.#isWoken = false;
    this.#round ??= this.#run().finally(() => {
      this.#round = null;
      this.#arm();
    });
    return this.#round;
  }

  /** Resolves when what the last plan wanted is taken or was tried. */
  async opened(): Promise<void> {
    while (this.#openings.size > 0) await Promise.all(this.#openings.values());
  }

  /** Looks no more, and takes nothing that it has not begun to take; resolves when all that it began is done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#wanted = [];
    this.#peers.close();
    await this.#round;
    await this.opened();
  }

  #arm(): void {
    this.#timer?.cancel();
    if (this.#stopped) return;
    const { clusterPollMs } = this.#deps.config;
    const { acquire, release } = this.#plan;
    // A cordoned node keeps what it has for as long as an operator likes.
    const cordoned = new Set(this.#view.members.filter((member) => member.cordoned).map(({ nodeId }) => nodeId));
    const waiting = this.#plan.waiting.filter((one) => one.for === 'turn' || !cordoned.has(one.node));
    // One that is missing once is looked for a second time before it counts as gone.
    const isOnItsWay = acquire.length + release.length + waiting.length + this.#view.missing.length > 0;
    const isBusy = isOnItsWay || this.#missedOne || !this.#sawAll;
    this.#missedOne = false;
    const delayMs = this.#wakeAgain ? 0 : isBusy ? Math.min(busyPollMs, clusterPollMs) : clusterPollMs;
    this.#wakeAgain = false;
    this.#timer = this.#deps.clock.setTimer(delayMs, () => void this.round());
  }

  async #run(): Promise<void> {
    this.#sawAll = false;
    try {
      this.#sawAll = await this.#look();
    } catch (thrown) {
      this.#deps.logger.warn({ err: asError(thrown) }, 'leases or locks could not be read; ownership stays as it is');
    }
    if (!this.#sawAll || this.#stopped || this.#picture === null) {
      this.#wanted = [];
      return;
    }
    const { host, own, config } = this.#deps;
    const plan = planAssignment({
      ...this.#picture,
      self: own.lease,
      serving: host.serving(),
      inFlight: host.handingOver(),
      setAside: new Set([...this.#handovers.olderThan(stuckHandoverMs), ...this.#released.olderThan(stuckReleasedMs)]),
      maxMoves: config.maxMoves,
    });
    const serving = host.serving();
    const resting = host.resting();
    const acquire = plan.acquire.filter(({ shard }) => !serving.has(shard) && !resting.has(shard));
    this.#plan = { ...plan, acquire };
    for (const planned of plan.release) void this.#release(planned);
    this.#wanted = [...acquire];
    this.#decided.keep([...acquire.map(({ shard }) => shard), ...this.#openings.keys()]);
    while (this.#openings.size < Math.min(maximumOpening, this.#wanted.length + this.#openings.size)) this.#openNext();
  }

  /** @returns false when this node cannot know enough to plan */
  async #look(): Promise<boolean> {
    const { leases, own, logger, metrics } = this.#deps;
    if (!own.isGood) return false;
    const [listed, locks, orders] = await Promise.all([
      leases.listNodes(),
      leases.listShards(),
      this.#deps.orders.refresh(),
    ]);
    const nodes = await this.#confirmed(listed);
    // A node may take its own shards back from an earlier process of its name: never from a later one.
    if (this.#isDoubtful || isAnotherLifeSeen(own.lease, nodes, locks)) {
      this.#isDoubtful = true;
      if (!(await own.confirm())) return false;
      this.#isDoubtful = false;
    }
    if (this.#stopped || !own.isGood) return false;
    const before = this.#view.number;
    const { lease } = own;
    // Of every node what is ordered, also of one that has not followed yet: so all place alike as soon as they have read the order.
    const current = [...nodes.filter(({ nodeId }) => nodeId !== lease.nodeId), lease];
    this.#view = nextView(this.#view, { leases: current.map((one) => underOrders(orders, one)) });
    metrics.members.set(this.#view.members.length);
    metrics.view.set(this.#view.number);
    if (this.#view.number !== before) {
      logger.info(
        { view: this.#view.number, members: this.#view.members.map(({ nodeId }) => nodeId) },
        'the cluster has changed',
      );
    }
    this.#peers.setPeers(this.#view.members.filter((member) => memberKey(member) !== memberKey(lease)));
    const { pins } = orders;
    const desired = this.#place(pins);
    this.#picture = { desired, locks, members: this.#view.members, down: this.#peers.down, pins };
    const owners = new Map(locks.map((lock) => [lock.shard, lock]));
    this.#released.keep([...desired.keys()].filter((shard) => owners.get(shard)?.owner === null));
    this.#deps.host.looked(orders, locks);
    return true;
  }

  /**
   * The list with what the store's leader has of those whose life would end by it. A list comes from any replica: one that lags shows
   * a lease as run out, or an earlier life of the node, time and again; and a life that has left never comes back.
   */
  async #confirmed(listed: readonly NodeLease[]): Promise<readonly NodeLease[]> {
    const { leases, own } = this.#deps;
    const shown = new Map(listed.map((lease) => [lease.nodeId, lease]));
    const ending = this.#view.members.filter((member) => {
      if (member.nodeId === own.lease.nodeId) return false;
      const lease = shown.get(member.nodeId);
      return lease === undefined
        ? this.#view.missing.includes(memberKey(member))
        : lease.incarnation !== member.incarnation;
    });
    if (ending.length === 0) return listed;
    const found = await Promise.all(ending.map(({ nodeId }) => leases.readNode(nodeId)));
    const asked = new Set(ending.map(({ nodeId }) => nodeId));
    return [...listed.filter(({ nodeId }) => !asked.has(nodeId)), ...found.filter((lease) => lease !== null)];
  }

  /** Where the shards should be: placed anew when a member, its standing or the pins are others than at the last look. */
  #place(pins: Pins): ReadonlyMap<ShardId, NodeId> {
    const { members } = this.#view;
    const down = [...this.#peers.down].join(' ');
    if (this.#placement?.members === members && this.#placement.down === down && this.#placement.pins === pins) {
      return this.#placement.desired;
    }
    const desired = placeShards({ members: this.#up, shardCount: this.#deps.config.shardCount, pins });
    this.#placement = { members, down, pins, desired };
    return desired;
  }

  get #up(): readonly Member[] {
    const { down } = this.#peers;
    return this.#view.members.filter((member) => !down.has(memberKey(member)));
  }

  /** Takes the next of what is wanted, and the one after it when that is done. */
  #openNext(): void {
    const planned = this.#wanted.shift();
    if (planned === undefined || this.#stopped) return;
    const opening = this.#open(planned).finally(() => {
      this.#openings.delete(planned.shard);
      this.#openNext();
    });
    this.#openings.set(planned.shard, opening);
  }

  async #open(planned: PlannedAcquire): Promise<void> {
    const { host, metrics } = this.#deps;
    const isServed = await host.acquire(planned, this.#up);
    if (isServed) metrics.tookOver(planned.why, this.#decided.spanMs(planned.shard));
    this.#decided.end(planned.shard);
    if (isServed) return;
    // Looks since then have found the shard on its way, and nothing to wait for.
    this.#missedOne = true;
    if (this.#round === null && !this.#isWoken) this.#arm();
  }

  async #release(planned: PlannedRelease): Promise<void> {
    if (this.#handovers.has(planned.shard)) return;
    this.#handovers.begin(planned.shard);
    await this.#deps.host.release(planned);
    this.#handovers.end(planned.shard);
    this.wake();
  }
}

/** Whether the store shows another process under this node's name: an earlier one that is gone, or a later one. */
function isAnotherLifeSeen(own: NodeLease, nodes: readonly NodeLease[], locks: readonly ShardLock[]): boolean {
  const isOther = (life: MemberIdentity | null): boolean =>
    life !== null && life.nodeId === own.nodeId && life.incarnation !== own.incarnation;
  return nodes.some((lease) => isOther(lease)) || locks.some(({ owner }) => isOther(owner));
}
