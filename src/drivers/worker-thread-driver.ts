import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';

import { invalidArgument } from '../core/errors.ts';
import { parseJsonValue } from '../core/json.ts';
import type { Clock } from '../ports/clock.ts';
import type { AnyDriver, LookupAnswer, LookupContext, StageContext } from '../ports/driver.ts';
import { WorkerPool, type WorkerPoolCounts } from './worker-pool.ts';

/** Settings of a worker-thread driver. */
export interface WorkerThreadDriverOptions {
  /** The driver's module: a `file:` URL, such as `new URL('./resize.js', import.meta.url)`, or an absolute path. */
  readonly module: URL | string;
  /** Name of the export that is a driver, or a function of `settings` that gives one (or a promise of it); `default` when left out. */
  readonly exportName?: string | undefined;
  /** JSON handed to an export that is a function, once a thread: what the driver needs to build its integrations. */
  readonly settings?: unknown;
  /** Whether the module's driver has a `lookup`; false when left out. */
  readonly lookup?: boolean | undefined;
  /** Most threads; 2 when left out. */
  readonly size?: number | undefined;
  /** Most runs that wait for a thread; 64 when left out. Better still: a stage `concurrency` of `size`, so that none waits here. */
  readonly maximumQueued?: number | undefined;
  /** From an abort to the end of a thread that runs on; 2,000 when left out. Keep it below the engine's `abortGraceMs`. */
  readonly abortGraceMs?: number | undefined;
  /** Most heap of a thread in MiB; 512 when left out. A thread that needs more dies alone. */
  readonly maximumHeapMb?: number | undefined;
  /** Runs after which a thread is replaced, so that what its drivers leave behind does not grow; 10,000 when left out. */
  readonly maximumRunsPerThread?: number | undefined;
  /** Largest output or checkpoint, in bytes of JSON; 16 MiB when left out. */
  readonly maximumValueBytes?: number | undefined;
  /** Log lines of an attempt that are passed on, others are counted; 1,000 when left out. */
  readonly maximumLogLines?: number | undefined;
  /** Node's options for the threads, such as `['--enable-source-maps']`; those of this process when left out. */
  readonly execArgv?: readonly string[] | undefined;
  readonly clock: Clock;
}

/** A driver over a pool of worker threads. */
export interface WorkerThreadDriver extends AnyDriver {
  readonly counts: WorkerPoolCounts;
  /** Aborts what runs and ends every thread. Idle threads keep no process alive, so a pool may also be left as it is. */
  close(): Promise<void>;
}

const defaults = {
  size: 2,
  maximumQueued: 64,
  abortGraceMs: 2_000,
  maximumHeapMb: 512,
  maximumRunsPerThread: 10_000,
  maximumValueBytes: 16 * 1024 * 1024,
  maximumLogLines: 1_000,
} as const;

/**
 * A driver that runs a module's driver in a pool of worker threads: work that blocks its thread leaves the engine's event
 * loop, its heartbeats and its leases alone.
 *
 * The context in the thread is the stage's own, by messages: `heartbeat`, `checkpoint` and `log` reach the engine; `signal` aborts
 * there too, also for code that blocks, when it reads `ctx.signal` or calls `ctx.heartbeat()`. A thread that runs on
 * `abortGraceMs` after an abort is ended and replaced. `ports` cannot cross and are empty there: an export that is a function gets
 * `settings` and builds what its driver needs.
 *
 * Errors keep class, name, message, code and causes. A thread that dies (crash, `process.exit`, out of memory) fails its run
 * as uncertain, `WORKER_DIED`; one that dies before the driver was called is replaced. A module that is no driver is fatal,
 * `WORKER_MODULE_INVALID`. Outputs must be JSON in the thread already.
 */
export function createWorkerThreadDriver(options: WorkerThreadDriverOptions): WorkerThreadDriver {
  const settings = { ...defaults, ...definedOf(options) };
  const pool = new WorkerPool({
    setup: {
      module: moduleUrl(options.module),
      exportName: options.exportName ?? 'default',
      settings: parseJsonValue(options.settings ?? null, 'settings'),
      maximumValueBytes: settings.maximumValueBytes,
      maximumLogLines: settings.maximumLogLines,
    },
    execArgv: options.execArgv,
    size: checkLeast('size', settings.size, 1),
    maximumQueued: checkLeast('maximumQueued', settings.maximumQueued, 0),
    abortGraceMs: checkLeast('abortGraceMs', settings.abortGraceMs, 0),
    maximumHeapMb: checkLeast('maximumHeapMb', settings.maximumHeapMb, 1),
    maximumRunsPerThread: checkLeast('maximumRunsPerThread', settings.maximumRunsPerThread, 1),
    clock: options.clock,
  });
  return {
    execute: (ctx: StageContext) => pool.run({ operation: 'execute', ctx }),
    ...(options.lookup === true ? { lookup: (ctx: LookupContext) => lookUp(pool, ctx) } : {}),
    get counts() {
      return pool.counts;
    },
    close: () => pool.close(),
  };
}

async function lookUp(pool: WorkerPool, ctx: LookupContext): Promise<LookupAnswer<unknown>> {
  // A lookup has no heartbeats and checkpoints, and its host offers none.
  const answer = await pool.run({ operation: 'lookup', ctx: ctx as StageContext });
  const { kind, output } = (answer ?? {}) as { readonly kind?: unknown; readonly output?: unknown };
  if (kind === 'done') return { kind, output };
  return kind === 'notDone' ? { kind } : { kind: 'unknown' };
}

function definedOf(options: WorkerThreadDriverOptions): Partial<Record<keyof typeof defaults, number>> {
  return Object.fromEntries(Object.entries(options).filter(([name, value]) => name in defaults && value !== undefined));
}

function checkLeast(field: string, value: number, least: number): number {
  if (Number.isInteger(value) && value >= least) return value;
  const limit = `a whole number from ${least}`;
  throw invalidArgument({ field, message: `${field} must be ${limit}`, limit, got: value });
}

function moduleUrl(module: URL | string): string {
  if (module instanceof URL) return module.href;
  if (typeof module === 'string' && isAbsolute(module)) return pathToFileURL(module).href;
  if (typeof module === 'string' && module.startsWith('file:')) return module;
  throw invalidArgument({
    field: 'module',
    message: 'module must be a file: URL or an absolute path',
    got: module,
    hint: "use new URL('./driver.js', import.meta.url)",
  });
}
