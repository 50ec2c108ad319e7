import { EngineError, invalidArgument } from '../../core/errors.ts';
import { parseTaskId, type CommandId, type TaskId } from '../../core/ids.ts';
import type { TaskFilter } from '../../ports/task-index.ts';
import { pipelineEventTypes } from '../../projections/event-types.ts';
import type { Role } from '../principal.ts';
import { listOf, object, oneOf, optional } from '../schema.ts';
import { commandIdField, pipelineField, taskIdField } from '../schemas/fields.ts';
import { taskFilterFields } from '../schemas/tasks.ts';
import { taskFilterOf } from '../task-filter.ts';
import { EventFilter } from './event-filter.ts';

/** What can be subscribed to. */
export type Topic =
  | { readonly kind: 'events'; readonly filter: EventFilter }
  | { readonly kind: 'task'; readonly taskId: TaskId }
  | { readonly kind: 'tasks'; readonly filter: TaskFilter }
  | { readonly kind: 'bulk'; readonly bulkId: CommandId }
  | { readonly kind: 'overview' | 'cluster' | 'dead-letters' | 'audit' };

/** Most values of one part of an event filter. */
const maximumFilterValues = 100;

const eventFilter = object({
  pipelines: optional(listOf(pipelineField, maximumFilterValues)),
  types: optional(listOf(oneOf(pipelineEventTypes), maximumFilterValues)),
  taskIds: optional(listOf(taskIdField, maximumFilterValues)),
});
const taskFilter = object(taskFilterFields);

/** The topic of that name. @throws EngineError `NOT_FOUND` for an unknown one, `INVALID_ARGUMENT` for a bad filter or id */
export function readTopic(name: string, filter: unknown): Topic {
  if (name === 'events') {
    return { kind: 'events', filter: new EventFilter(filter === undefined ? {} : eventFilter.read(filter, 'filter')) };
  }
  if (name === 'tasks') {
    return { kind: 'tasks', filter: filter === undefined ? {} : taskFilterOf(taskFilter.read(filter, 'filter')) };
  }
  if (filter !== undefined) {
    throw invalidArgument({ field: 'filter', message: `topic ${name} takes no filter`, limit: 'events or tasks' });
  }
  if (name === 'overview' || name === 'cluster' || name === 'dead-letters' || name === 'audit') return { kind: name };
  if (name.startsWith('task:')) return { kind: 'task', taskId: parseTaskId(name.slice('task:'.length)) };
  if (name.startsWith('bulk:')) return { kind: 'bulk', bulkId: commandIdField.read(name.slice(5), 'topic') };
  throw new EngineError('NOT_FOUND', 'there is no such topic', { field: 'topic', got: name });
}

/** Who may subscribe. As on the routes that tell the same. */
export function roleOfTopic({ kind }: Topic): Role {
  return kind === 'audit' ? 'admin' : 'viewer';
}

/** Whether what was missed of the topic can be had after a position. The others tell what is so now, and need it not. */
export function isResumable({ kind }: Topic): boolean {
  return kind === 'events' || kind === 'task';
}
