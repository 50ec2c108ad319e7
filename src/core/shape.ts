import { showValue } from './errors.ts';

/**
 * Whether stored data has the shape that its readers rely on: null when it has, else where and how it has not, such as
 * `.event.attempt must be a whole number from 1, got "2"`. Costs no memory when all is well: it is asked of every record.
 */
export type Shape = (value: unknown) => string | null;

/** Farthest instant that a `Date` can tell, in milliseconds from 1970. */
const maximumMillis = 8_640_000_000_000_000;

const is =
  (test: (value: unknown) => boolean, what: string): Shape =>
  (value) =>
    test(value) ? null : ` must be ${what}, got ${showValue(value)}`;

/** A text, perhaps an empty one. */
export const text = is((value) => typeof value === 'string', 'a text');
/** A text that is not empty. */
export const name = is((value) => typeof value === 'string' && value !== '', 'a text that is not empty');
/** A number that is one: no NaN, not without end. */
export const number = is((value) => Number.isFinite(value), 'a number');
/** True or false. */
export const flag = is((value) => typeof value === 'boolean', 'true or false');
/** 0, 1, 2 and so on. */
export const count = is((value) => Number.isSafeInteger(value) && (value as number) >= 0, 'a whole number from 0');
/** 1, 2, 3 and so on. */
export const ordinal = is((value) => Number.isSafeInteger(value) && (value as number) >= 1, 'a whole number from 1');
/** A number that a `Date` can tell. */
export const instant = is(
  (value) => typeof value === 'number' && Math.abs(value) <= maximumMillis,
  'milliseconds since 1970',
);
/** Anything but nothing. */
export const something = is((value) => value !== undefined, 'there');

/** One of these words. */
export function wordOf(words: readonly string[]): Shape {
  const known: ReadonlySet<unknown> = new Set(words);
  return is((value) => known.has(value), `one of ${words.join(', ')}`);
}

/** What may be left out. */
export function optional(shape: Shape): Shape {
  return (value) => (value === undefined ? null : shape(value));
}

/** What may be null. */
export function nullable(shape: Shape): Shape {
  return (value) => (value === null ? null : shape(value));
}

/** A list whose every element has this shape. */
export function listOf(shape: Shape): Shape {
  const isList = is((value) => Array.isArray(value), 'a list');
  return (value) => {
    if (!Array.isArray(value)) return isList(value);
    for (let index = 0; index < value.length; index += 1) {
      const problem = shape(value[index]);
      if (problem !== null) return `[${index}]${problem}`;
    }
    return null;
  };
}

/** An object whose every member, whatever its name, has this shape. */
export function mapOf(shape: Shape): Shape {
  const isMap = is((value) => typeof value === 'object' && value !== null && !Array.isArray(value), 'an object');
  return (value) => {
    const problem = isMap(value);
    if (problem !== null) return problem;
    for (const [member, child] of Object.entries(value as object)) {
      const childProblem = shape(child);
      if (childProblem !== null) return `.${member}${childProblem}`;
    }
    return null;
  };
}

/** An object of these members; others that it may have are nobody's concern. */
export function membersOf(shapes: Readonly<Record<string, Shape>>): Shape {
  const entries = Object.entries(shapes);
  const isObject = is((value) => typeof value === 'object' && value !== null, 'an object');
  return (value) => {
    if (typeof value !== 'object' || value === null) return isObject(value);
    const members = value as Readonly<Record<string, unknown>>;
    for (const [member, shape] of entries) {
      const problem = shape(members[member]);
      if (problem !== null) return `.${member}${problem}`;
    }
    return null;
  };
}

/** An object whose member `tag` says which of these shapes it has. */
export function variantOf(tag: string, variants: Readonly<Record<string, Shape>>): Shape {
  const shapes = new Map<unknown, Shape>(Object.entries(variants));
  const isVariant = membersOf({ [tag]: wordOf(Object.keys(variants)) });
  return (value) => {
    const shape = shapes.get((value as Readonly<Record<string, unknown>> | null | undefined)?.[tag]);
    return shape === undefined ? isVariant(value) : shape(value);
  };
}
