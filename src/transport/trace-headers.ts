import { maximumCommandsPerRequest } from '../core/protocol.ts';
import { parseTraceparent } from '../core/traceparent.ts';

/** The header of W3C Trace Context, on a request with one command. */
export const traceHeader = 'traceparent';
/** The same for each command of a request in turn, comma between them and nothing for one without a trace. */
const traceListHeader = 'cabinet-traceparents';
/** Bytes of headers that fit beside any body that a client sends. */
export const traceHeadroomBytes = 3_000;
/** A list for the most commands that a request may have. */
const maximumListBytes = maximumCommandsPerRequest * 56;

/**
 * What a request says of the traces of its commands; nothing, and no header at all, when none has one or they do not fit.
 *
 * @param roomBytes - what the headers may take
 */
export function traceHeaders(
  traceparents: readonly (string | undefined)[],
  roomBytes: number,
): Readonly<Record<string, string>> | undefined {
  if (traceparents.every((traceparent) => traceparent === undefined)) return undefined;
  const [first] = traceparents;
  if (traceparents.length === 1 && first !== undefined) return { [traceHeader]: first };
  const list = traceparents.map((traceparent) => traceparent ?? '').join(',');
  return list.length > roomBytes ? undefined : { [traceListHeader]: list };
}

/** The trace of each command of a request; what is not a well-formed `traceparent` is ignored. */
export function readTraceHeaders(headers: ReadonlyMap<string, string>, count: number): readonly (string | undefined)[] {
  if (headers.size === 0) return noTraces;
  const single = headers.get(traceHeader);
  if (single !== undefined) return count === 1 ? [parseTraceparent(single)] : noTraces;
  const list = headers.get(traceListHeader);
  if (list === undefined || list.length > maximumListBytes) return noTraces;
  const values = list.split(',');
  return values.length === count ? values.map(parseTraceparent) : noTraces;
}

const noTraces: readonly (string | undefined)[] = [];
