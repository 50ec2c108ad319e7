import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Scheduler } from './scheduler.ts';

/** What a process is made with. */
export interface ProcessOptions {
  /** Names it in the trace. */
  readonly name: string;
  /** Its machine: where its messages go out and come in. */
  readonly machine: string;
  /** Wall time at true time 0. */
  readonly startAt: number;
  /** How fast its monotonic clock runs: 1.001 gains a thousandth. */
  readonly clockRate: number;
  /** What its wall clock differs by from the start on. */
  readonly wallOffsetMs?: number;
}

/**
 * One process of the simulated world. All that happens in it goes through {@link enter}: while it is frozen it waits, and once
 * it is dead it never happens. So a killed process needs no code of its own to die.
 */
export class SimulatedProcess {
  readonly name: string;
  readonly machine: string;
  readonly clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #clockRate: number;
  readonly #startAt: number;
  readonly #timerName: string;
  readonly #onEnd: (() => void)[] = [];
  #status: 'running' | 'frozen' | 'dead' = 'running';
  #held: (() => void)[] = [];
  #wallOffsetMs: number;

  constructor(scheduler: Scheduler, options: ProcessOptions) {
    this.#scheduler = scheduler;
    this.name = options.name;
    this.machine = options.machine;
    this.#startAt = options.startAt;
    this.#clockRate = options.clockRate;
    this.#wallOffsetMs = options.wallOffsetMs ?? 0;
    this.#timerName = `${options.name} timer`;
    this.clock = {
      now: () => Math.floor(this.#startAt + this.#scheduler.nowMs + this.#wallOffsetMs),
      monotonicMs: () => this.#scheduler.nowMs * this.#clockRate,
      setTimer: (delayMs, fn) => this.#setTimer(delayMs, fn),
      defer: (fn) => this.#scheduler.defer(this.name, () => this.enter(fn)),
    };
  }

  get isAlive(): boolean {
    return this.#status !== 'dead';
  }

  get isRunning(): boolean {
    return this.#status === 'running';
  }

  /** Lets something happen in the process: now, when it is thawed, or never. */
  enter(run: () => void): void {
    if (this.#status === 'running') run();
    else if (this.#status === 'frozen') this.#held.push(run);
  }

  /** As SIGSTOP: nothing of it happens until {@link thaw}, and time goes on without it. */
  freeze(): void {
    if (this.#status === 'running') this.#status = 'frozen';
  }

  /** As SIGCONT: what fell due happens, one after the other. */
  thaw(): void {
    if (this.#status !== 'frozen') return;
    this.#status = 'running';
    const held = this.#held;
    this.#held = [];
    for (const run of held) this.#scheduler.defer(this.name, () => this.enter(run));
  }

  /** As SIGKILL. */
  kill(): void {
    if (this.#status === 'dead') return;
    this.#status = 'dead';
    this.#held = [];
    for (const end of this.#onEnd.splice(0)) end();
  }

  /** Calls it when the process dies: what the outside sees of its end. */
  onEnd(fn: () => void): void {
    this.#onEnd.push(fn);
  }

  /** Moves its wall clock, as an operator or NTP does. */
  jumpWallClock(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  #setTimer(delayMs: number, fn: () => void): TimerHandle {
    let isLive = true;
    const scheduled = this.#scheduler.after(delayMs / this.#clockRate, this.#timerName, () =>
      this.enter(() => {
        if (!isLive) return;
        isLive = false;
        fn();
      }),
    );
    return {
      cancel: () => {
        isLive = false;
        scheduled.cancel();
      },
    };
  }
}
