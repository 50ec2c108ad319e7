import { failure, payload, type Members } from '../core/record-shapes.ts';
import {
  count,
  flag,
  instant,
  listOf,
  mapOf,
  membersOf,
  name,
  nullable,
  optional,
  ordinal,
  text,
} from '../core/shape.ts';
import type { StageControl } from '../pipeline/control.ts';
import type { RecordedCommand, StageProgress, TaskState } from './task-state.ts';

/** A state as it is stored: the machine as its state name and context. */
export type StoredSnapshot = Omit<TaskState, 'machine' | 'stages'> & {
  readonly format: number;
  readonly value: string;
  readonly control: WithoutLater<StageControl, 'clearances' | 'handovers'>;
  readonly stages: readonly WithoutLater<StageProgress, 'handovers'>[];
};

/** Snapshots that were written before these members were thought of have none of them: nothing was counted yet. */
type WithoutLater<Type, Later extends keyof Type> = Omit<Type, Later> & { readonly [Name in Later]?: Type[Name] };

const control = membersOf({
  attempt: count,
  attemptBase: count,
  interruptions: count,
  clearances: optional(count),
  handovers: optional(count),
  enteredAt: instant,
  dueAt: nullable(instant),
  pausing: flag,
} satisfies Members<StageControl>);

const command = membersOf({ commandId: name, name, to: name } satisfies Members<RecordedCommand>);

const progress = membersOf({
  stage: name,
  status: name,
  attempts: count,
  interruptions: count,
  handovers: optional(count),
  startedAt: nullable(instant),
  endedAt: nullable(instant),
} satisfies Members<StageProgress>);

/** The shape of a stored state, as far as replay and views rely on it. */
export const snapshotShape = membersOf({
  format: ordinal,
  taskId: name,
  pipeline: name,
  version: ordinal,
  value: name,
  control,
  seq: ordinal,
  input: payload,
  inputHash: name,
  outputs: mapOf(payload),
  checkpoints: mapOf(payload),
  commands: listOf(command),
  stages: listOf(progress),
  failure: nullable(failure),
  submittedAt: instant,
  updatedAt: instant,
  endedAt: nullable(instant),
  lookupLosses: optional(count),
  traceparent: optional(text),
} satisfies Members<StoredSnapshot>);
