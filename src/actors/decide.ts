import { decideRetry } from '../core/backoff.ts';
import type { EngineConfig } from '../core/config.ts';
import { assert, EngineError, unreachable } from '../core/errors.ts';
import type { Failure, HandoverDecision, InterruptionDecision } from '../core/failures.ts';
import { unitHash } from '../core/hash.ts';
import type { Epoch, Millis, StageName, TaskId } from '../core/ids.ts';
import type { CommandOrigin, Completion, Continuation, TaskEvent, TaskRecord } from '../core/records.ts';
import type { Reply } from '../core/replies.ts';
import { attemptsUsed, suspicionOf } from '../pipeline/control.ts';
import type { PipelineDefinition, StageSpec } from '../pipeline/definition.ts';
import { legalCommands } from '../pipeline/machine-step.ts';
import { effectsBetween, type Effect } from './effects.ts';
import { evolve } from './evolve.ts';
import { isAsked } from './lookup-suspicion.ts';
import type { ActorMessage } from './messages.ts';
import { isSuspect, mayBeCleared } from './suspicion.ts';
import { isFinished, positionOf, type TaskState } from './task-state.ts';

/** What a decision may know beside the state and the message: time and chance come in as data. */
export interface DecideContext {
  readonly taskId: TaskId;
  readonly now: Millis;
  readonly epoch: Epoch;
  readonly definition: PipelineDefinition;
  /** Whether a slot for the stage is free right now. The caller takes it when the decision starts the stage. */
  readonly mayStart: (stage: StageSpec) => boolean;
  readonly config: Pick<
    EngineConfig,
    'dedupWindowSize' | 'maxInterruptions' | 'suspectAfterInterruptions' | 'maxHandovers'
  >;
}

/** What an actor makes of one message. */
export type Decision =
  /** A record for the shard's next commit; effects and reply go out when it is committed. */
  | {
      readonly kind: 'moved';
      readonly state: TaskState;
      readonly record: TaskRecord;
      readonly effects: readonly Effect[];
      readonly reply: Reply | null;
    }
  /** An answer that costs no write: a rejection, a repeat, or a task that exists already. */
  | { readonly kind: 'answered'; readonly reply: Reply }
  /** An outcome of something that is not current any more: dropped and counted. */
  | { readonly kind: 'straggler'; readonly reason: string };

/**
 * Decides on one message. Pure: it reads nothing but its arguments and changes none of them.
 *
 * Idempotency comes first: a repeated command gets its recorded reply, a submit of a known id is compared by hash.
 */
export function decide(state: TaskState | null, message: ActorMessage, ctx: DecideContext): Decision {
  switch (message.type) {
    case 'task.submit':
      return state === null ? accept(message, ctx) : answered(compareSubmit(state, message));
    case 'task.pause':
      return command(state, message, ctx, 'pause', (origin) => ({ type: 'task.paused', origin }));
    case 'task.resume':
      return command(state, message, ctx, 'resume', (origin) => ({ type: 'task.resumed', origin }));
    case 'task.cancel':
      return command(state, message, ctx, 'cancel', (origin) => ({ type: 'task.canceled', origin }));
    case 'task.redrive':
      return command(state, message, ctx, 'redrive', (origin) => ({ type: 'task.redriven', origin }));
    case 'task.resolve': {
      const { resolution } = message;
      return command(state, message, ctx, 'resolve', (origin, current) => ({
        type: 'outcome.resolved',
        ...attemptOf(current),
        by: 'operator',
        origin,
        resolution:
          resolution.kind === 'completed' ? { ...resolution, start: startsNext(resolution, ctx, state) } : resolution,
      }));
    }
    case 'slot.granted': {
      const current = currentStage(state, message.stage, 'queued');
      if (current === null) return straggler('the stage is not queued any more');
      return outcome(
        current,
        { type: 'stage.started', stage: message.stage, attempt: current.machine.control.attempt + 1 },
        ctx,
      );
    }
    case 'stage.settled': {
      const current = currentStage(state, message.stage, 'running');
      if (current?.machine.control.attempt !== message.attempt) return straggler('the attempt is not the current one');
      return outcome(current, settled(current, message, ctx), ctx);
    }
    case 'checkpoint.reached': {
      const current = currentStage(state, message.stage, 'running');
      if (current?.machine.control.attempt !== message.attempt) return straggler('the attempt is not the current one');
      const { stage, attempt, name, value } = message;
      return outcome(current, { type: 'stage.checkpointed', stage, attempt, name, value }, ctx);
    }
    case 'timer.fired': {
      const stage = state === null ? null : positionOf(state.machine.value).stage;
      const current = stage === null ? null : currentStage(state, stage, 'backingOff');
      if (stage === null || current?.machine.control.dueAt !== message.dueAt)
        return straggler('the timer is not the current one');
      const attempt = current.machine.control.attempt + 1;
      // A suspect waits for its probation, whatever slot is free.
      const start = !isSuspect(current.machine.control, ctx.config) && ctx.mayStart(ctx.definition.stage(stage));
      return outcome(current, { type: 'retry.due', stage, attempt, start }, ctx);
    }
    case 'lookup.answered': {
      const current = currentStage(state, message.stage, 'unknown');
      if (current === null) return straggler('the outcome is not unknown any more');
      const { stage, attempt, answer } = message;
      if (current.machine.control.attempt !== attempt) return straggler('the attempt is not the current one');
      const resolution =
        answer.kind === 'done'
          ? { ...answer, kind: 'completed' as const, start: startsNext(answer, ctx, current) }
          : { kind: answer.kind };
      return outcome(current, { type: 'outcome.resolved', stage, attempt, by: 'lookup', resolution }, ctx);
    }
    case 'stage.released': {
      const { stage, attempt, untouched } = message;
      const current = currentStage(state, stage, 'running');
      const { control } = current?.machine ?? {};
      if (current === null || control?.attempt !== attempt) return straggler('the attempt is not the current one');
      // It stays as it runs, so that its next owner counts an interruption: nothing may be cut off without end.
      if (control.handovers >= ctx.config.maxHandovers) return straggler('the stage was handed over too often');
      return outcome(current, { type: 'stage.released', stage, attempt, decision: cutOff(stage, untouched, ctx) }, ctx);
    }
    case 'probation.passed': {
      const { stage, attempt } = message;
      const current = currentStage(state, stage, 'running');
      if (current?.machine.control.attempt !== attempt) return straggler('the attempt is not the current one');
      if (!mayBeCleared(current.machine.control, ctx.config)) return straggler('the stage was cleared too often');
      return outcome(current, { type: 'stage.cleared', stage, attempt }, ctx);
    }
    case 'owner.changed': {
      const stage = state === null ? null : positionOf(state.machine.value).stage;
      const parked = stage === null ? null : currentStage(state, stage, 'unknown');
      if (stage !== null && parked !== null) return lookupLost(parked, stage, ctx);
      const current = stage === null ? null : currentStage(state, stage, 'running');
      if (stage === null || current === null) return straggler('no stage was running');
      const { attempt } = current.machine.control;
      const decision = interrupted(current, stage, ctx);
      return outcome(current, { type: 'owner.changed', stage, attempt, epoch: ctx.epoch, decision }, ctx);
    }
    case 'actor.quarantine':
      if (state === null || isFinished(state)) return straggler('the task has ended');
      return outcome(state, { type: 'task.quarantined', failure: message.failure }, ctx);
    default:
      return unreachable(message);
  }
}

/** The answer to a submit of a task that exists: the same one, or a conflict that shows both hashes. */
export function compareSubmit(
  state: Pick<TaskState, 'taskId' | 'pipeline' | 'inputHash'> & { readonly machine: { readonly value: string } },
  submit: { readonly pipeline: string; readonly inputHash: string } | Extract<ActorMessage, { type: 'task.submit' }>,
): Reply {
  const pipeline = 'definition' in submit ? submit.definition.name : submit.pipeline;
  if (state.pipeline === pipeline && state.inputHash === submit.inputHash) {
    return { kind: 'existing', taskId: state.taskId, state: state.machine.value };
  }
  const error = new EngineError(
    'TASK_CONFLICT',
    `task ${state.taskId} exists with ${state.pipeline === pipeline ? 'another input' : `pipeline ${state.pipeline}`}`,
    { field: 'taskId', limit: `input hash ${state.inputHash}`, got: `input hash ${submit.inputHash}` },
  );
  return { kind: 'error', error: error.toReport() };
}

function accept(submit: Extract<ActorMessage, { type: 'task.submit' }>, ctx: DecideContext): Decision {
  const { definition, input, inputHash, next, skipped } = submit;
  const start = next !== null && ctx.mayStart(definition.stage(next));
  const event: TaskEvent = {
    type: 'task.submitted',
    pipeline: definition.name,
    version: definition.version,
    input,
    inputHash,
    origin: originOf(submit),
    next,
    skipped,
    start,
  };
  return move(null, event, ctx, (to) => ({ kind: 'accepted', taskId: ctx.taskId, state: to }));
}

type OperatorCommand = Exclude<Extract<ActorMessage, { commandId: unknown }>, { type: 'task.submit' }>;

function command(
  state: TaskState | null,
  message: OperatorCommand,
  ctx: DecideContext,
  name: 'pause' | 'resume' | 'cancel' | 'redrive' | 'resolve',
  toEvent: (origin: CommandOrigin, state: TaskState) => TaskEvent,
): Decision {
  if (state === null) return rejected(taskNotFound(ctx.taskId));
  const recorded = state.commands.find((known) => known.commandId === message.commandId);
  if (recorded !== undefined) {
    if (recorded.name === name) {
      return answered({ kind: 'done', taskId: state.taskId, state: recorded.to, repeated: true });
    }
    return rejected(
      new EngineError('INVALID_ARGUMENT', `command id was used for ${recorded.name} of this task`, {
        field: 'commandId',
        got: message.commandId,
        hint: 'give each command an id of its own',
      }),
    );
  }
  const { expectedSeq } = message;
  if (expectedSeq !== undefined && expectedSeq !== state.seq) return rejected(changedSince(state, expectedSeq));
  return move(state, toEvent(originOf(message), state), ctx, (to) => ({
    kind: 'done',
    taskId: state.taskId,
    state: to,
    repeated: false,
  }));
}

/** An effect's outcome. The machine refuses it only if our own bookkeeping is wrong, and then it is a straggler, not an error. */
function outcome(state: TaskState, event: TaskEvent, ctx: DecideContext): Decision {
  return move(state, event, ctx, null);
}

function move(
  state: TaskState | null,
  event: TaskEvent,
  ctx: DecideContext,
  toReply: ((to: string) => Reply) | null,
): Decision {
  const { definition, taskId, now, config } = ctx;
  const evolution = evolve({ definition, taskId, state, event, at: now, dedupWindowSize: config.dedupWindowSize });
  if (evolution.kind === 'refused') {
    return toReply === null ? straggler(evolution.reason) : rejected(notAllowed(state, evolution.reason, ctx));
  }
  const { stage } = positionOf(evolution.state.machine.value);
  const hasLookup = stage !== null && isAsked(evolution.state, definition.stage(stage), config);
  return {
    kind: 'moved',
    state: evolution.state,
    record: evolution.record,
    effects: effectsBetween(state, evolution.state, hasLookup),
    reply: toReply === null ? null : toReply(evolution.state.machine.value),
  };
}

function settled(
  state: TaskState,
  message: Extract<ActorMessage, { type: 'stage.settled' }>,
  ctx: DecideContext,
): TaskEvent {
  const { stage, attempt, result } = message;
  if (result.kind === 'completed') {
    const { output, next, skipped } = result;
    return { type: 'stage.completed', stage, attempt, output, next, skipped, start: startsNext(result, ctx, state) };
  }
  const spec = ctx.definition.stage(stage);
  const { control } = state.machine;
  const decision = decideRetry({
    policy: spec.retry,
    failure: result.failure,
    used: attemptsUsed(control),
    now: ctx.now,
    random: unitHash(`${ctx.taskId}/${stage}/${attempt}`),
    deadlineAt: spec.deadlineMs === null ? null : control.enteredAt + spec.deadlineMs,
  });
  return { type: 'stage.failed', stage, attempt, failure: result.failure, decision };
}

function interrupted(state: TaskState, stage: StageName, ctx: DecideContext): InterruptionDecision {
  const { control } = state.machine;
  if (suspicionOf(control) + 1 > ctx.config.maxInterruptions) {
    const failure = interruptedTooOften(stage, control.interruptions + 1, control.clearances);
    return { kind: 'deadLetter', reason: 'interruptedTooOften', failure };
  }
  return cutOff(stage, false, ctx);
}

/** The owner was lost while the driver was to be asked about the outcome: a lookup that kills its node is not asked without end. */
function lookupLost(state: TaskState, stage: StageName, ctx: DecideContext): Decision {
  const spec = ctx.definition.stage(stage);
  if (!isAsked(state, spec, ctx.config)) return straggler('nobody is asked about the outcome');
  const lookupLosses = (state.lookupLosses ?? 0) + 1;
  const decision: HandoverDecision = { kind: isAsked({ lookupLosses }, spec, ctx.config) ? 'lookup' : 'park' };
  const { attempt } = state.machine.control;
  return outcome(state, { type: 'owner.changed', stage, attempt, epoch: ctx.epoch, decision }, ctx);
}

/** What follows an attempt that ended with its owner. `untouched`: it is certain that it had no effect outside. */
function cutOff(stage: StageName, untouched: boolean, ctx: DecideContext): HandoverDecision {
  const spec = ctx.definition.stage(stage);
  if (untouched) return { kind: 'rerun' };
  if (spec.driver.lookup !== undefined) return { kind: 'lookup' };
  return spec.effect === 'atMostOnce' ? { kind: 'park' } : { kind: 'rerun' };
}

/** The failure that a stage is dead-lettered with when its owners died under it too often: no attempt of it failed. */
function interruptedTooOften(stage: StageName, interruptions: number, clearances: number): Failure {
  const cleared = clearances === 0 ? '' : `, ${clearances} of which a passed probation has cleared`;
  return {
    class: 'interrupted',
    code: 'INTERRUPTED_TOO_OFTEN',
    name: 'Interruption',
    message: `stage ${stage} was running at ${interruptions} losses of its owner${cleared}`,
  };
}

function startsNext(
  completion: Pick<Completion, 'next'>,
  ctx: DecideContext,
  state: TaskState | null,
): Continuation['start'] {
  if (completion.next === null || state?.machine.control.pausing === true) return false;
  return ctx.mayStart(ctx.definition.stage(completion.next));
}

function currentStage(
  state: TaskState | null,
  stage: StageName,
  status: 'queued' | 'running' | 'backingOff' | 'unknown',
): TaskState | null {
  if (state === null) return null;
  const position = positionOf(state.machine.value);
  return position.stage === stage && position.status === status ? state : null;
}

/** The attempt that the task is at, or was at when it ended. */
function attemptOf(state: TaskState): { readonly stage: StageName; readonly attempt: number } {
  const last = state.stages.at(-1);
  assert(last !== undefined, () => `task ${state.taskId}: has come to no stage`);
  return { stage: last.stage, attempt: state.machine.control.attempt };
}

function originOf(message: CommandOrigin): CommandOrigin {
  const { commandId, by, reason, traceparent } = message;
  const origin: { -readonly [Name in keyof CommandOrigin]: CommandOrigin[Name] } = { commandId };
  if (by !== undefined) origin.by = by;
  if (reason !== undefined) origin.reason = reason;
  if (traceparent !== undefined) origin.traceparent = traceparent;
  return origin;
}

function notAllowed(state: TaskState | null, reason: string, ctx: DecideContext): EngineError {
  if (state === null) return taskNotFound(ctx.taskId);
  const legal = legalCommands(ctx.definition, state.machine.value, state.machine.control);
  return new EngineError('NOT_ALLOWED', `task ${state.taskId} is ${state.machine.value}: ${reason}`, {
    got: state.machine.value,
    hint: legal.length === 0 ? 'it accepts no command any more' : `it accepts ${legal.join(', ')}`,
  });
}

/** The rejection of a command that was given for an earlier state of the task. */
function changedSince({ taskId, seq, machine }: TaskState, expectedSeq: number): EngineError {
  return new EngineError('NOT_ALLOWED', `task ${taskId} has ${seq} records, and the command expects ${expectedSeq}`, {
    field: 'expectedSeq',
    limit: `${seq}`,
    got: expectedSeq,
    hint: `the task has changed since you looked: it is ${machine.value} now`,
  });
}

/** The rejection of a command for a task that does not exist. */
export function taskNotFound(taskId: TaskId): EngineError {
  return new EngineError('TASK_NOT_FOUND', `task ${taskId} does not exist, or its retention has ended`, {
    field: 'taskId',
    got: taskId,
  });
}

function answered(reply: Reply): Decision {
  return { kind: 'answered', reply };
}

function rejected(error: EngineError): Decision {
  return answered({ kind: 'error', error: error.toReport() });
}

function straggler(reason: string): Decision {
  return { kind: 'straggler', reason };
}
