import { failureClasses } from '../../core/failures.ts';
import type { ShardId } from '../../core/ids.ts';
import type { TaskCommandName, TaskStatus } from '../../core/task-view.ts';
import { anyJson, flag, integer, listOf, nullable, object, oneOf, optional, text, type Schema } from '../schema.ts';
import { countField, instantField, pipelineField, stageField, taskIdField, versionField } from './fields.ts';

/** All statuses of a task. */
export const taskStatuses = [
  'queued',
  'running',
  'backingOff',
  'held',
  'unknown',
  'completed',
  'canceled',
  'deadLettered',
] as const satisfies readonly TaskStatus[];

/** All commands to a task. */
export const taskCommands = [
  'pause',
  'resume',
  'cancel',
  'redrive',
  'resolve',
] as const satisfies readonly TaskCommandName[];

const maximumListed = 1_000;
const shardField = integer(0, 4_095) as Schema<ShardId>;
const fingerprintField = text({ most: 64, pattern: /^[0-9a-f]+$/ });

/** The parts of a task filter, each to be left out. In a URL a list is given by repeating its name. */
export const taskFilterFields = {
  pipelines: optional(listOf(pipelineField, maximumListed)),
  versions: optional(listOf(versionField, maximumListed)),
  statuses: optional(listOf(oneOf(taskStatuses), taskStatuses.length)),
  stages: optional(listOf(stageField, maximumListed)),
  shards: optional(listOf(shardField, 4_096)),
  failureClasses: optional(listOf(oneOf(failureClasses), failureClasses.length)),
  failureFingerprints: optional(listOf(fingerprintField, maximumListed)),
  taskIds: optional(listOf(taskIdField, maximumListed)),
  taskIdPrefix: optional(text({ most: 128, pattern: /^[A-Za-z0-9][A-Za-z0-9_-]*$/, about: 'literal; no wildcards' })),
  submittedFrom: optional(instantField),
  submittedBefore: optional(instantField),
  updatedFrom: optional(instantField),
  updatedBefore: optional(instantField),
} as const;

/** A failure as the index keeps it. */
const indexedFailure = object({
  class: oneOf(failureClasses),
  message: text({ least: 0, most: 2_000 }),
  code: nullable(text({ least: 0, most: 128 })),
});

const stateField = text({ most: 200 });

/** A row of a task list. */
export const indexedTaskAnswer = object({
  taskId: taskIdField,
  pipeline: pipelineField,
  version: versionField,
  shard: shardField,
  status: oneOf(taskStatuses),
  state: stateField,
  stage: nullable(stageField),
  attempt: countField,
  submittedAt: instantField,
  updatedAt: instantField,
  endedAt: nullable(instantField),
  dueAt: nullable(instantField),
  seq: countField,
  failureCount: countField,
  interruptionCount: countField,
  failure: nullable(indexedFailure),
  failureFingerprint: nullable(text({ most: 64 })),
});

const failureAnswer = object({
  class: oneOf(failureClasses),
  code: text({ least: 0, most: 128 }),
  name: text({ least: 0, most: 128 }),
  message: text({ least: 0, most: 2_000 }),
  retryAfterMs: optional(countField),
  causes: optional(listOf(text({ least: 0, most: 4_000 }), 16)),
});

const stageAnswer = object({
  stage: stageField,
  status: oneOf([
    'waiting',
    'queued',
    'running',
    'backingOff',
    'held',
    'unknown',
    'completed',
    'skipped',
    'failed',
    'canceled',
  ]),
  attempts: countField,
  interruptions: countField,
  handovers: countField,
  startedAt: nullable(instantField),
  endedAt: nullable(instantField),
  checkpoints: listOf(text({ least: 0, most: 256 }), 512),
});

/** One task as its owner has it. */
export const taskAnswer = object({
  taskId: taskIdField,
  pipeline: pipelineField,
  version: versionField,
  shard: shardField,
  state: stateField,
  status: oneOf(taskStatuses),
  stage: nullable(stageField),
  attempt: countField,
  dueAt: nullable(instantField),
  pausing: flag(),
  submittedAt: instantField,
  updatedAt: instantField,
  endedAt: nullable(instantField),
  inputHash: text({ least: 0, most: 128 }),
  seq: countField,
  failure: nullable(failureAnswer),
  stages: listOf(stageAnswer, 1_000),
  legalCommands: listOf(oneOf(taskCommands), taskCommands.length),
  owner: nullable(object({ node: text({ most: 128 }), epoch: countField })),
});

/** The answer to a submit. */
export const submittedAnswer = object({
  kind: oneOf(['accepted', 'existing']),
  taskId: taskIdField,
  state: stateField,
});

/** The answer to a command. */
export const controlledAnswer = object({
  taskId: taskIdField,
  state: stateField,
  repeated: flag('it had taken effect before'),
  commandId: text({ most: 128 }),
});

/** What a payload is, and itself when it is not over the bound. */
export const payloadAnswer = object({
  name: text({ most: 128 }),
  sizeBytes: countField,
  isShown: flag('whether `value` is there; it is left out when it is larger than was asked for'),
  value: optional(anyJson('the payload')),
});

/** A piece of the task's journal. */
export const historyAnswer = object({
  taskId: taskIdField,
  shard: shardField,
  isComplete: flag('whether the journal still has the first record'),
  missingCount: countField,
  recordCount: countField,
  records: listOf(anyJson('{ sequence, index, epoch, storedAt, record }'), 1_000),
  next: nullable(countField),
});
