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
  const moved = step(definition, before, event, at);
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

/** A state that is being made: its maker's own until it is given out, so it is changed in place and copied once. */
type Draft = { -readonly [Name in keyof TaskState]: TaskState[Name] };

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
  const draft: Draft =
    state === null ? created(input, machine) : { ...state, machine, seq: state.seq + 1, updatedAt: at };
  remember(draft, event, input.dedupWindowSize);
  switch (event.type) {
    case 'task.submitted':
      enter(draft, event, at);
      break;
    case 'stage.started':
      changeStage(draft, event.stage, (progress) => startedAt(progress, at));
      break;
    case 'stage.checkpointed':
      draft.checkpoints = withMember(draft.checkpoints, event.name, event.value);
      break;
    case 'stage.completed':
      leave(draft, event.stage, event, at);
      break;
    case 'stage.failed':
      changeStage(draft, event.stage, (progress) => ({ ...progress, status: statusNow(draft) }));
      draft.failure = event.failure;
      endIfDead(draft, at);
      break;
    case 'retry.due':
      changeStage(draft, event.stage, (progress) =>
        event.start ? startedAt(progress, at) : { ...progress, status: 'queued' },
      );
      break;
    case 'task.paused':
    case 'task.resumed':
      changeCurrentStage(draft, (progress) => ({ ...progress, status: statusNow(draft) }));
      break;
    case 'task.canceled':
      changeStage(draft, stageBefore(input), (progress) => ({ ...progress, status: 'canceled', endedAt: at }));
      draft.endedAt = at;
      break;
    case 'task.redriven':
      changeCurrentStage(draft, (progress) => ({ ...progress, status: statusNow(draft), endedAt: null }));
      draft.endedAt = null;
      delete draft.lookupLosses;
      break;
    case 'outcome.resolved':
      delete draft.lookupLosses;
      resolve(draft, event, at);
      break;
    case 'stage.released':
      changeStage(draft, event.stage, (progress) => ({
        ...progress,
        status: statusNow(draft),
        handovers: progress.handovers + 1,
      }));
      break;
    case 'stage.cleared':
      break; // Only the control counts it.
    case 'owner.changed':
      // Of a parked task only its lookup was cut off: no attempt.
      if (statusOf(state) === 'unknown') draft.lookupLosses = (state?.lookupLosses ?? 0) + 1;
      interrupt(draft, event, at);
      break;
    case 'task.quarantined':
      draft.failure = event.failure;
      endIfDead(draft, at);
      break;
    default:
      return unreachable(event);
  }
  return draft;
}

function created(
  input: { readonly taskId: TaskId; readonly event: TaskEvent; readonly at: Millis },
  machine: MachineState,
): Draft {
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
    checkpoints: noPayloads,
    commands: [],
    stages: [],
    failure: null,
    submittedAt: at,
    updatedAt: at,
    endedAt: null,
  };
}

const noPayloads: TaskState['checkpoints'] = Object.freeze({});

const commandNames = {
  'task.submitted': 'submit',
  'task.paused': 'pause',
  'task.resumed': 'resume',
  'task.canceled': 'cancel',
  'task.redriven': 'redrive',
  'outcome.resolved': 'resolve',
} as const;

function remember(draft: Draft, event: TaskEvent, dedupWindowSize: number): void {
  const origin: CommandOrigin | undefined = 'origin' in event ? event.origin : undefined;
  if (origin === undefined || !(event.type in commandNames)) return;
  const isAskedFor = event.type === 'task.submitted' || event.type === 'task.redriven';
  if (isAskedFor && origin.traceparent !== undefined) draft.traceparent = origin.traceparent;
  const command: RecordedCommand = {
    commandId: origin.commandId,
    name: commandNames[event.type as keyof typeof commandNames],
    to: draft.machine.value,
  };
  draft.commands = [...draft.commands, command].slice(-dedupWindowSize);
}

/** The task arrives at the stage after a continuation: skipped ones are noted, its last checkpoints and failure are dropped. */
function enter(draft: Draft, continuation: Continuation, at: Millis): void {
  pushEntered([...draft.stages], draft, continuation, at);
}

/** {@link enter} into a list of stages that is the draft's own already. */
function pushEntered(stages: StageProgress[], draft: Draft, continuation: Continuation, at: Millis): void {
  for (const { stage } of continuation.skipped) {
    stages.push({
      stage,
      status: 'skipped',
      attempts: 0,
      interruptions: 0,
      handovers: 0,
      startedAt: null,
      endedAt: at,
    });
  }
  const { next } = continuation;
  const status = statusNow(draft);
  if (next === null) {
    draft.endedAt = at;
  } else {
    // A held task does not start its next stage, whatever was offered.
    const starts = continuation.start && status !== 'held';
    const startedAtEntry = starts ? at : null;
    stages.push({
      stage: next,
      status,
      attempts: starts ? 1 : 0,
      interruptions: 0,
      handovers: 0,
      startedAt: startedAtEntry,
      endedAt: null,
    });
  }
  draft.stages = stages;
  draft.checkpoints = noPayloads;
  draft.failure = null;
}

function leave(
  draft: Draft,
  stage: StageName,
  result: Continuation & { readonly output: TaskState['input'] },
  at: Millis,
): void {
  const progress = lastStage(draft, stage);
  const stages = draft.stages.slice(0, -1);
  stages.push({ ...progress, status: 'completed', endedAt: at });
  draft.outputs = withMember(draft.outputs, stage, result.output);
  pushEntered(stages, draft, result, at);
}

function resolve(draft: Draft, event: Extract<TaskEvent, { type: 'outcome.resolved' }>, at: Millis): void {
  const { stage, resolution } = event;
  switch (resolution.kind) {
    case 'completed':
      leave(draft, stage, resolution, at);
      break;
    case 'notDone':
    case 'unknown':
      changeStage(draft, stage, (progress) => ({ ...progress, status: statusNow(draft) }));
      break;
    case 'failed':
      draft.failure = resolution.failure;
      endIfDead(draft, at);
      break;
    default:
      unreachable(resolution);
  }
}

function interrupt(draft: Draft, event: Extract<TaskEvent, { type: 'owner.changed' }>, at: Millis): void {
  const { stage, decision } = event;
  changeStage(draft, stage, (progress) => ({
    ...progress,
    status: statusNow(draft),
    interruptions: progress.interruptions + 1,
  }));
  if (decision.kind !== 'deadLetter') return;
  draft.failure = decision.failure;
  endIfDead(draft, at);
}

function endIfDead(draft: Draft, at: Millis): void {
  const { status, stage } = positionOf(draft.machine.value);
  if (status !== 'deadLettered' || stage === null) return;
  changeStage(draft, stage, (progress) => ({ ...progress, status: 'failed', endedAt: at }));
  draft.endedAt = at;
}

function startedAt(progress: StageProgress, at: Millis): StageProgress {
  return { ...progress, status: 'running', attempts: progress.attempts + 1, startedAt: progress.startedAt ?? at };
}

function statusOf(state: TaskState | null): string | null {
  return state === null ? null : positionOf(state.machine.value).status;
}

/** The stage's word for where the task is now. */
function statusNow(state: Draft): StageProgress['status'] {
  const { status } = positionOf(state.machine.value);
  return status === 'deadLettered' ? 'failed' : status;
}

function stageBefore(input: { readonly state: TaskState | null; readonly taskId: TaskId }): StageName {
  const stage = input.state === null ? null : positionOf(input.state.machine.value).stage;
  assert(stage !== null, () => `task ${input.taskId}: has no current stage`);
  return stage;
}

function changeCurrentStage(draft: Draft, change: (progress: StageProgress) => StageProgress): void {
  const { stage } = positionOf(draft.machine.value);
  if (stage !== null) changeStage(draft, stage, change);
}

function changeStage(draft: Draft, stage: StageName, change: (progress: StageProgress) => StageProgress): void {
  draft.stages = draft.stages.with(draft.stages.length - 1, change(lastStage(draft, stage)));
}

/** The current stage, which is the last one: a task goes through its stages in order. */
function lastStage(draft: Draft, stage: StageName): StageProgress {
  const progress = draft.stages.at(-1);
  assert(
    progress?.stage === stage,
    () => `task ${draft.taskId}: stage ${stage} is not its last, ${String(progress?.stage)}`,
  );
  return progress;
}

/** The record with one member more, or another: member by member, for V8 takes five times as long to make a spread object grow. */
function withMember<Member>(
  record: Readonly<Record<string, Member>>,
  name: string,
  member: Member,
): Readonly<Record<string, Member>> {
  const copy: Record<string, Member> = {};
  for (const known in record) copy[known] = record[known] as Member;
  copy[name] = member;
  return copy;
}
