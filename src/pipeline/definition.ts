import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { AnyStateMachine } from 'xstate';
import type { RetryPolicy } from '../core/backoff.ts';
import type { PipelineName, PortName, StageName } from '../core/ids.ts';
import type { AnyDriver, Classify } from '../ports/driver.ts';
import type { TransitionPlan } from './transition-plan.ts';

/** What a declared skip may look at: the task's input and the results of the stages before. */
export interface SkipContext<Input = unknown, Outputs = Readonly<Record<string, unknown>>> {
  readonly input: Input;
  readonly outputs: Outputs;
}

/** A declared skip: the only way past a stage. Pure; a `when` that throws fails the stage before it, without a retry. */
export interface SkipRule<Input = unknown, Outputs = Readonly<Record<string, unknown>>> {
  /** What the operator reads, such as "the card has no photos". */
  readonly reason: string;
  readonly when: (ctx: SkipContext<Input, Outputs>) => boolean;
}

/** Whether an interrupted stage may simply run again: its effect is idempotent by its key, or it may happen at most once. */
export type StageEffect = 'idempotent' | 'atMostOnce';

/** One stage of a pipeline, checked and complete, as the engine uses it. */
export interface StageSpec {
  readonly name: StageName;
  /** 0 for the first stage. */
  readonly index: number;
  readonly output: StandardSchemaV1;
  readonly driver: AnyDriver;
  readonly retry: RetryPolicy;
  /** Start to close of one attempt. */
  readonly timeoutMs: number;
  /** Longest silence between two heartbeats of a running attempt; null: none are asked. */
  readonly heartbeatTimeoutMs: number | null;
  /** From the first time that the stage is queued to its end, over all attempts; null: no limit but the retry policy's. */
  readonly deadlineMs: number | null;
  /** Attempts of this stage that run at one time on a node; null: only the node's limit. */
  readonly concurrency: number | null;
  /** The integration that the stage depends on: while it fails, a node holds the stage back; null: none is named. */
  readonly port: PortName | null;
  readonly effect: StageEffect;
  readonly skip: SkipRule | null;
  readonly classify: Classify | null;
}

/** A pipeline, checked: its stages and the machine whose states they are. `Input` and `Outputs` are types only. */
export interface PipelineDefinition<Input = unknown, Outputs = Readonly<Record<string, unknown>>> {
  readonly name: PipelineName;
  /** A positive integer. A task stays with the version it was submitted to. */
  readonly version: number;
  /** Hash of all that decides a task's path; the same version with another fingerprint is refused. */
  readonly fingerprint: string;
  readonly input: StandardSchemaV1<unknown, Input>;
  readonly stages: readonly StageSpec[];
  readonly machine: AnyStateMachine;
  /** The machine's transitions, ready to be looked up. */
  readonly plan: TransitionPlan;
  /** The stage of that name. @throws InvariantViolation when there is none */
  stage(name: StageName): StageSpec;
  /** Carries the outputs' types; never set. */
  readonly outputTypes?: Outputs;
}
