import { UncertainError } from '../core/driver-errors.ts';
import type { TimerHandle } from '../ports/clock.ts';
import type { RunName, StartRequest } from './remote-protocol.ts';
import { ServedRun, type ServedRunDeps } from './served-run.ts';

/** What the runs of a service need. */
export interface ServedRunsDeps extends ServedRunDeps {
  readonly maximumRuns: number;
  /** How long a run that has settled is kept, for an engine that has not heard of it. */
  readonly keepResultMs: number;
  readonly maximumKept: number;
  /** Time that an older attempt has to end before the newer one begins. */
  readonly cancelGraceMs: number;
}

/** What a start came to. `joined`: its run was there already. */
export type StartOutcome = 'begun' | 'joined' | 'stale' | 'busy';

/**
 * The runs of a service: one at a time for each key, so many at all, and those that have settled for a while.
 *
 * ```
 * start ──an older attempt runs──► pending ──it has ended, or its grace is over──► running ──► kept ──► forgotten
 *   └─────────────────────────────────────────────────────────────────────────────────▲
 * ```
 */
export class ServedRuns {
  readonly #deps: ServedRunsDeps;
  /** By idempotency key. */
  readonly #runs = new Map<string, ServedRun>();
  /** Starts that wait for the end of an older attempt, by idempotency key. */
  readonly #pending = new Map<string, StartRequest>();
  /** The kept ones, the oldest first. */
  readonly #forgetTimers = new Map<ServedRun, TimerHandle>();
  #isClosed = false;

  constructor(deps: ServedRunsDeps) {
    this.#deps = deps;
  }

  /** Runs that have not settled, and starts that wait. */
  get running(): number {
    return [...this.#runs.values()].filter((run) => !run.isSettled).length + this.#pending.size;
  }

  get hasRoom(): boolean {
    return !this.#isClosed && this.running < this.#deps.maximumRuns;
  }

  /** The run of that name, `pending` when it waits for an older one to end, or null. */
  find({ idempotencyKey, attempt }: RunName): ServedRun | 'pending' | null {
    if (this.#pending.get(idempotencyKey)?.attempt === attempt) return 'pending';
    const run = this.#runs.get(idempotencyKey);
    return run?.request.attempt === attempt ? run : null;
  }

  start(request: StartRequest): StartOutcome {
    const known = this.#pending.get(request.idempotencyKey) ?? this.#runs.get(request.idempotencyKey)?.request;
    const order = known === undefined ? 1 : compareStarts(request, known);
    if (order < 0) return 'stale';
    if (order === 0) return 'joined';
    if (!this.hasRoom) return 'busy';
    const older = this.#runs.get(request.idempotencyKey);
    if (older === undefined || older.isSettled) this.#run(request);
    else void this.#runAfter(older, request);
    return 'begun';
  }

  /** A start that waits is not needed any more. */
  dropPending({ idempotencyKey }: RunName): void {
    this.#pending.delete(idempotencyKey);
  }

  /** Begins nothing from now on. */
  close(): void {
    this.#isClosed = true;
    this.#pending.clear();
  }

  cancelAll(reason: Error): void {
    for (const run of this.#runs.values()) run.cancel(reason);
  }

  /** Resolves when every run has settled, at the latest after `limitMs`. */
  settled(limitMs: number): Promise<void> {
    return this.within(Promise.all([...this.#runs.values()].map((run) => run.settled)), limitMs);
  }

  /** Resolves when every run that has settled has been heard of, at the latest after `limitMs`. */
  heard(limitMs: number): Promise<void> {
    const settled = [...this.#runs.values()].filter((run) => run.isSettled);
    return this.within(Promise.all(settled.map((run) => run.heard)), limitMs);
  }

  forgetAll(): void {
    for (const run of this.#runs.values()) this.#forget(run);
  }

  /** Resolves with the promise, at the latest after `limitMs`. */
  async within(promise: Promise<unknown>, limitMs: number): Promise<void> {
    let timer: TimerHandle | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = this.#deps.clock.setTimer(limitMs, resolve);
    });
    await Promise.race([promise, limit]);
    timer?.cancel();
  }

  /** Two attempts of one stage must not run at one time, unless the older one does not stop. */
  async #runAfter(older: ServedRun, request: StartRequest): Promise<void> {
    this.#pending.set(request.idempotencyKey, request);
    older.cancel(new UncertainError('a newer attempt takes its place'));
    await this.within(older.settled, this.#deps.cancelGraceMs);
    // A still newer attempt, a cancel or a stop may have come meanwhile.
    if (this.#pending.get(request.idempotencyKey) !== request) return;
    this.#pending.delete(request.idempotencyKey);
    this.#run(request);
  }

  #run(request: StartRequest): void {
    const older = this.#runs.get(request.idempotencyKey);
    if (older !== undefined) this.#forget(older);
    const run = new ServedRun(request, this.#deps);
    this.#runs.set(request.idempotencyKey, run);
    void run.settled.then(() => this.#keep(run));
  }

  /** The answer that told how it ended may have been lost. */
  #keep(run: ServedRun): void {
    if (this.#runs.get(run.request.idempotencyKey) !== run) return;
    const { clock, keepResultMs, maximumKept } = this.#deps;
    this.#forgetTimers.set(
      run,
      clock.setTimer(keepResultMs, () => this.#forget(run)),
    );
    const [oldest] = this.#forgetTimers.keys();
    if (oldest !== undefined && this.#forgetTimers.size > maximumKept) this.#forget(oldest);
  }

  #forget(run: ServedRun): void {
    this.#forgetTimers.get(run)?.cancel();
    this.#forgetTimers.delete(run);
    run.dispose();
    if (this.#runs.get(run.request.idempotencyKey) === run) this.#runs.delete(run.request.idempotencyKey);
  }
}

/** Below 0: `left` is older than `right`; 0: the same attempt. The fence grows with each start of a shard. */
function compareStarts(left: StartRequest, right: StartRequest): number {
  return (
    left.fence.epoch - right.fence.epoch || left.fence.sequence - right.fence.sequence || left.attempt - right.attempt
  );
}
