import type { EngineConfig } from '../core/config.ts';
import type { JsonValue } from '../core/json.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { Random } from '../ports/random.ts';
import { plannedKinds, type FaultMix, type PlannedKind } from './fault-plan.ts';
import { worldPipelines } from './world-pipelines.ts';

/** What a simulation is made of; all of it may be left out. */
export interface SimulationOptions {
  /** The same seed, options and code give the same run. 1 when left out. */
  readonly seed?: number;
  /** Simulated minutes, in the first part of which faults are made. 5 when left out. */
  readonly minutes?: number;
  /** 3 to 5 by the seed when left out. */
  readonly nodes?: number;
  /** Tasks that are submitted; some dozens by the seed when left out. */
  readonly tasks?: number;
  /** Kinds of faults that the seed may draw: all when left out, none when empty. */
  readonly faults?: readonly PlannedKind[];
  /** How close together they are: `dense` when left out. */
  readonly mix?: FaultMix;
  /** Faults of the seed's draw that are not made, by their `id`. */
  readonly maskedFaults?: Iterable<number>;
  /**
   * The pipelines whose tasks are submitted; some of the simulation's own when left out. Their drivers must take their time from
   * `ctx.ports.clock` and reach nothing outside of this process.
   */
  readonly pipelines?: readonly PipelineDefinition[];
  /** The input of the `index`-th task; needed with `pipelines`. */
  readonly inputOf?: (task: {
    readonly pipeline: string;
    readonly index: number;
    readonly random: Random;
  }) => JsonValue;
  /** The integrations that drivers see in `ctx.ports`, beside `clock`. */
  readonly ports?: Readonly<Record<string, unknown>>;
  /** Engine settings, over those that the seed draws. */
  readonly config?: Partial<EngineConfig>;
}

/** Options with all that was left out. */
export interface ResolvedOptions
  extends
    Required<Omit<SimulationOptions, 'nodes' | 'tasks' | 'inputOf' | 'maskedFaults' | 'config'>>,
    Pick<SimulationOptions, 'inputOf'> {
  readonly maskedFaults: ReadonlySet<number>;
  readonly nodes: number | undefined;
  readonly tasks: number | undefined;
  readonly config: Partial<EngineConfig> | undefined;
  /** Whether the simulation's own pipelines run, and with them its outside world. */
  readonly usesWorld: boolean;
}

/** The options with all that was left out. */
export function resolveOptions(options: SimulationOptions): ResolvedOptions {
  const { seed = 1, minutes = 5, nodes, tasks, faults = plannedKinds, maskedFaults = [], ports = {}, config } = options;
  const { pipelines = worldPipelines, inputOf, mix = 'dense' } = options;
  return {
    seed,
    minutes,
    nodes,
    tasks,
    faults,
    mix,
    maskedFaults: new Set(maskedFaults),
    pipelines,
    ...(inputOf === undefined ? {} : { inputOf }),
    ports,
    config,
    usesWorld: options.pipelines === undefined,
  };
}
