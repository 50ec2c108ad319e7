import type { TaskFilter } from '../ports/task-index.ts';
import type { ObjectOf } from './schema.ts';
import type { taskFilterFields } from './schemas/tasks.ts';

const filterNames = [
  'pipelines',
  'versions',
  'statuses',
  'stages',
  'shards',
  'failureClasses',
  'failureFingerprints',
  'taskIds',
  'taskIdPrefix',
  'submittedFrom',
  'submittedBefore',
  'updatedFrom',
  'updatedBefore',
] as const satisfies readonly (keyof TaskFilter)[];

/** The filter among the fields of a request: those parts alone that are given. */
export function taskFilterOf(fields: Partial<ObjectOf<typeof taskFilterFields>>): TaskFilter {
  const parts = filterNames.flatMap((name) => (fields[name] === undefined ? [] : [[name, fields[name]] as const]));
  return Object.fromEntries(parts) as TaskFilter;
}

/** Whether the filter leaves nothing out. */
export function isEmptyFilter(filter: TaskFilter): boolean {
  return Object.keys(filter).length === 0;
}
