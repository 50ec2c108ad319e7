import type { ErrorReport } from './errors.ts';
import type { PipelineName, TaskId } from './ids.ts';
import type { PayloadView, TaskView } from './task-view.ts';

/** The one answer to a request. Rejections are values: an expected *no*, with whether to retry. */
export type Reply =
  /** A submit created the task; its record is committed. */
  | { readonly kind: 'accepted'; readonly taskId: TaskId; readonly state: string }
  /** A submit found the same task with the same input. */
  | { readonly kind: 'existing'; readonly taskId: TaskId; readonly state: string }
  /** A command took effect, now or at an earlier try with the same command id (`repeated`). */
  | { readonly kind: 'done'; readonly taskId: TaskId; readonly state: string; readonly repeated: boolean }
  | { readonly kind: 'task'; readonly task: TaskView }
  /** The task has ended; `task` has its outputs. */
  | { readonly kind: 'ended'; readonly task: TaskView }
  /** The same of a task that has completed, for one who asked for its outputs alone (`brief`). */
  | {
      readonly kind: 'completed';
      readonly taskId: TaskId;
      readonly pipeline: PipelineName;
      readonly outputs: Readonly<Record<string, PayloadView>>;
    }
  /** The task had not ended when the wait was over: ask again. */
  | { readonly kind: 'pending'; readonly taskId: TaskId; readonly state: string }
  | { readonly kind: 'page'; readonly tasks: readonly TaskView[]; readonly next: string | null }
  | { readonly kind: 'error'; readonly error: ErrorReport };
