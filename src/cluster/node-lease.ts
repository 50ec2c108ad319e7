import type { EngineConfig } from '../core/config.ts';
import { asError } from '../core/errors.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { LeaseStore, NodeLease } from '../ports/leases.ts';
import type { Logger } from '../ports/logger.ts';
import { leaseGoodUntilMs } from './lease-clock.ts';

/** Pause before a renewal that failed is tried again. */
const failedRenewalRetryMs = 500;

/** What {@link NodeLeaseKeeper} asks of the outside. */
export interface NodeLeaseDeps {
  readonly leases: LeaseStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: Pick<EngineConfig, 'leaseTtlMs' | 'leaseRenewMs'>;
  /** Another process took the node's name: this one must stop. */
  readonly onTaken: () => void;
  /** The lease is good that was not: the others should know. */
  readonly onGained?: () => void;
  /** A renewal failed; it is tried again. */
  readonly onRenewalFailed?: () => void;
  /** The lease was not renewed in time: what this node owns may be another's soon. It goes on trying. */
  readonly onExpired: () => void;
}

/** What a lease says of its node beside that it lives. */
export type LeaseFlags = Partial<Pick<NodeLease, 'draining' | 'cordoned' | 'declines'>>;

/**
 * Keeps one node's lease alive, and knows by the monotonic clock how long it is good for: from before the renewal was sent.
 */
export class NodeLeaseKeeper {
  readonly #deps: NodeLeaseDeps;
  #lease: NodeLease;
  /** Incarnations that this process had before: what is stored of them is its own. */
  readonly #formerLives = new Set<string>();
  #revision: number | null = null;
  #goodUntilMs = Number.NEGATIVE_INFINITY;
  #timer: TimerHandle | null = null;
  #expiry: TimerHandle | null = null;
  #renewal: Promise<boolean> | null = null;
  #stopped = false;

  constructor(deps: NodeLeaseDeps, lease: NodeLease) {
    this.#deps = deps;
    this.#lease = lease;
  }

  /** Whether the lease is good for a while: what a stage's start is asked before (DESIGN §6, self-fencing). */
  get isGood(): boolean {
    return this.#deps.clock.monotonicMs() < this.#goodUntilMs;
  }

  /** What the lease says, or will with its next renewal. */
  get lease(): NodeLease {
    return this.#lease;
  }

  /** Changes what the lease says from its next renewal on. */
  word(flags: LeaseFlags): void {
    this.#lease = { ...this.#lease, ...flags };
  }

  /** Changes what the lease says, and renews it at once. @returns whether it was renewed */
  update(flags: LeaseFlags): Promise<boolean> {
    this.word(flags);
    return this.confirm();
  }

  /** Goes on as another life of the node: the one whose lease ran out never comes back. Takes effect with the next renewal. */
  beginLife(incarnation: string): void {
    this.#formerLives.add(this.#lease.incarnation);
    this.#lease = { ...this.#lease, incarnation, startedAt: this.#deps.clock.now() };
  }

  /** Takes the lease and keeps it. @throws EngineError `UNAVAILABLE` when the store does not answer at the start */
  async start(): Promise<void> {
    await this.#renew();
    this.#arm(this.#deps.config.leaseRenewMs);
  }

  /**
   * Renews now, out of turn: a shard was lost, perhaps to a newer process of this very node, which only the store can tell.
   *
   * @returns whether the lease is still this process's own; false too when the store does not answer
   */
  async confirm(): Promise<boolean> {
    await this.#renewal;
    if (this.#stopped) return false;
    this.#timer?.cancel();
    return this.#tick();
  }

  /** Stops renewing and gives the lease back. */
  async stop(): Promise<void> {
    this.abandon();
    if (this.#revision === null) return;
    await this.#deps.leases.releaseNode(this.#lease.nodeId, this.#revision).catch((thrown: unknown) => {
      // It runs out by itself.
      this.#deps.logger.warn({ err: asError(thrown) }, 'the node lease could not be given back');
    });
  }

  /** Stops renewing and leaves the lease to run out, as a killed process would. */
  abandon(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#expiry?.cancel();
    this.#goodUntilMs = Number.NEGATIVE_INFINITY;
  }

  #arm(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer = this.#deps.clock.setTimer(delayMs, () => void this.#tick());
  }

  #tick(): Promise<boolean> {
    this.#renewal ??= this.#renewInTurn().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  /** @returns whether the lease was renewed */
  async #renewInTurn(): Promise<boolean> {
    try {
      await this.#renew();
      this.#arm(this.#deps.config.leaseRenewMs);
      return !this.#stopped;
    } catch (thrown) {
      this.#deps.logger.warn(
        { err: asError(thrown), isGood: this.isGood },
        'the node lease was not renewed; trying again',
      );
      this.#deps.onRenewalFailed?.();
      this.#arm(failedRenewalRetryMs);
      return false;
    }
  }

  async #renew(): Promise<void> {
    const { leases, clock, config, onTaken, onExpired, onGained } = this.#deps;
    const sentMs = clock.monotonicMs();
    const { incarnation } = this.#lease;
    const outcome = await leases.renewNode(this.#lease, config.leaseTtlMs, this.#revision);
    if (this.#stopped) return;
    if (outcome.kind === 'held') {
      this.#revision = outcome.revision;
      // A renewal of the life before, which came too late to keep it.
      if (incarnation !== this.#lease.incarnation) throw new Error('the node has begun another life meanwhile');
      const wasGood = this.isGood;
      this.#goodUntilMs = leaseGoodUntilMs({ sentAtMs: sentMs, ttlMs: config.leaseTtlMs });
      this.#expiry?.cancel();
      this.#expiry = clock.setTimer(Math.max(0, this.#goodUntilMs - clock.monotonicMs()), () => onExpired());
      if (!wasGood && this.isGood) onGained?.();
      return;
    }
    // Of the leader: a list may be old, show this very process, and let it take the place of a newer one.
    const current = await leases.readNode(this.#lease.nodeId);
    if (this.#stopped) return;
    const isOwn = current?.incarnation === this.#lease.incarnation || this.#formerLives.has(current?.incarnation ?? '');
    if (current === null || isOwn) {
      // It ran out while this process slept, or an earlier renewal landed late: take it anew.
      this.#revision = null;
      // By the store's clock it ran out before its time. Whoever looked meanwhile holds this life to be over, and for good.
      if (current === null && this.isGood) {
        this.#goodUntilMs = Number.NEGATIVE_INFINITY;
        this.#expiry?.cancel();
        onExpired();
      }
      throw new Error('the lease ran out');
    }
    this.abandon();
    onTaken();
  }
}
