import { EngineError, invalidArgument, showValue } from './errors.ts';

/** A value that JSON can write and read back without a difference. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** Deepest nesting of an accepted value. */
export const maximumDepth = 64;
/** Most keys and elements of an accepted value, counted over all levels. */
export const maximumNodes = 10_000;

const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * `value` as JSON, unchanged.
 *
 * @param field - the argument's name, for the error
 * @throws EngineError `UNSERIALIZABLE` with the path and type of what JSON would lose (NaN, BigInt, Map, undefined in an
 *   array, class instances), `INVALID_ARGUMENT` for a forbidden key or a value over the depth or node limit
 */
export function parseJsonValue(value: unknown, field: string): JsonValue {
  checkValue(value, field, '$', 0, { nodes: 0 });
  return value as JsonValue;
}

function checkValue(value: unknown, field: string, path: string, depth: number, count: { nodes: number }): void {
  count.nodes += 1;
  if (count.nodes > maximumNodes) {
    throw invalidArgument({
      field,
      message: `${field} has more than ${maximumNodes} keys and elements`,
      limit: `${maximumNodes}`,
    });
  }
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed()) throw unserializable(field, path, 'a lone surrogate');
      return;
    case 'boolean':
      return;
    case 'number':
      if (!Number.isFinite(value)) throw unserializable(field, path, String(value));
      if (Object.is(value, -0)) throw unserializable(field, path, '-0');
      return;
    case 'object':
      break;
    default:
      throw unserializable(field, path, typeof value);
  }
  if (value === null) return;
  if (depth >= maximumDepth) {
    throw invalidArgument({
      field,
      message: `${field} is nested deeper than ${maximumDepth} at ${path}`,
      limit: `${maximumDepth}`,
    });
  }
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      checkValue(value[index], field, `${path}[${index}]`, depth + 1, count);
    }
    return;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw unserializable(field, path, `an instance of ${classNameOf(prototype)}`);
  }
  for (const key of Object.keys(value)) {
    if (forbiddenKeys.has(key))
      throw invalidArgument({ field, message: `${field} has the forbidden key at ${path}.${key}`, got: key });
    const child = (value as Record<string, unknown>)[key];
    // JSON drops a key whose value is undefined, on write and so on read: leaving it out is no loss.
    if (child === undefined) continue;
    checkValue(child, field, `${path}.${key}`, depth + 1, count);
  }
}

function classNameOf(prototype: unknown): string {
  const name = (prototype as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof name === 'string' && name !== '' ? name : 'an unnamed class';
}

function unserializable(field: string, path: string, what: string): EngineError {
  return new EngineError('UNSERIALIZABLE', `${field} holds ${showValue(what)} at ${path}, which JSON cannot keep`, {
    field,
    got: what,
  });
}

/** The value with all that is in it frozen; for values that nobody else has. */
export function freezeJson(value: JsonValue): JsonValue {
  // What is frozen was frozen here, with all that is in it.
  if (value === null || typeof value !== 'object' || Object.isFrozen(value)) return value;
  for (const child of Object.values(value)) freezeJson(child);
  return Object.freeze(value);
}

/** `value` as JSON text with the keys of each object sorted, so that equal values have equal text. */
export function canonicalJson(value: JsonValue): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((element: JsonValue) => canonicalJson(element)).join(',')}]`;
  const object = value as { readonly [key: string]: JsonValue | undefined };
  const members = Object.keys(object)
    .filter((key) => object[key] !== undefined)
    .toSorted()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(object[key] as JsonValue)}`);
  return `{${members.join(',')}}`;
}
