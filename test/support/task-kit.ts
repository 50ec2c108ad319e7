import { evolve } from '../../src/actors/evolve.ts';
import type { TaskState } from '../../src/actors/task-state.ts';
import { contentHash } from '../../src/core/hash.ts';
import type { StageName } from '../../src/core/ids.ts';
import type { TaskEvent, TaskRecord } from '../../src/core/records.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import { taskOf } from './shard-kit.ts';

/** A task as its records make it, with those records. */
export interface BuiltTask {
  readonly state: TaskState;
  readonly records: readonly TaskRecord[];
}

const at = 1_700_000_000_000;

/** The task after these events. @throws Error when the machine refuses one */
export function aTask(definition: PipelineDefinition, id: string, events: readonly TaskEvent[]): BuiltTask {
  let state: TaskState | null = null;
  const records: TaskRecord[] = [];
  for (const event of events) {
    const evolution = evolve({ definition, taskId: taskOf(id), state, event, at, dedupWindowSize: 32 });
    if (evolution.kind === 'refused') throw new Error(`${event.type} is refused: ${evolution.reason}`);
    state = evolution.state;
    records.push(evolution.record);
  }
  if (state === null) throw new Error('a task needs an event');
  return { state, records };
}

/** The submit of a task whose first stage starts at once. */
export function submitted(definition: PipelineDefinition, input = 'in'): TaskEvent {
  return {
    type: 'task.submitted',
    pipeline: definition.name,
    version: definition.version,
    input: { json: input },
    inputHash: contentHash(input),
    origin: { commandId: 'c-submit' as never },
    next: definition.stages[0]?.name ?? null,
    skipped: [],
    start: true,
  };
}

/** The end of a stage, after which the next one starts at once; null ends the task. */
export function stageCompleted(stage: string, next: string | null, output = 'out'): TaskEvent {
  const { json } = { json: output };
  return {
    type: 'stage.completed',
    stage: stage as StageName,
    attempt: 1,
    output: { json },
    next: next as StageName | null,
    skipped: [],
    start: next !== null,
  };
}

/** The task is canceled. */
export const canceled: TaskEvent = { type: 'task.canceled', origin: { commandId: 'c-cancel' as never } };

/** A live task of `card`, in its first stage; each distinct `input` is a newer state of it. */
export function aLiveTask(definition: PipelineDefinition, id: string, input = 'in'): TaskState {
  return aTask(definition, id, [submitted(definition, input)]).state;
}

/** A task that was canceled in its first stage. */
export function aFinishedTask(definition: PipelineDefinition, id: string): TaskState {
  return aTask(definition, id, [submitted(definition), canceled]).state;
}
