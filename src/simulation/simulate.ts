import { resolveOptions, type SimulationOptions } from './simulation-options.ts';
import type { SimulationReport } from './simulation-report.ts';
import { SimulatedWorld } from './simulated-world.ts';

/**
 * Runs a whole cluster in this process, in virtual time and under the faults that the seed draws: the real engine on several nodes,
 * over a model of NATS and JetStream. Then heals all, lets the work come to rest, and judges what was recorded by every invariant.
 *
 * ```ts
 * const report = await simulate({ seed: 42, pipelines: [card], inputOf: ({ index }) => ({ url: `https://cards.test/${index}` }) });
 * expect(report.violations).toEqual([]);
 * ```
 */
export function simulate(options: SimulationOptions = {}): Promise<SimulationReport> {
  return new SimulatedWorld(resolveOptions(options)).run();
}
