import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { metricCatalog } from '../ports/metric-catalog.ts';
import type { Histogram, Metrics } from '../ports/metrics.ts';

/** Time between two measurements. */
const intervalMs = 250;
/** How long a measurement counts. */
const windowMs = 10_000;
/** A lag from which on it is said in the log: heartbeats of this node are late then, and not for long its lease is. */
const lagWarningMs = 1_000;

/** What {@link LoopLag} asks of the outside. */
export interface LoopLagDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** `<pipeline>/<stage>` of what runs now: one of it may be what blocks. */
  readonly runningStages: () => readonly string[];
}

/**
 * How late the event loop of this process is: by how much a timer fires after it was due, by monotonic time. A driver that blocks
 * the loop holds up every other task of the node, and its heartbeats.
 */
export class LoopLag {
  readonly #deps: LoopLagDeps;
  readonly #histogram: Histogram;
  /** Of the window, oldest first. */
  #samples: readonly { readonly atMs: number; readonly lagMs: number }[] = [];
  #timer: TimerHandle | null = null;
  /** What ran at the last measurement: by the next one the stage that blocked may be over. */
  #ranBefore: readonly string[] = [];
  #isWarned = false;

  constructor(deps: LoopLagDeps) {
    this.#deps = deps;
    this.#histogram = deps.metrics.histogram(metricCatalog.eventLoopLag);
  }

  /** The worst of the last 10 s, in whole milliseconds; 0 before the first measurement. */
  get lagMs(): number {
    const sinceMs = this.#deps.clock.monotonicMs() - windowMs;
    return Math.round(Math.max(0, ...this.#samples.filter(({ atMs }) => atMs >= sinceMs).map(({ lagMs }) => lagMs)));
  }

  /** Measures from now on. */
  start(): void {
    if (this.#timer === null) this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(): void {
    const { clock } = this.#deps;
    const dueMs = clock.monotonicMs() + intervalMs;
    this.#timer = clock.setTimer(intervalMs, () => {
      this.#measure(Math.max(0, clock.monotonicMs() - dueMs));
      this.#arm();
    });
  }

  #measure(lagMs: number): void {
    const { clock, logger, runningStages } = this.#deps;
    const atMs = clock.monotonicMs();
    this.#samples = [...this.#samples.filter((sample) => sample.atMs >= atMs - windowMs), { atMs, lagMs }];
    this.#histogram.observe(lagMs / 1_000);
    const running = runningStages();
    if (lagMs >= lagWarningMs && !this.#isWarned) {
      this.#isWarned = true;
      const stages = [...new Set([...this.#ranBefore, ...running])].toSorted();
      logger.warn(
        { lagMs: Math.round(lagMs), stages },
        'the event loop was blocked; a driver that computes belongs in a worker thread',
      );
    } else if (this.#isWarned && this.lagMs < lagWarningMs) {
      this.#isWarned = false;
      logger.info({ lagMs: this.lagMs }, 'the event loop keeps up again');
    }
    this.#ranBefore = running;
  }
}
