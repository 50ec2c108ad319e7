import { asError, EngineError } from '../core/errors.ts';
import type { Sequence } from '../core/ids.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Journal, JournalEntry } from '../ports/journal.ts';
import type { Logger } from '../ports/logger.ts';
import { metricCatalog } from '../ports/metric-catalog.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { TaskIndexStore } from '../ports/task-index.ts';
import { EndlessRun } from './endless-run.ts';
import { JournalLag } from './journal-lag.ts';
import { keepTrimmedTasks, TrimmedTasks } from './rebuilt-rows.ts';
import { sequenceOf, TaskFollower } from './task-follower.ts';

/** What a {@link TaskProjector} works with. */
export interface TaskProjectorDeps {
  readonly journal: Journal;
  readonly index: TaskIndexStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** How long a finished task stays in the index. */
  readonly finishedRetentionMs: number;
}

/** How the index stands. */
export interface TaskProjectorStatus {
  /** The last event that the index holds, as a position of the event feed; null before the first. */
  readonly position: string | null;
  /** The entry up to which it has read. */
  readonly sequence: Sequence;
  /** The journal's last entry, as it was seen last. */
  readonly journalSequence: Sequence;
  /** For how long there has been something that the index does not hold yet; 0 when it holds all. */
  readonly lagMs: number;
  readonly rowCount: number;
  readonly isRebuilding: boolean;
  /** Entries that could not be read and are in no row, since this process began. */
  readonly unreadableEntryCount: number;
  /** Why it does not go on now; null while it does. */
  readonly trouble: string | null;
}

/** Finished tasks forgotten in one step, so that no answer waits long for it. */
export const maximumExpiredTasks = 500;
/** Time between two looks for finished tasks whose retention has ended. */
const expireEveryMs = 5_000;

/**
 * Keeps a task index in step with the journal. It goes on from the index's own position, in steps that are stored whole, so that
 * no entry is taken twice or left out whenever this process ends. It only reads the journal, and runs in the supervisor's
 * process, never in a node.
 *
 * What was trimmed before it was read is missed, and said in the log; the place that a later record names is right all the same.
 * A journal that ends before what was read of it, and an index whose file is broken, have the index built anew.
 */
export class TaskProjector {
  readonly #deps: TaskProjectorDeps;
  readonly #lag: JournalLag;
  readonly #unreadable: Counter;
  readonly #run: EndlessRun;
  #rebuild: Promise<void> | null = null;
  /** The follower of now, which a rebuild stops at its end. */
  #following: { readonly stop: AbortController; readonly ended: Promise<unknown> } | null = null;
  /** Settles when the follower may go on after a rebuild. */
  #mayFollow: Promise<void> = Promise.resolve();
  #expireTimer: TimerHandle | null = null;
  #expiring: Promise<void> = Promise.resolve();
  #stopMetrics: () => void = () => {};
  #unreadableEntryCount = 0;

  constructor(deps: TaskProjectorDeps) {
    this.#deps = deps;
    this.#lag = new JournalLag(deps);
    this.#unreadable = deps.metrics.counter(metricCatalog.taskIndexUnreadable);
    this.#run = new EndlessRun({
      clock: deps.clock,
      work: () => this.#followOn(),
      progress: () => deps.index.position,
      onFailure: (error) => this.#onFailure(error),
    });
  }

  get status(): TaskProjectorStatus {
    const { index } = this.#deps;
    const sequence = sequenceOf(index);
    return {
      position: index.position,
      sequence,
      journalSequence: this.#lag.journalSequence,
      lagMs: this.#lag.lagMs(sequence),
      rowCount: index.rowCount,
      isRebuilding: this.#rebuild !== null,
      unreadableEntryCount: this.#unreadableEntryCount,
      trouble: this.#run.trouble,
    };
  }

  /** Begins to follow; returns at once. */
  start(): void {
    if (!this.#run.start()) return;
    const { metrics, index } = this.#deps;
    const lag = metrics.gauge(metricCatalog.taskIndexLag);
    const rows = metrics.gauge(metricCatalog.taskIndexRows);
    this.#stopMetrics = metrics.beforeRead(() => {
      lag.set(this.#lag.lagMs(sequenceOf(index)) / 1_000);
      rows.set(index.rowCount);
    });
    this.#lag.start();
    this.#armExpiry(0);
  }

  /** Resolves when nothing of it runs any more. The index stays open. */
  async stop(): Promise<void> {
    const stopped = this.#run.stop();
    this.#expireTimer?.cancel();
    this.#lag.stop();
    this.#stopMetrics();
    await Promise.allSettled([stopped, this.#rebuild, this.#expiring]);
  }

  /**
   * Makes the index anew from all that the journal has, beside the old one, which answers and goes on meanwhile; then they are
   * exchanged. Tasks whose records are trimmed stand nowhere but in the old one and are taken over. While a rebuild runs, another
   * call waits for the same one.
   *
   * @throws EngineError `CANCELED` when the projector stops first, `UNAVAILABLE`
   */
  rebuild(): Promise<void> {
    return this.#rebuildOnce({ keepsTrimmed: true });
  }

  #rebuildOnce(options: { readonly keepsTrimmed: boolean }): Promise<void> {
    this.#rebuild ??= this.#buildAnew(options).finally(() => (this.#rebuild = null));
    return this.#rebuild;
  }

  async #followOn(): Promise<void> {
    let gate: Promise<void>;
    do await (gate = this.#mayFollow);
    while (gate !== this.#mayFollow); // Another rebuild may have begun meanwhile.
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#run.signal]);
    const run = this.#followerOf(this.#deps.index).follow({ signal });
    this.#following = { stop, ended: run.catch(() => undefined) };
    try {
      await run;
    } finally {
      this.#following = null;
    }
  }

  async #onFailure(error: Error): Promise<void> {
    const { logger, index } = this.#deps;
    const fields = { err: error, position: index.position };
    const isLost = error instanceof EngineError && (error.code === 'LOG_REGRESSED' || error.code === 'RECORD_CORRUPT');
    if (!isLost) {
      logger.warn(fields, 'the task index cannot follow the journal now; it is tried again');
      return;
    }
    logger.error(fields, 'the task index is of no use any more; it is built anew from the journal');
    try {
      // What the old one says of trimmed tasks may be of a journal that is gone.
      await this.#rebuildOnce({ keepsTrimmed: false });
    } catch (thrown) {
      if (!this.#run.isStopping)
        logger.warn({ err: asError(thrown) }, 'the task index was not built anew; it is tried again');
    }
  }

  async #buildAnew({ keepsTrimmed }: { readonly keepsTrimmed: boolean }): Promise<void> {
    const { index, journal, clock, logger } = this.#deps;
    const startedAtMs = clock.monotonicMs();
    const trimmed = new TrimmedTasks();
    const next = await index.beside();
    let keptCount = 0;
    try {
      await this.#catchUp(next, trimmed, (await journal.bounds()).last);
      const resume = await this.#holdFollower();
      try {
        // Only what came meanwhile: the old index stands still for a moment.
        await this.#catchUp(next, trimmed, (await journal.bounds()).last);
        if (keepsTrimmed) keptCount = await keepTrimmedTasks({ from: index, to: next, trimmed });
        await index.adopt(next);
        this.#run.clearTrouble();
      } finally {
        resume();
      }
    } catch (thrown) {
      await next.close();
      throw thrown;
    }
    const durationMs = clock.monotonicMs() - startedAtMs;
    const { rowCount, position } = index;
    logger.info({ durationMs, rowCount, keptCount, position }, 'the task index was built anew');
  }

  async #catchUp(next: TaskIndexStore, trimmed: TrimmedTasks, through: Sequence): Promise<void> {
    if (through > sequenceOf(next)) {
      await this.#followerOf(next).follow({ signal: this.#run.signal, through, trimmed });
    }
    if (this.#run.isStopping)
      throw new EngineError('CANCELED', 'the task index was being built anew when it was stopped');
  }

  /** Ends the follower of now and keeps the next one waiting until the returned function is called. */
  async #holdFollower(): Promise<() => void> {
    let resume: (() => void) | undefined;
    this.#mayFollow = new Promise((resolve) => (resume = resolve));
    this.#following?.stop.abort();
    await this.#following?.ended;
    return () => resume?.();
  }

  #followerOf(index: TaskIndexStore): TaskFollower {
    const { journal, clock, logger, finishedRetentionMs } = this.#deps;
    return new TaskFollower({
      journal,
      index,
      clock,
      finishedRetentionMs,
      onUnreadable: (entry, error) => this.#passOver(entry, error),
      onMissed: (shard, sequence) =>
        logger.warn(
          { shard, sequence },
          'the journal was trimmed before its tasks were read; the index may lack some, or keep what they were',
        ),
      onStored: () => {
        if (this.#rebuild === null) this.#run.clearTrouble();
      },
    });
  }

  /** An entry that nobody can read must not hold up all that come after it. */
  #passOver({ shard, sequence }: JournalEntry, error: Error): void {
    this.#unreadableEntryCount += 1;
    this.#unreadable.add();
    this.#deps.logger.error(
      { err: error, shard, sequence },
      'a journal entry cannot be read; the index passes it over',
    );
  }

  #armExpiry(delayMs: number): void {
    if (this.#run.isStopping) return;
    this.#expireTimer = this.#deps.clock.setTimer(delayMs, () => {
      this.#expiring = this.#expire();
    });
  }

  async #expire(): Promise<void> {
    const { index, clock, finishedRetentionMs, logger } = this.#deps;
    let count = 0;
    try {
      count = await index.expire(clock.now() - finishedRetentionMs, maximumExpiredTasks);
    } catch (thrown) {
      if (!this.#run.isStopping) logger.warn({ err: asError(thrown) }, 'finished tasks stay in the index for now');
    }
    this.#armExpiry(count === maximumExpiredTasks ? 0 : expireEveryMs);
  }
}
