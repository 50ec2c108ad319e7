import type { EngineError } from '../core/errors.ts';
import type { NodeLife } from '../core/node-messages.ts';
import {
  readNodeProcessMessage,
  type MetricFamilies,
  type NodeProcessSettings,
  type NodeReadiness,
} from '../core/process-messages.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { metricCatalog } from '../ports/metric-catalog.ts';
import type { Counter, Gauge, Metrics } from '../ports/metrics.ts';
import type { NodeProcess, NodeProcesses } from '../ports/node-processes.ts';
import type { Random } from '../ports/random.ts';
import type { ProcessAction, ProcessEvent } from './process-actions.ts';
import { decideProcesses, nextTickMs } from './process-decisions.ts';
import {
  hasProcess,
  newSupervisor,
  type ProcessPolicy,
  type Slot,
  type SlotPhase,
  type StopOutcome,
  type SupervisorState,
} from './process-state.ts';

/** What a {@link ProcessSupervisor} asks of the outside. */
export interface ProcessSupervisorDeps {
  readonly processes: NodeProcesses;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Tells the other nodes that a life is over. */
  readonly tellExited: (life: NodeLife) => void;
  /** With what the process of a node starts. */
  readonly settingsOf: (nodeId: string) => NodeProcessSettings;
  /** A process has told its metrics. */
  readonly onMetrics?: ((told: ProcessMetrics) => void) | undefined;
}

/** What a {@link ProcessSupervisor} supervises. */
export interface ProcessSupervisorOptions {
  readonly baseId: string;
  readonly count: number;
  readonly policy: ProcessPolicy;
}

/** The metrics of one process, as it told them. */
export interface ProcessMetrics {
  readonly slot: number;
  readonly nodeId: string;
  /** Number of the process in its slot: another number is another process, whose counters began at 0. */
  readonly process: number;
  readonly families: MetricFamilies;
  /** The last ones of this process: it has drained. */
  readonly isFinal: boolean;
}

/** Where one node process stands. */
export interface ProcessStatus {
  readonly slot: number;
  readonly nodeId: string;
  readonly state: SlotPhase['kind'];
  /** Number of its newest process, from 1. */
  readonly process: number;
  readonly pid: number | null;
  readonly incarnation: string | null;
  readonly isReady: boolean;
  /** Of its newest process, by the wall clock. */
  readonly startedAt: number;
  readonly restarts: Readonly<Record<string, number>>;
  readonly lastExit: Slot['lastExit'];
  readonly loopLagMs: number | null;
  /** How long ago it gave its last sign of life. */
  readonly silentMs: number | null;
}

/** Where a supervisor and its node processes stand. */
export interface SupervisorStatus {
  readonly phase: SupervisorState['phase'];
  readonly isReady: boolean;
  /** Slots that a rolling restart has still to do, the one it is at included; null when none goes on. */
  readonly rolling: number | null;
  readonly processes: readonly ProcessStatus[];
}

/**
 * The parent of node processes: starts them, watches them, starts again what crashed, gives up loudly what keeps crashing, ends them
 * in good order. All decisions are `decideProcesses`'; this carries them out.
 */
export class ProcessSupervisor {
  readonly #deps: ProcessSupervisorDeps;
  readonly #policy: ProcessPolicy;
  readonly #running = new Map<number, NodeProcess>();
  readonly #restarts: Counter;
  readonly #up: Gauge;
  #state: SupervisorState;
  #timer: TimerHandle | null = null;
  #dueMs = 0;
  #resolveReady: (readiness: NodeReadiness) => void = () => undefined;
  #resolveEnded: (outcome: StopOutcome) => void = () => undefined;
  /** Resolves when all nodes serve for the first time, with what the first of them told. Never rejects; see {@link ended}. */
  readonly ready: Promise<NodeReadiness>;
  /** Resolves when no process is left, and none will be started. */
  readonly ended: Promise<StopOutcome>;

  constructor(deps: ProcessSupervisorDeps, { baseId, count, policy }: ProcessSupervisorOptions) {
    this.#deps = deps;
    this.#policy = policy;
    this.#state = newSupervisor({ baseId, count });
    this.#restarts = deps.metrics.counter(metricCatalog.workerRestarts);
    this.#up = deps.metrics.gauge(metricCatalog.workerUp);
    this.ready = new Promise((resolve) => {
      this.#resolveReady = resolve;
    });
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  get status(): SupervisorStatus {
    const { phase, slots, roll } = this.#state;
    return {
      phase,
      isReady: this.isReady,
      rolling: roll === null ? null : roll.left.length + (roll.current === null ? 0 : 1),
      processes: slots.map((slot) => this.#statusOf(slot)),
    };
  }

  /** Whether all nodes serve what they should; false from the first moment of a stop on. */
  get isReady(): boolean {
    return this.#state.phase === 'running' && this.#state.slots.every(isReady);
  }

  start(): void {
    for (const { index } of this.#state.slots) this.#up.set(0, { slot: String(index) });
    this.#hear({ type: 'start' });
  }

  /** Starts one node after the other anew, each when all the others are ready. Asked for again meanwhile, it follows once more. */
  roll(): void {
    this.#hear({ type: 'roll' });
  }

  /** Lets every node drain within the grace, and ends. Resolves with how that came out; see {@link StopOutcome}. */
  stop(): Promise<StopOutcome> {
    this.#hear({ type: 'stop' });
    return this.ended;
  }

  /** Ends every process now. */
  abort(): Promise<StopOutcome> {
    this.#hear({ type: 'abort' });
    return this.ended;
  }

  /** Something that all nodes need is gone for good: ends as {@link stop} does, with this error. */
  fail(error: EngineError): void {
    this.#hear({ type: 'fail', outcome: { kind: 'failed', error: error.toReport() } });
  }

  /** Asks every process for its metrics; what they answer comes to `onMetrics`. Waits for nobody. */
  askMetrics(): void {
    for (const process of this.#running.values()) process.send({ type: 'node.metrics' });
  }

  #statusOf(slot: Slot): ProcessStatus {
    const { index, nodeId, phase, process, pid, incarnation, startedAt, restarts, lastExit, beat, heardMs } = slot;
    return {
      slot: index,
      nodeId,
      state: phase.kind,
      process,
      pid: hasProcess(slot) ? pid : null,
      incarnation,
      isReady: isReady(slot),
      startedAt,
      restarts,
      lastExit,
      loopLagMs: beat?.loopLagMs ?? null,
      silentMs: heardMs === null ? null : Math.round(this.#deps.clock.monotonicMs() - heardMs),
    };
  }

  #hear(event: ProcessEvent): void {
    const { clock, random } = this.#deps;
    const ctx = { policy: this.#policy, nowMs: clock.monotonicMs(), now: clock.now(), random: random.next() };
    const [state, actions] = decideProcesses(this.#state, event, ctx);
    this.#state = state;
    for (const action of actions) this.#carryOut(action);
    this.#arm();
  }

  #carryOut(action: ProcessAction): void {
    const { logger, tellExited } = this.#deps;
    switch (action.type) {
      case 'start':
        this.#start(action.slot, action.process);
        return;
      case 'send':
        this.#running.get(action.slot)?.send(action.order);
        return;
      case 'kill':
        this.#running.get(action.slot)?.kill();
        return;
      case 'tellExited':
        tellExited(action.life);
        return;
      case 'count':
        this.#restarts.add(1, { reason: action.reason });
        return;
      case 'up':
        this.#up.set(action.isUp ? 1 : 0, { slot: String(action.slot) });
        return;
      case 'log':
        logger[action.level](action.fields, action.message);
        return;
      case 'ready':
        for (const { readiness } of this.#state.slots) if (readiness !== null) this.#resolveReady(readiness);
        return;
      default:
        this.#timer?.cancel();
        this.#resolveEnded(action.outcome);
    }
  }

  #start(slot: number, process: number): void {
    const started = this.#deps.processes.start({
      onMessage: (message) => this.#onMessage(slot, process, message),
      onExit: (exit) => {
        if (this.#running.get(slot) === started) this.#running.delete(slot);
        this.#hear({ type: 'exit', slot, process, exit });
      },
    });
    this.#running.set(slot, started);
    this.#hear({ type: 'pid', slot, process, pid: started.pid });
  }

  #onMessage(slot: number, process: number, said: unknown): void {
    const heard = readNodeProcessMessage(said);
    if (heard.kind === 'garbled') {
      this.#hear({ type: 'garbled', slot, process, problem: heard.problem });
      return;
    }
    if (heard.kind === 'unknown') {
      this.#deps.logger.debug({ slot, type: heard.type }, 'a node process says what this version does not know');
      return;
    }
    const { message } = heard;
    const { nodeId } = this.#state.slots[slot] as Slot;
    if (message.type === 'node.hello') {
      this.#running.get(slot)?.send({ type: 'node.start', settings: this.#deps.settingsOf(nodeId) });
    } else if (message.type === 'node.metrics') {
      this.#deps.onMetrics?.({ slot, nodeId, process, families: message.families, isFinal: message.isFinal });
    }
    this.#hear({ type: 'message', slot, process, message });
  }

  /** A look that is due earlier takes the place of the one that is set; a later one never pushes it back. */
  #arm(): void {
    const { clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    const dueMs = Math.max(nowMs + minimumTickMs, nextTickMs(this.#state, nowMs));
    if (this.#state.phase === 'ended' || (this.#timer !== null && dueMs >= this.#dueMs)) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = clock.setTimer(dueMs - nowMs, () => {
      this.#timer = null;
      this.#hear({ type: 'tick', lateMs: clock.monotonicMs() - dueMs });
    });
  }
}

/** Least time between two looks. */
const minimumTickMs = 10;

function isReady({ phase, beat }: Slot): boolean {
  return phase.kind === 'ready' && beat?.isReady !== false;
}
