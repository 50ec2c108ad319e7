import { classifyThrown } from '../../../src/actors/classify.ts';
import type { Failure } from '../../../src/core/failures.ts';
import type { Epoch, PipelineName, Sequence, ShardId, StageName, TaskId } from '../../../src/core/ids.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { SystemClock } from '../../../src/platform/system-clock.ts';
import type { AnyDriver, StageContext } from '../../../src/ports/driver.ts';

/** The real time of this machine: these drivers talk to real servers, processes and threads. */
export const clock = new SystemClock();

/** A stage's context as the engine makes one, with what a test wants to see of it. */
export class StageKit {
  readonly abort = new AbortController();
  readonly logger = new MemoryLogger();
  /** Committed checkpoints by name; put one in to play a later attempt. */
  readonly committed = new Map<string, unknown>();
  heartbeats = 0;
  readonly ctx: StageContext;

  constructor(parts: Partial<Pick<StageContext, 'input' | 'outputs' | 'attempt' | 'ports' | 'taskId' | 'fence'>> = {}) {
    this.ctx = {
      taskId: 'task-1' as TaskId,
      pipeline: 'cards' as PipelineName,
      stage: 'export' as StageName,
      attempt: 2,
      input: { url: 'https://example.test/1' },
      outputs: { parse: { title: 'Käse' } },
      idempotencyKey: `cabinet:${parts.taskId ?? 'task-1'}:export`,
      fence: { shard: 3 as ShardId, epoch: 5 as Epoch, sequence: 77 as Sequence },
      signal: this.abort.signal,
      heartbeat: () => {
        this.heartbeats += 1;
      },
      checkpoint: async <Value>(name: string, fn: () => Promise<Value> | Value): Promise<Value> => {
        if (this.committed.has(name)) return this.committed.get(name) as Value;
        const value = await fn();
        this.committed.set(name, value);
        return value;
      },
      log: this.logger,
      ports: {},
      ...parts,
    };
  }

  /** Runs the driver to its end. */
  run(driver: AnyDriver): Promise<unknown> {
    return Promise.resolve(driver.execute(this.ctx));
  }

  /** What the engine records of the error that the driver ends with. */
  async failure(driver: AnyDriver, effect: 'idempotent' | 'atMostOnce' = 'idempotent'): Promise<Failure> {
    return failureOf(() => this.run(driver), effect);
  }
}

/** The failure that the engine makes of what a function rejects with. */
export async function failureOf(
  fn: () => Promise<unknown>,
  effect: 'idempotent' | 'atMostOnce' = 'idempotent',
): Promise<Failure> {
  let value: unknown;
  try {
    value = await fn();
  } catch (thrown) {
    return classifyThrown(thrown, { classify: null, effect });
  }
  throw new Error(`expected a failure, got ${JSON.stringify(value)}`);
}

/** Waits until a condition holds, and says what it waited for when it does not. */
export async function until(what: string, condition: () => boolean, deadlineMs = 15_000): Promise<void> {
  const endAt = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > endAt) throw new Error(`within ${deadlineMs} ms it did not come about that ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}
