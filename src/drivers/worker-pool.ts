import { RetryableError } from '../core/driver-errors.ts';
import { assert } from '../core/errors.ts';
import { WorkerThread, type ThreadEnd, type ThreadJob, type ThreadOptions } from './worker-thread.ts';

/** Threads that may die one after the other before they have called the driver for a run; then the run fails. */
const maximumUnstartedDeaths = 2;

/** How a pool stands. */
export interface WorkerPoolCounts {
  readonly threads: number;
  readonly running: number;
  readonly queued: number;
  /** Threads that ended by themselves since the pool was made: crashed, exited, out of memory. */
  readonly died: number;
  /** Threads that were ended because they ran on after an abort. */
  readonly overran: number;
}

/** Settings of a pool. */
export interface WorkerPoolOptions extends ThreadOptions {
  readonly size: number;
  readonly maximumQueued: number;
  readonly maximumRunsPerThread: number;
}

/** A bounded set of worker threads with a bounded queue; a thread has one run at a time, and is replaced when it dies. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #threads = new Set<WorkerThread>();
  readonly #idle: WorkerThread[] = [];
  #queue: ThreadJob[] = [];
  #died = 0;
  #overran = 0;
  #isClosed = false;
  #onEmpty: (() => void) | null = null;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  get counts(): WorkerPoolCounts {
    return {
      threads: this.#threads.size,
      running: this.#threads.size - this.#idle.length,
      queued: this.#queue.length,
      died: this.#died,
      overran: this.#overran,
    };
  }

  /**
   * Runs one job.
   *
   * @throws RetryableError `WORKER_POOL_FULL`, `WORKER_POOL_CLOSED`; what the driver throws; `WORKER_DIED`
   */
  run(parts: Pick<ThreadJob, 'operation' | 'ctx'>): Promise<unknown> {
    const { signal } = parts.ctx;
    return new Promise((resolve, reject) => {
      if (signal.aborted) reject(signal.reason as Error);
      else if (this.#isClosed) reject(closedError());
      else if (this.#queue.length >= this.#options.maximumQueued && !this.#hasRoom()) reject(this.#fullError());
      else this.#enqueue({ ...parts, unstartedDeaths: 0, resolve, reject });
    });
  }

  /** Refuses new runs, fails the queued ones, aborts the running ones and ends every thread. Resolves when all have ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const job of this.#queue.splice(0)) job.reject(closedError());
    for (const thread of this.#idle.splice(0)) thread.kill('retired');
    for (const thread of this.#threads) thread.cancel(new Error('the worker pool is closed'));
    if (this.#threads.size === 0) return;
    await new Promise<void>((resolve) => {
      const before = this.#onEmpty;
      this.#onEmpty = () => {
        before?.();
        resolve();
      };
    });
  }

  #hasRoom(): boolean {
    return this.#idle.length > 0 || this.#threads.size < this.#options.size;
  }

  #enqueue(job: ThreadJob): void {
    const { signal } = job.ctx;
    const leave = (): void => {
      const isQueued = this.#queue.includes(job);
      this.#queue = this.#queue.filter((queued) => queued !== job);
      if (isQueued) job.reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    const settle =
      <Value>(fn: (value: Value) => void) =>
      (value: Value): void => {
        signal.removeEventListener('abort', leave);
        fn(value);
      };
    this.#queue.push(Object.assign(job, { resolve: settle(job.resolve), reject: settle(job.reject) }));
    this.#dispatch();
  }

  #dispatch(): void {
    while (this.#queue.length > 0 && this.#hasRoom()) {
      const job = this.#queue.shift();
      assert(job !== undefined, () => 'a queue that is not empty has a first run');
      (this.#idle.pop() ?? this.#addThread()).start(job);
    }
  }

  #addThread(): WorkerThread {
    const thread = new WorkerThread(this.#options, {
      onIdle: (idle) => this.#onIdle(idle),
      onEnd: (ended, end, unstarted) => this.#onEnd(ended, end, unstarted),
    });
    this.#threads.add(thread);
    return thread;
  }

  #onIdle(thread: WorkerThread): void {
    // It leaves its place when it has ended, not before: the number of threads is a bound.
    if (this.#isClosed || thread.runs >= this.#options.maximumRunsPerThread) thread.kill('retired');
    else this.#idle.push(thread);
    this.#dispatch();
  }

  #onEnd(thread: WorkerThread, end: ThreadEnd, unstarted: ThreadJob | null): void {
    this.#threads.delete(thread);
    const index = this.#idle.indexOf(thread);
    if (index >= 0) this.#idle.splice(index, 1);
    if (end === 'died') this.#died += 1;
    if (end === 'overran') this.#overran += 1;
    if (unstarted !== null) this.#retryUnstarted(thread, unstarted);
    if (this.#isClosed && this.#threads.size === 0) this.#onEmpty?.();
    this.#dispatch();
  }

  /** The driver was not called, so nothing is lost by another thread. */
  #retryUnstarted(thread: WorkerThread, job: ThreadJob): void {
    job.unstartedDeaths += 1;
    if (this.#isClosed) job.reject(closedError());
    else if (job.unstartedDeaths > maximumUnstartedDeaths) job.reject(thread.deathError(null, 'unstarted'));
    else this.#queue.unshift(job);
  }

  #fullError(): Error {
    const { size, maximumQueued } = this.#options;
    return new RetryableError(`all ${size} worker threads are busy, and ${maximumQueued} runs wait for them`, {
      code: 'WORKER_POOL_FULL',
    });
  }
}

function closedError(): Error {
  return new RetryableError('the worker pool is closed', { code: 'WORKER_POOL_CLOSED' });
}
