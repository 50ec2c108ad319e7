import { appendFileSync } from 'node:fs';
import { machineMs } from './monotonic.ts';

/** A fault that a scenario made. */
export interface Fault {
  readonly what: string;
  readonly whom: string;
  /** When, by the wall clock, as the journal's server counts. */
  readonly at: number;
  /** When, by the machine's monotonic clock. */
  readonly atMs: number;
  /** The node whose running tasks another one has to take over. */
  readonly node?: string;
}

/** What a scenario does and sees: one line an event, on the console and in a file. */
export class EventLog {
  readonly faults: Fault[] = [];
  readonly #file: string;
  readonly #isQuiet: boolean;
  readonly #startedMs = machineMs();

  constructor(file: string, options: { readonly isQuiet: boolean }) {
    this.#file = file;
    this.#isQuiet = options.isQuiet;
  }

  /** Tells an event: what, whom it concerns, and more. */
  tell(what: string, whom: string, more = ''): void {
    const seconds = ((machineMs() - this.#startedMs) / 1_000).toFixed(3).padStart(8);
    const line = `${seconds} s  ${what.padEnd(10)} ${whom.padEnd(8)} ${more}`.trimEnd();
    appendFileSync(this.#file, `${line}\n`);
    if (!this.#isQuiet) process.stdout.write(`${line}\n`);
  }

  /** Tells a fault that is made at this moment, and counts it. */
  fault(what: string, whom: string, more = '', node?: string): Fault {
    const fault: Fault = { what, whom, at: Date.now(), atMs: machineMs(), ...(node === undefined ? {} : { node }) };
    this.faults.push(fault);
    this.tell(what, whom, more);
    return fault;
  }
}
