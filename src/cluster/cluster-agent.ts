import type { EngineConfig } from '../core/config.ts';
import { asError } from '../core/errors.ts';
import type { ShardId } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { LeaseStore } from '../ports/leases.ts';
import type { Logger } from '../ports/logger.ts';
import { planAssignment, type AssignmentPlan, type PlannedAcquire, type PlannedRelease } from './assignment-plan.ts';
import { emptyView, memberKey, nextView, type MemberIdentity, type MembershipView } from './membership.ts';
import { PeerWatch, type Heartbeat } from './peer-watch.ts';
import { placeShards } from './placement.ts';
import type { ClusterPicture } from './shard-standing.ts';

/** The node whose shards an agent decides on. */
export interface AgentHost {
  /** Shards that the node serves, opens or hands over at this moment. */
  readonly serving: () => ReadonlySet<ShardId>;
  /** Shards that the node is handing over. */
  readonly handingOver: () => ReadonlySet<ShardId>;
  /** Takes a lock and opens the shard; a failure is the host's to tell. Never rejects. */
  readonly acquire: (planned: PlannedAcquire) => Promise<void>;
  /** Hands a shard over, or gives a lock back that is held and not served. Never rejects. */
  readonly release: (planned: PlannedRelease) => Promise<void>;
}

/** What a {@link ClusterAgent} asks of the outside. */
export interface ClusterAgentDeps {
  readonly config: Pick<EngineConfig, 'shardCount' | 'clusterPollMs' | 'maxMoves'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly leases: LeaseStore;
  /** This node; its incarnation changes when its lease ran out. */
  readonly self: () => MemberIdentity;
  readonly ping: (peer: MemberIdentity, timeoutMs: number) => Promise<Heartbeat>;
  readonly host: AgentHost;
}

/** Shards that are opened at one time. */
const maximumOpening = 8;
/** Pause before the next look while something is on its way. */
const busyPollMs = 200;
/** A handover that takes longer is set aside, so that it does not hold up the others. */
const stuckHandoverMs = 120_000;

/**
 * One node's part in the cluster: it looks who is there and who owns what, plans, and lets its host take and hand over shards.
 * What it sees may be stale; the compare-and-set of a lock and the fence of a journal decide.
 */
export class ClusterAgent {
  readonly #deps: ClusterAgentDeps;
  readonly #peers: PeerWatch;
  #view: MembershipView = emptyView;
  #picture: ClusterPicture | null = null;
  #plan: AssignmentPlan = { acquire: [], release: [], waiting: [] };
  readonly #handoverSinceMs = new Map<ShardId, number>();
  #timer: TimerHandle | null = null;
  #round: Promise<void> | null = null;
  #wakeAgain = false;
  #stopped = false;

  constructor(deps: ClusterAgentDeps) {
    this.#deps = deps;
    this.#peers = new PeerWatch({
      clock: deps.clock,
      ping: deps.ping,
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

  get view(): MembershipView {
    return this.#view;
  }

  /** What the last plan said. */
  get plan(): AssignmentPlan {
    return this.#plan;
  }

  /** Whether this node is among the members it sees and has nothing to take. */
  get isSettled(): boolean {
    const self = memberKey(this.#deps.self());
    return this.#view.members.some((member) => memberKey(member) === self) && this.#plan.acquire.length === 0;
  }

  /** Something may have changed: looks soon, once however often it is asked. */
  wake(): void {
    if (this.#stopped) return;
    if (this.#round !== null) {
      this.#wakeAgain = true;
      return;
    }
    this.#timer?.cancel();
    this.#timer = this.#deps.clock.setTimer(0, () => void this.round());
  }

  /** A process of another node has been seen to end. */
  exited(peer: MemberIdentity): void {
    this.#peers.exited(peer);
  }

  /** Looks, plans and acts once; resolves when what was to be taken is taken. Handovers go on behind it. */
  round(): Promise<void> {
    this.#round ??= this.#run().finally(() => {
      this.#round = null;
      this.#arm();
    });
    return this.#round;
  }

  /** Looks no more; resolves when the running round is over. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#peers.close();
    await this.#round;
  }

  #arm(): void {
    this.#timer?.cancel();
    if (this.#stopped) return;
    const { acquire, release, waiting } = this.#plan;
    const isBusy = acquire.length + release.length + waiting.length > 0 || !this.isSettled;
    const delayMs = this.#wakeAgain ? 0 : isBusy ? busyPollMs : this.#deps.config.clusterPollMs;
    this.#wakeAgain = false;
    this.#timer = this.#deps.clock.setTimer(
      Math.min(delayMs, this.#deps.config.clusterPollMs),
      () => void this.round(),
    );
  }

  async #run(): Promise<void> {
    try {
      await this.#look();
    } catch (thrown) {
      this.#deps.logger.warn({ err: asError(thrown) }, 'leases or locks could not be read; ownership stays as it is');
      return;
    }
    if (this.#stopped || this.#picture === null) return;
    this.#plan = planAssignment({
      ...this.#picture,
      self: this.#deps.self(),
      serving: this.#deps.host.serving(),
      inFlight: this.#deps.host.handingOver(),
      setAside: this.#stuck(),
      maxMoves: this.#deps.config.maxMoves,
    });
    for (const planned of this.#plan.release) void this.#release(planned);
    const wanted = [...this.#plan.acquire];
    const opener = async (): Promise<void> => {
      for (let planned = wanted.shift(); planned !== undefined && !this.#stopped; planned = wanted.shift()) {
        await this.#deps.host.acquire(planned);
      }
    };
    await Promise.all(Array.from({ length: Math.min(maximumOpening, wanted.length) }, opener));
  }

  async #look(): Promise<void> {
    const { leases, config, self } = this.#deps;
    const [nodes, locks] = await Promise.all([leases.listNodes(), leases.listShards()]);
    if (this.#stopped) return;
    const before = this.#view.number;
    this.#view = nextView(this.#view, { leases: nodes });
    if (this.#view.number !== before) {
      this.#deps.logger.info(
        { view: this.#view.number, members: this.#view.members.map(({ nodeId }) => nodeId) },
        'the cluster has changed',
      );
    }
    const own = memberKey(self());
    this.#peers.setPeers(this.#view.members.filter((member) => memberKey(member) !== own));
    const { down } = this.#peers;
    const up = this.#view.members.filter((member) => !down.has(memberKey(member)));
    const desired = placeShards({ members: up, shardCount: config.shardCount });
    this.#picture = { desired, locks, members: this.#view.members, down };
  }

  async #release(planned: PlannedRelease): Promise<void> {
    if (this.#handoverSinceMs.has(planned.shard)) return;
    this.#handoverSinceMs.set(planned.shard, this.#deps.clock.monotonicMs());
    await this.#deps.host.release(planned);
    this.#handoverSinceMs.delete(planned.shard);
    this.wake();
  }

  #stuck(): ReadonlySet<ShardId> {
    const nowMs = this.#deps.clock.monotonicMs();
    return new Set(
      [...this.#handoverSinceMs].filter(([, sinceMs]) => nowMs - sinceMs > stuckHandoverMs).map(([shard]) => shard),
    );
  }
}
