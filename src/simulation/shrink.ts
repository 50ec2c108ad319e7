import type { SimulationOptions } from './simulation-options.ts';
import type { SimulationReport } from './simulation-report.ts';
import { simulate } from './simulate.ts';

/** A failure with as few faults as were found to be enough. */
export interface ShrunkFailure {
  readonly report: SimulationReport;
  /** The faults of the draw that it can do without. */
  readonly maskedFaults: readonly number[];
  readonly runs: number;
}

/**
 * Leaves out faults of a failing seed, by halves and then one by one, as long as the same invariant stays broken.
 *
 * Without a fault the seed's chance falls elsewhere from there on, so that what is left is one way to the failure, and not always
 * the shortest.
 *
 * @param maximumRuns - runs that may be spent
 * @param isOver - asked before each run: whether it shall be content with what it has
 */
export async function shrinkFaults(
  options: SimulationOptions,
  failed: SimulationReport,
  maximumRuns = 120,
  isOver: () => boolean = () => false,
): Promise<ShrunkFailure> {
  const wanted = new Set(failed.violations.map(({ id }) => id));
  let masked: readonly number[] = [...(options.maskedFaults ?? [])];
  let left = failed.plan.map(({ id }) => id).filter((id) => !masked.includes(id));
  let report = failed;
  let runs = 0;
  for (let size = Math.ceil(left.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let start = 0; start < left.length && runs < maximumRuns && !isOver();) {
      const dropped = left.slice(start, start + size);
      const tried = await simulate({ ...options, maskedFaults: [...masked, ...dropped] });
      runs += 1;
      if (tried.violations.some(({ id }) => wanted.has(id))) {
        masked = [...masked, ...dropped];
        left = left.filter((id) => !dropped.includes(id));
        report = tried;
      } else start += size;
    }
  }
  return { report, maskedFaults: masked, runs };
}
