import type { EffectEvent } from '../checking/history-events.ts';
import { UncertainError } from '../core/driver-errors.ts';
import type { Millis } from '../core/ids.ts';
import type { LookupContext } from '../ports/driver.ts';
import type { Random } from '../ports/random.ts';
import type { Scheduler } from './scheduler.ts';
import type { SimulatedProcess } from './simulated-process.ts';

/** What an effect gives, the same for every repeat. */
export interface Receipt {
  readonly receipt: string;
}

/** How a driver asks for an effect. */
export interface EffectOptions {
  /** Whether the world knows the key, and answers a repeat with the first result; where not, it does it again. */
  readonly honorsKeys: boolean;
  /** Names one of several effects of a stage. */
  readonly suffix?: string;
}

/** What a driver or lookup is known by. */
export type EffectContext = Pick<LookupContext, 'idempotencyKey' | 'taskId' | 'stage' | 'attempt' | 'fence' | 'signal'>;

/** What the way to the world does. Rates are parts of 1. */
export interface WorldCondition {
  /** Requests that fail for their sender, before or after their effect. */
  failureRate: number;
  /** Longest way there. */
  wayMs: number;
}

interface Fence {
  readonly epoch: number;
  readonly sequence: number;
}

type Executed = Receipt | 'refused';

const leastWayMs = 0.5;
/** A request that fails for its sender comes so much later at most. */
const latestMs = 20_000;
const failureNoticedMs = 1_000;

/**
 * The world outside of the engine. It outlives every process, hears requests of processes that are long dead, remembers the newest
 * fence of each key and the newest epoch of each shard, and refuses older ones.
 */
export class OutsideWorld {
  readonly condition: WorldCondition = { failureRate: 0, wayMs: 20 };
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #now: () => Millis;
  readonly #record: (event: EffectEvent) => void;
  readonly #applied = new Map<string, number>();
  readonly #fences = new Map<string, Fence>();
  readonly #epochs = new Map<number, number>();
  readonly #underWay = new Map<string, number>();

  constructor(deps: {
    readonly scheduler: Scheduler;
    readonly random: Random;
    /** The history's clock. */
    readonly now: () => Millis;
    readonly record: (event: EffectEvent) => void;
  }) {
    this.#scheduler = deps.scheduler;
    this.#random = deps.random;
    this.#now = deps.now;
    this.#record = deps.record;
  }

  /** How often the key's effect has changed the world. */
  appliedCount(key: string): number {
    return this.#applied.get(key) ?? 0;
  }

  /**
   * What an operator finds out before an answer is given for a stage: whether its effect has happened, and that nothing of an older
   * owner will make it happen later; null while a request is on its way.
   */
  inspect(key: string, owner: { readonly shard: number; readonly epoch: number }): 'done' | 'notDone' | null {
    if ((this.#underWay.get(key) ?? 0) > 0) return null;
    this.#epochs.set(owner.shard, Math.max(this.#epochs.get(owner.shard) ?? 0, owner.epoch));
    return this.appliedCount(key) > 0 ? 'done' : 'notDone';
  }

  /** What the effect of a key gives. */
  static receiptOf(key: string): Receipt {
    return { receipt: `receipt for ${key}` };
  }

  /**
   * Asks for an effect.
   *
   * @throws UncertainError when the request or its answer was lost: the effect may have happened, or may yet; `fenced` as an Error when
   *   a newer fence is known
   */
  async apply(process: SimulatedProcess, ctx: EffectContext, options: EffectOptions): Promise<Receipt> {
    const key = `${ctx.idempotencyKey}${options.suffix ?? ''}`;
    const executed = await this.#reach(process, ctx, key, () => this.#execute(ctx, key, options.honorsKeys));
    if (executed !== 'refused') return executed;
    throw new UncertainError(`the world knows a newer owner of ${key}`, { code: 'FENCED' });
  }

  /** Asks whether the effect has happened. The question moves the fence too, so that its answer stays true. */
  async lookUp(process: SimulatedProcess, ctx: EffectContext): Promise<Receipt | 'notDone' | 'refused'> {
    const key = ctx.idempotencyKey;
    return this.#reach(process, ctx, key, () => {
      if (!this.#admit(key, ctx.fence)) return 'refused';
      return this.appliedCount(key) > 0 ? OutsideWorld.receiptOf(key) : 'notDone';
    });
  }

  #reach<Answer>(
    process: SimulatedProcess,
    ctx: Pick<EffectContext, 'signal'>,
    key: string,
    execute: () => Answer,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { signal } = ctx;
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const abort = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      const settle = (run: () => void): void => {
        signal.removeEventListener('abort', abort);
        run();
      };
      const { failureRate, wayMs } = this.condition;
      const fails = failureRate > 0 && this.#random.next() < failureRate;
      const isLost = fails && this.#random.next() < 0.5;
      const outMs = leastWayMs + this.#random.next() * (fails ? latestMs : wayMs);
      if (!isLost) {
        this.#underWay.set(key, (this.#underWay.get(key) ?? 0) + 1);
        this.#scheduler.after(outMs, 'to the world', () => {
          this.#underWay.set(key, (this.#underWay.get(key) ?? 1) - 1);
          const answer = execute();
          if (fails) return;
          const backMs = leastWayMs + this.#random.next() * wayMs;
          this.#scheduler.after(backMs, 'from the world', () => process.enter(() => settle(() => resolve(answer))));
        });
      }
      if (!fails) return;
      process.clock.setTimer(this.#random.next() * failureNoticedMs, () =>
        settle(() => reject(new UncertainError('the link broke', { code: 'ECONNRESET' }))),
      );
    });
  }

  #execute(ctx: EffectContext, key: string, honorsKeys: boolean): Executed {
    const { taskId, stage, attempt, fence } = ctx;
    const result = this.#judge(key, fence, honorsKeys);
    const { shard, epoch, sequence } = fence;
    this.#record({
      type: 'effect',
      task: taskId,
      stage,
      attempt,
      key,
      fence: { shard, epoch, sequence },
      result,
      ...(result === 'refused' ? {} : OutsideWorld.receiptOf(key)),
      honorsKeys,
      at: this.#now(),
    });
    return result === 'refused' ? 'refused' : OutsideWorld.receiptOf(key);
  }

  #judge(key: string, fence: EffectContext['fence'], honorsKeys: boolean): EffectEvent['result'] {
    if (!this.#admit(key, fence)) return 'refused';
    if (honorsKeys && this.appliedCount(key) > 0) return 'replayed';
    this.#applied.set(key, this.appliedCount(key) + 1);
    return 'applied';
  }

  #admit(key: string, fence: EffectContext['fence']): boolean {
    const epoch = this.#epochs.get(fence.shard) ?? 0;
    const known = this.#fences.get(key);
    if (fence.epoch < epoch || (known !== undefined && isOlder(fence, known))) return false;
    this.#epochs.set(fence.shard, fence.epoch);
    this.#fences.set(key, { epoch: fence.epoch, sequence: fence.sequence });
    return true;
  }
}

function isOlder(fence: Fence, than: Fence): boolean {
  return fence.epoch < than.epoch || (fence.epoch === than.epoch && fence.sequence < than.sequence);
}
