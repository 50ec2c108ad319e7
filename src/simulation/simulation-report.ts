import type { History } from '../checking/history.ts';
import type { PlannedFault } from './fault-plan.ts';
import type { RunLine } from './run-log.ts';

/** What a seed came to. */
export interface SimulationReport {
  readonly seed: number;
  /** Over all that happened, in its order: equal for every run of the seed. */
  readonly traceHash: string;
  readonly events: number;
  readonly simulatedMs: number;
  /** The faults that the seed has drawn, masked ones too. */
  readonly plan: readonly PlannedFault[];
  /** Faults that were made: planned ones, and what they did to single messages and store operations. */
  readonly faults: number;
  readonly tasks: number;
  /** What is broken, by the number of the invariant. */
  readonly violations: readonly { readonly id: string; readonly text: string }[];
  readonly zombieWritesRefused: number;
  readonly unknownResolved: number;
  /** How often what happened: records, metrics, faults. */
  readonly counters: Readonly<Record<string, number>>;
  /** The last lines that the processes logged. */
  readonly lines: readonly RunLine[];
  /** All that was recorded, for another look. */
  readonly history: History;
}
