import FlatQueue from 'flatqueue';

import { assert } from '../core/errors.ts';
import { runTurns } from '../platform/turns.ts';
import type { Random } from '../ports/random.ts';
import { TraceHash } from './trace-hash.ts';

/** Something that will happen, unless it is called off. */
export interface Scheduled {
  cancel(): void;
}

interface Happening {
  readonly name: string;
  readonly run: () => void;
  isLive: boolean;
}

interface Deferred {
  readonly owner: string;
  readonly run: () => void;
}

/** Longest that something is later than it was asked for, as timers of a busy process are. */
const latestMs = 1;

/**
 * The one place where a simulated world's events are put in order: every timer, message and answer. What falls together is
 * ordered by chance, which is the seed's; between two events all promise jobs settle. So a seed is one run, and another
 * seed another order.
 */
export class Scheduler {
  readonly trace = new TraceHash();
  readonly #random: Random;
  readonly #queue = new FlatQueue<Happening>();
  readonly #deferred: Deferred[] = [];
  #nowMs = 0;
  #eventCount = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** True time since the start: no process of the world sees it. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** What has happened so far. */
  get eventCount(): number {
    return this.#eventCount;
  }

  /** Lets it happen after `delayMs`, and up to a millisecond later. @param name - goes into the trace */
  after(delayMs: number, name: string, run: () => void): Scheduled {
    assert(delayMs >= 0 && Number.isFinite(delayMs), () => `${name}: expected a finite delay ≥ 0, got ${delayMs}`);
    return this.#add(this.#nowMs + delayMs + this.#random.next() * latestMs, name, run);
  }

  /** Lets it happen at exactly that time. */
  at(dueMs: number, name: string, run: () => void): Scheduled {
    return this.#add(Math.max(dueMs, this.#nowMs), name, run);
  }

  /** Lets it happen now, before time goes on; what one owner defers keeps its order. */
  defer(owner: string, run: () => void): void {
    this.#deferred.push({ owner, run });
  }

  /** Resolves after that time. */
  pause(delayMs: number, name: string): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, name, resolve));
  }

  /** Lets time pass until `untilMs`, or until it is done, which is asked after each event. */
  async run(untilMs: number, isDone: () => boolean = () => false): Promise<void> {
    await runTurns(() => {
      if (isDone()) return false;
      if (this.#deferred.length > 0) {
        this.#runDeferred();
        return true;
      }
      for (;;) {
        const dueMs = this.#queue.peekValue();
        if (dueMs === undefined || dueMs > untilMs) {
          this.#nowMs = Math.max(this.#nowMs, untilMs);
          return false;
        }
        const happening = this.#queue.pop();
        if (happening === undefined || !happening.isLive) continue;
        this.#nowMs = dueMs;
        this.#happen(happening.name, happening.run);
        return true;
      }
    });
  }

  #add(dueMs: number, name: string, run: () => void): Scheduled {
    const happening: Happening = { name, run, isLive: true };
    this.#queue.push(happening, dueMs);
    return {
      cancel: () => {
        happening.isLive = false;
      },
    };
  }

  #runDeferred(): void {
    const pick = this.#deferred.length === 1 ? 0 : Math.floor(this.#random.next() * this.#deferred.length);
    const owner = this.#deferred[pick]?.owner;
    const index = this.#deferred.findIndex((one) => one.owner === owner);
    const [deferred] = this.#deferred.splice(index, 1);
    if (deferred !== undefined) this.#happen(deferred.owner, deferred.run);
  }

  #happen(name: string, run: () => void): void {
    this.#eventCount += 1;
    this.trace.add(name, this.#nowMs);
    run();
  }
}
