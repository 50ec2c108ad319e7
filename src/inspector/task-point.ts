import type { Failure } from '../core/failures.ts';
import type { Epoch, Millis, NodeId, Sequence } from '../core/ids.ts';
import type { OwnerChange, TaskEvent, TaskRecord } from '../core/records.ts';
import { initialControl, type StageControl } from '../pipeline/control.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import { restore, step } from '../pipeline/machine-step.ts';
import { placeOf } from '../projections/machine-place.ts';
import { summarizePayload, type PayloadSummary } from '../projections/payload-summary.ts';

/** Most names of checkpoints that a snapshot lists; the newest are kept. */
const maximumCheckpointNames = 100;

/** An attempt of a stage that runs: in the inspector an actor of its own. */
export interface RunningAttempt {
  readonly stage: string;
  readonly attempt: number;
}

/** Who owns a task's shard, as far as the journal still tells. */
export interface KnownOwner {
  readonly epoch: Epoch;
  /** Null when the entry that named it is trimmed. */
  readonly node: NodeId | null;
}

/** Where a task stands at one of its records, with all that a snapshot shows. */
export interface TaskPoint {
  /** The machine's state, such as `photos.running`. */
  readonly value: string;
  /** The machine's context; null when it cannot be known: the records that tell it are trimmed, or the definition is not at hand. */
  readonly control: StageControl | null;
  /** Number of the last record; 0 before the first. */
  readonly seq: number;
  readonly at: Millis;
  /** Of the journal entry that led here. */
  readonly sequence: Sequence;
  readonly index: number;
  readonly owner: KnownOwner | null;
  readonly input: PayloadSummary | null;
  readonly outputs: Readonly<Record<string, PayloadSummary>>;
  /** Names of the current stage's checkpoints. */
  readonly checkpoints: readonly string[];
  readonly failure: Failure | null;
  readonly running: RunningAttempt | null;
}

/** A task before its first record. */
export const startPoint: TaskPoint = {
  value: 'new',
  control: initialControl,
  seq: 0,
  at: 0,
  sequence: 0 as Sequence,
  index: 0,
  owner: null,
  input: null,
  outputs: {},
  checkpoints: [],
  failure: null,
  running: null,
};

/** Whether the task can go on neither by itself nor by a command. */
export function isFinished({ value }: Pick<TaskPoint, 'value'>): boolean {
  return value === 'completed' || value === 'canceled';
}

/** The point after a record. Pure. */
export function pointAfter(
  definition: PipelineDefinition | null,
  before: TaskPoint,
  { record, epoch, sequence, index }: { record: TaskRecord; epoch: Epoch; sequence: Sequence; index: number },
): TaskPoint {
  const { event, to, seq, at } = record;
  const control = controlAfter(definition, before, record);
  const entersStage = isEntry(before, event);
  const owner = before.owner?.epoch === epoch ? before.owner : { epoch, node: null };
  return {
    value: to,
    control,
    seq,
    at,
    sequence,
    index,
    owner,
    input: event.type === 'task.submitted' ? summarizePayload(event.input) : before.input,
    outputs: outputsAfter(before, event),
    checkpoints: entersStage ? [] : checkpointsAfter(before, event),
    failure: entersStage ? null : (failureOf(event) ?? before.failure),
    running: runningAfter(before, event, to, control),
  };
}

/** The point after a new owner took the shard. Pure. */
export function pointUnderOwner(
  before: TaskPoint,
  change: { readonly sequence: Sequence; readonly at: Millis; readonly owner: OwnerChange },
): TaskPoint {
  const { epoch, node } = change.owner;
  const { sequence, at } = change;
  return { ...before, sequence, index: -1, at: before.seq === 0 ? before.at : at, owner: { epoch, node } };
}

function controlAfter(
  definition: PipelineDefinition | null,
  before: TaskPoint,
  { event, at, to }: TaskRecord,
): StageControl | null {
  if (definition === null || !definition.plan.nodes.has(before.value)) return null;
  const control = before.control ?? controlToLeave(event, to);
  if (control === null) return null;
  const result = step(definition, restore(definition, before.value, control), event, at);
  // Led elsewhere than the record says, it is another definition's: then nothing is told rather than something wrong.
  return result.kind === 'moved' && result.state.value === to ? result.state.control : null;
}

/**
 * A context that leads into the next stage like the unknown one: on the way into a stage it is made anew, whatever it was. Null for
 * every other way.
 */
function controlToLeave(event: TaskEvent, to: string): StageControl | null {
  const isWayOn = event.type === 'stage.completed' || event.type === 'outcome.resolved';
  if (!isWayOn || placeOf(to).stage === null || placeOf(to).stage === event.stage) return null;
  const { status } = placeOf(to);
  return { ...initialControl, attempt: event.attempt, pausing: status === 'held' };
}

function isEntry(before: TaskPoint, event: TaskEvent): boolean {
  if (event.type === 'stage.completed' || event.type === 'task.submitted') return true;
  return event.type === 'outcome.resolved' && event.resolution.kind === 'completed' && before.seq > 0;
}

function outputsAfter(before: TaskPoint, event: TaskEvent): TaskPoint['outputs'] {
  if (event.type === 'stage.completed') return { ...before.outputs, [event.stage]: summarizePayload(event.output) };
  if (event.type !== 'outcome.resolved' || event.resolution.kind !== 'completed') return before.outputs;
  return { ...before.outputs, [event.stage]: summarizePayload(event.resolution.output) };
}

function checkpointsAfter(before: TaskPoint, event: TaskEvent): readonly string[] {
  if (event.type !== 'stage.checkpointed') return before.checkpoints;
  return [...before.checkpoints, event.name].slice(-maximumCheckpointNames);
}

function failureOf(event: TaskEvent): Failure | null {
  if (event.type === 'stage.failed' || event.type === 'task.quarantined') return event.failure;
  if (event.type === 'outcome.resolved' && event.resolution.kind === 'failed') return event.resolution.failure;
  return event.type === 'owner.changed' && event.decision.kind === 'deadLetter' ? event.decision.failure : null;
}

function runningAfter(
  before: TaskPoint,
  event: TaskEvent,
  to: string,
  control: StageControl | null,
): RunningAttempt | null {
  const { stage, status } = placeOf(to);
  if (stage === null || status !== 'running') return null;
  return { stage, attempt: control?.attempt ?? attemptOf(before, event, stage) };
}

/** The attempt's number by the record alone. */
function attemptOf(before: TaskPoint, event: TaskEvent, stage: string): number {
  if ('attempt' in event && event.stage === stage) return event.attempt;
  if (before.running?.stage === stage) return before.running.attempt;
  return 1;
}
