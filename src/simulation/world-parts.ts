import type { HistoryEvent } from '../checking/history-events.ts';
import type { DetectorPolicy } from '../cluster/failure-detector.ts';
import type { EngineConfig } from '../core/config.ts';
import type { Millis } from '../core/ids.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { CountingMetrics } from './counting-metrics.ts';
import type { Network } from './network.ts';
import type { OutsideWorld } from './outside-world.ts';
import type { RunLog } from './run-log.ts';
import type { Scheduler } from './scheduler.ts';
import type { BusServer } from './simulated-bus.ts';
import type { StoreServer } from './store-server.ts';
import type { ShardWatch } from './watched-ports.ts';

/** The machine of the servers for requests, and that of the store. */
export const serverMachines = { bus: 'bus', store: 'store' } as const;

/** What all processes of a simulated world share. */
export interface WorldParts {
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly bus: BusServer;
  readonly store: StoreServer;
  readonly world: OutsideWorld;
  readonly config: EngineConfig;
  readonly detector: DetectorPolicy;
  readonly pipelines: readonly PipelineDefinition[];
  /** The user's integrations, beside those of the world. */
  readonly ports: Readonly<Record<string, unknown>>;
  readonly metrics: CountingMetrics;
  readonly log: RunLog;
  readonly shards: ShardWatch;
  /** Wall time at the start. */
  readonly startAt: Millis;
  /** Wall time by the history's clock. */
  readonly now: () => Millis;
  readonly record: (event: HistoryEvent) => void;
  /** A seed for one more process. */
  readonly nextSeed: () => number;
  /** How fast a machine's clock runs. */
  readonly clockRateOf: (machine: string) => number;
}
