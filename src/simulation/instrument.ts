import type { DriverOutcome, HistoryEvent, ProcessName } from '../checking/history-events.ts';
import { contentHash } from '../core/hash.ts';
import type { Millis } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';
import type { PipelineDefinition, StageSpec } from '../pipeline/definition.ts';
import type { Fence, StageContext } from '../ports/driver.ts';

/** Who is told of the drivers. */
export interface DriverWatch {
  readonly now: () => Millis;
  readonly record: (event: HistoryEvent) => void;
  /** The process that owns a shard under that fence. */
  readonly ownerOf: (fence: Fence) => ProcessName;
  /** Whether what drivers return is recorded as it is: no schema changes it. */
  readonly keepsOutputs: boolean;
}

/** The same pipeline, whose drivers tell when they are called and what they come to. */
export function instrumentPipeline(definition: PipelineDefinition, watch: DriverWatch): PipelineDefinition {
  const stages = definition.stages.map((spec) => instrumentStage(spec, watch));
  const byName = new Map(stages.map((spec) => [spec.name, spec]));
  return Object.freeze<PipelineDefinition>({
    ...definition,
    stages,
    stage: (name) => byName.get(name) ?? definition.stage(name),
  });
}

function instrumentStage(spec: StageSpec, watch: DriverWatch): StageSpec {
  const { driver } = spec;
  const execute = async (ctx: StageContext): Promise<unknown> => {
    const { taskId: task, stage, attempt, fence, idempotencyKey: key } = ctx;
    const { shard, epoch, sequence } = fence;
    const where = { task, stage, attempt, ...watch.ownerOf(fence) };
    watch.record({ type: 'driver.started', ...where, key, fence: { shard, epoch, sequence }, at: watch.now() });
    const end = (outcome: DriverOutcome): void =>
      watch.record({ type: 'driver.ended', ...where, outcome, at: watch.now() });
    try {
      const returned = await driver.execute(ctx);
      if (ctx.signal.aborted) end({ kind: 'aborted' });
      else end({ kind: 'completed', ...(watch.keepsOutputs ? { outputHash: hashOf(returned) } : {}) });
      return returned;
    } catch (thrown) {
      end(ctx.signal.aborted ? { kind: 'aborted' } : { kind: 'failed' });
      throw thrown;
    }
  };
  return {
    ...spec,
    driver: driver.lookup === undefined ? { execute } : { execute, lookup: (ctx) => driver.lookup?.(ctx) ?? unknown },
  };
}

const unknown = Promise.resolve({ kind: 'unknown' } as const);

function hashOf(returned: unknown): string {
  return contentHash((returned ?? null) as JsonValue);
}
