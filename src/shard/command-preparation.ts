import type { PreparedResolve, PreparedSubmit } from '../actors/messages.ts';
import type { PayloadStore } from '../actors/payload-store.ts';
import { complete } from '../actors/stage-runner.ts';
import { positionOf, type TaskState } from '../actors/task-state.ts';
import { assert, EngineError } from '../core/errors.ts';
import { contentHash } from '../core/hash.ts';
import type { ControlCommand, SubmitCommand } from '../core/messages.ts';
import { continueAfter } from '../pipeline/continuation.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';
import { validateWith } from '../pipeline/validate.ts';

/** What preparing a command needs. */
export interface PreparationDeps {
  readonly registry: PipelineRegistry;
  readonly payloads: PayloadStore;
}

/**
 * Checks a submit against its pipeline's schema and stores a large input, all before any record is written.
 *
 * @throws EngineError `PIPELINE_UNKNOWN`, `PIPELINE_VERSION_UNKNOWN`, `INPUT_INVALID` with path and reason, `PAYLOAD_TOO_LARGE`,
 *   `UNSERIALIZABLE`; `UNAVAILABLE` or `STORAGE_FULL` from the blob store
 */
export async function prepareSubmit(command: SubmitCommand, deps: PreparationDeps): Promise<PreparedSubmit> {
  const definition = deps.registry.find(command.pipeline, command.version);
  const validating = validateWith(definition.input, command.input);
  const validation = validating instanceof Promise ? await validating : validating;
  if (!validation.ok) {
    const [first] = validation.issues;
    const all = validation.issues.map(({ path, message }) => `${path}: ${message}`).join('; ');
    throw new EngineError('INPUT_INVALID', `input of pipeline ${definition.name} is invalid: ${all}`, {
      field: first === undefined ? 'input' : `input${first.path.slice(1)}`,
    });
  }
  const value = validation.value === undefined ? null : validation.value;
  const packing = deps.payloads.packResult(command.taskId, 'input', value, definition.stages.length);
  const input = packing instanceof Promise ? await packing : packing;
  const { next, skipped } = continueAfter(definition, -1, () => ({ input: value, outputs: {} }));
  // Member by member: an object that grows behind a spread is ten times as slow to make, and every task has one of these.
  const prepared: Mutable<PreparedSubmit> = {
    taskId: command.taskId,
    commandId: command.commandId,
    type: 'task.submit',
    definition,
    input,
    inputHash: contentHash(command.input),
    next,
    skipped,
  };
  if (command.by !== undefined) prepared.by = command.by;
  if (command.reason !== undefined) prepared.reason = command.reason;
  if (command.traceparent !== undefined) prepared.traceparent = command.traceparent;
  return prepared;
}

/**
 * Whether a resolve has to be prepared before it is decided. Idempotency comes first: a command that was recorded, or that the task
 * refuses, is answered as it is. So is one that was given for an earlier state.
 */
export function needsPreparation(
  command: Extract<ControlCommand, { type: 'task.resolve' }>,
  state: TaskState,
): boolean {
  if (positionOf(state.machine.value).status !== 'unknown') return false;
  if (command.expectedSeq !== undefined && command.expectedSeq !== state.seq) return false;
  return !state.commands.some(({ commandId }) => commandId === command.commandId);
}

/** A resolve that {@link needsPreparation} says is decided as it is: its output is not looked at. */
export function unprepared(command: Extract<ControlCommand, { type: 'task.resolve' }>): PreparedResolve {
  return { ...controlFieldsOf(command), type: 'task.resolve', resolution: { kind: 'notDone' } };
}

/**
 * Checks the output that an operator says an unknown stage has had, as if its driver had returned it.
 *
 * @throws EngineError `INVALID_ARGUMENT` for a wrong output, and what {@link complete} throws
 */
export async function prepareResolve(
  command: Extract<ControlCommand, { type: 'task.resolve' }>,
  state: TaskState,
  deps: PreparationDeps,
): Promise<PreparedResolve> {
  const { resolution } = command;
  const fields = { ...controlFieldsOf(command), type: 'task.resolve' } as const;
  if (resolution.kind === 'notDone') return { ...fields, resolution };
  if (resolution.kind === 'failed') {
    const failure = {
      class: 'fatal',
      code: 'RESOLVED_AS_FAILED',
      name: 'OperatorDecision',
      message: resolution.message,
    } as const;
    return { ...fields, resolution: { kind: 'failed', failure } };
  }
  const { stage } = positionOf(state.machine.value);
  assert(stage !== null, () => `task ${state.taskId}: an output is prepared for ${state.machine.value}`);
  const definition = deps.registry.find(state.pipeline, state.version);
  const input = await deps.payloads.unpack(state.input);
  const outputs = await deps.payloads.unpackAll(state.outputs);
  const job = { taskId: state.taskId, definition, spec: definition.stage(stage) };
  const completion = await complete(job, resolution.output, { input, outputs, payloads: deps.payloads });
  return { ...fields, resolution: { kind: 'completed', ...completion } };
}

function controlFieldsOf(command: ControlCommand): Omit<PreparedResolve, 'type' | 'resolution'> {
  return {
    ...fieldsOf(command),
    ...(command.expectedSeq === undefined ? {} : { expectedSeq: command.expectedSeq }),
  };
}

type Mutable<Type> = { -readonly [Name in keyof Type]: Type[Name] };

function fieldsOf(
  command: ControlCommand,
): Pick<PreparedSubmit, 'taskId' | 'commandId' | 'by' | 'reason' | 'traceparent'> {
  return {
    taskId: command.taskId,
    commandId: command.commandId,
    ...(command.by === undefined ? {} : { by: command.by }),
    ...(command.reason === undefined ? {} : { reason: command.reason }),
    ...(command.traceparent === undefined ? {} : { traceparent: command.traceparent }),
  };
}
