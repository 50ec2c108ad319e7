import type { SimulationReport } from '../../src/simulation/simulation-report.ts';

/** What a process that runs seeds tells of one: a report without its long parts. */
export type SeedResult = Omit<SimulationReport, 'history' | 'lines' | 'plan'> & {
  readonly plannedFaults: number;
  readonly realMs: number;
  /** Time of the processor, over all threads. */
  readonly cpuMs: number;
};

/** The sums over many seeds. */
export class SeedSums {
  seeds = 0;
  simulatedMs = 0;
  realMs = 0;
  cpuMs = 0;
  events = 0;
  plannedFaults = 0;
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
    this.cpuMs += result.cpuMs;
    this.events += result.events;
    this.plannedFaults += result.plannedFaults;
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

  /** How fast it was and what it was made of, as text. */
  get mix(): string {
    const perSecond = (count: number): string => (count / (this.simulatedMs / 1_000)).toFixed(1);
    const perMinute = (count: number): string => (count / (this.simulatedMs / 60_000)).toFixed(1);
    const speed = (spentMs: number): string => (this.simulatedMs / spentMs).toFixed(0);
    return [
      `${speed(this.realMs)} simulated seconds a second of a process, ${speed(this.cpuMs)} a second of CPU`,
      `${((this.cpuMs * 1_000) / this.events).toFixed(1)} µs an event`,
      `a simulated second has ${perSecond(this.events)} events`,
      `a simulated minute ${perMinute(this.plannedFaults)} planned and ${perMinute(this.faults)} faults in all`,
      `and ${perMinute(this.tasks)} tasks`,
      `a seed ${(this.simulatedMs / 1_000 / this.seeds).toFixed(0)} simulated seconds`,
    ].join(', ');
  }
}
