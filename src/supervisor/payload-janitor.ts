import type { EngineConfig } from '../core/config.ts';
import { asError } from '../core/errors.ts';
import { parseTaskId, type Millis, type TaskId } from '../core/ids.ts';
import type { BlobCensus, BlobStore } from '../ports/blobs.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { metricCatalog } from '../ports/metric-catalog.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { Random } from '../ports/random.ts';

/** Time between two looks; the first comes at a random moment of it, so that nodes that start together look one after the other. */
export const janitorIntervalMs = 3_600_000;
/**
 * How much longer than anything that may refer to them objects are kept. Far more than {@link blobReuseMs}: an object that was
 * reused is never old enough to go, whatever the clocks of two machines differ by and however long this process was stopped.
 */
export const janitorMarginMs = 2 * 3_600_000;
/** Most tasks whose objects are deleted in one look. */
export const maximumTasksPerLook = 10_000;

/** What {@link PayloadJanitor} asks of the outside. */
export interface PayloadJanitorDeps {
  readonly blobs: Pick<BlobStore, 'census' | 'deleteTask'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly config: Pick<EngineConfig, 'finishedRetentionMs' | 'auditWindowMs'>;
  /** Whether this node serves the task's shard now. */
  readonly serves: (taskId: TaskId) => boolean;
  /** Whether the shard knows the task, live or finished; null when that cannot be told now. */
  readonly knows: (taskId: TaskId) => Promise<boolean | null>;
}

/**
 * Deletes the objects of tasks that nobody can ask for any more: their shard does not know them, and history has forgotten them.
 *
 * Safe against a node that has lost its shards and does not know it: it deletes only what was old before it looked (by the census'
 * mark), and a task that came since has no such object, for an old one is not reused but stored anew.
 */
export class PayloadJanitor {
  readonly #deps: PayloadJanitorDeps;
  readonly #deleted: Counter;
  #timer: TimerHandle | null = null;
  #closed = false;

  constructor(deps: PayloadJanitorDeps) {
    this.#deps = deps;
    this.#deleted = deps.metrics.counter(metricCatalog.payloadTasksDeleted);
  }

  /** Looks from time to time from now on. */
  start(): void {
    this.#arm(this.#deps.random.next() * janitorIntervalMs);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  /** Looks once. @returns of how many tasks objects were deleted @throws EngineError `UNAVAILABLE` */
  async look(): Promise<number> {
    const { blobs, serves, clock, logger } = this.#deps;
    const census = await blobs.census((taskId) => isTaskId(taskId) && serves(taskId));
    const old = oldTasks(census, clock.now() - this.#keepMs).slice(0, maximumTasksPerLook);
    let deleted = 0;
    for (const taskId of old) {
      if (this.#closed) break;
      const isUnknown = serves(taskId) && (await this.#deps.knows(taskId)) === false;
      // Asked again: the shard may have gone while it was asked.
      if (!isUnknown || !serves(taskId)) continue;
      await blobs.deleteTask(taskId, census.mark);
      deleted += 1;
      this.#deleted.add();
    }
    if (deleted > 0) logger.info({ tasks: deleted }, 'payloads past their retention were deleted');
    return deleted;
  }

  get #keepMs(): number {
    const { finishedRetentionMs, auditWindowMs } = this.#deps.config;
    return Math.max(finishedRetentionMs, auditWindowMs) + janitorMarginMs;
  }

  #arm(delayMs: number): void {
    if (this.#closed) return;
    this.#timer = this.#deps.clock.setTimer(delayMs, () => void this.#tick());
  }

  async #tick(): Promise<void> {
    try {
      await this.look();
    } catch (thrown) {
      this.#deps.logger.warn(
        { err: asError(thrown) },
        'stored payloads could not be looked through; it is tried again',
      );
    }
    this.#arm(janitorIntervalMs);
  }
}

/** Those whose newest object was stored before, the oldest first. */
function oldTasks({ newestAt }: BlobCensus, before: Millis): readonly TaskId[] {
  return [...newestAt]
    .filter(([, storedAt]) => storedAt < before)
    .toSorted(([, left], [, right]) => left - right)
    .map(([taskId]) => taskId as TaskId);
}

function isTaskId(text: string): text is TaskId {
  try {
    return parseTaskId(text) === text;
  } catch {
    return false;
  }
}
