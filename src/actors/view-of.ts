import type { Epoch, NodeId, ShardId } from '../core/ids.ts';
import type { Payload } from '../core/records.ts';
import type { PayloadView, TaskView } from '../core/task-view.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import { legalCommands } from '../pipeline/machine-step.ts';
import { positionOf, type TaskState } from './task-state.ts';

/** A task as a client or an operator sees it. Pure. */
export function viewOf(
  state: TaskState,
  context: {
    readonly definition: PipelineDefinition;
    readonly shard: ShardId;
    readonly owner: { readonly node: NodeId; readonly epoch: Epoch } | null;
    /** `outputs`: what a caller that waits for the result needs. */
    readonly payloads: 'none' | 'outputs' | 'all';
  },
): TaskView {
  const { status, stage } = positionOf(state.machine.value);
  const { attempt, dueAt, pausing } = state.machine.control;
  return {
    taskId: state.taskId,
    pipeline: state.pipeline,
    version: state.version,
    shard: context.shard,
    state: state.machine.value,
    status,
    stage,
    attempt: stage === null ? 0 : attempt,
    dueAt,
    pausing,
    submittedAt: state.submittedAt,
    updatedAt: state.updatedAt,
    endedAt: state.endedAt,
    inputHash: state.inputHash,
    seq: state.seq,
    failure: state.failure,
    stages: state.stages.map((progress, index) => ({
      ...progress,
      checkpoints: index === state.stages.length - 1 ? Object.keys(state.checkpoints) : [],
    })),
    legalCommands: legalCommands(context.definition, state.machine.value, state.machine.control),
    owner: context.owner,
    ...(context.payloads === 'all' ? { input: shown(state.input) } : {}),
    ...(context.payloads === 'none' ? {} : { outputs: outputsOf(state) }),
  };
}

/** The results of the completed stages, as they are shown. */
export function outputsOf({ outputs }: Pick<TaskState, 'outputs'>): Record<string, PayloadView> {
  const views: Record<string, PayloadView> = {};
  // Stage names are checked: none of them is a key that an object has already.
  for (const stage in outputs) {
    const payload = outputs[stage];
    if (payload !== undefined) views[stage] = shown(payload);
  }
  return views;
}

function shown(payload: Payload): PayloadView {
  return 'json' in payload ? payload.json : { $blob: payload.blob };
}
