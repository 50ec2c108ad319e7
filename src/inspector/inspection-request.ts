import { invalidArgument } from '../core/errors.ts';
import { parseTaskId, type TaskId } from '../core/ids.ts';
import type { InspectionStart } from './encode-inspection.ts';
import { inspectionFormats, type InspectionFormat } from './inspection-frame.ts';

/** How fast a task's past is told: as it happened, ten times as fast, or at once. */
export const inspectionSpeeds = ['1', '10', 'max'] as const;

/** One of {@link inspectionSpeeds}. */
export type InspectionSpeed = (typeof inspectionSpeeds)[number];

/** What a viewer asks for. */
export interface InspectionRequest {
  readonly taskId: TaskId;
  readonly format: InspectionFormat;
  readonly from: InspectionStart;
  readonly speed: InspectionSpeed;
  /** Values of small payloads, beside size and hash. */
  readonly showsPayloads: boolean;
}

const prefix = '/api/inspect/';
const starts = ['start', 'now'] as const satisfies readonly InspectionStart[];
const known: ReadonlySet<string> = new Set(['format', 'from', 'speed', 'payloads', 'ticket', 'key']);

/** Whether the address is one of the gateway's. */
export function isInspectionUrl(url: string): boolean {
  return url.startsWith(prefix);
}

/**
 * What the address of a WebSocket asks for. What proves who asks, `ticket` and `key`, is not looked at.
 *
 * @param url - path and query
 * @throws EngineError `INVALID_TASK_ID`, `INVALID_ARGUMENT` that names the query's field
 */
export function parseInspectionUrl(url: string): InspectionRequest {
  const { pathname, searchParams } = new URL(url, 'ws://localhost');
  for (const name of searchParams.keys()) {
    if (!known.has(name)) {
      throw invalidArgument({
        field: name,
        message: `there is no such query field`,
        limit: [...known].join(', '),
        got: name,
      });
    }
    if (searchParams.getAll(name).length > 1) {
      throw invalidArgument({ field: name, message: `${name} is given twice`, limit: 'once', got: name });
    }
  }
  return {
    taskId: parseTaskId(pathname.slice(prefix.length)),
    format: oneOf(searchParams, 'format', inspectionFormats),
    from: oneOf(searchParams, 'from', starts),
    speed: oneOf(searchParams, 'speed', inspectionSpeeds, 'max'),
    showsPayloads: oneOf(searchParams, 'payloads', ['0', '1'] as const) === '1',
  };
}

function oneOf<const Choice extends string>(
  query: URLSearchParams,
  field: string,
  choices: readonly [Choice, ...Choice[]],
  usual: Choice = choices[0],
): Choice {
  const got = query.get(field);
  if (got === null) return usual;
  const found = choices.find((choice) => choice === got);
  if (found !== undefined) return found;
  throw invalidArgument({ field, message: `${field} has no such value`, limit: choices.join(', '), got });
}
