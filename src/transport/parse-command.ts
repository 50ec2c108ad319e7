import { EngineError, invalidArgument, showValue } from '../core/errors.ts';
import { parseCommandId, parsePipelineName, parseTaskId } from '../core/ids.ts';
import { parseJsonValue } from '../core/json.ts';
import type { OperatorResolution, ShardCommand } from '../core/messages.ts';
import { protocolVersion } from '../core/protocol.ts';
import type { TaskStatus } from '../core/task-view.ts';

/** Longest `by` of a command in characters. */
export const maximumByLength = 256;
/** Longest `reason`, or message of a resolution, in characters. */
export const maximumReasonLength = 2_000;
/** Longest `waitMs` that may be asked; the owner may hold a request for less. */
export const maximumWaitMs = 600_000;
/** Most tasks in one page of a list. */
export const maximumPageSize = 1_000;

const origin = ['taskId', 'commandId', 'by', 'reason'] as const;
const control = [...origin, 'expectedSeq'] as const;

/** The fields that each command may have; any other is refused. */
export const commandFields: { readonly [Type in ShardCommand['type']]: ReadonlySet<string> } = {
  'task.submit': new Set(['type', ...origin, 'pipeline', 'version', 'input', 'waitMs']),
  'task.pause': new Set(['type', ...control]),
  'task.resume': new Set(['type', ...control]),
  'task.cancel': new Set(['type', ...control]),
  'task.redrive': new Set(['type', ...control]),
  'task.resolve': new Set(['type', ...control, 'resolution']),
  'task.get': new Set(['type', 'taskId', 'includePayloads']),
  'task.result': new Set(['type', 'taskId', 'waitMs', 'brief']),
  'task.list': new Set(['type', 'pipeline', 'status', 'includeFinished', 'limit', 'after']),
};

const resolutionFields: { readonly [Kind in OperatorResolution['kind']]: ReadonlySet<string> } = {
  completed: new Set(['kind', 'output']),
  notDone: new Set(['kind']),
  failed: new Set(['kind', 'message']),
};

const statuses: ReadonlySet<unknown> = new Set<TaskStatus>([
  'queued',
  'running',
  'backingOff',
  'held',
  'unknown',
  'completed',
  'canceled',
  'deadLettered',
]);

type Fields = Readonly<Record<string, unknown>>;

/**
 * A decoded value as a command: the same object, with every field checked and no field too many.
 *
 * @throws EngineError `INVALID_TASK_ID`, `INVALID_ARGUMENT` or `UNSERIALIZABLE` with the field at fault,
 *   `UNSUPPORTED_VERSION` for a command that this protocol version does not have
 */
export function parseCommand(value: unknown): ShardCommand {
  const fields = parseFields(value, 'command');
  const type = parseCommandType(fields['type']);
  refuseUnknownFields(fields, commandFields[type], type);
  if (type !== 'task.list') parseTaskId(fields['taskId']);
  switch (type) {
    case 'task.submit':
      checkOrigin(fields);
      parsePipelineName(fields['pipeline']);
      if (fields['version'] !== undefined) parseWholeNumber(fields['version'], 'version', 1, Number.MAX_SAFE_INTEGER);
      requireField(fields, 'input');
      parseJsonValue(fields['input'], 'input');
      if (fields['waitMs'] !== undefined) parseWholeNumber(fields['waitMs'], 'waitMs', 0, maximumWaitMs);
      break;
    case 'task.pause':
    case 'task.resume':
    case 'task.cancel':
    case 'task.redrive':
      checkControl(fields);
      break;
    case 'task.resolve':
      checkControl(fields);
      parseResolution(fields['resolution']);
      break;
    case 'task.get':
      checkBoolean(fields, 'includePayloads');
      break;
    case 'task.result':
      parseWholeNumber(fields['waitMs'], 'waitMs', 0, maximumWaitMs);
      checkBoolean(fields, 'brief');
      break;
    case 'task.list':
      checkListQuery(fields);
  }
  // Every field of the type has been checked one by one above; to copy them would only cost time.
  return fields as unknown as ShardCommand;
}

/** What an operator says of an unknown outcome. @throws EngineError `INVALID_ARGUMENT`, `UNSERIALIZABLE` */
export function parseResolution(value: unknown): OperatorResolution {
  const fields = parseFields(value, 'resolution');
  const kind = fields['kind'];
  if (kind !== 'completed' && kind !== 'notDone' && kind !== 'failed') {
    throw invalidArgument({
      field: 'resolution.kind',
      message: 'resolution.kind is none of completed, notDone, failed',
      limit: 'completed, notDone or failed',
      got: kind,
    });
  }
  refuseUnknownFields(fields, resolutionFields[kind], 'resolution');
  if (kind === 'completed') {
    requireField(fields, 'output', 'resolution.output');
    parseJsonValue(fields['output'], 'resolution.output');
  }
  if (kind === 'failed') {
    requireField(fields, 'message', 'resolution.message');
    parseText(fields['message'], 'resolution.message', maximumReasonLength);
  }
  return fields as unknown as OperatorResolution;
}

/** `value` as an object with named fields. @throws EngineError `INVALID_ARGUMENT` */
export function parseFields(value: unknown, field: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  const message = value === undefined ? `${field} is required` : `${field} must be an object`;
  throw invalidArgument({ field, message, limit: 'an object', got: value });
}

/** Refuses a field that is not in the set. @throws EngineError `INVALID_ARGUMENT` "unknown field 'x'" */
export function refuseUnknownFields(fields: Fields, known: ReadonlySet<string>, owner: string): void {
  for (const name of Object.keys(fields)) {
    if (known.has(name)) continue;
    throw invalidArgument({
      field: showValue(name),
      message: `unknown field '${showValue(name)}' of ${owner}`,
      limit: [...known].join(', '),
      got: name,
    });
  }
}

/** `value` as an integer of the range. @throws EngineError `INVALID_ARGUMENT` */
export function parseWholeNumber(value: unknown, field: string, least: number, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  const limit = `an integer from ${least} to ${most}`;
  const message = value === undefined ? `${field} is required` : `${field} must be ${limit}`;
  throw invalidArgument({ field, message, limit, got: value });
}

/** `value` as well-formed text of 1 to `most` characters. @throws EngineError `INVALID_ARGUMENT` */
export function parseText(value: unknown, field: string, most: number): string {
  if (typeof value === 'string' && value !== '' && value.length <= most && value.isWellFormed()) return value;
  const limit = `1 to ${most} characters`;
  throw invalidArgument({ field, message: `${field} must be well-formed text of ${limit}`, limit, got: value });
}

function parseCommandType(value: unknown): ShardCommand['type'] {
  if (typeof value === 'string' && Object.hasOwn(commandFields, value)) return value as ShardCommand['type'];
  if (typeof value !== 'string') {
    throw invalidArgument({
      field: 'type',
      message: value === undefined ? 'type is required' : 'type must be a string',
      limit: Object.keys(commandFields).join(', '),
      got: value,
    });
  }
  // A newer client may know more commands than this node: that is a difference of versions, not a mistake.
  throw new EngineError('UNSUPPORTED_VERSION', `there is no command '${showValue(value)}' in protocol 1`, {
    field: 'type',
    limit: `protocol ${protocolVersion} to ${protocolVersion}: ${Object.keys(commandFields).join(', ')}`,
    got: value,
  });
}

function checkOrigin(fields: Fields): void {
  parseCommandId(fields['commandId']);
  if (fields['by'] !== undefined) parseText(fields['by'], 'by', maximumByLength);
  if (fields['reason'] !== undefined) parseText(fields['reason'], 'reason', maximumReasonLength);
}

function checkControl(fields: Fields): void {
  checkOrigin(fields);
  const expectedSeq = fields['expectedSeq'];
  if (expectedSeq !== undefined) parseWholeNumber(expectedSeq, 'expectedSeq', 1, Number.MAX_SAFE_INTEGER);
}

function checkListQuery(fields: Fields): void {
  if (fields['pipeline'] !== undefined) parsePipelineName(fields['pipeline']);
  const status = fields['status'];
  if (status !== undefined && !statuses.has(status)) {
    const limit = [...statuses].join(', ');
    throw invalidArgument({ field: 'status', message: `status is none of ${limit}`, limit, got: status });
  }
  checkBoolean(fields, 'includeFinished');
  parseWholeNumber(fields['limit'], 'limit', 1, maximumPageSize);
  if (fields['after'] !== undefined) parseTaskId(fields['after'], 'after');
}

function checkBoolean(fields: Fields, field: string): void {
  const value = fields[field];
  if (value === undefined || typeof value === 'boolean') return;
  throw invalidArgument({ field, message: `${field} must be true or false`, limit: 'true or false', got: value });
}

function requireField(fields: Fields, name: string, field = name): void {
  if (fields[name] === undefined) throw invalidArgument({ field, message: `${field} is required` });
}
