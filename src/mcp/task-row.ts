import { integer, listOf, nullable, object, oneOf, text, type ValueOf } from '../admin/schema.ts';
import {
  countField,
  instantField,
  pipelineField,
  stageField,
  taskIdField,
  versionField,
} from '../admin/schemas/fields.ts';
import { taskCommands, taskStatuses } from '../admin/schemas/tasks.ts';
import { failureClasses } from '../core/failures.ts';
import type { TaskView } from '../core/task-view.ts';
import { fingerprintOf } from '../projections/failure-groups.ts';
import { maximumListedMessage } from './limits.ts';

/** A task in a list. */
export const taskRowAnswer = object({
  taskId: taskIdField,
  pipeline: pipelineField,
  version: versionField,
  status: oneOf(taskStatuses),
  state: text({ most: 200 }),
  stage: nullable(stageField),
  attempt: countField,
  seq: integer(0, Number.MAX_SAFE_INTEGER, 'records of the task: give it as `expectedSeq` to a command'),
  dueAt: nullable(instantField),
  submittedAt: instantField,
  updatedAt: instantField,
  endedAt: nullable(instantField),
  failure: nullable(
    object({
      class: oneOf(failureClasses),
      code: text({ least: 0, most: 128 }),
      message: text({ least: 0, most: maximumListedMessage + 1, about: 'cut where it is long' }),
    }),
  ),
  fingerprint: nullable(text({ most: 64, about: 'equal for failures of one kind' })),
  legalCommands: listOf(oneOf(taskCommands), taskCommands.length, 'the commands that it takes now'),
});

/** A task as a row of a list: without stages and payloads. */
export function taskRowOf(task: TaskView): ValueOf<typeof taskRowAnswer> {
  const { failure } = task;
  return {
    taskId: task.taskId,
    pipeline: task.pipeline,
    version: task.version,
    status: task.status,
    state: task.state,
    stage: task.stage,
    attempt: task.attempt,
    seq: task.seq,
    dueAt: task.dueAt,
    submittedAt: task.submittedAt,
    updatedAt: task.updatedAt,
    endedAt: task.endedAt,
    failure:
      failure === null ? null : { class: failure.class, code: failure.code, message: cutMessage(failure.message) },
    fingerprint: fingerprintOf(task),
    legalCommands: task.legalCommands,
  };
}

/** A failure's message, not over its bound. */
export function cutMessage(message: string): string {
  return message.length <= maximumListedMessage ? message : `${message.slice(0, maximumListedMessage).toWellFormed()}…`;
}
