import type { ErrorReport } from '../core/errors.ts';
import type { Millis, TaskId } from '../core/ids.ts';
import type {
  IndexedTask,
  TaskFilter,
  TaskGroup,
  TaskGroupField,
  TaskIndexChange,
  TaskListQuery,
  TaskPage,
  TaskRow,
} from '../ports/task-index.ts';

/** What the index's thread is started with. */
export interface TaskIndexThreadData {
  /** A file, or `:memory:`. */
  readonly path: string;
  /** An earlier file is dropped. */
  readonly isAnew: boolean;
}

/** What the thread can be asked, with what it gives. */
export interface TaskIndexCalls {
  readonly get: { readonly request: TaskId; readonly answer: IndexedTask | null };
  readonly list: { readonly request: TaskListQuery; readonly answer: TaskPage };
  readonly count: { readonly request: TaskFilter; readonly answer: number };
  readonly countBy: {
    readonly request: { readonly field: TaskGroupField; readonly filter: TaskFilter; readonly limit: number };
    readonly answer: readonly TaskGroup[];
  };
  readonly rowsOf: { readonly request: readonly TaskId[]; readonly answer: readonly TaskRow[] };
  readonly scan: {
    readonly request: { readonly after: TaskId | null; readonly limit: number };
    readonly answer: readonly TaskRow[];
  };
  readonly apply: { readonly request: TaskIndexChange; readonly answer: null };
  readonly expire: {
    readonly request: { readonly endedBefore: Millis; readonly limit: number };
    readonly answer: number;
  };
  /** The thread ends after it. */
  readonly close: { readonly request: null; readonly answer: null };
}

/** The name of a call. */
export type TaskIndexCallName = keyof TaskIndexCalls;

/** One call, sent to the thread. */
export interface TaskIndexRequest {
  readonly id: number;
  readonly name: TaskIndexCallName;
  readonly request: unknown;
}

/** Where the index stands after a call. */
export interface TaskIndexStanding {
  readonly position: string | null;
  readonly rowCount: number;
}

/** What the thread sends. */
export type TaskIndexResponse =
  /** The file is open. `dropped`: why an earlier file was not used and is gone; null when there was none to drop. */
  | ({ readonly kind: 'open'; readonly dropped: string | null } & TaskIndexStanding)
  | { readonly kind: 'failedToOpen'; readonly error: ErrorReport }
  | ({ readonly kind: 'answer'; readonly id: number; readonly answer: unknown } & TaskIndexStanding)
  | { readonly kind: 'error'; readonly id: number; readonly error: ErrorReport };
