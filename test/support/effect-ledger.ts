import type { Fence, StageContext } from '../../src/index.ts';

/** One time that a driver reached the outside world. */
export interface Reach {
  readonly task: string;
  readonly stage: string;
  readonly key: string;
  readonly attempt: number;
  readonly fence: Fence;
}

/** An outside world that honors keys: a key's effect is applied once, and a repeat gets the first result. */
export class EffectLedger {
  readonly reached: Reach[] = [];
  /** Whether what some tasks need is out of order. */
  isBroken = true;
  readonly #applied = new Map<string, string>();

  /** How many effects were applied, of one task or of all. */
  appliedCount(task?: string): number {
    return [...this.#applied.keys()].filter((key) => task === undefined || key.split(':')[1] === task).length;
  }

  apply(ctx: Pick<StageContext, 'taskId' | 'stage' | 'idempotencyKey' | 'attempt' | 'fence'>): string {
    const { taskId, stage, idempotencyKey: key, attempt, fence } = ctx;
    this.reached.push({ task: taskId, stage, key, attempt, fence });
    const known = this.#applied.get(key);
    if (known !== undefined) return known;
    const result = `${stage}-of-${taskId}-${this.#applied.size + 1}`;
    this.#applied.set(key, result);
    return result;
  }

  /** What breaks R-IDEM-1 here: another key of one stage, an attempt that does not grow, a fence that goes back. */
  violations(): string[] {
    const last = new Map<string, Reach>();
    const found: string[] = [];
    for (const reach of this.reached) {
      const name = `${reach.task}/${reach.stage}`;
      const before = last.get(name);
      last.set(name, reach);
      if (before === undefined) continue;
      if (before.key !== reach.key) found.push(`${name}: key ${reach.key} after ${before.key}`);
      if (before.attempt >= reach.attempt) found.push(`${name}: attempt ${reach.attempt} after ${before.attempt}`);
      if (!isNewer(reach.fence, before.fence)) found.push(`${name}: a fence went back`);
    }
    return found;
  }

  /** The output that the stage's effect gave. */
  outputOf(key: string): string | undefined {
    return this.#applied.get(key);
  }
}

function isNewer(fence: Fence, before: Fence): boolean {
  return fence.epoch > before.epoch || (fence.epoch === before.epoch && fence.sequence > before.sequence);
}
