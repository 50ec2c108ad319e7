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
  checkValue(value, field, { path: [], nodes: 0 });
  return value as JsonValue;
}

/** Where a walk over a value is. Its path is put into words only when something is wrong there. */
interface Walk {
  /** Keys and indexes from the value itself down. */
  readonly path: (string | number)[];
  nodes: number;
}

function checkValue(value: unknown, field: string, walk: Walk): void {
  if (!isNested(value, field, walk)) return;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      walk.path.push(index);
      checkValue(value[index], field, walk);
      walk.path.pop();
    }
    return;
  }
  for (const key of Object.keys(value)) {
    refuseForbidden(key, field, walk);
    const child = (value as Record<string, unknown>)[key];
    // JSON drops a key whose value is undefined, on write and so on read: leaving it out is no loss.
    if (child === undefined) continue;
    walk.path.push(key);
    checkValue(child, field, walk);
    walk.path.pop();
  }
}

/** A value as JSON keeps it, in a copy that is frozen with all that is in it. */
export interface JsonCopy {
  readonly value: JsonValue;
  /** The value's JSON text in UTF-8 has at most so many bytes. */
  readonly mostBytes: number;
}

/**
 * What `JSON.parse(JSON.stringify(value))` gives, without the text: one walk checks, copies, freezes and measures. Each member is
 * read once, so that what was checked is what is kept, also of an object whose members change when they are looked at.
 *
 * @throws EngineError as {@link parseJsonValue}
 */
export function copyJson(value: unknown, field: string): JsonCopy {
  const walk = { path: [], nodes: 0, bytes: 0 };
  return { value: copyValue(value, field, walk), mostBytes: walk.bytes };
}

/** Bytes of JSON that a number takes at most: `-1.7976931348623157e+308`. */
const maximumNumberBytes = 25;
/** Bytes of JSON that a UTF-16 code unit takes at most: `\u0000`. */
const maximumUnitBytes = 6;

function copyValue(value: unknown, field: string, walk: Walk & { bytes: number }): JsonValue {
  if (!isNested(value, field, walk)) {
    walk.bytes += typeof value === 'string' ? maximumUnitBytes * value.length + 2 : maximumNumberBytes;
    return value as JsonValue;
  }
  walk.bytes += 2;
  if (Array.isArray(value)) {
    const copy: JsonValue[] = [];
    for (let index = 0; index < value.length; index += 1) {
      walk.path.push(index);
      copy.push(copyValue(value[index], field, walk));
      walk.path.pop();
      walk.bytes += 1;
    }
    return Object.freeze(copy);
  }
  const copy: Record<string, JsonValue> = {};
  for (const key of Object.keys(value)) {
    refuseForbidden(key, field, walk);
    const child = (value as Record<string, unknown>)[key];
    if (child === undefined) continue;
    walk.path.push(key);
    copy[key] = copyValue(child, field, walk);
    walk.path.pop();
    walk.bytes += maximumUnitBytes * key.length + 4;
  }
  return Object.freeze(copy);
}

/** Whether the value has members of its own to look at. @throws EngineError when JSON cannot keep it */
function isNested(value: unknown, field: string, walk: Walk): value is object {
  walk.nodes += 1;
  if (walk.nodes > maximumNodes) {
    throw invalidArgument({
      field,
      message: `${field} has more than ${maximumNodes} keys and elements`,
      limit: `${maximumNodes}`,
    });
  }
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed()) throw unserializable(field, walk, 'a lone surrogate');
      return false;
    case 'boolean':
      return false;
    case 'number':
      if (!Number.isFinite(value)) throw unserializable(field, walk, String(value));
      if (Object.is(value, -0)) throw unserializable(field, walk, '-0');
      return false;
    case 'object':
      break;
    default:
      throw unserializable(field, walk, typeof value);
  }
  if (value === null) return false;
  if (walk.path.length >= maximumDepth) {
    throw invalidArgument({
      field,
      message: `${field} is nested deeper than ${maximumDepth} at ${wordsOf(walk)}`,
      limit: `${maximumDepth}`,
    });
  }
  if (Array.isArray(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw unserializable(field, walk, `an instance of ${classNameOf(prototype)}`);
  }
  return true;
}

function refuseForbidden(key: string, field: string, walk: Walk): void {
  if (!forbiddenKeys.has(key)) return;
  throw invalidArgument({ field, message: `${field} has the forbidden key at ${wordsOf(walk)}.${key}`, got: key });
}

function wordsOf({ path }: Walk): string {
  // Keys are the caller's words: as long as he likes, and with any character.
  return showValue(`$${path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('')}`);
}

function classNameOf(prototype: unknown): string {
  const name = (prototype as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof name === 'string' && name !== '' ? name : 'an unnamed class';
}

function unserializable(field: string, walk: Walk, what: string): EngineError {
  return new EngineError(
    'UNSERIALIZABLE',
    `${field} holds ${showValue(what)} at ${wordsOf(walk)}, which JSON cannot keep`,
    {
      field,
      got: what,
    },
  );
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
