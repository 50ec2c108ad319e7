import * as fc from 'fast-check';
import { expect } from 'vitest';
import { EngineError, errorCatalog, maximumEchoLength, type ErrorReport } from '../../../src/core/errors.ts';

/** Ids that no entrance may take: the row of the plan's list, and what the message must hold. */
export const badIds: readonly (readonly [row: string, value: unknown, says: string])[] = [
  ['2 empty', '', 'must not be empty'],
  ['4 a number', 7, 'must be a string, got number'],
  ['4 null', null, 'must be a string, got null'],
  ['4 a list', ['t-1'], 'must be a string, got array'],
  ['4 an object', { taskId: 't-1' }, 'must be a string, got object'],
  ['4 a flag', true, 'must be a string, got boolean'],
  ['5 a dot', 'a.b', "found '.' at 1"],
  ['7 a wildcard', '>', "found '>' at 0"],
  ['7 a wildcard behind a dot', 'a.>', "found '.' at 1"],
  ['7 a star', '*', "found '*' at 0"],
  ['8 a blank within', 'a b', 'found U+0020 at 1'],
  ['8 a blank before', ' a', 'found U+0020 at 0'],
  ['8 a blank behind', 'a ', 'found U+0020 at 1'],
  ['10 a tab', 'a\t', 'found U+0009 at 1'],
  ['10 a carriage return', 'a\r', 'found U+000D at 1'],
  ['10 a line feed at the end', 'a\n', 'found U+000A at 1'],
  ['10 a form feed', 'a\f', 'found U+000C at 1'],
  ['10 NUL', 'a\u0000', 'found U+0000 at 1'],
  ['10 next line', 'a\u0085', 'found U+0085 at 1'],
  ['10 a line separator', 'a\u2028', 'found U+2028 at 1'],
  ['11 $SYS', '$SYS', "found '$' at 0"],
  ['11 a key-value subject', '$KV.x', "found '$' at 0"],
  ['11 the JetStream API', '$JS.API.STREAM.DELETE.x', "found '$' at 0"],
  ['11 an inbox', '_INBOX.x', "must start with a letter or digit, found '_'"],
  ['13 a path up', '../../x', "found '.' at 0"],
  ['13 an escaped path up', '%2e%2e', "found '%' at 0"],
  ['13 a slash', 'a/b', "found '/' at 1"],
  ['13 a backslash', 'a\\b', "found '\\' at 1"],
  ['14 a lone surrogate', 'a\ud800', 'found U+D800 at 1'],
  ['14 a homoglyph', 'tаsk', 'found U+0430 at 1'],
  ['14 a combining mark', 'cafe\u0301', 'found U+0301 at 4'],
  ['14 a right-to-left override', 'a\u202eb', 'found U+202E at 1'],
  ['14 an emoji', 'a😀', 'found U+1F600 at 1'],
  ['14 a full-width letter', 'ａ', 'found U+FF41 at 0'],
  ['16 an option', '-rf', "must start with a letter or digit, found '-'"],
  ['3 too long', 'x'.repeat(129), 'must have at most 128 characters, got 129'],
];

/** Those that JSON can say. */
export const badIdsOfJson = badIds.filter(([, value]) => typeof value !== 'string' || value.isWellFormed());

/** Odd ids that are good ones, and stay text. */
export const oddIds = ['0', 'NaN', 'null', 'true', '1e5', '007', 'constructor', 'A_-z', 'x'.repeat(128)];

/** Text with all that Unicode has, and what breaks parsers. */
export const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  // UTF-16 code units, so that surrogates may be alone.
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 12 }).map((units) => String.fromCharCode(...units)),
  fc.constantFrom(
    '',
    '\0',
    '__proto__',
    'constructor',
    'toString',
    '\ud800',
    '\r\nHPUB x',
    '*',
    '>',
    '$SYS',
    '../..',
    'x'.repeat(70_000),
  ),
);

/** Values of every kind that JSON can say, with numbers and keys that break parsers. */
export const anyJsonValue: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, false, 0, -1, 1.5, 1e308, -1e-308, 2 ** 53, -(2 ** 31), 5e-324),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    anyText,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(
      anyText.map((text) => text.slice(0, 60)),
      tie('value'),
      { maxKeys: 4, noNullPrototype: true },
    ),
    fc.integer({ min: 60, max: 2_000 }).map(nestedLists),
  ),
})).value;

/** Values of every kind that JavaScript has. */
export const anyValue = fc.oneof(
  anyJsonValue,
  fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withNullPrototype: true,
    withSparseArray: true,
  }),
  fc.constantFrom<unknown>(
    undefined,
    Number.NaN,
    Infinity,
    -0,
    1n,
    Symbol('x'),
    () => 1,
    new Map(),
    new Date(Number.NaN),
    new Error('x'),
  ),
);

/** Lists within lists, so many. */
export function nestedLists(depth: number): unknown {
  let value: unknown = [];
  for (let level = 1; level < depth; level += 1) value = [value];
  return value;
}

/** Longest error as JSON that an entrance may answer, in bytes: message, hint and limit are the engine's own words but for short echoes. */
export const maximumErrorBytes = 4_096;

/** That an error is one of the catalog, says no bug, is of bounded size, and echoes little. */
export function expectGoodReport(report: unknown): ErrorReport {
  const { code, message, retryable, got } = report as ErrorReport;
  expect(Object.hasOwn(errorCatalog, code)).toBe(true);
  expect(code).not.toBe('INTERNAL');
  expect(retryable).toBe(errorCatalog[code].retryable);
  expect(message).not.toBe('');
  expect(Buffer.byteLength(JSON.stringify(report))).toBeLessThanOrEqual(maximumErrorBytes);
  if (got !== undefined) expect(got.length).toBeLessThanOrEqual(maximumEchoLength);
  return report as ErrorReport;
}

/** That what was thrown is such an error. */
export function expectGoodError(thrown: unknown): EngineError {
  if (!(thrown instanceof EngineError)) throw new Error('no error of the catalog was thrown', { cause: thrown });
  expectGoodReport(thrown.toReport());
  return thrown;
}

/** What the work throws, now or later; fails when it throws nothing. */
export async function thrownBy(work: () => unknown): Promise<EngineError> {
  try {
    await work();
  } catch (thrown) {
    return expectGoodError(thrown);
  }
  throw new Error('it was taken');
}

/** What the work comes to: nothing when it is taken, else an error of the catalog. */
export async function takenOrRefused(work: () => unknown): Promise<EngineError | null> {
  try {
    await work();
    return null;
  } catch (thrown) {
    return expectGoodError(thrown);
  }
}

/** `object` with one member, at any depth of plain objects, replaced; the path tells which. */
export function mutations(object: object, replace: (path: string) => unknown): readonly (readonly [string, object])[] {
  return Object.entries(object).flatMap(([name, value]): (readonly [string, object])[] => {
    const own: readonly [string, object] = [name, { ...object, [name]: replace(name) }];
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [own];
    const deeper = mutations(value as object, (path) => replace(`${name}.${path}`));
    return [
      own,
      ...deeper.map(([path, changed]): readonly [string, object] => [
        `${name}.${path}`,
        { ...object, [name]: changed },
      ]),
    ];
  });
}
