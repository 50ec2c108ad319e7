import type { StageSpec } from '../pipeline/definition.ts';
import type { Clock } from '../ports/clock.ts';

/** Someone who waits for a slot. */
export interface SlotWaiter {
  readonly spec: StageSpec;
  /** `<pipeline>/<stage>`: what the stage's own limit counts. */
  readonly key: string;
  /** Called once, when the slot is taken for this waiter; its taker gives it back. */
  readonly onGranted: () => void;
}

/**
 * Concurrency slots of one node, shared by its shards: a limit over all drivers, and one a stage. First come, first served
 * within what the limits allow: a stage at its limit holds up nobody behind it.
 */
export class StageSlots {
  readonly #maxRunning: number;
  readonly #runningByKey = new Map<string, number>();
  readonly #waitingByKey = new Map<string, Set<SlotWaiter>>();
  #grantScheduled = false;
  #running = 0;
  #waiting = 0;

  constructor(maxRunning: number) {
    this.#maxRunning = maxRunning;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting;
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

  /** Whether a slot of the stage is free now. */
  isFree(key: string, spec: StageSpec): boolean {
    if (this.#running >= this.#maxRunning) return false;
    return spec.concurrency === null || (this.#runningByKey.get(key) ?? 0) < spec.concurrency;
  }

  /** Takes a slot that {@link isFree} said is free. */
  take(key: string): void {
    this.#running += 1;
    this.#runningByKey.set(key, (this.#runningByKey.get(key) ?? 0) + 1);
  }

  /** Gives a slot back; {@link grant} hands it on. */
  release(key: string): void {
    this.#running -= 1;
    this.#runningByKey.set(key, (this.#runningByKey.get(key) ?? 1) - 1);
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
    if (this.#waitingByKey.get(waiter.key)?.delete(waiter) === true) this.#waiting -= 1;
  }

  /** {@link grant} at the end of this turn, once however often it is asked. */
  grantSoon(clock: Clock): void {
    if (this.#grantScheduled) return;
    this.#grantScheduled = true;
    clock.defer(() => {
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
      if (this.#running >= this.#maxRunning) return;
      const [waiter] = line;
      if (waiter !== undefined && !this.isFree(key, waiter.spec)) continue;
      this.#waitingByKey.delete(key);
      if (waiter === undefined) continue;
      this.#waitingByKey.set(key, line);
      this.leave(waiter);
      this.take(key);
      waiter.onGranted();
    }
  }
}
