import { evolve } from '../actors/evolve.ts';
import { isFinished, positionOf, type TaskState } from '../actors/task-state.ts';
import { EngineError } from '../core/errors.ts';
import type { StageName } from '../core/ids.ts';
import type { Payload, TaskEvent, TaskRecord } from '../core/records.ts';
import { attemptsUsed } from '../pipeline/control.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';

/**
 * Why a record cannot be what happened next to its task, by the rule that it breaks.
 *
 * - `noSubmit`: the task's first record is not its submit; `submittedAgain`: a later one is
 * - `afterEnd`: the task had ended, or was a dead letter and is not redriven
 * - `completesAgain`: the stage has a recorded result
 * - `attempt`: it is about another attempt than the one that is due; `overLimit`: it grants one attempt too many
 * - `gap`: it is not the task's next by count
 * - `refused`: the pipeline's machine does not take it; `elsewhere`: it leads to another state than the record says
 */
export type ReplayFaultKind =
  | 'noSubmit'
  | 'submittedAgain'
  | 'afterEnd'
  | 'completesAgain'
  | 'attempt'
  | 'overLimit'
  | 'gap'
  | 'refused'
  | 'elsewhere';

/** Why a record could not be replayed. */
export interface ReplayFault {
  readonly kind: ReplayFaultKind;
  readonly detail: string;
}

/** The state after a record, or why there is none. Pure. */
export type Replayed = { readonly state: TaskState } | { readonly fault: ReplayFault };

/** Replays one record and names the rule that it breaks, the most telling one first. Pure. */
export function replayRecord(input: {
  readonly registry: PipelineRegistry;
  readonly state: TaskState | null;
  readonly record: TaskRecord;
  readonly dedupWindowSize: number;
}): Replayed {
  const { registry, state, record, dedupWindowSize } = input;
  const { event } = record;
  const pipeline = event.type === 'task.submitted' ? event : state;
  if (pipeline === null) return faulty('noSubmit', `begins with ${event.type}`);
  const definition = findDefinition(registry, pipeline);
  if (definition instanceof EngineError) return faulty('refused', definition.message);
  const broken = state === null ? null : brokenRule(state, record, definition);
  if (broken !== null) return { fault: broken };
  const { task: taskId, at } = record;
  const evolution = evolve({ definition, taskId, state, event, at, dedupWindowSize });
  if (evolution.kind === 'refused') {
    return faulty('refused', `${event.type} is refused in ${state?.machine.value ?? 'new'}: ${evolution.reason}`);
  }
  const reached = evolution.state.machine.value;
  if (reached !== record.to) return faulty('elsewhere', `${event.type} leads to ${reached}, not to ${record.to}`);
  if (record.seq !== evolution.state.seq) {
    return faulty('gap', `has record ${record.seq} where ${evolution.state.seq} is due`);
  }
  return { state: evolution.state };
}

function brokenRule(state: TaskState, record: TaskRecord, definition: PipelineDefinition): ReplayFault | null {
  const { event, seq } = record;
  const { value, control } = state.machine;
  if (event.type === 'task.submitted') return fault('submittedAgain', `is submitted again as record ${seq}`);
  if (isFinished(state)) return fault('afterEnd', `goes on with ${event.type} after ${value}`);
  const completion = completionIn(event);
  if (completion !== null && Object.hasOwn(state.outputs, completion.stage)) {
    return fault('completesAgain', `completes ${completion.stage} again, with attempt ${completion.attempt}`);
  }
  const { status, stage } = positionOf(value);
  if (status === 'deadLettered' && event.type !== 'task.redriven') {
    return fault('afterEnd', `goes on with ${event.type} after ${value}`);
  }
  const attempt = attemptOf(event);
  const isStart = event.type === 'stage.started' || event.type === 'retry.due';
  const due = isStart ? control.attempt + 1 : control.attempt;
  if (attempt !== null && 'stage' in event && event.stage === stage && attempt !== due) {
    return fault('attempt', `${event.type} is about attempt ${attempt} of ${stage}, where ${due} is due`);
  }
  if (event.type === 'stage.failed' && event.decision.kind === 'retry' && event.stage === stage) {
    const { maxAttempts } = definition.stage(event.stage).retry;
    const used = attemptsUsed(control);
    if (used >= maxAttempts)
      return fault('overLimit', `is retried after ${used} of ${maxAttempts} attempts of ${stage}`);
  }
  if (seq !== state.seq + 1) return fault('gap', `has record ${seq} after ${state.seq}`);
  return null;
}

function findDefinition(
  registry: PipelineRegistry,
  { pipeline, version }: { readonly pipeline: string; readonly version: number },
): PipelineDefinition | EngineError {
  try {
    return registry.find(pipeline, version);
  } catch (thrown) {
    if (thrown instanceof EngineError) return thrown;
    throw thrown;
  }
}

/** The result of a stage that an event records, by its driver, a lookup or an operator; null when it records none. */
export function completionIn(
  event: TaskEvent,
): { readonly stage: StageName; readonly attempt: number; readonly output: Payload } | null {
  if (event.type === 'stage.completed') return event;
  if (event.type !== 'outcome.resolved' || event.resolution.kind !== 'completed') return null;
  const { stage, attempt, resolution } = event;
  return { stage, attempt, output: resolution.output };
}

function attemptOf(event: TaskEvent): number | null {
  return 'attempt' in event ? event.attempt : null;
}

function fault(kind: ReplayFaultKind, detail: string): ReplayFault {
  return { kind, detail };
}

function faulty(kind: ReplayFaultKind, detail: string): Replayed {
  return { fault: { kind, detail } };
}
