import { positionOf, type TaskState } from '../actors/task-state.ts';
import type { TaskOutlook } from '../core/task-outlook.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import { acceptedEvents } from '../pipeline/machine-step.ts';
import type { StageHost } from './stage-host.ts';

/** What the shard's owner knows of a task beside its committed facts, at this moment. */
export function outlookOf(
  { taskId, machine }: TaskState,
  definition: PipelineDefinition,
  stages: Pick<StageHost, 'waitsOf' | 'lookupOf'>,
): TaskOutlook {
  const { status, stage } = positionOf(machine.value);
  const spec = stage === null ? null : definition.stage(stage);
  return {
    stage: spec === null ? null : { concurrency: spec.concurrency, port: spec.port, timeoutMs: spec.timeoutMs },
    legalEvents: acceptedEvents(definition, machine.value, machine.control),
    waits: spec === null ? [] : stages.waitsOf(taskId, status, spec),
    lookup: status === 'unknown' ? stages.lookupOf(taskId) : 'none',
  };
}
