import type { TaskId } from '../core/ids.ts';
import type { PipelineDefinition, StageSpec } from '../pipeline/definition.ts';
import type { Fence } from '../ports/driver.ts';
import type { SpanAttributes, TraceSpan, Tracing } from '../ports/tracing.ts';

/** The attempt that a span is about. */
interface TracedAttempt {
  readonly taskId: TaskId;
  readonly definition: PipelineDefinition;
  readonly spec: StageSpec;
  readonly attempt: number;
  readonly fence: Fence;
  readonly traceparent?: string | undefined;
}

/**
 * The span of one attempt: a trace of its own, for a stage runs later than its submit, perhaps days, perhaps on another node; it is
 * linked to the trace of whoever asked for the task. Spans that the driver makes are its children.
 */
export function startAttemptSpan(tracing: Tracing, traced: TracedAttempt, namespace: string): TraceSpan {
  const { spec, traceparent } = traced;
  return tracing.start({
    name: `process stage.${spec.name}`,
    kind: 'consumer',
    attributes: attributesOf(traced, namespace),
    parent: 'none',
    follows: traceparent,
  });
}

function attributesOf({ taskId, definition, spec, attempt, fence }: TracedAttempt, namespace: string): SpanAttributes {
  return {
    'messaging.system': 'nats',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.template': 'stage.{stage}',
    'messaging.destination.name': `stage.${spec.name}`,
    'messaging.destination.partition.id': String(fence.shard),
    'messaging.consumer.group.name': namespace,
    'messaging.message.conversation_id': taskId,
    'cabinet.pipeline': definition.name,
    'cabinet.pipeline.version': definition.version,
    'cabinet.stage': spec.name,
    'cabinet.attempt': attempt,
    'cabinet.epoch': fence.epoch,
  };
}
