import type { PipelineName, StageName, TaskId } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';
import { count, listOf, membersOf, name, ordinal, type Shape } from '../core/shape.ts';
import type { Fence, LookupContext, StageContext } from '../ports/driver.ts';

/** One attempt of one stage as JSON: what every driver outside the engine's own thread is told. */
export interface StageRequest {
  readonly taskId: TaskId;
  readonly pipeline: PipelineName;
  readonly stage: StageName;
  readonly attempt: number;
  readonly idempotencyKey: string;
  readonly fence: Fence;
  readonly input: JsonValue;
  readonly outputs: Readonly<Record<string, JsonValue>>;
}

/** What of a stage's context is data. */
export function stageRequestOf(ctx: StageContext | LookupContext): StageRequest {
  const { taskId, pipeline, stage, attempt, idempotencyKey, fence } = ctx;
  return {
    taskId,
    pipeline,
    stage,
    attempt,
    idempotencyKey,
    fence: { shard: fence.shard, epoch: fence.epoch, sequence: fence.sequence },
    input: ctx.input as JsonValue,
    outputs: ctx.outputs as Readonly<Record<string, JsonValue>>,
  };
}

const isObject: Shape = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? null : ' must be an object';

/** The shape of a {@link StageRequest} that came over a wire. */
export const stageRequestShape: Shape = membersOf({
  taskId: name,
  pipeline: name,
  stage: name,
  attempt: ordinal,
  idempotencyKey: name,
  fence: membersOf({ shard: count, epoch: count, sequence: count }),
  outputs: isObject,
});

/** A list of objects. */
export const objectList: Shape = listOf(isObject);
