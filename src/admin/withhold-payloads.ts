import type { JsonValue } from '../core/json.ts';
import type { Payload, TaskRecord } from '../core/records.ts';
import { summarizePayload } from '../projections/payload-summary.ts';

/**
 * A record with the size and hash of each payload in its place, as events have it: values are the business of whoever acts on tasks,
 * not of whoever looks on. Pure.
 */
export function withholdPayloads(record: TaskRecord): JsonValue {
  return withheld(record as unknown as JsonValue);
}

function withheld(value: JsonValue): JsonValue {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => withheld(item));
  if (isPayload(value)) return { ...summarizePayload(value) };
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withheld(item)]));
}

/** Nothing else in a record looks so: one member, a value or a reference. */
function isPayload(value: object): value is Payload {
  const keys = Object.keys(value);
  return keys.length === 1 && (keys[0] === 'json' || keys[0] === 'blob');
}
