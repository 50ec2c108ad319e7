import { percentile } from './percentiles.ts';

/** How much later than its deadline a call may fail: its process may be waiting for a processor. */
const deadlineSlackMs = 1_000;

/** What the callers saw. */
export interface LoadFigures {
  /** Accepted ids, each with the time of its acceptance by the machine's monotonic clock. */
  readonly accepted: readonly (readonly [taskId: string, atMs: number])[];
  readonly ended: number;
  /** Accepted and not seen to end. */
  readonly open: readonly string[];
  /** Ended without completing, with why. */
  readonly failed: readonly string[];
  readonly inFlight: number;
  /** Submits that were not sent, because too much was in flight. */
  readonly held: number;
  /** Outcomes that the operator has looked up. */
  readonly resolved: number;
  /** Submits that failed within their deadline, by code; each was repeated. */
  readonly callerErrors: Readonly<Record<string, number>>;
  /** Calls that failed later than their deadline. */
  readonly lateErrors: number;
  /** Errors of waiting calls, by code. */
  readonly waitErrors: Readonly<Record<string, number>>;
  readonly submitMsP50: number | null;
  readonly submitMsP99: number | null;
  readonly submitMsMax: number | null;
  readonly endMsP50: number | null;
  readonly endMsP99: number | null;
  readonly endMsMax: number | null;
}

/** What the load has seen so far. */
export class LoadCounts {
  inFlight = 0;
  held = 0;
  resolved = 0;
  #lateErrors = 0;
  readonly #accepted: [taskId: string, atMs: number][] = [];
  readonly #open = new Set<string>();
  readonly #failed: string[] = [];
  readonly #callerErrors = new Map<string, number>();
  readonly #waitErrors = new Map<string, number>();
  readonly #submitMs: number[] = [];
  readonly #endMs: number[] = [];

  accepted(taskId: string, sentMs: number, atMs: number): void {
    this.#accepted.push([taskId, atMs]);
    this.#submitMs.push(atMs - sentMs);
    this.#open.add(taskId);
  }

  ended(taskId: string, totalMs: number): void {
    this.#open.delete(taskId);
    this.#endMs.push(totalMs);
  }

  failedTask(taskId: string, why: string): void {
    this.#failed.push(`${taskId}: ${why}`);
  }

  failedCall(code: string, afterMs: number, deadlineMs: number): void {
    this.#callerErrors.set(code, (this.#callerErrors.get(code) ?? 0) + 1);
    if (afterMs > deadlineMs + deadlineSlackMs) this.#lateErrors += 1;
  }

  failedWait(code: string): void {
    this.#waitErrors.set(code, (this.#waitErrors.get(code) ?? 0) + 1);
  }

  figures(): LoadFigures {
    return {
      accepted: this.#accepted,
      ended: this.#endMs.length,
      open: [...this.#open],
      failed: this.#failed,
      inFlight: this.inFlight,
      held: this.held,
      resolved: this.resolved,
      callerErrors: Object.fromEntries(this.#callerErrors),
      lateErrors: this.#lateErrors,
      waitErrors: Object.fromEntries(this.#waitErrors),
      submitMsP50: percentile(this.#submitMs, 0.5),
      submitMsP99: percentile(this.#submitMs, 0.99),
      submitMsMax: percentile(this.#submitMs, 1),
      endMsP50: percentile(this.#endMs, 0.5),
      endMsP99: percentile(this.#endMs, 0.99),
      endMsMax: percentile(this.#endMs, 1),
    };
  }
}
