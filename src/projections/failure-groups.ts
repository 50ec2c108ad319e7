import type { TaskId } from '../core/ids.ts';
import type { TaskView } from '../core/task-view.ts';
import { fingerprintFailure, maskMessage } from './failure-fingerprint.ts';

/** Dead letters of one kind. */
export interface FailureGroup {
  /** Null: those without a failure. */
  readonly fingerprint: string | null;
  readonly count: number;
  readonly pipelines: readonly string[];
  readonly stage: string | null;
  readonly class: string | null;
  readonly code: string | null;
  /** What their messages have in common. */
  readonly message: string;
  readonly oldestAt: number;
  readonly newestAt: number;
  /** The one given up last. */
  readonly sampleTaskId: TaskId;
}

/** The tasks by kind of failure, the most frequent kind first. Pure. */
export function groupFailures(tasks: readonly TaskView[]): readonly FailureGroup[] {
  const members = new Map<string | null, TaskView[]>();
  for (const task of tasks) {
    const fingerprint = fingerprintOf(task);
    const group = members.get(fingerprint);
    if (group === undefined) members.set(fingerprint, [task]);
    else group.push(task);
  }
  return [...members]
    .flatMap(([fingerprint, group]) => {
      const sample = group.toSorted((one, other) => one.updatedAt - other.updatedAt).at(-1);
      return sample === undefined ? [] : [groupOf(fingerprint, group, sample)];
    })
    .toSorted((one, other) => other.count - one.count || other.newestAt - one.newestAt);
}

function groupOf(fingerprint: string | null, tasks: readonly TaskView[], sample: TaskView): FailureGroup {
  const { failure, stage, taskId, updatedAt } = sample;
  return {
    fingerprint,
    count: tasks.length,
    pipelines: [...new Set(tasks.map((task) => task.pipeline))],
    stage,
    class: failure?.class ?? null,
    code: failure?.code ?? null,
    message: failure === null ? '' : maskMessage(failure.message, taskId),
    oldestAt: tasks.reduce((least, task) => Math.min(least, task.updatedAt), updatedAt),
    newestAt: updatedAt,
    sampleTaskId: taskId,
  };
}

/** The kind of a dead letter's failure; null when it was given up without one. */
export function fingerprintOf(task: Pick<TaskView, 'taskId' | 'stage' | 'failure'>): string | null {
  return task.failure === null ? null : fingerprintFailure(task.stage, task.failure, task.taskId);
}
