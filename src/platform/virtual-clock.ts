import FlatQueue from 'flatqueue';

import { assert, EngineError } from '../core/errors.ts';
import type { Millis } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';

/** Event-loop turns without deferred work after which everything is held to have settled. */
const quietTurns = 2;
/** Turns granted to work outside the clock's sight before {@link VirtualClock.runUntil} says that nothing is left to happen. */
const idleTurns = 25;

/** Options of {@link VirtualClock}. */
export interface VirtualClockOptions {
  /** Wall time at the start; 2026-01-01T00:00:00Z when left out. */
  readonly startAt?: Millis;
}

/** Bounds of {@link VirtualClock.runUntil}. */
export interface RunLimits {
  /** Virtual time that may pass; 30 days when left out. */
  readonly maxVirtualMs?: number;
  /** Timers that may fire; 1,000,000 when left out. */
  readonly maxSteps?: number;
}

interface VirtualTimer {
  readonly fn: () => void;
  live: boolean;
}

/** The timers of one instant in order of creation, and how many of them are still to fire. */
interface Instant {
  readonly timers: VirtualTimer[];
  liveCount: number;
}

/**
 * Time that passes only when told to: hours of backoff in milliseconds.
 *
 * Time jumps straight to the next timer. Timers fire in order of (due, creation), and between two of them all promise jobs
 * and deferred functions settle, so that the same start gives the same order of events. What is deferred runs by itself,
 * without any advance, as it takes no time. Work that waits for the outside (files, sockets, threads) is not seen: use it
 * with in-memory adapters.
 */
export class VirtualClock implements Clock {
  readonly #startAt: Millis;
  readonly #dues = new FlatQueue();
  readonly #instants = new Map<number, Instant>();
  #elapsedMs = 0;
  #wallOffsetMs = 0;
  #pendingTimers = 0;
  #pendingDeferred = 0;
  #advancing = false;

  constructor(options: VirtualClockOptions = {}) {
    this.#startAt = options.startAt ?? Date.UTC(2026, 0, 1);
  }

  /** Timers that are set and neither fired nor canceled. */
  get pendingTimers(): number {
    return this.#pendingTimers;
  }

  now(): Millis {
    return this.#startAt + this.#wallOffsetMs + Math.floor(this.#elapsedMs);
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  setTimer(delayMs: number, fn: () => void): TimerHandle {
    assert(Number.isFinite(delayMs) && delayMs >= 0, () => `timer delay: expected a finite span ≥ 0, got ${delayMs}`);
    const dueMs = this.#elapsedMs + delayMs;
    const timer: VirtualTimer = { fn, live: true };
    const instant = this.#instants.get(dueMs) ?? this.#addInstant(dueMs);
    instant.timers.push(timer);
    instant.liveCount += 1;
    this.#pendingTimers += 1;
    return {
      cancel: () => {
        if (!timer.live) return;
        timer.live = false;
        this.#pendingTimers -= 1;
        instant.liveCount -= 1;
      },
    };
  }

  defer(fn: () => void): void {
    this.#pendingDeferred += 1;
    setImmediate(() => {
      this.#pendingDeferred -= 1;
      fn();
    });
  }

  /** Moves the wall clock alone, as an operator or NTP does; timers and monotonic time do not notice. */
  jumpWallClock(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /**
   * Lets `ms` pass, firing every timer on the way, also those set on the way. Rejects with what a timer's function throws.
   *
   * @throws EngineError `NOT_ALLOWED` when the clock is being advanced already
   */
  advance(ms: number): Promise<void> {
    assert(Number.isFinite(ms) && ms >= 0, () => `advance: expected a finite span ≥ 0, got ${ms}`);
    return this.#exclusively(async () => {
      const untilMs = this.#elapsedMs + ms;
      await this.#settle();
      for (let dueMs = this.#nextDue(); dueMs !== undefined && dueMs <= untilMs; dueMs = this.#nextDue()) {
        await this.#fireNext(dueMs);
      }
      this.#elapsedMs = untilMs;
      await this.#settle();
    });
  }

  /** Jumps to the next timer and fires it; false when none is set. @throws EngineError `NOT_ALLOWED` as {@link advance} */
  advanceToNextTimer(): Promise<boolean> {
    return this.#exclusively(async () => {
      await this.#settle();
      const dueMs = this.#nextDue();
      if (dueMs === undefined) return false;
      await this.#fireNext(dueMs);
      return true;
    });
  }

  /**
   * Fires timer after timer until the condition holds; it is asked after each one.
   *
   * @throws EngineError `DEADLINE_EXCEEDED` when a limit is reached, or no timer is left and the condition still does not
   *   hold; `NOT_ALLOWED` as {@link advance}
   */
  runUntil(condition: () => boolean, limits: RunLimits = {}): Promise<void> {
    const maxVirtualMs = limits.maxVirtualMs ?? 30 * 24 * 3_600_000;
    const maxSteps = limits.maxSteps ?? 1_000_000;
    return this.#exclusively(async () => {
      const startMs = this.#elapsedMs;
      for (let steps = 0; ; steps += 1) {
        await this.#settle();
        if (condition()) return;
        const dueMs = this.#nextDue() ?? (await this.#awaitTimer(condition));
        if (condition()) return;
        if (dueMs === undefined) throw this.#gaveUp('no timer is left', startMs, steps);
        if (dueMs - startMs > maxVirtualMs) throw this.#gaveUp(`maxVirtualMs ${maxVirtualMs} is over`, startMs, steps);
        if (steps >= maxSteps) throw this.#gaveUp(`maxSteps ${maxSteps} is reached`, startMs, steps);
        await this.#fireNext(dueMs);
      }
    });
  }

  #addInstant(dueMs: number): Instant {
    const instant: Instant = { timers: [], liveCount: 0 };
    this.#instants.set(dueMs, instant);
    this.#dues.push(dueMs, dueMs);
    return instant;
  }

  /** When the next live timer is due. Instants whose timers were all canceled are dropped on the way. */
  #nextDue(): number | undefined {
    for (let dueMs = this.#dues.peek(); dueMs !== undefined; dueMs = this.#dues.peek()) {
      const instant = this.#instants.get(dueMs);
      if (instant !== undefined && instant.liveCount > 0) return dueMs;
      this.#dues.pop();
      this.#instants.delete(dueMs);
    }
    return undefined;
  }

  async #fireNext(dueMs: number): Promise<void> {
    const instant = this.#instants.get(dueMs);
    const timer = instant?.timers.shift();
    assert(instant !== undefined && timer !== undefined, () => `no timer is due at ${dueMs}`);
    this.#elapsedMs = Math.max(this.#elapsedMs, dueMs);
    if (!timer.live) return;
    timer.live = false;
    instant.liveCount -= 1;
    this.#pendingTimers -= 1;
    timer.fn();
    await this.#settle();
  }

  async #settle(): Promise<void> {
    for (let quiet = 0; quiet < quietTurns;) {
      const hadDeferred = this.#pendingDeferred > 0;
      await nextTurn();
      quiet = hadDeferred || this.#pendingDeferred > 0 ? 0 : quiet + 1;
    }
  }

  async #awaitTimer(condition: () => boolean): Promise<number | undefined> {
    for (let turn = 0; turn < idleTurns; turn += 1) {
      await this.#settle();
      const dueMs = this.#nextDue();
      if (dueMs !== undefined || condition()) return dueMs;
    }
    return undefined;
  }

  async #exclusively<Result>(run: () => Promise<Result>): Promise<Result> {
    if (this.#advancing) {
      throw new EngineError('NOT_ALLOWED', 'the virtual clock is being advanced already', {
        hint: 'await one advance before the next; a timer cannot advance the clock that fires it',
      });
    }
    this.#advancing = true;
    try {
      return await run();
    } finally {
      this.#advancing = false;
    }
  }

  #gaveUp(reason: string, startMs: number, steps: number): EngineError {
    const passedMs = this.#elapsedMs - startMs;
    return new EngineError(
      'DEADLINE_EXCEEDED',
      `the condition does not hold after ${passedMs} virtual ms and ${steps} timers: ${reason}`,
      { hint: `${this.#pendingTimers} timers are pending` },
    );
  }
}

/** Resolves after the promise jobs and the immediates that are waiting now. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
