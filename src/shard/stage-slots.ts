import type { Probation } from '../actors/suspicion.ts';
import type { BreakerOutcome } from '../core/circuit-breaker.ts';
import type { EngineConfig } from '../core/config.ts';
import type { StageLoad } from '../core/node-messages.ts';
import type { StageWait } from '../core/task-outlook.ts';
import type { StageSpec } from '../pipeline/definition.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import { LookupLine } from './lookup-line.ts';
import type { PortBreakers, PortPass } from './port-breakers.ts';

/** What slots are counted and given out by. */
export interface StageSlotsDeps {
  /** `maxRunningStages` is the most slots that are taken at one time, over all stages. */
  readonly config: Pick<EngineConfig, 'maxRunningStages' | 'suspectProbationMs'>;
  readonly breakers: PortBreakers;
  readonly clock: Clock;
}

/** A slot that is taken, with the leave of the stage's port; given back once. */
export interface Slot {
  /** `<pipeline>/<stage>`: what the stage's own limit counts. */
  readonly key: string;
  /** Null when the stage names no port. */
  readonly pass: PortPass | null;
  /** Null for a stage that nobody suspects. */
  readonly probation: Probation | null;
}

/** Someone who waits for a slot. */
export interface SlotWaiter {
  readonly spec: StageSpec;
  /** Its {@link Slot.key}. */
  readonly key: string;
  /** Left out by a stage that nobody suspects. */
  readonly probation?: Probation | null;
  /** Called once, when the slot is taken for this waiter; its taker gives it back. */
  readonly onGranted: (slot: Slot) => void;
}

/**
 * Concurrency slots of one node, shared by its shards: a limit over all drivers, and one a stage; and the leave of the stage's
 * port. First come, first served within what these allow: a stage at its limit, or whose port fails, holds up nobody behind it.
 *
 * Suspects, which ran when their node was lost again and again, have a line of their own: one at a time is in probation, which
 * ends with its stage or after `suspectProbationMs`. So a stage that kills its node takes no other suspect along.
 */
export class StageSlots {
  /** Where lookups wait that may be what kills the node. They take no slot. */
  readonly suspectLookups: LookupLine;
  readonly #deps: StageSlotsDeps;
  readonly #runningByKey = new Map<string, number>();
  readonly #waitingByKey = new Map<string, Set<SlotWaiter>>();
  /** In the order in which they came; the most suspected one is served first. */
  readonly #suspects = new Set<SlotWaiter>();
  /** Suspects that run and that no probation has cleared. */
  readonly #runningSuspects = new Set<Slot>();
  /** The one in probation; its time runs from the start of its driver. */
  #onProbation: { readonly slot: Slot; timer: TimerHandle | null } | null = null;
  #grantScheduled = false;
  /** Wakes those who wait for a port, when its open time is over. */
  #portTimer: TimerHandle | null = null;
  #running = 0;
  #waiting = 0;

  constructor(deps: StageSlotsDeps) {
    this.#deps = deps;
    this.suspectLookups = new LookupLine(deps.clock);
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

  /** Those of {@link waiting} that wait for a probation. */
  get suspectsWaiting(): number {
    return this.#suspects.size;
  }

  /** All of it in numbers. */
  get load(): StageLoad {
    const { maxRunningStages: limit } = this.#deps.config;
    return { running: this.#running, limit, waiting: this.#waiting, suspectsWaiting: this.#suspects.size };
  }

  /** Everything for which one who stands in line has no slot yet: never empty, for there is always its turn. */
  waitsOf({ key, spec, probation = null }: SlotWaiter): readonly StageWait[] {
    const waits: StageWait[] = [];
    if (probation !== null && this.#isHeldApart(probation)) {
      waits.push({ kind: 'suspect', losses: probation.suspicion, isAlone: probation.isAlone });
    }
    const breaker = this.breakerWait(spec);
    if (breaker !== null) waits.push(breaker);
    if (spec.concurrency !== null && !this.#isWithinLimit(key, spec)) {
      waits.push({ kind: 'stageLimit', running: this.#runningByKey.get(key) ?? 0, limit: spec.concurrency });
    }
    const { running, limit } = this.load;
    if (running >= limit) waits.push({ kind: 'nodeLimit', running, limit });
    return waits.length === 0 ? [{ kind: 'turn' }] : waits;
  }

  /** That the stage's port lets nothing pass now; null when it does. */
  breakerWait({ port }: StageSpec): Extract<StageWait, { kind: 'breaker' }> | null {
    const { breakers } = this.#deps;
    return port === null || breakers.mayPass(port) ? null : { kind: 'breaker', port, probeAt: breakers.probeAt(port) };
  }

  /** Whether a slot of the stage is free now, and nobody who stands in line could have it: what a newcomer is asked. */
  mayEnter(key: string, spec: StageSpec): boolean {
    if (!this.isFree(key, spec)) return false;
    if (this.#waiting === 0) return true;
    for (const [waitingKey, line] of this.#waitingByKey) {
      const [first] = line;
      if (first !== undefined && this.isFree(waitingKey, first.spec)) return false;
    }
    return this.#nextSuspect() === null;
  }

  /** Whether a slot of the stage is free now, and its port lets it pass. */
  isFree(key: string, spec: StageSpec): boolean {
    if (this.#running >= this.#deps.config.maxRunningStages || !this.#isWithinLimit(key, spec)) return false;
    return spec.port === null || this.#deps.breakers.mayPass(spec.port);
  }

  /** Takes a slot that {@link isFree} said is free. */
  take(key: string, spec: StageSpec, probation: Probation | null = null): Slot {
    this.#running += 1;
    this.#runningByKey.set(key, (this.#runningByKey.get(key) ?? 0) + 1);
    const slot: Slot = { key, pass: spec.port === null ? null : this.#deps.breakers.pass(spec.port), probation };
    if (probation !== null) {
      this.#runningSuspects.add(slot);
      this.#onProbation = { slot, timer: null };
    }
    return slot;
  }

  /**
   * The driver of a suspect's slot starts: its probation begins.
   *
   * @param onPassed - called when it has run for the whole probation; not when it is to stay alone to its end
   */
  startProbation(slot: Slot, onPassed: () => void): void {
    const { probation } = slot;
    const current = this.#onProbation;
    if (probation === null || probation.isAlone || current?.slot !== slot) return;
    current.timer = this.#deps.clock.setTimer(this.#deps.config.suspectProbationMs, () => {
      this.#onProbation = null;
      if (!probation.staysSuspect) this.#runningSuspects.delete(slot);
      // What clears it is on its way to the journal before the next suspect's start is.
      onPassed();
      this.grantSoon();
    });
  }

  /** Gives a slot back, with what its attempt says of the port: nothing, when none was made; {@link grant} hands it on. */
  release(slot: Slot, outcome: BreakerOutcome): void {
    const { key, pass } = slot;
    this.#runningSuspects.delete(slot);
    if (this.#onProbation?.slot === slot) {
      this.#onProbation.timer?.cancel();
      this.#onProbation = null;
    }
    this.#running -= 1;
    this.#runningByKey.set(key, (this.#runningByKey.get(key) ?? 1) - 1);
    if (pass !== null) this.#deps.breakers.end(pass, outcome);
  }

  /** Stands in line; granted at the next {@link grant}. */
  wait(waiter: SlotWaiter): void {
    if (isSuspect(waiter)) {
      this.#suspects.add(waiter);
      this.#waiting += 1;
      return;
    }
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
    const line = isSuspect(waiter) ? this.#suspects : this.#waitingByKey.get(waiter.key);
    if (line?.delete(waiter) !== true) return;
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
    const suspect = this.#nextSuspect();
    if (suspect !== null) {
      this.leave(suspect);
      suspect.onGranted(this.take(suspect.key, suspect.spec, suspect.probation));
    }
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

  /** The most suspected one that may start now; of equals the first that came. */
  #nextSuspect(): SlotWaiter | null {
    if (this.#suspects.size === 0 || this.#onProbation !== null) return null;
    let next: SlotWaiter | null = null;
    let most = 0;
    for (const waiter of this.#suspects) {
      const { suspicion = 0, isAlone = false } = waiter.probation ?? {};
      if (suspicion <= most || (isAlone && this.#runningSuspects.size > 0)) continue;
      if (!this.isFree(waiter.key, waiter.spec)) continue;
      next = waiter;
      most = suspicion;
    }
    return next;
  }

  /** Whether another suspect keeps one with this probation from its start. */
  #isHeldApart({ isAlone }: Probation): boolean {
    return this.#onProbation !== null || (isAlone && this.#runningSuspects.size > 0);
  }

  #isWithinLimit(key: string, spec: StageSpec): boolean {
    return spec.concurrency === null || (this.#runningByKey.get(key) ?? 0) < spec.concurrency;
  }

  /** Grants again when the first port that holds up a line may be tried. A probe that runs needs no timer: its end grants. */
  #awaitPorts(): void {
    this.#stopPortTimer();
    let soonestMs = Infinity;
    const { breakers } = this.#deps;
    const note = ({ key, spec }: SlotWaiter): void => {
      if (spec.port === null || breakers.mayPass(spec.port) || !this.#isWithinLimit(key, spec)) return;
      soonestMs = Math.min(soonestMs, breakers.closedOffMs(spec.port));
    };
    for (const [first] of this.#waitingByKey.values()) if (first !== undefined) note(first);
    // While one is in probation no other may start, ports or not; its end grants.
    if (this.#onProbation === null) for (const suspect of this.#suspects) note(suspect);
    if (soonestMs === Infinity) return;
    this.#portTimer = this.#deps.clock.setTimer(soonestMs, () => this.grant());
  }

  #stopPortTimer(): void {
    this.#portTimer?.cancel();
    this.#portTimer = null;
  }
}

function isSuspect({ probation = null }: SlotWaiter): boolean {
  return probation !== null;
}
