import { MetricJoin } from './platform/metric-join.ts';
import type { MetricSnapshot } from './platform/metric-family.ts';
import type { PrometheusMetrics } from './platform/prometheus-metrics.ts';
import type { Clock, TimerHandle } from './ports/clock.ts';
import type { ProcessMetrics, ProcessSupervisor } from './supervisor/process-supervisor.ts';

/** How often the processes are asked for their numbers: a scrape shows them at most this old, unless one is frozen. */
const askEveryMs = 1_000;

/** States of a slot in which no process runs. */
const endedStates: ReadonlySet<string> = new Set(['waiting', 'down', 'ended']);

/** The numbers of a supervisor and of its node processes as one. Nobody waits for a process: what it told last is shown. */
export class NodeMetrics {
  readonly #join = new MetricJoin();
  readonly #own: PrometheusMetrics;
  readonly #clock: Clock;
  #supervisor: ProcessSupervisor | null = null;
  #timer: TimerHandle | null = null;

  /** @param own - the numbers of the supervisor's own process */
  constructor(own: PrometheusMetrics, clock: Clock) {
    this.#own = own;
    this.#clock = clock;
  }

  /** Begins to ask the processes. */
  start(supervisor: ProcessSupervisor): void {
    this.#supervisor = supervisor;
    supervisor.askMetrics();
    this.#timer = this.#clock.setTimer(askEveryMs, () => this.start(supervisor));
  }

  /** A process has told its numbers. */
  readonly take = ({ slot, process, families, isFinal }: ProcessMetrics): void => {
    if (isFinal) this.#join.ended(slot, process, families);
    else this.#join.update(slot, process, families, this.#clock.monotonicMs());
  };

  /** All numbers of a scrape. */
  async read(): Promise<readonly MetricSnapshot[]> {
    for (const { slot, process, state } of this.#supervisor?.status.processes ?? []) {
      // What died without a word is buried here: its counters stay, and it is shown as down.
      if (endedStates.has(state)) this.#join.ended(slot, process);
      else this.#join.started(slot, process);
    }
    return this.#join.snapshot(this.#clock.monotonicMs(), await this.#own.snapshot());
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
