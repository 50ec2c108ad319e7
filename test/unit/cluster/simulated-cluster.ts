import { planAssignment } from '../../../src/cluster/assignment-plan.ts';
import {
  detectorDefaults,
  newPeer,
  observePeer,
  type PeerEvent,
  type PeerState,
} from '../../../src/cluster/failure-detector.ts';
import { extendedLease, leasePhase } from '../../../src/cluster/lease-clock.ts';
import {
  emptyView,
  memberKey,
  nextView,
  type MemberIdentity,
  type MembershipView,
  type ObservedLease,
} from '../../../src/cluster/membership.ts';
import type { PlacementMember } from '../../../src/cluster/load-bounds.ts';
import { placeShards } from '../../../src/cluster/placement.ts';
import type { Epoch, NodeId, ShardId } from '../../../src/core/ids.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import type { ShardLock } from '../../../src/ports/leases.ts';

/** Virtual time of one step; a heartbeat's round trip is one step. */
export const stepMs = 50;
export const leaseTtlMs = 6_000;
const leaseRenewMs = 1_500;
const planEveryMs = 100;
const longestDrainMs = 400;
/** Oldest answer that a read may give. */
const longestDelaySteps = 6;

/** How a simulated world is set up. */
export interface WorldOptions {
  readonly seed: number;
  readonly shardCount: number;
  readonly maxMoves: number;
  /** Whether the store tells the position of its lists. */
  readonly hasRevisions: boolean;
}

interface HeldLease {
  readonly lease: ObservedLease;
  readonly expiresAtMs: number;
}

interface StoreImage {
  readonly leases: readonly ObservedLease[];
  readonly locks: readonly ShardLock[];
  readonly revision: number;
}

/**
 * The store of a simulated cluster: leases with a time to live, locks by compare-and-set, and each shard's journal as no more than
 * the epoch of its last claim. Reads of leases and locks may be old; writes are not.
 */
export class SimulatedStore {
  readonly leases = new Map<NodeId, HeldLease>();
  readonly locks = new Map<ShardId, ShardLock>();
  /** The fence: the epoch that was claimed last. */
  readonly claims = new Map<ShardId, Epoch>();
  /** How often each shard was taken. */
  readonly takings = new Map<ShardId, number>();
  readonly violations: string[] = [];
  readonly #owners = new Map<string, string>();
  readonly #images: StoreImage[] = [];
  #leaseRevision = 0;
  #lockRevision = 0;

  expire(nowMs: number): void {
    for (const [nodeId, held] of this.leases) if (held.expiresAtMs <= nowMs) this.dropLease(nodeId);
    const leases = [...this.leases.values()].map(({ lease }) => lease);
    this.#images.unshift({ leases, locks: [...this.locks.values()], revision: this.#leaseRevision });
    this.#images.length = Math.min(this.#images.length, longestDelaySteps + 1);
  }

  imageOf(delaySteps: number): StoreImage {
    return this.#images[Math.min(delaySteps, this.#images.length - 1)] as StoreImage;
  }

  putLease(lease: ObservedLease, expiresAtMs: number): void {
    this.#leaseRevision += 1;
    this.leases.set(lease.nodeId, { lease, expiresAtMs });
  }

  dropLease(nodeId: NodeId): void {
    this.#leaseRevision += 1;
    this.leases.delete(nodeId);
  }

  /** Takes a lock by compare-and-set; null when somebody was faster. */
  take(shard: ShardId, owner: MemberIdentity, expectedRevision: number): ShardLock | null {
    const stored = this.locks.get(shard);
    if ((stored?.revision ?? 0) !== expectedRevision) return null;
    this.#lockRevision += 1;
    const epoch = ((stored?.epoch ?? 0) + 1) as Epoch;
    const lock = { shard, owner, epoch, revision: this.#lockRevision };
    this.locks.set(shard, lock);
    this.#noteTaking(lock);
    return lock;
  }

  release(lock: ShardLock): void {
    if (this.locks.get(lock.shard)?.revision !== lock.revision) return;
    this.#lockRevision += 1;
    this.locks.set(lock.shard, { ...lock, owner: null, revision: this.#lockRevision });
  }

  /** Whether an append under this lock's epoch is accepted. */
  commit(lock: ShardLock): boolean {
    return (this.claims.get(lock.shard) ?? 0) === lock.epoch;
  }

  #noteTaking(lock: ShardLock): void {
    const key = `shard ${lock.shard} epoch ${lock.epoch}`;
    const owner = lock.owner === null ? 'nobody' : memberKey(lock.owner);
    const other = this.#owners.get(key);
    if (other !== undefined) this.violations.push(`${key}: taken by ${other} and by ${owner}`);
    const claimed = this.claims.get(lock.shard) ?? 0;
    if (lock.epoch <= claimed) this.violations.push(`${key}: not above ${claimed}`);
    this.#owners.set(key, owner);
    this.claims.set(lock.shard, lock.epoch);
    this.takings.set(lock.shard, (this.takings.get(lock.shard) ?? 0) + 1);
  }
}

/** One node: nothing but the pure functions under test, fed by reads that may be old. */
export class SimulatedNode {
  readonly nodeId: NodeId;
  status: 'running' | 'paused' | 'killed' | 'left' = 'running';
  isDraining = false;
  readonly serving = new Map<ShardId, ShardLock>();
  readonly handingOver = new Map<ShardId, number>();
  readonly #world: SimulatedWorld;
  readonly #peers = new Map<string, PeerState>();
  readonly #requests = new Map<string, PeerEvent>();
  #incarnation: number;
  #view: MembershipView = emptyView;
  #goodUntilMs: number | null = null;
  #renewAtMs = 0;
  #planAtMs = 0;
  #wasDelayed = false;

  constructor(world: SimulatedWorld, nodeId: NodeId, incarnation: number) {
    this.#world = world;
    this.nodeId = nodeId;
    this.#incarnation = incarnation;
  }

  get incarnation(): number {
    return this.#incarnation;
  }

  get identity(): MemberIdentity {
    return { nodeId: this.nodeId, incarnation: `${this.nodeId}-${this.#incarnation}` };
  }

  step(nowMs: number): void {
    this.#keepLease(nowMs);
    for (const [shard, lock] of this.serving) if (!this.#world.store.commit(lock)) this.#drop(shard);
    this.#finishHandovers(nowMs);
    this.#readMembers();
    this.#checkPeers(nowMs);
    if (nowMs < this.#planAtMs) return;
    this.#planAtMs = nowMs + planEveryMs;
    this.#plan(nowMs);
  }

  #keepLease(nowMs: number): void {
    const { store } = this.#world;
    if (
      this.#goodUntilMs !== null &&
      leasePhase(this.#goodUntilMs, nowMs, { abortGraceMs: 0, startHeadroomMs: 0 }) === 'ended'
    ) {
      // It slept through its lease: it gives everything up and comes back as another member.
      for (const shard of this.serving.keys()) this.#drop(shard);
      this.#incarnation += 1;
      this.#goodUntilMs = null;
      this.#renewAtMs = nowMs;
    }
    if (nowMs < this.#renewAtMs) return;
    store.putLease({ ...this.identity, draining: this.isDraining, startedAt: nowMs }, nowMs + leaseTtlMs);
    this.#goodUntilMs = extendedLease(this.#goodUntilMs, { sentAtMs: nowMs, ttlMs: leaseTtlMs });
    this.#renewAtMs = nowMs + leaseRenewMs;
  }

  drain(): void {
    this.isDraining = true;
    this.#renewAtMs = 0;
  }

  #readMembers(): void {
    const { hasRevisions } = this.#world.options;
    // Without positions two old answers in a row, from before and after another, cannot be told from the truth.
    const delay = hasRevisions || !this.#wasDelayed ? this.#world.drawDelay() : 0;
    this.#wasDelayed = delay > 0;
    const { leases, revision } = this.#world.store.imageOf(delay);
    const before = this.#view;
    this.#view = nextView(this.#view, hasRevisions ? { leases, revision } : { leases });
    const keys = new Set(this.#view.members.map((member) => memberKey(member)));
    for (const member of before.members) if (!keys.has(memberKey(member))) this.#forget(memberKey(member));
  }

  #forget(key: string): void {
    this.#peers.delete(key);
    this.#requests.delete(key);
  }

  #checkPeers(nowMs: number): void {
    for (const member of this.#view.members) {
      if (member.nodeId === this.nodeId) continue;
      const key = memberKey(member);
      const state = this.#peers.get(key) ?? newPeer(nowMs);
      const answer = this.#requests.get(key);
      if (answer !== undefined && answer.atMs <= nowMs) {
        this.#requests.delete(key);
        // The node notices the answer now, which after a pause of its own is late.
        this.#peers.set(key, observePeer(detectorDefaults, state, { ...answer, atMs: nowMs }));
      } else {
        this.#peers.set(key, state);
        if (answer === undefined && state.nextCheckAtMs !== null && state.nextCheckAtMs <= nowMs) {
          this.#requests.set(key, this.#world.heartbeat(member, nowMs));
        }
      }
    }
  }

  #plan(nowMs: number): void {
    const { store, options } = this.#world;
    const down = new Set([...this.#peers].filter(([, state]) => state.status === 'down').map(([key]) => key));
    const up = this.#view.members.filter((member) => !down.has(memberKey(member)));
    const plan = planAssignment({
      desired: this.#world.place(up),
      locks: store.imageOf(this.#world.drawDelay()).locks,
      members: this.#view.members,
      down,
      self: this.identity,
      serving: new Set(this.serving.keys()),
      inFlight: new Set(this.handingOver.keys()),
      setAside: new Set(),
      maxMoves: options.maxMoves,
    });
    for (const { shard, revision } of plan.acquire) {
      const lock = store.take(shard, this.identity, revision);
      if (lock !== null) this.serving.set(shard, lock);
    }
    for (const { shard, epoch, revision } of plan.release) {
      if (this.serving.has(shard)) this.handingOver.set(shard, nowMs + this.#world.draw(longestDrainMs));
      else store.release({ shard, owner: this.identity, epoch, revision });
    }
  }

  #finishHandovers(nowMs: number): void {
    for (const [shard, doneAtMs] of this.handingOver) {
      const lock = this.serving.get(shard);
      if (doneAtMs > nowMs || lock === undefined) continue;
      this.#world.store.release(lock);
      this.#drop(shard);
    }
  }

  #drop(shard: ShardId): void {
    this.serving.delete(shard);
    this.handingOver.delete(shard);
  }
}

/** Nodes and a store in virtual time, under a seed. */
export class SimulatedWorld {
  readonly options: WorldOptions;
  readonly store = new SimulatedStore();
  readonly nodes: SimulatedNode[] = [];
  /** Most shards that were being handed over, or lay released, at one time. */
  mostMoving = 0;
  nowMs = 0;
  readonly #random: SeededRandom;
  readonly #placements = new Map<string, ReadonlyMap<ShardId, NodeId>>();

  constructor(options: WorldOptions) {
    this.options = options;
    this.#random = new SeededRandom(options.seed);
  }

  get running(): readonly SimulatedNode[] {
    return this.nodes.filter(({ status }) => status === 'running');
  }

  /** A whole number below `limit`. */
  draw(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }

  /** How old the next read's answer is, in steps; every second one is fresh. */
  drawDelay(): number {
    return Math.max(0, this.draw(2 * longestDelaySteps) - longestDelaySteps + 1);
  }

  pick<Value>(list: readonly Value[]): Value | undefined {
    return list[this.draw(list.length)];
  }

  join(): SimulatedNode {
    const node = new SimulatedNode(this, `node-${this.options.seed}-${this.nodes.length}` as NodeId, 1);
    this.nodes.push(node);
    return node;
  }

  /** Placement, remembered: the same few clusters come again and again. */
  place(members: readonly PlacementMember[]): ReadonlyMap<ShardId, NodeId> {
    const key = JSON.stringify(members.map(({ nodeId, draining }) => [nodeId, draining]));
    const placement = this.#placements.get(key) ?? placeShards({ members, shardCount: this.options.shardCount });
    this.#placements.set(key, placement);
    return placement;
  }

  /** A new process under the name of one that was killed. */
  restart(killed: SimulatedNode): void {
    this.nodes[this.nodes.indexOf(killed)] = new SimulatedNode(this, killed.nodeId, killed.incarnation + 1);
  }

  heartbeat(peer: MemberIdentity, sentAtMs: number): PeerEvent {
    const node = this.nodes.find(({ nodeId }) => nodeId === peer.nodeId);
    const isThere =
      node?.identity.incarnation === peer.incarnation && (node.status === 'running' || node.status === 'paused');
    if (!isThere) return { type: 'heartbeat.refused', sentAtMs, atMs: sentAtMs + stepMs };
    return node.status === 'running'
      ? { type: 'heartbeat.answered', sentAtMs, atMs: sentAtMs + stepMs }
      : { type: 'heartbeat.timedOut', sentAtMs, atMs: sentAtMs + detectorDefaults.heartbeatTimeoutMs };
  }

  step(): void {
    this.nowMs += stepMs;
    this.store.expire(this.nowMs);
    const first = this.draw(Math.max(1, this.nodes.length));
    for (const node of [...this.nodes.slice(first), ...this.nodes.slice(0, first)]) {
      if (node.status === 'running') node.step(this.nowMs);
      if (node.isDraining && node.status === 'running' && this.#hasNothing(node)) {
        node.status = 'left';
        this.store.dropLease(node.nodeId);
      }
    }
    const moving = new Set(this.running.flatMap(({ handingOver }) => [...handingOver.keys()]));
    for (const { shard, owner } of this.store.locks.values()) if (owner === null) moving.add(shard);
    this.mostMoving = Math.max(this.mostMoving, moving.size);
  }

  run(spanMs: number): void {
    for (const untilMs = this.nowMs + spanMs; this.nowMs < untilMs;) this.step();
  }

  /** Runs until every shard is served by the node that should own it, and tells how long that took; at most `limitMs`. */
  settle(limitMs: number): number {
    return this.#runUntil(() => this.isSettled(), limitMs);
  }

  /** Runs until every shard is served by some node, and tells how long that took; at most `limitMs`. */
  serveAll(limitMs: number): number {
    return this.#runUntil(() => this.isServed(), limitMs);
  }

  /** Whether every shard is served where placement over the running nodes puts it. */
  isSettled(): boolean {
    const desired = this.#desired();
    return [...desired].every(([shard, nodeId]) => {
      const node = this.running.find((one) => one.nodeId === nodeId);
      const lock = node?.serving.get(shard);
      return (
        lock !== undefined && !node?.handingOver.has(shard) && this.store.locks.get(shard)?.revision === lock.revision
      );
    });
  }

  /** Whether every shard is served by a running node that the fence lets write. */
  isServed(): boolean {
    const served = new Set(
      this.running
        .flatMap(({ serving }) => [...serving.values()].filter((lock) => this.store.commit(lock)))
        .map((lock) => lock.shard),
    );
    return served.size === this.options.shardCount;
  }

  #runUntil(isReached: () => boolean, limitMs: number): number {
    const startMs = this.nowMs;
    while (!isReached() && this.nowMs - startMs < limitMs) this.step();
    return this.nowMs - startMs;
  }

  #desired(): ReadonlyMap<ShardId, NodeId> {
    const members = this.running
      .filter(({ isDraining }) => !isDraining)
      .map(({ nodeId }) => ({ nodeId, capacity: 1, draining: false, cordoned: false }));
    return this.place(members);
  }

  #hasNothing(node: SimulatedNode): boolean {
    return (
      node.serving.size === 0 && ![...this.store.locks.values()].some((lock) => lock.owner?.nodeId === node.nodeId)
    );
  }
}
