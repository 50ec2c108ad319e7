import { assert, EngineError, unreachable } from '../core/errors.ts';
import type { CommandOrigin, Continuation, TaskEvent, TaskRecord } from '../core/records.ts';
import type { Millis, StageName, TaskId } from '../core/ids.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import { initialStep, step, type MachineState } from '../pipeline/machine-step.ts';
import { positionOf, type RecordedCommand, type StageProgress, type TaskState } from './task-state.ts';

/** What an event makes of a task: its next state with the record that tells of it, or the machine's refusal. */
export type Evolution =
  | { readonly kind: 'moved'; readonly state: TaskState; readonly record: TaskRecord }
  | { readonly kind: 'refused'; readonly reason: string };

/**
 * Applies one event to a task. The only way a task's state changes, both when it is decided and when it is replayed. Pure.
 *
 * @param state - null for a task that does not exist yet; then only `task.submitted` is accepted
 */
export function evolve(input: {
  readonly definition: PipelineDefinition;
  readonly taskId: TaskId;
  readonly state: TaskState | null;
  readonly event: TaskEvent;
  readonly at: Millis;
  readonly dedupWindowSize: number;
}): Evolution {
  const { definition, taskId, state, event, at } = input;
  const before = state === null ? initialStep(definition) : state.machine;
  const moved = step(definition, before, { ...event, at });
  if (moved.kind === 'refused') return moved;
  const next = fold(input, moved.state);
  const { seq, pipeline, version } = next;
  return {
    kind: 'moved',
    state: next,
    record: { task: taskId, seq, at, event, to: moved.state.value, pipeline, version },
  };
}

/**
 * The state after a record of the journal.
 *
 * @throws EngineError `REPLAY_DIVERGED` when the record is refused or leads elsewhere than it says
 */
export function replay(input: {
  readonly definition: PipelineDefinition;
  readonly state: TaskState | null;
  readonly record: TaskRecord;
  readonly dedupWindowSize: number;
}): TaskState {
  const { record } = input;
  const evolution = evolve({ ...input, taskId: record.task, event: record.event, at: record.at });
  if (evolution.kind === 'refused') {
    throw diverged(record, `is refused in state ${input.state?.machine.value ?? 'new'}: ${evolution.reason}`);
  }
  if (evolution.state.machine.value !== record.to) throw diverged(record, `reached ${evolution.state.machine.value}`);
  if (evolution.state.seq !== record.seq) throw diverged(record, `became record ${evolution.state.seq}`);
  return evolution.state;
}

function diverged(record: TaskRecord, what: string): EngineError {
  return new EngineError(
    'REPLAY_DIVERGED',
    `task ${record.task}: record ${record.seq} (${record.event.type} to ${record.to}) ${what}`,
    { hint: 'the pipeline definition differs from the one that wrote the journal' },
  );
}

function fold(
  input: {
    readonly taskId: TaskId;
    readonly state: TaskState | null;
    readonly event: TaskEvent;
    readonly at: Millis;
    readonly dedupWindowSize: number;
  },
  machine: MachineState,
): TaskState {
  const { state, event, at } = input;
  const base = state === null ? created(input, machine) : { ...state, machine, seq: state.seq + 1, updatedAt: at };
  const next = remember(base, event, input.dedupWindowSize);
  switch (event.type) {
    case 'task.submitted':
      return enter(next, event, at);
    case 'stage.started':
      return withStage(next, event.stage, (progress) => startedAt(progress, at));
    case 'stage.checkpointed':
      return { ...next, checkpoints: { ...next.checkpoints, [event.name]: event.value } };
    case 'stage.completed':
      return leave(next, event.stage, event, at);
    case 'stage.failed':
      return endIfDead(
        {
          ...withStage(next, event.stage, (progress) => ({ ...progress, status: statusNow(next) })),
          failure: event.failure,
        },
        at,
      );
    case 'retry.due':
      return withStage(next, event.stage, (progress) =>
        event.start ? startedAt(progress, at) : { ...progress, status: 'queued' },
      );
    case 'task.paused':
    case 'task.resumed':
      return withCurrentStage(next, (progress) => ({ ...progress, status: statusNow(next) }));
    case 'task.canceled':
      return { ...endStage(next, stageBefore(input), 'canceled', at), endedAt: at };
    case 'task.redriven':
      return {
        ...withCurrentStage(next, (progress) => ({ ...progress, status: statusNow(next), endedAt: null })),
        endedAt: null,
      };
    case 'outcome.resolved':
      return resolved(next, event, at);
    case 'owner.changed':
      return interrupted(next, event, at);
    case 'task.quarantined':
      return endIfDead({ ...next, failure: event.failure }, at);
    default:
      return unreachable(event);
  }
}

function created(
  input: { readonly taskId: TaskId; readonly event: TaskEvent; readonly at: Millis },
  machine: MachineState,
): TaskState {
  const { taskId, event, at } = input;
  assert(event.type === 'task.submitted', () => `task ${taskId}: its first record is ${event.type}`);
  return {
    taskId,
    pipeline: event.pipeline,
    version: event.version,
    machine,
    seq: 1,
    input: event.input,
    inputHash: event.inputHash,
    outputs: {},
    checkpoints: {},
    commands: [],
    stages: [],
    failure: null,
    submittedAt: at,
    updatedAt: at,
    endedAt: null,
  };
}

const commandNames = {
  'task.submitted': 'submit',
  'task.paused': 'pause',
  'task.resumed': 'resume',
  'task.canceled': 'cancel',
  'task.redriven': 'redrive',
  'outcome.resolved': 'resolve',
} as const;

function remember(state: TaskState, event: TaskEvent, dedupWindowSize: number): TaskState {
  const origin: CommandOrigin | undefined = 'origin' in event ? event.origin : undefined;
  if (origin === undefined || !(event.type in commandNames)) return state;
  const command: RecordedCommand = {
    commandId: origin.commandId,
    name: commandNames[event.type as keyof typeof commandNames],
    to: state.machine.value,
  };
  return { ...state, commands: [...state.commands, command].slice(-dedupWindowSize) };
}

/** The task arrives at the stage after a continuation: skipped ones are noted, its last checkpoints and failure are dropped. */
function enter(state: TaskState, continuation: Continuation, at: Millis): TaskState {
  const skipped = continuation.skipped.map(({ stage }): StageProgress => ({
    stage,
    status: 'skipped',
    attempts: 0,
    interruptions: 0,
    startedAt: null,
    endedAt: at,
  }));
  const { next, start } = continuation;
  if (next === null) {
    return { ...state, stages: [...state.stages, ...skipped], checkpoints: {}, failure: null, endedAt: at };
  }
  const entered: StageProgress = {
    stage: next,
    status: statusNow(state),
    attempts: start ? 1 : 0,
    interruptions: 0,
    startedAt: start ? at : null,
    endedAt: null,
  };
  return { ...state, stages: [...state.stages, ...skipped, entered], checkpoints: {}, failure: null };
}

function leave(
  state: TaskState,
  stage: StageName,
  result: Continuation & { readonly output: TaskState['input'] },
  at: Millis,
): TaskState {
  const ended = endStage(state, stage, 'completed', at);
  // A held task does not start its next stage, whatever was offered.
  const continuation =
    result.start && positionOf(state.machine.value).status === 'held' ? { ...result, start: false } : result;
  return enter({ ...ended, outputs: { ...state.outputs, [stage]: result.output } }, continuation, at);
}

function resolved(state: TaskState, event: Extract<TaskEvent, { type: 'outcome.resolved' }>, at: Millis): TaskState {
  const { stage, resolution } = event;
  switch (resolution.kind) {
    case 'completed':
      return leave(state, stage, resolution, at);
    case 'notDone':
    case 'unknown':
      return withStage(state, stage, (progress) => ({ ...progress, status: statusNow(state) }));
    case 'failed':
      return endIfDead({ ...state, failure: resolution.failure }, at);
    default:
      return unreachable(resolution);
  }
}

function interrupted(state: TaskState, event: Extract<TaskEvent, { type: 'owner.changed' }>, at: Millis): TaskState {
  const { stage, decision } = event;
  const counted = withStage(state, stage, (progress) => ({
    ...progress,
    status: statusNow(state),
    interruptions: progress.interruptions + 1,
  }));
  return decision.kind === 'deadLetter' ? endIfDead({ ...counted, failure: decision.failure }, at) : counted;
}

function endIfDead(state: TaskState, at: Millis): TaskState {
  const { status, stage } = positionOf(state.machine.value);
  if (status !== 'deadLettered' || stage === null) return state;
  return { ...endStage(state, stage, 'failed', at), endedAt: at };
}

function endStage(state: TaskState, stage: StageName, status: StageProgress['status'], at: Millis): TaskState {
  return withStage(state, stage, (progress) => ({ ...progress, status, endedAt: at }));
}

function startedAt(progress: StageProgress, at: Millis): StageProgress {
  return { ...progress, status: 'running', attempts: progress.attempts + 1, startedAt: progress.startedAt ?? at };
}

/** The stage's word for where the task is now. */
function statusNow(state: TaskState): StageProgress['status'] {
  const { status } = positionOf(state.machine.value);
  return status === 'deadLettered' ? 'failed' : status;
}

function stageBefore(input: { readonly state: TaskState | null; readonly taskId: TaskId }): StageName {
  const stage = input.state === null ? null : positionOf(input.state.machine.value).stage;
  assert(stage !== null, () => `task ${input.taskId}: has no current stage`);
  return stage;
}

function withCurrentStage(state: TaskState, change: (progress: StageProgress) => StageProgress): TaskState {
  const { stage } = positionOf(state.machine.value);
  return stage === null ? state : withStage(state, stage, change);
}

function withStage(state: TaskState, stage: StageName, change: (progress: StageProgress) => StageProgress): TaskState {
  // The current stage is the last one: a task goes through its stages in order.
  const last = state.stages.length - 1;
  const progress = state.stages[last];
  assert(
    progress?.stage === stage,
    () => `task ${state.taskId}: stage ${stage} is not its last, ${String(progress?.stage)}`,
  );
  return { ...state, stages: [...state.stages.slice(0, last), change(progress)] };
}
