import { Worker } from 'node:worker_threads';

import { RetryableError, UncertainError } from '../core/driver-errors.ts';
import { asError } from '../core/errors.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { StageContext } from '../ports/driver.ts';
import type { HostedOperation } from './hosted-run.ts';
import { RunBridge } from './run-bridge.ts';
import type { RunResult } from './run-messages.ts';
import { stageRequestOf } from './stage-request.ts';
import { fromWireError, toWireError } from './wire-error.ts';
import { heartbeatFlag, type FromWorker, type ToWorker, type WorkerSetup } from './worker-protocol.ts';

/** Span in which a thread's heartbeats count as one. */
const heartbeatWindowMs = 100;

/** One run for a thread. */
export interface ThreadJob {
  readonly operation: HostedOperation;
  /** Of a lookup only the parts that a lookup has are used. */
  readonly ctx: StageContext;
  readonly resolve: (output: unknown) => void;
  readonly reject: (reason: unknown) => void;
  /** Threads that died before they called the driver for it. */
  unstartedDeaths: number;
}

/** What a thread is made with. */
export interface ThreadOptions {
  readonly setup: Omit<WorkerSetup, 'shared'>;
  readonly execArgv: readonly string[] | undefined;
  readonly maximumHeapMb: number;
  readonly abortGraceMs: number;
  readonly clock: Clock;
}

/** How a thread came to its end: by itself, because it ran on after an abort, or because it was not needed any more. */
export type ThreadEnd = 'died' | 'overran' | 'retired';

/** Whom a thread tells. */
export interface ThreadEvents {
  /** Its run is over, and it can take the next. */
  readonly onIdle: (thread: WorkerThread) => void;
  /** It has ended. `unstarted`: the run that it had, when its driver was not called yet. */
  readonly onEnd: (thread: WorkerThread, end: ThreadEnd, unstarted: ThreadJob | null) => void;
}

interface CurrentRun {
  readonly job: ThreadJob;
  readonly number: number;
  readonly bridge: RunBridge;
  isStarted: boolean;
}

/**
 * One worker thread and the run it has.
 *
 * ```
 * idle ──start──► running ──result──────────────────────────► idle
 *                    ├──abort──► ending ──result──────────────► idle
 *                    │              └──grace over──► killed ──► ended
 *                    └──the thread dies───────────────────────► ended
 * ```
 */
export class WorkerThread {
  readonly #worker: Worker;
  readonly #shared: Int32Array;
  readonly #options: ThreadOptions;
  readonly #events: ThreadEvents;
  #current: CurrentRun | null = null;
  #runs = 0;
  #graceTimer: TimerHandle | null = null;
  #heartbeatTimer: TimerHandle | null = null;
  #deathCause: Error | null = null;
  #end: ThreadEnd = 'died';

  constructor(options: ThreadOptions, events: ThreadEvents) {
    this.#options = options;
    this.#events = events;
    const shared = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    this.#shared = new Int32Array(shared);
    this.#worker = new Worker(hostUrl(), {
      workerData: { ...options.setup, shared } satisfies WorkerSetup,
      resourceLimits: { maxOldGenerationSizeMb: options.maximumHeapMb },
      ...(options.execArgv === undefined ? {} : { execArgv: [...options.execArgv] }),
    });
    this.#worker.on('message', (text: unknown) => this.#receive(text));
    this.#worker.on('error', (thrown: unknown) => {
      this.#deathCause = asError(thrown);
    });
    this.#worker.once('exit', (exitCode) => this.#onExit(exitCode));
    // A thread without a run must not keep a process alive that has nothing else to do.
    this.#worker.unref();
  }

  /** Runs that the thread has had. */
  get runs(): number {
    return this.#runs;
  }

  start(job: ThreadJob): void {
    this.#runs += 1;
    const number = this.#runs;
    const bridge = new RunBridge(job.ctx, (message) => this.#send({ type: 'message', run: number, message }));
    this.#current = { job, number, bridge, isStarted: false };
    Atomics.store(this.#shared, heartbeatFlag, 0);
    this.#worker.ref();
    this.#send({ type: 'run', run: number, operation: job.operation, request: stageRequestOf(job.ctx) });
    const { signal } = job.ctx;
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Aborts the run that the thread has, as its own signal would. */
  cancel(reason: Error): void {
    const current = this.#current;
    if (current === null || this.#graceTimer !== null) return;
    this.#send({ type: 'message', run: current.number, message: { type: 'cancel', reason: toWireError(reason) } });
    this.#graceTimer = this.#options.clock.setTimer(this.#options.abortGraceMs, () => this.kill('overran'));
  }

  /** Ends the thread, whatever it does. Code that does not come back from the system (a blocked read) ends when it does. */
  kill(end: Exclude<ThreadEnd, 'died'>): void {
    this.#end = end;
    void this.#worker.terminate();
  }

  readonly #onAbort = (): void => {
    const current = this.#current;
    if (current !== null) this.cancel(asError(current.job.ctx.signal.reason));
  };

  #send(message: ToWorker): void {
    this.#worker.postMessage(JSON.stringify(message), []);
  }

  #receive(text: unknown): void {
    const message = parse(text);
    const current = this.#current;
    // What a run sends after its end (a stray callback of its driver) concerns nobody.
    if (message === null || current === null || message.run !== current.number) return;
    try {
      this.#take(current, message);
    } catch (thrown) {
      // The driver has broken its thread (a changed Object.prototype): nothing that it says can be relied on.
      this.#deathCause = asError(thrown);
      void this.#worker.terminate();
    }
  }

  #take(current: CurrentRun, message: FromWorker): void {
    switch (message.type) {
      case 'started':
        current.isStarted = true;
        return;
      case 'message':
        if (message.message.type === 'heartbeat') this.#openHeartbeatWindow();
        current.bridge.receive(message.message);
        return;
      case 'result':
        this.#onResult(current, message.result, message.droppedLogLines);
        return;
      default:
    }
  }

  #openHeartbeatWindow(): void {
    this.#heartbeatTimer?.cancel();
    this.#heartbeatTimer = this.#options.clock.setTimer(heartbeatWindowMs, () =>
      Atomics.store(this.#shared, heartbeatFlag, 0),
    );
  }

  #onResult({ job }: CurrentRun, result: RunResult, droppedLogLines: number): void {
    if (droppedLogLines > 0)
      job.ctx.log.warn({ dropped: droppedLogLines }, 'log lines of a worker thread were dropped');
    const settle = settlementOf(job, result);
    this.#endRun();
    this.#worker.unref();
    settle();
    this.#events.onIdle(this);
  }

  #onExit(exitCode: number): void {
    const current = this.#current;
    this.#endRun();
    const isUnstarted =
      current !== null && !current.isStarted && !current.job.ctx.signal.aborted && this.#end === 'died';
    if (current !== null && !isUnstarted) current.job.reject(this.#reasonOf(current.job, exitCode));
    this.#events.onEnd(this, this.#end, isUnstarted ? current.job : null);
  }

  #reasonOf(job: ThreadJob, exitCode: number): unknown {
    if (job.ctx.signal.aborted) return job.ctx.signal.reason;
    if (this.#end !== 'died')
      return new UncertainError('the worker pool was closed under the run', { code: 'WORKER_DIED' });
    return this.deathError(exitCode, 'uncertain');
  }

  /** Why a run ends that this thread's death ended. */
  deathError(exitCode: number | null, certainty: 'uncertain' | 'unstarted'): Error {
    const cause = this.#deathCause;
    const how = cause === null ? `it exited with ${exitCode ?? 'an unknown code'}` : cause.message;
    const options = { code: 'WORKER_DIED', ...(cause === null ? {} : { cause }) };
    return certainty === 'uncertain'
      ? new UncertainError(`the worker thread died: ${how}`, options)
      : new RetryableError(`the worker thread died before it called the driver: ${how}`, options);
  }

  #endRun(): void {
    const current = this.#current;
    this.#current = null;
    this.#graceTimer?.cancel();
    this.#graceTimer = null;
    this.#heartbeatTimer?.cancel();
    current?.job.ctx.signal.removeEventListener('abort', this.#onAbort);
    current?.bridge.close(new Error('the run is over'));
  }
}

/** How a run ends, worked out before anything is changed: a result that is none must leave the run as it was. */
function settlementOf(job: ThreadJob, result: RunResult): () => void {
  if (job.ctx.signal.aborted) return () => job.reject(job.ctx.signal.reason);
  switch (result.kind) {
    case 'done':
      return () => job.resolve(result.output);
    case 'failed':
      return () => job.reject(fromWireError(result.error));
    default:
      throw new Error('a worker thread gave a result that is none');
  }
}

/** The driver's own code may post to its parent as well: what is not ours is dropped. */
function parse(text: unknown): FromWorker | null {
  if (typeof text !== 'string') return null;
  try {
    const message: unknown = JSON.parse(text);
    return typeof message === 'object' && message !== null ? (message as FromWorker) : null;
  } catch {
    return null;
  }
}

/** The thread's program lies beside this file, built or as source. */
function hostUrl(): URL {
  const source = new URL('./worker-host.ts', import.meta.url);
  return import.meta.url.endsWith('.ts') ? source : new URL(source.href.replace(/\.ts$/, '.js'));
}
