import { EngineError, invalidArgument } from '../core/errors.ts';
import { parsePipelineName } from '../core/ids.ts';
import type { ControlCommand, ListQuery, QueryCommand, SubmitCommand } from '../core/messages.ts';
import { maximumCommandsPerRequest } from '../core/protocol.ts';
import { chooseTaskId } from '../core/task-id.ts';
import { parseCommand, parseFields, parseWholeNumber, refuseUnknownFields } from './parse-command.ts';
import { maximumDeadlineMs } from './shard-client.ts';
import { parseStrictJson } from '../core/strict-json.ts';

/** Deadline of a JSON request that names none. */
export const defaultDeadlineMs = 10_000;
/** Tasks of a page when the request names no limit. */
export const defaultPageSize = 100;
/** Longest a JSON `result` request waits when it does not say. */
export const defaultResultWaitMs = 0;

type Fields = Readonly<Record<string, unknown>>;

const submitFields = new Set(['pipeline', 'version', 'input', 'taskId', 'idempotencyKey', 'by', 'reason']);
const controlFields = new Set(['taskId', 'commandId', 'by', 'reason', 'expectedSeq']);
const resolveFields = new Set([...controlFields, 'resolution']);
const listFields = new Set(['pipeline', 'status', 'includeFinished', 'limit', 'after']);

/** A request's fields without its deadline, which says how long the answer may take. */
export interface ApiRequest {
  readonly fields: Fields;
  /** The trace that the request's header tells. */
  readonly traceparent?: string | undefined;
  readonly deadlineMs: number;
}

/**
 * The fields of a JSON request; an empty body is an object without fields.
 *
 * @throws EngineError as `parseStrictJson`; `INVALID_ARGUMENT` for what is no object or a deadline out of range;
 *   `DEADLINE_EXCEEDED` for one that has passed
 */
export function parseApiRequest(body: Uint8Array, maximumBytes: number): ApiRequest {
  if (body.length === 0) return { fields: {}, deadlineMs: defaultDeadlineMs };
  const { deadlineMs, ...fields } = parseFields(parseStrictJson(body, maximumBytes), 'request');
  if (deadlineMs === undefined) return { fields, deadlineMs: defaultDeadlineMs };
  if (typeof deadlineMs === 'number' && deadlineMs <= 0) {
    throw new EngineError('DEADLINE_EXCEEDED', "the request's deadline has passed; nothing was done", {
      field: 'deadlineMs',
      got: deadlineMs,
    });
  }
  if (typeof deadlineMs === 'number' && deadlineMs > maximumDeadlineMs) {
    throw invalidArgument({
      field: 'deadlineMs',
      message: `deadline over ${maximumDeadlineMs / 1_000} s`,
      limit: `1 to ${maximumDeadlineMs}`,
      got: deadlineMs,
    });
  }
  return { fields, deadlineMs: parseWholeNumber(deadlineMs, 'deadlineMs', 1, maximumDeadlineMs) };
}

/** A submit; `fresh` as in `chooseTaskId`. @throws EngineError as `parseCommand` */
export function parseSubmitRequest(
  fields: Fields,
  newId: () => string,
): { readonly command: SubmitCommand; readonly fresh: boolean } {
  refuseUnknownFields(fields, submitFields, 'submit');
  const { idempotencyKey, ...rest } = fields;
  const pipeline = parsePipelineName(fields['pipeline']);
  const { taskId, fresh } = chooseTaskId(pipeline, { taskId: fields['taskId'], idempotencyKey }, newId);
  // A submit's identity is its task id, so that is its command id too: a repeat by another process has the same.
  const command = parseCommand({ ...rest, type: 'task.submit', taskId, commandId: taskId });
  return { command: command as SubmitCommand, fresh };
}

/** The items of a submit of many, each still unread. @throws EngineError `INVALID_ARGUMENT` */
export function parseSubmitItems(fields: Fields): readonly unknown[] {
  refuseUnknownFields(fields, new Set(['items']), 'submit-many');
  const items = fields['items'];
  if (Array.isArray(items) && items.length >= 1 && items.length <= maximumCommandsPerRequest) return items;
  const limit = `a list of 1 to ${maximumCommandsPerRequest} submits`;
  throw invalidArgument({ field: 'items', message: `items must be ${limit}`, limit });
}

/** An operator's command; without a command id it gets a new one. @throws EngineError as `parseCommand` */
export function parseControlRequest(type: ControlCommand['type'], fields: Fields, newId: () => string): ControlCommand {
  refuseUnknownFields(fields, type === 'task.resolve' ? resolveFields : controlFields, type.slice('task.'.length));
  // Null is not taken for left out: whoever believes to have named the command would have its repeats done again.
  const { commandId = newId() } = fields;
  return parseCommand({ ...fields, type, commandId }) as ControlCommand;
}

/** A question about one task. @throws EngineError as `parseCommand` */
export function parseQueryRequest(type: QueryCommand['type'], fields: Fields): QueryCommand {
  refuseUnknownFields(fields, new Set(['taskId', type === 'task.get' ? 'includePayloads' : 'waitMs']), type.slice(5));
  const { waitMs = defaultResultWaitMs } = fields;
  return parseCommand(type === 'task.get' ? { ...fields, type } : { ...fields, type, waitMs }) as QueryCommand;
}

/** A page that is asked for. @throws EngineError as `parseCommand` */
export function parseListRequest(fields: Fields): Omit<ListQuery, 'type'> {
  refuseUnknownFields(fields, listFields, 'list');
  const { limit = defaultPageSize } = fields;
  const query = { ...fields, limit };
  parseCommand({ ...query, type: 'task.list' });
  return query as Omit<ListQuery, 'type'>;
}
