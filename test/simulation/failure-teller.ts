import { formatFault } from '../../src/simulation/fault-plan.ts';
import { shrinkFaults } from '../../src/simulation/shrink.ts';
import { simulate } from '../../src/simulation/simulate.ts';
import type { SimulationOptions } from '../../src/simulation/simulation-options.ts';
import type { SeedResult } from './seed-result.ts';

/** What a {@link FailureTeller} tells, and how. */
export interface FailureTellerDeps {
  /** What runs. */
  readonly commit: string;
  readonly optionsOf: (seed: number) => SimulationOptions;
  /** Whether the fewest faults that are enough are looked for. */
  readonly shrinks: boolean;
  /** Whether the last lines of the processes are shown. */
  readonly logs: boolean;
  /** The arguments beside seed and mask that run a seed again. */
  readonly again: string;
  readonly write: (line: string) => void;
}

/** Failing seeds that are made small and told at length. */
const maximumExplained = 5;
/** Failing seeds that are named; the rest is counted. */
const maximumNamed = 200;
const toldViolations = 10;
/** Runs that are spent on making one smaller. */
const maximumRuns = 120;

/** Tells of failing seeds as they come: what is broken at once, then the fewest faults that break it and how to run it again. */
export class FailureTeller {
  readonly #deps: FailureTellerDeps;
  #telling: Promise<void> = Promise.resolve();
  #hurries = false;
  /** Seeds that failed. */
  count = 0;

  constructor(deps: FailureTellerDeps) {
    this.#deps = deps;
  }

  failed({ seed, violations }: Pick<SeedResult, 'seed' | 'violations'>): void {
    this.count += 1;
    if (this.count > maximumNamed) return;
    const texts = violations.slice(0, 2).map(({ text }) => text);
    this.#deps.write(
      `seed ${seed} of commit ${this.#deps.commit}: ${violations.length} violations: ${texts.join('; ')}`,
    );
    if (this.count <= maximumExplained) this.#telling = this.#telling.then(() => this.#explain(seed));
  }

  /** Looks for no smaller failures any more. */
  hurry(): void {
    this.#hurries = true;
  }

  /** Resolves when all is told. */
  told(): Promise<void> {
    return this.#telling;
  }

  async #explain(seed: number): Promise<void> {
    const { optionsOf, shrinks, write, commit, again } = this.#deps;
    if (this.#hurries) {
      write(`  again: npm run sim -- --seeds 1 --seed ${seed} ${again}`);
      return;
    }
    const options = optionsOf(seed);
    const failed = await simulate(options);
    const shrunk = shrinks
      ? await shrinkFaults(options, failed, maximumRuns, () => this.#hurries)
      : { report: failed, maskedFaults: [], runs: 0 };
    const { report, maskedFaults } = shrunk;
    write(`\nseed ${seed} of commit ${commit}: ${failed.violations.length} violations`);
    for (const { text } of report.violations.slice(0, toldViolations)) write(`  ${text}`);
    const kept = report.plan.filter(({ id }) => !maskedFaults.includes(id));
    write(`  ${kept.length} of ${report.plan.length} faults are enough:`);
    for (const fault of kept) write(`    ${formatFault(fault)}`);
    const mask = maskedFaults.length === 0 ? '' : ` --mask ${maskedFaults.join(',')}`;
    write(`  again: npm run sim -- --seeds 1 --seed ${seed} ${again}${mask}`);
    if (!this.#deps.logs) return;
    for (const { atMs, process: name, level, message, fields } of report.lines) {
      write(`  ${(atMs / 1_000).toFixed(3)} ${name} ${level} ${message} ${fieldsOf(fields)}`);
    }
  }
}

function fieldsOf(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(fields, (_, value: unknown) => (value instanceof Error ? value.message : value));
}
