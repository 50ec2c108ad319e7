import type { ScenarioOptions } from './chaos-world.ts';
import type { Verdict } from './verdict.ts';

/** What a scenario measures, beside what all measure. */
export type ScenarioResult = Verdict & Readonly<Record<string, unknown>>;

/** One kind of chaos. */
export interface Scenario {
  /** Rounds when nothing else is said. */
  readonly rounds: number;
  /** One line for the usage. */
  readonly summary: string;
  run(options: ScenarioOptions, signal: AbortSignal): Promise<ScenarioResult>;
}
