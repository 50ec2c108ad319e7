import type { SimulationReport } from '../../src/simulation/simulation-report.ts';

/** What a process that runs seeds tells of one: a report without its long parts. */
export type SeedResult = Omit<SimulationReport, 'history' | 'lines' | 'plan'> & { readonly realMs: number };

/** The sums over many seeds. */
export class SeedSums {
  seeds = 0;
  simulatedMs = 0;
  realMs = 0;
  events = 0;
  faults = 0;
  tasks = 0;
  violations = 0;
  zombieWritesRefused = 0;
  unknownResolved = 0;
  readonly counters = new Map<string, number>();

  add(result: SeedResult): void {
    this.seeds += 1;
    this.simulatedMs += result.simulatedMs;
    this.realMs += result.realMs;
    this.events += result.events;
    this.faults += result.faults;
    this.tasks += result.tasks;
    this.violations += result.violations.length;
    this.zombieWritesRefused += result.zombieWritesRefused;
    this.unknownResolved += result.unknownResolved;
    for (const [name, count] of Object.entries(result.counters)) {
      this.counters.set(name, (this.counters.get(name) ?? 0) + count);
    }
  }

  /** The line that a run ends with. */
  get summary(): object {
    const { seeds, faults, tasks, violations, zombieWritesRefused, unknownResolved } = this;
    const simulatedHours = Math.round(this.simulatedMs / 36_000) / 100;
    return { seeds, simulatedHours, faults, tasks, violations, zombieWritesRefused, unknownResolved };
  }
}
