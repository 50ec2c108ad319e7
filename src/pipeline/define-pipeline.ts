import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { RetryPolicy } from '../core/backoff.ts';
import { assert, EngineError } from '../core/errors.ts';
import type { StageName } from '../core/ids.ts';
import type { Classify, Driver, StageContext } from '../ports/driver.ts';
import { checkPipelineOptions, checkStages, type StageDraft } from './check-definition.ts';
import { checkMachine } from './check-machine.ts';
import type { PipelineDefinition, SkipRule, StageEffect } from './definition.ts';
import { fingerprintOf } from './fingerprint.ts';
import { buildMachine } from './machine.ts';
import { planOf } from './transition-plan.ts';

/** A driver that is only its `execute`. */
export type DriverFunction<Input, Outputs, Output> = (ctx: StageContext<Input, Outputs>) => Promise<Output> | Output;

/** What the author says of one stage. */
export interface StageOptions<Input, Outputs, Output extends StandardSchemaV1, Reason extends string = string> {
  /** What the driver's result must satisfy; what the schema gives out is what is kept. */
  readonly output: Output;
  /** Does the stage's work; a bare function is taken as its `execute`. */
  readonly driver:
    | Driver<Input, Outputs, StandardSchemaV1.InferInput<Output>>
    | DriverFunction<Input, Outputs, StandardSchemaV1.InferInput<Output>>;
  /**
   * `maxAttempts` is required; the rest has the defaults of `retryDefaults`. An `atMostOnce` stage retries only `retryable` and
   * `rateLimited`: after any other failure its effect may have happened.
   */
  readonly retry: Partial<RetryPolicy> & Pick<RetryPolicy, 'maxAttempts'>;
  /** Start to close of one attempt: 1 ms to 30 days. */
  readonly timeoutMs: number;
  /** Longest silence of a running attempt, at most `timeoutMs`; none is asked when left out. */
  readonly heartbeatTimeoutMs?: number | null;
  /** Limit over all attempts, from when the stage is first queued, at least `timeoutMs`; none when left out. */
  readonly deadlineMs?: number | null;
  /** Attempts of this stage that run at one time on a node; only the node's own limit when left out. */
  readonly concurrency?: number | null;
  /**
   * The integration that the stage depends on: `^[a-z][a-z0-9-]{0,62}$`. When it fails again and again, a node holds back the stages
   * of all pipelines that name it, tries it one attempt at a time, and lets them go on when it works. None when left out.
   */
  readonly port?: string | null;
  /** `idempotent` when left out. */
  readonly effect?: StageEffect;
  /** The only way past the stage: without it, the stage always runs. */
  readonly skip?: (SkipRule<Input, Outputs> & { readonly reason: Reason }) | null;
  readonly classify?: Classify | null;
}

/** The outputs with one more stage; a stage that may be skipped, for a reason, may have none. */
export type WithOutput<
  Outputs,
  Name extends string,
  Output extends StandardSchemaV1,
  Reason extends string,
> = Outputs & {
  readonly [Stage in Name]: [Reason] extends [never]
    ? StandardSchemaV1.InferOutput<Output>
    : StandardSchemaV1.InferOutput<Output> | undefined;
};

/** Collects the stages of a pipeline, in order; each sees the outputs of those before it. */
export class PipelineBuilder<Input, Outputs> {
  readonly #drafts: readonly StageDraft[];

  private constructor(drafts: readonly StageDraft[]) {
    this.#drafts = drafts;
  }

  /** A builder without stages. */
  static empty<Input>(): PipelineBuilder<Input, unknown> {
    return new PipelineBuilder<Input, unknown>([]);
  }

  /** The stages of a builder, in order. */
  static draftsOf(builder: PipelineBuilder<never, unknown>): readonly StageDraft[] {
    return builder.#drafts;
  }

  /** A builder with one more stage at the end. The name: `^[a-z][a-z0-9-]{0,62}$`, unique. */
  stage<const Name extends string, Output extends StandardSchemaV1, Reason extends string = never>(
    name: Name,
    options: StageOptions<Input, Outputs, Output, Reason>,
  ): PipelineBuilder<Input, WithOutput<Outputs, Name, Output, Reason>> {
    return new PipelineBuilder([...this.#drafts, { name, options }]);
  }
}

/** What the author says of a pipeline. */
export interface PipelineOptions<Schema extends StandardSchemaV1, Outputs> {
  /** `^[a-z][a-z0-9-]{0,62}$`. */
  readonly name: string;
  /** A positive integer; a change of the definition needs a new one. */
  readonly version: number;
  /** What a submitted input must satisfy; what the schema gives out is what drivers see. */
  readonly input: Schema;
  /** The stages in order: `(pipeline) => pipeline.stage('parse', { … }).stage('photos', { … })`. */
  readonly stages: (
    pipeline: PipelineBuilder<StandardSchemaV1.InferOutput<Schema>, unknown>,
  ) => PipelineBuilder<StandardSchemaV1.InferOutput<Schema>, Outputs>;
}

/** A definition that knows its input's schema too. */
export type DefinedPipeline<Schema extends StandardSchemaV1, Outputs> = PipelineDefinition<
  StandardSchemaV1.InferOutput<Schema>,
  Outputs
> & { readonly input: Schema };

/** A task's input as the drivers of a pipeline see it. */
export type InputOf<Definition> = Definition extends PipelineDefinition<infer Input, infer _Outputs> ? Input : never;

/** A task's input as a client submits it, before the schema's defaults and changes. */
export type SubmittedInputOf<Definition extends { readonly input: StandardSchemaV1 }> = StandardSchemaV1.InferInput<
  Definition['input']
>;

/** The results of a pipeline's stages, by stage. */
export type OutputsOf<Definition extends { readonly outputTypes?: unknown }> = NonNullable<Definition['outputTypes']>;

/**
 * A checked pipeline: its stages in the order given, and the machine whose states they are.
 *
 * @throws EngineError `PIPELINE_INVALID` or `RETRY_POLICY_INVALID`; message and `field` name the path, such as
 *   `stages.photos.retry.maxAttempts`
 */
export function definePipeline<Schema extends StandardSchemaV1, Outputs>(
  options: PipelineOptions<Schema, Outputs>,
): DefinedPipeline<Schema, Outputs> {
  const { name, version, input, stages: describe } = checkPipelineOptions(options);
  const stages = checkStages(collectDrafts(describe as (builder: unknown) => unknown));
  const machine = buildMachine(name, version, stages);
  checkMachine(machine);
  const stagesByName = new Map(stages.map((stage) => [stage.name, stage]));
  const definition: PipelineDefinition = {
    name,
    version,
    fingerprint: fingerprintOf({ name, version, stages }),
    input,
    stages,
    machine,
    plan: planOf(machine),
    stage(stageName: StageName) {
      const stage = stagesByName.get(stageName);
      assert(stage !== undefined, () => `pipeline ${name} version ${version} has no stage ${stageName}`);
      return stage;
    },
  };
  return Object.freeze(definition) as DefinedPipeline<Schema, Outputs>;
}

function collectDrafts(describe: (builder: unknown) => unknown): readonly StageDraft[] {
  const result = describe(PipelineBuilder.empty());
  if (result instanceof PipelineBuilder) return PipelineBuilder.draftsOf(result);
  const limit = 'the builder that pipeline.stage(…) gives';
  throw new EngineError('PIPELINE_INVALID', `stages must return ${limit}`, { field: 'stages', limit, got: result });
}
