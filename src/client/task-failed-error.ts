import { EngineError } from '../core/errors.ts';
import type { Failure } from '../core/failures.ts';
import type { TaskView } from '../core/task-view.ts';

/** `TASK_FAILED`: the awaited task ended without its results. */
export class TaskFailedError extends EngineError {
  /** The task as it ended. */
  readonly task: TaskView;
  /** What its last stage failed of; null when it was canceled without a failure. */
  readonly failure: Failure | null;

  constructor(task: TaskView) {
    super('TASK_FAILED', describe(task), {
      field: 'taskId',
      got: task.taskId,
      hint:
        task.status === 'deadLettered' ? 'mend the cause, then redrive the task: finished stages are kept' : undefined,
    });
    this.name = 'TaskFailedError';
    this.task = task;
    this.failure = task.failure;
  }
}

function describe(task: TaskView): string {
  const how = task.status === 'canceled' ? 'was canceled' : 'was dead-lettered';
  const where = task.stage === null ? '' : ` at stage '${task.stage}'`;
  const why = task.failure === null ? '' : `: ${task.failure.class} ${task.failure.code} ${task.failure.message}`;
  return `task ${task.taskId} ${how}${where}${why}`;
}
