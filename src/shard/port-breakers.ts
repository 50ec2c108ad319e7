import {
  closedBreaker,
  ended,
  mayPass,
  passed,
  type BreakerOutcome,
  type BreakerPolicy,
  type BreakerState,
} from '../core/circuit-breaker.ts';
import type { EngineConfig } from '../core/config.ts';
import type { PortName } from '../core/ids.ts';
import type { OpenBreaker } from '../core/node-messages.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { metricCatalog } from '../ports/metric-catalog.ts';
import type { Counter, Gauge, Metrics } from '../ports/metrics.ts';

/** What {@link PortBreakers} asks of the outside. */
export interface PortBreakersDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly config: Pick<EngineConfig, 'breakerFailureThreshold' | 'breakerOpenMs' | 'breakerMaxOpenMs'>;
}

/** Leave for one attempt on a port; it is ended once, by {@link PortBreakers.end}. */
export interface PortPass {
  readonly port: PortName;
  /** How often the breaker had closed again when the pass was given. */
  readonly era: number;
}

interface Breaker {
  state: BreakerState;
  /** The attempt that probes, while the breaker is probing. */
  probe: PortPass | null;
  era: number;
}

/**
 * The circuit breakers of one node, one a port, shared by its shards. An open breaker delays stages and fails none: it is asked
 * where slots are given out, and whoever gets no leave stays in line (R-FAIL-2).
 */
export class PortBreakers {
  readonly #deps: PortBreakersDeps;
  readonly #policy: BreakerPolicy;
  readonly #breakers = new Map<PortName, Breaker>();
  readonly #open: Gauge;
  readonly #opened: Counter;

  constructor(deps: PortBreakersDeps) {
    this.#deps = deps;
    const { breakerFailureThreshold, breakerOpenMs, breakerMaxOpenMs } = deps.config;
    this.#policy = { failureThreshold: breakerFailureThreshold, openMs: breakerOpenMs, maxOpenMs: breakerMaxOpenMs };
    this.#open = deps.metrics.gauge(metricCatalog.portBreakerOpen);
    this.#opened = deps.metrics.counter(metricCatalog.portBreakerOpened);
  }

  /** Whether an attempt on the port may start now. */
  mayPass(port: PortName): boolean {
    const breaker = this.#breakers.get(port);
    return breaker === undefined || mayPass(breaker.state, this.#deps.clock.monotonicMs());
  }

  /** How long the port lets nothing pass: 0 when it does, Infinity while a probe runs, whose end tells. */
  closedOffMs(port: PortName): number {
    const state = this.#breakers.get(port)?.state ?? closedBreaker;
    if (state.kind === 'probing') return Infinity;
    return state.kind === 'open' ? Math.max(0, state.untilMs - this.#deps.clock.monotonicMs()) : 0;
  }

  /** When the port may be tried again, by the wall clock; null while it is tried. */
  probeAt(port: PortName): number | null {
    const delayMs = this.closedOffMs(port);
    return delayMs === Infinity ? null : Math.round(this.#deps.clock.now() + delayMs);
  }

  /** The ports that are held to fail, in the order of their names. */
  get open(): readonly OpenBreaker[] {
    return [...this.#breakers]
      .filter(([, { state }]) => state.kind !== 'closed')
      .map(([port]) => ({ port, probeAt: this.probeAt(port) }))
      .toSorted((left, right) => (left.port < right.port ? -1 : 1));
  }

  /** Lets an attempt through that {@link mayPass} allowed. After an open time it is the probe. */
  pass(port: PortName): PortPass {
    const breaker = this.#breakerOf(port);
    const pass: PortPass = { port, era: breaker.era };
    breaker.state = passed(breaker.state);
    if (breaker.state.kind === 'probing') breaker.probe = pass;
    return pass;
  }

  /** The attempt is over, or will never start: `unknown`. */
  end(pass: PortPass, outcome: BreakerOutcome): void {
    const { port } = pass;
    const breaker = this.#breakerOf(port);
    const isProbe = breaker.probe === pass;
    const before = breaker.state;
    const counted = this.#counted(pass, breaker, outcome);
    // Whatever an attempt beside the probe says but a success, the probe's own end decides.
    if (before.kind === 'probing' && !isProbe && counted !== 'succeeded') return;
    breaker.state = ended(this.#policy, before, counted, this.#deps.clock.monotonicMs());
    if (breaker.state.kind !== 'probing') breaker.probe = null;
    this.#tell(port, breaker, before);
  }

  /** A failure of an attempt from before the breaker closed again is of the outage that is over. */
  #counted(pass: PortPass, breaker: Breaker, outcome: BreakerOutcome): BreakerOutcome {
    return outcome === 'failed' && pass.era < breaker.era ? 'unknown' : outcome;
  }

  #tell(port: PortName, breaker: Breaker, before: BreakerState): void {
    const { logger } = this.#deps;
    const { state } = breaker;
    if (state.kind === 'open' && before.kind === 'closed') {
      this.#open.set(1, { port });
      this.#opened.add(1, { port });
      const { failureThreshold } = this.#policy;
      logger.warn({ port, failures: failureThreshold, openMs: state.openMs }, 'a port fails; its stages are held back');
    } else if (state.kind === 'open' && before.kind === 'probing') {
      logger.debug({ port, openMs: state.openMs }, 'the probe of a port did not succeed');
    } else if (state.kind === 'closed' && before.kind !== 'closed') {
      breaker.era += 1;
      this.#open.set(0, { port });
      logger.info({ port }, 'a port works again; its stages go on');
    }
  }

  #breakerOf(port: PortName): Breaker {
    const known = this.#breakers.get(port);
    if (known !== undefined) return known;
    const breaker: Breaker = { state: closedBreaker, probe: null, era: 0 };
    this.#breakers.set(port, breaker);
    this.#open.set(0, { port });
    return breaker;
  }
}
