import type { Failure } from '../core/failures.ts';
import type { CommandId, Millis, PipelineName, StageName, TaskId } from '../core/ids.ts';
import type { Payload } from '../core/records.ts';
import type { StageView, TaskCommandName, TaskStatus } from '../core/task-view.ts';
import type { MachineState } from '../pipeline/machine-step.ts';

/** A command that took effect, remembered so that a repeat gets the same answer and has no effect. */
export interface RecordedCommand {
  readonly commandId: CommandId;
  readonly name: TaskCommandName | 'submit';
  /** The state that the command led to. */
  readonly to: string;
}

/** What is kept of one stage that a task has come to. */
export interface StageProgress {
  readonly stage: StageName;
  readonly status: StageView['status'];
  readonly attempts: number;
  readonly interruptions: number;
  readonly handovers: number;
  readonly startedAt: Millis | null;
  readonly endedAt: Millis | null;
}

/**
 * All that one task is. Immutable: each record makes the next one. What must survive is in here and so in its snapshot.
 */
export interface TaskState {
  readonly taskId: TaskId;
  readonly pipeline: PipelineName;
  readonly version: number;
  readonly machine: MachineState;
  /** Records so far; the last one's `seq`. */
  readonly seq: number;
  readonly input: Payload;
  /** Hash of the input as it was sent: the same task id with another one is a conflict. */
  readonly inputHash: string;
  readonly outputs: Readonly<Record<string, Payload>>;
  /** Committed sub-steps of the current stage, by name. */
  readonly checkpoints: Readonly<Record<string, Payload>>;
  /** The last commands that took effect, oldest first; bounded by the dedup window. */
  readonly commands: readonly RecordedCommand[];
  readonly stages: readonly StageProgress[];
  /** The last failure of the current stage, or what the task was dead-lettered for. */
  readonly failure: Failure | null;
  readonly submittedAt: Millis;
  readonly updatedAt: Millis;
  readonly endedAt: Millis | null;
  /**
   * Losses of its owner in a row while the driver was to be asked what became of the interrupted attempt; an answer of any kind ends
   * the row. Left out when there is none.
   */
  readonly lookupLosses?: number;
  /** The trace of whoever asked for it last, by its submit or a redrive: its stages are linked to that. */
  readonly traceparent?: string;
}

/** The stage and the word of a machine state: `photos.running` is stage `photos`, status `running`. */
export interface StatePosition {
  readonly status: TaskStatus;
  readonly stage: StageName | null;
}

const positions = new Map<string, StatePosition>();

/** Takes a machine state such as `photos.running` or `deadLettered.photos` apart. Cached: definitions have few states. */
export function positionOf(value: string): StatePosition {
  const known = positions.get(value);
  if (known !== undefined) return known;
  const position = parsePosition(value);
  positions.set(value, position);
  return position;
}

function parsePosition(value: string): StatePosition {
  if (value === 'completed' || value === 'canceled') return { status: value, stage: null };
  const dot = value.indexOf('.');
  const head = value.slice(0, dot);
  const tail = value.slice(dot + 1);
  if (head === 'deadLettered') return { status: 'deadLettered', stage: tail as StageName };
  return { status: tail as TaskStatus, stage: head as StageName };
}

/** Whether the task can never go on: its snapshot is a finished one. A dead letter may be redriven, so it is not. */
export function isFinished(state: TaskState): boolean {
  return state.machine.value === 'completed' || state.machine.value === 'canceled';
}
