import { backoffDelayMs, retryDefaults } from '../../core/backoff.ts';
import { EngineError } from '../../core/errors.ts';
import type { Clock, TimerHandle } from '../../ports/clock.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Random } from '../../ports/random.ts';
import { newBulkRun, type BulkRun } from './bulk-run.ts';
import { afterBulkStep, nextBulkStep, type BulkStep } from './bulk-step.ts';
import type { BulkStore } from './bulk-store.ts';
import { doBulkStep, type BulkWorkDeps } from './bulk-work.ts';

/** What {@link BulkRunner} works with. */
export interface BulkRunnerDeps extends Omit<BulkWorkDeps, 'store'> {
  readonly store: BulkStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Runs that go on at one time. */
export const maximumActiveRuns = 4;
/** Tries of one step while the engine or the store cannot serve; after them a task that still cannot be reached counts as failed. */
const maximumStepTries = 20;
const pauses = { ...retryDefaults, maxAttempts: maximumStepTries, initialDelayMs: 250, maxDelayMs: 15_000 };

/** Carries bulk runs out, step by step, each step noted before the next: a process that comes after this one goes on where it stopped. */
export class BulkRunner {
  readonly #deps: BulkRunnerDeps;
  readonly #runs = new Map<string, BulkRun>();
  readonly #loops = new Map<string, Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #waits = new Set<() => void>();

  constructor(deps: BulkRunnerDeps) {
    this.#deps = deps;
  }

  /** Reads the runs and goes on with those that have not ended. @throws EngineError `UNAVAILABLE`, `RECORD_CORRUPT` */
  async open(): Promise<void> {
    for (const run of await this.#deps.store.load()) this.#runs.set(run.id, run);
    for (const run of this.#runs.values()) this.#go(run.id);
  }

  /** Ends no run: waits for the steps in hand and leaves the rest to the next process. */
  async close(): Promise<void> {
    this.#stopping.abort();
    for (const wake of this.#waits) wake();
    await Promise.all(this.#loops.values());
  }

  /** The runs, the newest first. */
  list(): readonly BulkRun[] {
    return [...this.#runs.values()].toSorted(
      (one, other) => other.createdAt - one.createdAt || (one.id < other.id ? 1 : -1),
    );
  }

  /** @throws EngineError `NOT_FOUND` */
  get(id: string): BulkRun {
    const run = this.#runs.get(id);
    if (run !== undefined) return run;
    throw new EngineError('NOT_FOUND', 'there is no such bulk action', { field: 'bulkId', got: id });
  }

  /**
   * Begins a run; it is durable when this resolves. The same id again gives the run that is there.
   *
   * @throws EngineError `NOT_ALLOWED` when {@link maximumActiveRuns} go on, `UNAVAILABLE`
   */
  async start(request: Parameters<typeof newBulkRun>[0]): Promise<BulkRun> {
    const known = this.#runs.get(request.id);
    if (known !== undefined) return known;
    const active = this.list().filter(({ phase }) => phase !== 'ended');
    if (active.length >= maximumActiveRuns) {
      throw new EngineError('NOT_ALLOWED', 'too many bulk actions go on', {
        limit: `${maximumActiveRuns}`,
        hint: 'wait for one to end, or abort one',
      });
    }
    const run = newBulkRun(request);
    this.#runs.set(run.id, run);
    try {
      await this.#deps.store.save(run);
    } catch (error) {
      this.#runs.delete(run.id);
      throw error;
    }
    this.#go(run.id);
    return run;
  }

  /** Sends nothing more until {@link resume}. @throws EngineError `NOT_FOUND`, `NOT_ALLOWED` when it has ended, `UNAVAILABLE` */
  pause(id: string): Promise<BulkRun> {
    return this.#change(id, (run) => ({ ...run, isPaused: true }));
  }

  /** @throws EngineError as {@link pause} */
  resume(id: string): Promise<BulkRun> {
    return this.#change(id, (run) => ({ ...run, isPaused: false }));
  }

  /** Ends the run; what was sent stays sent. @throws EngineError as {@link pause} */
  abort(id: string): Promise<BulkRun> {
    return this.#change(id, (run) => ({ ...run, phase: 'ended', end: 'aborted', isPaused: false }));
  }

  async #change(id: string, change: (run: BulkRun) => BulkRun): Promise<BulkRun> {
    // A loop in hand is let finish its step, whose note would else write over this change.
    const run = await this.#atRest(id, change);
    this.#go(id);
    return run;
  }

  async #atRest(id: string, change: (run: BulkRun) => BulkRun): Promise<BulkRun> {
    const held = this.#hold(id);
    try {
      await this.#loops.get(id);
      const run = this.get(id);
      if (run.phase === 'ended') {
        throw new EngineError('NOT_ALLOWED', 'the bulk action has ended', { field: 'bulkId', got: id });
      }
      const changed = change(run);
      await this.#deps.store.save(changed);
      this.#runs.set(id, changed);
      if (changed.phase === 'ended') await this.#tidy();
      return changed;
    } finally {
      held();
    }
  }

  readonly #holds = new Map<string, number>();

  /** Keeps the run's loop from a next step until what it gives is called. @throws EngineError `NOT_FOUND` */
  #hold(id: string): () => void {
    this.get(id);
    this.#holds.set(id, (this.#holds.get(id) ?? 0) + 1);
    for (const wake of this.#waits) wake();
    return () => {
      const left = (this.#holds.get(id) ?? 1) - 1;
      if (left === 0) this.#holds.delete(id);
      else this.#holds.set(id, left);
      if (left === 0) this.#go(id);
    };
  }

  #go(id: string): void {
    if (this.#loops.has(id) || this.#mustRest(id)) return;
    const loop = this.#loop(id).finally(() => this.#loops.delete(id));
    this.#loops.set(id, loop);
  }

  #mustRest(id: string): boolean {
    return this.#stopping.signal.aborted || this.#holds.has(id);
  }

  /** Never rejects. */
  async #loop(id: string): Promise<void> {
    let tries = 0;
    while (!this.#mustRest(id)) {
      const run = this.get(id);
      const step = nextBulkStep(run);
      if (step.kind === 'rest') return;
      try {
        await this.#step(run, step, tries + 1 >= maximumStepTries);
        tries = 0;
      } catch (error) {
        tries += 1;
        this.#deps.logger.warn(
          { err: error, bulkId: id, step: step.kind, tries },
          'a step of a bulk action failed; it is tried again',
        );
        await this.#wait(id, backoffDelayMs(pauses, Math.min(tries, maximumStepTries), this.#deps.random.next()));
      }
    }
  }

  async #step(run: BulkRun, step: Exclude<BulkStep, { kind: 'rest' }>, isLastTry: boolean): Promise<void> {
    const { clock, store } = this.#deps;
    const startedAtMs = clock.monotonicMs();
    if (step.kind === 'look' && step.delayMs > 0) {
      // Cut short by a pause or an end of the process, the look is left for later.
      if (!(await this.#wait(run.id, step.delayMs))) return;
    }
    const result = await doBulkStep(this.#deps, run, step, isLastTry);
    const next = afterBulkStep(run, result);
    await store.save(next);
    this.#runs.set(run.id, next);
    if (next.phase === 'ended') await this.#tidy();
    if (step.kind === 'send') await this.#wait(run.id, Math.max(0, step.paceMs - (clock.monotonicMs() - startedAtMs)));
  }

  async #tidy(): Promise<void> {
    try {
      for (const id of await this.#deps.store.tidy(this.list())) this.#runs.delete(id);
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'old bulk actions could not be removed');
    }
  }

  /** @returns false when it was cut short */
  #wait(id: string, delayMs: number): Promise<boolean> {
    if (this.#mustRest(id)) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (isWhole: boolean): void => {
        timer.cancel();
        this.#waits.delete(wake);
        resolve(isWhole);
      };
      const wake = (): void => {
        if (this.#mustRest(id)) end(false);
      };
      const timer: TimerHandle = this.#deps.clock.setTimer(delayMs, () => end(true));
      this.#waits.add(wake);
    });
  }
}
