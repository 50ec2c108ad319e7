import { never, type PortTap } from './port-taps.ts';

/** Where a process dies: before or after its n-th call of a port, counted from 1. */
export interface CrashPoint {
  /** Which process of the run, in the order of their starts; from 0. */
  readonly process: number;
  readonly at: number;
  readonly when: 'before' | 'after';
}

/**
 * Counts a process's port calls, and kills it at one of them. A dead process calls nothing, and hears nothing.
 *
 * Timers are no calls: nothing outside of the process changes between two calls of ports, so that a death there is one before the
 * next call.
 */
export class Mortal {
  /** Every call that was begun, by name. */
  readonly calls: string[] = [];
  #point: Omit<CrashPoint, 'process'> | undefined;
  readonly #onDeath: () => void;
  #isDead = false;

  constructor(point: Omit<CrashPoint, 'process'> | undefined, onDeath: () => void) {
    this.#point = point;
    this.#onDeath = onDeath;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  readonly tap: PortTap = async (call, make) => {
    if (this.#isDead) return never();
    const when = this.#begin(call);
    if (when === 'before') return this.#die();
    // A refusal is an answer too.
    const [settled] = await Promise.allSettled([make()]);
    if (this.#isDead) return never();
    if (when === 'after') return this.#die();
    if (settled.status === 'rejected') throw settled.reason;
    return settled.value;
  };

  /** A call that has no answer, such as a reply. */
  readonly tapNow = (call: string, make: () => void): void => {
    if (this.#isDead) return;
    const when = this.#begin(call);
    if (when !== 'before') make();
    if (when !== null) this.kill();
  };

  /** Lives on, when its time has not come yet. */
  spare(): void {
    this.#point = undefined;
  }

  /** Dies now. */
  kill(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.#onDeath();
  }

  #begin(call: string): CrashPoint['when'] | null {
    this.calls.push(call);
    return this.calls.length === this.#point?.at ? this.#point.when : null;
  }

  #die<Result>(): Promise<Result> {
    this.kill();
    return never();
  }
}
