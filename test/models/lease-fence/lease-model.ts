import { leaseGoodUntilMs } from '../../../src/cluster/lease-clock.ts';
import { mayTake, type Claimant } from '../../../src/cluster/shard-takeover.ts';
import type { Epoch, NodeId, ShardId } from '../../../src/core/ids.ts';
import type { ExplorableModel, ModelStep } from './explorer.ts';

/** What a mutant of the lease does wrong. */
export type LeaseMutant =
  /** The holder uses the lease to its very end. */
  | 'noMargin'
  /** The holder counts from when the answer came, not from before the request went out. */
  | 'countsFromAnswer'
  /** A renewal that was sent and not answered counts as granted. */
  | 'trustsUnanswered'
  /** The other takes the shard while the lease lives. */
  | 'takesBeforeExpiry'
  /** A holder whose lease ran out keeps its shards, and goes on with the next renewal. */
  | 'keepsShardsOverExpiry'
  /** The holder does not ask for its lease before it starts a driver. */
  | 'startsUnasked';

/** How large the model of the lease is, and what it does wrong. */
export interface LeaseOptions {
  /** Length of the lease in ticks of the server's clock. */
  readonly ttlTicks: number;
  /** How long the model runs, in ticks of the server's clock. */
  readonly horizonTicks: number;
  /** Of so many ticks of the server, the holder's clock may lose one; 0: it keeps time. */
  readonly losesOneTickIn: number;
  readonly mutant?: LeaseMutant;
}

/** The server's lease, the holder's belief in it by its own clock, and the lock of one shard. */
export interface LeaseWorld {
  readonly serverTick: number;
  readonly holderTick: number;
  /** Ticks of the server since the holder's clock lost one; capped. */
  readonly sinceLost: number;
  /** When the store drops the lease; null: it has none. */
  readonly expiresAt: number | null;
  /** Of the lease in the store. */
  readonly leasedLife: number;
  readonly life: number;
  readonly goodUntil: number;
  /** The renewal under way. `answered`: stored, and the answer is on its way back. */
  readonly renewal: {
    readonly sentAt: number;
    readonly life: number;
    /** It asks for a lease where there is none, and not for more of the one that it knows. */
    readonly isNew: boolean;
    readonly isStored: boolean;
  } | null;
  /** The store has told the holder that its lease is gone: the next request asks for a new one. */
  readonly isGone: boolean;
  /** Who has the lock: the holder in one of its lives, or the other node. */
  readonly owner: { readonly node: 'holder' | 'other'; readonly life: number };
  /** Whether the holder's process has the shard open. */
  readonly isOpen: boolean;
}

/**
 * A lease by two clocks: the store's, which ends it, and the holder's own monotonic clock, which may go slower. As long as it
 * loses no more than the margin of {@link leaseGoodUntilMs}, no driver starts under a lease that is over, and so none starts
 * where another owner has taken the shard because of that: what `cluster/node-lease.ts`, `shard/stage-host.ts` (`leaseIsGood`
 * before every start) and `Engine.#leaseExpired` are for. Nothing of what is stored rests on it; see {@link fenceModel} for that.
 */
export function leaseModel(options: LeaseOptions): ExplorableModel<LeaseWorld> {
  return {
    initial: {
      serverTick: 0,
      holderTick: 0,
      sinceLost: options.losesOneTickIn,
      expiresAt: options.ttlTicks,
      leasedLife: 0,
      life: 0,
      goodUntil: goodUntil(0, options),
      renewal: null,
      isGone: false,
      owner: { node: 'holder', life: 0 },
      isOpen: true,
    },
    steps: (world) => stepsOf(world, options),
    keyOf: (world) => JSON.stringify(world),
    check: () => null,
    // Time passes, whatever else happens.
    isEnd: ({ serverTick }) => serverTick === options.horizonTicks,
  };
}

type Step = ModelStep<LeaseWorld>;

function goodUntil(sentAt: number, { ttlTicks, mutant }: LeaseOptions): number {
  return mutant === 'noMargin' ? sentAt + ttlTicks : leaseGoodUntilMs({ sentAtMs: sentAt, ttlMs: ttlTicks });
}

function stepsOf(world: LeaseWorld, options: LeaseOptions): Step[] {
  return [
    ...timeSteps(world, options),
    ...renewalSteps(world, options),
    ...holderSteps(world, options),
    ...otherSteps(world, options),
  ];
}

function timeSteps(world: LeaseWorld, { horizonTicks, losesOneTickIn }: LeaseOptions): Step[] {
  if (world.serverTick >= horizonTicks) return [];
  const serverTick = world.serverTick + 1;
  const isOver = world.expiresAt !== null && world.expiresAt <= serverTick;
  const passed = { ...world, serverTick, expiresAt: isOver ? null : world.expiresAt };
  const sinceLost = Math.min(world.sinceLost + 1, losesOneTickIn);
  const steps: Step[] = [
    { label: `tick ${serverTick}`, next: { ...passed, holderTick: world.holderTick + 1, sinceLost } },
  ];
  if (losesOneTickIn > 0 && sinceLost === losesOneTickIn) {
    steps.push({ label: `tick ${serverTick}, which the holder's clock loses`, next: { ...passed, sinceLost: 0 } });
  }
  return steps;
}

/** `NodeLeaseKeeper.#renew`, its request and its answer on their own. Either may be late, or lost. */
function renewalSteps(world: LeaseWorld, options: LeaseOptions): Step[] {
  const { renewal, holderTick, life } = world;
  if (renewal === null) {
    // The timer of the lease's end is due before that of any renewal which comes after it.
    if (mustDrop(world, options)) return [];
    const sent = { ...world, renewal: { sentAt: holderTick, life, isNew: world.isGone, isStored: false } };
    const trusted =
      options.mutant === 'trustsUnanswered' ? { ...sent, goodUntil: goodUntil(holderTick, options) } : sent;
    return [{ label: `the holder asks for its lease at ${holderTick}`, next: trusted }];
  }
  const lost: Step = { label: 'that is lost', next: { ...world, renewal: null } };
  if (!renewal.isStored) {
    if (world.expiresAt === null && !renewal.isNew) {
      return [lost, { label: 'the store knows of no such lease', next: { ...world, renewal: null, isGone: true } }];
    }
    const stored = {
      ...world,
      expiresAt: world.serverTick + options.ttlTicks,
      leasedLife: renewal.life,
      renewal: { ...renewal, isStored: true },
    };
    return [lost, { label: `the store renews it until ${stored.expiresAt}`, next: stored }];
  }
  const answered = { ...world, renewal: null, isGone: false };
  // An answer of the life before comes too late to keep that.
  if (renewal.life !== life) return [{ label: 'the answer is of the life before', next: answered }];
  const from = options.mutant === 'countsFromAnswer' ? holderTick : renewal.sentAt;
  const known = { ...answered, goodUntil: goodUntil(from, options) };
  return [lost, { label: `the holder knows it, good until ${known.goodUntil} of its own clock`, next: known }];
}

/** Whether the lease's end is due: `Engine.#leaseExpired`. */
function mustDrop({ isOpen, holderTick, goodUntil: until }: LeaseWorld, { mutant }: LeaseOptions): boolean {
  return isOpen && holderTick >= until && mutant !== 'keepsShardsOverExpiry' && mutant !== 'startsUnasked';
}

function holderSteps(world: LeaseWorld, options: LeaseOptions): Step[] {
  const { mutant } = options;
  const steps: Step[] = [];
  const isGood = world.holderTick < world.goodUntil;
  if (mustDrop(world, options)) {
    const next = { ...world, isOpen: false, life: world.life + 1 };
    steps.push({ label: 'the holder drops its shards and begins another life', next });
  }
  if (world.isOpen && (isGood || mutant === 'startsUnasked')) {
    const isTaken = world.owner.node === 'other';
    const broken = isTaken ? 'the holder starts a driver after another node has taken the shard' : undefined;
    steps.push({ label: 'the holder starts a driver', next: world, broken });
  }
  return steps;
}

function otherSteps(world: LeaseWorld, { mutant }: LeaseOptions): Step[] {
  if (world.owner.node === 'other') return [];
  const lock = {
    shard: 0 as ShardId,
    owner: claimant('holder', world.owner.life),
    epoch: 1 as Epoch,
    revision: 1,
  };
  const live = world.expiresAt === null ? [] : [claimant('holder', world.leasedLife)];
  if (!mayTake(lock, claimant('other', 0), live) && mutant !== 'takesBeforeExpiry') return [];
  const owner = { node: 'other', life: 0 } as const;
  return [{ label: `the other takes the shard at tick ${world.serverTick}`, next: { ...world, owner } }];
}

function claimant(node: string, life: number): Claimant {
  return { nodeId: node as NodeId, incarnation: String(life) };
}
