import type { Failure } from '../core/failures.ts';
import type { Epoch, PipelineName, Sequence, ShardId, StageName, TaskId } from '../core/ids.ts';
import type { Logger } from './logger.ts';

/**
 * What lets the outside tell a late attempt of an old owner from a current one.
 *
 * A receiver remembers the highest `(epoch, sequence)`, in that order, for each idempotency key and refuses older ones. Across keys
 * of one shard only the epoch grows: stages of several tasks run side by side, and a lower sequence there is no older owner.
 */
export interface Fence {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  /** The journal sequence of the commit that recorded the start. */
  readonly sequence: Sequence;
}

/** What a driver gets for one attempt of one stage. It has no way to choose the next stage, to schedule or to retry. */
export interface StageContext<
  Input = unknown,
  Outputs = Readonly<Record<string, unknown>>,
  Ports = Readonly<Record<string, unknown>>,
> {
  readonly taskId: TaskId;
  readonly pipeline: PipelineName;
  readonly stage: StageName;
  /** From 1; grows with every start, also after an interruption. */
  readonly attempt: number;
  /** Frozen, as `outputs` are: what an attempt changed in place would be the next one's input. */
  readonly input: Input;
  /** Results of the stages before this one; a skipped stage has none. */
  readonly outputs: Outputs;
  /** The same on every attempt of this stage of this task, on every node, also after a redrive. */
  readonly idempotencyKey: string;
  readonly fence: Fence;
  /** Aborts on timeout, cancel, lost lease or shutdown; `signal.reason` is an Error that says which. */
  readonly signal: AbortSignal;
  /** Tells that the attempt still makes progress; needed at least once a `heartbeatTimeoutMs`. */
  heartbeat(): void;
  /**
   * A durable sub-step: runs `fn`, commits its JSON value under `name`, and resolves when that is committed. On a later
   * attempt it gives the committed value and does not run `fn`. Names are unique within the stage.
   *
   * @throws EngineError `INVALID_ARGUMENT` for a bad name (`^[a-z0-9][A-Za-z0-9_.-]{0,127}$`) or over the checkpoint limit, and
   *   what `fn` throws
   */
  checkpoint<Value>(name: string, fn: () => Promise<Value> | Value): Promise<Value>;
  readonly log: Logger;
  /** The user's integrations, as given to the node. */
  readonly ports: Ports;
}

/** What a lookup is told: the stage whose outcome is not known. */
export type LookupContext<
  Input = unknown,
  Outputs = Readonly<Record<string, unknown>>,
  Ports = Readonly<Record<string, unknown>>,
> = Omit<StageContext<Input, Outputs, Ports>, 'heartbeat' | 'checkpoint'>;

/** What the outside knows of an effect. `done` carries the stage's output. */
export type LookupAnswer<Output> =
  { readonly kind: 'done'; readonly output: Output } | { readonly kind: 'notDone' } | { readonly kind: 'unknown' };

/** Does one stage's work in the outside world. Stateless; the same input and key have one effect. */
export interface Driver<Input = never, Outputs = never, Output = unknown> {
  /**
   * Does the stage's work and returns its JSON result.
   *
   * @throws RetryableError, FatalError, RateLimitedError; anything else goes through the stage's `classify`
   */
  execute(ctx: StageContext<Input, Outputs>): Promise<Output> | Output;
  /** Asks the outside whether the effect of `ctx.idempotencyKey` has happened, after its owner died. Changes nothing. */
  lookup?(ctx: LookupContext<Input, Outputs>): Promise<LookupAnswer<Output>>;
}

/** A driver of any types, as the engine holds it. */
export type AnyDriver = {
  execute(ctx: StageContext): unknown;
  lookup?: ((ctx: LookupContext) => Promise<LookupAnswer<unknown>>) | undefined;
};

/** A stage's own view of an error: a failure without its decision, or undefined to leave it to the default. */
export type Classify = (error: Error) => (Partial<Failure> & Pick<Failure, 'class'>) | undefined;
