import type { Sequence, TaskId } from '../core/ids.ts';
import type { IndexedTask, TaskRow } from '../ports/task-index.ts';
import type { Facet } from './task-facets.ts';

/** Version of the tables below and of what is written into them; another one in a file has it built anew. */
export const taskSchemaVersion = 1;

/** What is kept beside tasks and facets, one value a name. */
export type MetaName = 'position' | 'isOpen';

// `task` is stored in the order of its ids, so each index ends with the id, as each order does.
// Of the indexes only two change with each record of a task: that of `updatedAt`, which holds the facet too so that a walk in that
// order sees it without a look at the task, and that of facets.

/** The tables of a new file. */
export const taskSchema = `
  CREATE TABLE task(
    taskId TEXT PRIMARY KEY,
    facet INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    submittedAt INTEGER NOT NULL,
    updatedAt INTEGER NOT NULL,
    endedAt INTEGER,
    dueAt INTEGER,
    seq INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    failureCount INTEGER NOT NULL,
    interruptionCount INTEGER NOT NULL,
    failure TEXT
  ) WITHOUT ROWID;
  CREATE INDEX task_updatedAt ON task(updatedAt, taskId, facet);
  CREATE INDEX task_submittedAt ON task(submittedAt, taskId);
  CREATE INDEX task_endedAt ON task(endedAt, taskId) WHERE endedAt IS NOT NULL;
  CREATE INDEX task_dueAt ON task(dueAt, taskId) WHERE dueAt IS NOT NULL;
  CREATE INDEX task_attempt ON task(attempt, taskId);
  CREATE INDEX task_facet ON task(facet, updatedAt, taskId);
  CREATE TABLE facet(id INTEGER PRIMARY KEY, key TEXT NOT NULL, count INTEGER NOT NULL);
  CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
  PRAGMA user_version = ${taskSchemaVersion};
`;

const columns = [
  'taskId',
  'facet',
  'attempt',
  'submittedAt',
  'updatedAt',
  'endedAt',
  'dueAt',
  'seq',
  'sequence',
  'failureCount',
  'interruptionCount',
  'failure',
] as const;

/** The columns of a task, as {@link decodeRow} reads them. */
export const taskColumns = columns.join(', ');

/** Writes a task over what there is of it. */
export const upsertTask = `
  INSERT INTO task(${taskColumns}) VALUES (${columns.map(() => '?').join(', ')})
  ON CONFLICT(taskId) DO UPDATE SET ${columns
    .slice(1)
    .map((column) => `${column} = excluded.${column}`)
    .join(', ')}
`;

/** The values of a task in the order of the columns. */
export function encodeRow({ task, sequence }: TaskRow, facetId: number): readonly (string | number | null)[] {
  const { failure } = task;
  return [
    task.taskId,
    facetId,
    task.attempt,
    task.submittedAt,
    task.updatedAt,
    task.endedAt,
    task.dueAt,
    task.seq,
    sequence,
    task.failureCount,
    task.interruptionCount,
    // JSON, for the database cuts a text at its first NUL and takes no half of a surrogate pair.
    failure === null ? null : JSON.stringify([failure.code, failure.message]),
  ];
}

/** The task of these values and its facet. */
export function decodeRow(values: readonly unknown[], facetOf: (id: number) => Facet): TaskRow {
  const [taskId, facetId, attempt, submittedAt, updatedAt, endedAt, dueAt, seq, sequence, failureCount] =
    values as number[];
  const [interruptionCount, failure] = values.slice(10) as [number, string | null];
  const facet = facetOf(facetId as number);
  return {
    sequence: sequence as Sequence,
    task: {
      taskId: taskId as unknown as TaskId,
      pipeline: facet.pipeline,
      version: facet.version,
      shard: facet.shard,
      status: facet.status,
      state: facet.state,
      stage: facet.stage,
      attempt: attempt as number,
      submittedAt: submittedAt as number,
      updatedAt: updatedAt as number,
      endedAt: endedAt as number | null,
      dueAt: dueAt as number | null,
      seq: seq as number,
      failureCount: failureCount as number,
      interruptionCount,
      failure: failureOf(facet, failure),
      failureFingerprint: facet.failureFingerprint,
    },
  };
}

function failureOf(facet: Facet, text: string | null): IndexedTask['failure'] {
  if (facet.failure === null || text === null) return null;
  const [code, message] = JSON.parse(text) as [string | null, string];
  return { class: facet.failure.class, code, message };
}
