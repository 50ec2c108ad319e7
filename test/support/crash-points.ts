import { never, type PortTap } from './port-taps.ts';

/** Where a process dies: before or after its n-th call of a port, counted from 1. */
export interface CrashPoint {
  readonly at: number;
  readonly when: 'before' | 'after';
}

/** Counts a process's port calls, and kills it at one of them. A dead process calls nothing, and hears nothing. */
export class Mortal {
  /** Every call that was begun, by name. */
  readonly calls: string[] = [];
  #point: CrashPoint | undefined;
  readonly #onDeath: () => void;
  #isDead = false;

  constructor(point: CrashPoint | undefined, onDeath: () => void) {
    this.#point = point;
    this.#onDeath = onDeath;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  readonly tap: PortTap = async (call, make) => {
    if (this.#isDead) return never();
    this.calls.push(call);
    const isHere = this.calls.length === this.#point?.at;
    if (isHere && this.#point?.when === 'before') return this.#die();
    const result = await make();
    if (this.#isDead) return never();
    return isHere ? this.#die() : result;
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

  #die<Result>(): Promise<Result> {
    this.kill();
    return never();
  }
}
