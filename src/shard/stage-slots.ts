import type { BreakerOutcome } from '../core/circuit-breaker.ts';
import type { EngineConfig } from '../core/config.ts';
import type { StageSpec } from '../pipeline/definition.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { PortBreakers, PortPass } from './port-breakers.ts';

/** What slots are counted and given out by. */
export interface StageSlotsDeps {
  /** `maxRunningStages` is the most slots that are taken at one time, over all stages. */
  readonly config: Pick<EngineConfig, 'maxRunningStages'>;
  readonly breakers: PortBreakers;
  readonly clock: Clock;
}

/** A slot that is taken, with the leave of the stage's port; given back once. */
export interface Slot {
  /** `<pipeline>/<stage>`: what the stage's own limit counts. */
  readonly key: string;
  /** Null when the stage names no port. */
  readonly pass: PortPass | null;
}

/** Someone who waits for a slot. */
export interface SlotWaiter {
  readonly spec: StageSpec;
  /** Its {@link Slot.key}. */
  readonly key: string;
  /** Called once, when the slot is taken for this waiter; its taker gives it back. */
  readonly onGranted: (slot: Slot) => void;
}

/**
 * Concurrency slots of one node, shared by its shards: a limit over all drivers, and one a stage; and the leave of the stage's
 * port. First come, first served within what these allow: a stage at its limit, or whose port fails, holds up nobody behind it.
 */
export class StageSlots {
  readonly #deps: StageSlotsDeps;
  readonly #runningByKey = new Map<string, number>();
  readonly #waitingByKey = new Map<string, Set<SlotWaiter>>();
  #grantScheduled = false;
  /** Wakes those who wait for a port, when its open time is over. */
  #portTimer: TimerHandle | null = null;
  #running = 0;
  #waiting = 0;

  constructor(deps: StageSlotsDeps) {
    this.#deps = deps;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** {@link Slot.key} of each stage that has a slot now. */
  get runningKeys(): readonly string[] {
    return [...this.#runningByKey].filter(([, count]) => count > 0).map(([key]) => key);
  }

  /** Whether a slot of the stage is free now, and nobody who stands in line could have it: what a newcomer is asked. */
  mayEnter(key: string, spec: StageSpec): boolean {
    if (!this.isFree(key, spec)) return false;
    if (this.#waiting === 0) return true;
    for (const [waitingKey, line] of this.#waitingByKey) {
      const [first] = line;
      if (first !== undefined && this.isFree(waitingKey, first.spec)) return false;
    }
    return true;
  }

  /** Whether a slot of the stage is free now, and its port lets it pass. */
  isFree(key: string, spec: StageSpec): boolean {
    if (this.#running >= this.#deps.config.maxRunningStages || !this.#isWithinLimit(key, spec)) return false;
    return spec.port === null || this.#deps.breakers.mayPass(spec.port);
  }

  /** Takes a slot that {@link isFree} said is free. */
  take(key: string, spec: StageSpec): Slot {
    this.#running += 1;
    this.#runningByKey.set(key, (this.#runningByKey.get(key) ?? 0) + 1);
    return { key, pass: spec.port === null ? null : this.#deps.breakers.pass(spec.port) };
  }

  /** Gives a slot back, with what its attempt says of the port: nothing, when none was made; {@link grant} hands it on. */
  release({ key, pass }: Slot, outcome: BreakerOutcome): void {
    this.#running -= 1;
    this.#runningByKey.set(key, (this.#runningByKey.get(key) ?? 1) - 1);
    if (pass !== null) this.#deps.breakers.end(pass, outcome);
  }

  /** Stands in line; granted at the next {@link grant}. */
  wait(waiter: SlotWaiter): void {
    let line = this.#waitingByKey.get(waiter.key);
    if (line === undefined) {
      line = new Set();
      this.#waitingByKey.set(waiter.key, line);
    }
    line.add(waiter);
    this.#waiting += 1;
  }

  /** Leaves the line; nothing happens when it was granted already. */
  leave(waiter: SlotWaiter): void {
    if (this.#waitingByKey.get(waiter.key)?.delete(waiter) !== true) return;
    this.#waiting -= 1;
    if (this.#waiting === 0) this.#stopPortTimer();
  }

  /** {@link grant} at the end of this turn, once however often it is asked. */
  grantSoon(): void {
    if (this.#grantScheduled) return;
    this.#grantScheduled = true;
    this.#deps.clock.defer(() => {
      this.#grantScheduled = false;
      this.grant();
    });
  }

  /**
   * Takes free slots for those who wait: one a line in turn, also from one call to the next, so that a long line of one stage
   * does not starve the others.
   */
  grant(): void {
    // A line that was served goes to the end of this very iteration.
    for (const [key, line] of this.#waitingByKey) {
      // The next release grants, ports or not.
      if (this.#running >= this.#deps.config.maxRunningStages) return;
      const [waiter] = line;
      if (waiter !== undefined && !this.isFree(key, waiter.spec)) continue;
      this.#waitingByKey.delete(key);
      if (waiter === undefined) continue;
      this.#waitingByKey.set(key, line);
      this.leave(waiter);
      waiter.onGranted(this.take(key, waiter.spec));
    }
    this.#awaitPorts();
  }

  #isWithinLimit(key: string, spec: StageSpec): boolean {
    return spec.concurrency === null || (this.#runningByKey.get(key) ?? 0) < spec.concurrency;
  }

  /** Grants again when the first port that holds up a line may be tried. A probe that runs needs no timer: its end grants. */
  #awaitPorts(): void {
    this.#stopPortTimer();
    let soonestMs = Infinity;
    for (const [key, line] of this.#waitingByKey) {
      const [first] = line;
      if (first === undefined || first.spec.port === null || !this.#isWithinLimit(key, first.spec)) continue;
      soonestMs = Math.min(soonestMs, this.#deps.breakers.closedOffMs(first.spec.port));
    }
    if (soonestMs === Infinity) return;
    this.#portTimer = this.#deps.clock.setTimer(soonestMs, () => this.grant());
  }

  #stopPortTimer(): void {
    this.#portTimer?.cancel();
    this.#portTimer = null;
  }
}
