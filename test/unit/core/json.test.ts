import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalJson,
  copyJson,
  freezeJson,
  maximumDepth,
  maximumNodes,
  parseJsonValue,
  type JsonValue,
} from '../../../src/core/json.ts';

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

/** As many nodes as said, and two around them. */
function filled(length: number): unknown {
  return { a: Array.from({ length }, () => 1) };
}

const arrayWithHole: unknown[] = [1];
arrayWithHole[2] = 3;

class Card {
  title = 'x';
}

describe('parseJsonValue', () => {
  it('gives every value that JSON keeps back as it is', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!/"(__proto__|constructor|prototype)":/.test(text));
        const kept: unknown = JSON.parse(text);
        expect(parseJsonValue(kept, 'input')).toBe(kept);
      }),
    );
  });

  it('accepts an object without a prototype, and keys whose value is undefined', () => {
    const bare: unknown = Object.assign(Object.create(null) as object, { a: 1 });
    expect(parseJsonValue(bare, 'input')).toBe(bare);
    expect(parseJsonValue({ a: undefined, b: [] }, 'input')).toEqual({ a: undefined, b: [] });
  });

  it.each([
    ['NaN', { a: [Number.NaN] }, 'input holds NaN at $.a[0], which JSON cannot keep'],
    ['Infinity', -Infinity, 'input holds -Infinity at $, which JSON cannot keep'],
    ['a negative zero', { a: -0 }, 'input holds -0 at $.a, which JSON cannot keep'],
    ['a BigInt', { a: 1n }, 'input holds bigint at $.a, which JSON cannot keep'],
    ['undefined', undefined, 'input holds undefined at $, which JSON cannot keep'],
    ['undefined in an array', [1, undefined], 'input holds undefined at $[1], which JSON cannot keep'],
    ['a hole in an array', arrayWithHole, 'input holds undefined at $[1], which JSON cannot keep'],
    ['a function', { f: () => 1 }, 'input holds function at $.f, which JSON cannot keep'],
    ['a symbol', Symbol('s'), 'input holds symbol at $, which JSON cannot keep'],
    ['a Date', { at: new Date(0) }, 'input holds an instance of Date at $.at, which JSON cannot keep'],
    ['a Map', new Map(), 'input holds an instance of Map at $, which JSON cannot keep'],
    ['bytes', new Uint8Array(2), 'input holds an instance of Uint8Array at $, which JSON cannot keep'],
    ['an instance of a class', new Card(), 'input holds an instance of Card at $, which JSON cannot keep'],
    [
      'an object with an odd prototype',
      Object.create(Object.create(null) as object),
      'input holds an instance of an unnamed class at $, which JSON cannot keep',
    ],
    [
      'an instance of a class without a name',
      new (class {
        title = 'x';
      })(),
      'input holds an instance of an unnamed class at $, which JSON cannot keep',
    ],
    ['a lone surrogate', { a: '\ud800' }, 'input holds a lone surrogate at $.a, which JSON cannot keep'],
  ])('UNSERIALIZABLE for %s, with its path', (_what, value, message) => {
    expect(() => parseJsonValue(value, 'input')).toThrow(
      expect.objectContaining({ code: 'UNSERIALIZABLE', field: 'input', message }),
    );
  });

  it.each([['__proto__'], ['constructor'], ['prototype']])('INVALID_ARGUMENT for the key %s', (key) => {
    expect(() => parseJsonValue(JSON.parse(`{"a":{"${key}":1}}`), 'input')).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        field: 'input',
        got: key,
        message: `input has the forbidden key at $.a.${key}`,
      }),
    );
  });

  it('INVALID_ARGUMENT for a value that is nested too deeply, also for one that holds itself', () => {
    expect(parseJsonValue(nested(maximumDepth), 'input')).toBeDefined();
    expect(() => parseJsonValue(nested(maximumDepth + 1), 'input')).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', limit: String(maximumDepth) }),
    );
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    expect(() => parseJsonValue(cyclic, 'input')).toThrow('input is nested deeper than 64');
  });

  it('INVALID_ARGUMENT for a value with too many keys and elements, counted over all levels', () => {
    expect(parseJsonValue(filled(maximumNodes - 2), 'input')).toBeDefined();
    expect(() => parseJsonValue(filled(maximumNodes - 1), 'input')).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', limit: String(maximumNodes) }),
    );
  });
});

describe('canonicalJson', () => {
  it('sorts the keys of every object and leaves out those without a value', () => {
    const value = { b: [{ d: 1, c: null }], a: 'x', e: undefined } as unknown as JsonValue;
    expect(canonicalJson(value)).toBe('{"a":"x","b":[{"c":null,"d":1}]}');
  });

  it('is the same text whatever the order of keys, and reads back as the same value', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (dictionary) => {
        const value = JSON.parse(JSON.stringify(dictionary)) as JsonValue;
        const reversed = Object.fromEntries(Object.entries(value as object).toReversed()) as JsonValue;
        expect(canonicalJson(reversed)).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(value);
      }),
    );
  });
});

describe('freezeJson', () => {
  it('freezes a value with all that is in it, and gives the very same', () => {
    const value = { a: [{ b: 1 }], c: null, d: 'x' };
    expect(freezeJson(value)).toBe(value);
    expect([value, value.a, value.a[0]].every((part) => Object.isFrozen(part))).toBe(true);
    expect(() => value.a.push({ b: 2 })).toThrow(TypeError);
  });

  it.each([[null], [true], [1], ['text']])('gives %o as it is', (value) => {
    expect(freezeJson(value)).toBe(value);
  });
});

describe('copyJson', () => {
  it('gives what JSON would write and read back, frozen throughout, and a bound of its bytes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!/"(__proto__|constructor|prototype)":/.test(text));
        const original: unknown = JSON.parse(text);
        const copy = copyJson(original, 'output');
        expect(JSON.stringify(copy.value)).toBe(JSON.stringify(original));
        expect(copy.mostBytes).toBeGreaterThanOrEqual(Buffer.byteLength(text));
        // One that is frozen is taken to be frozen throughout: nothing is left for another walk to do.
        expect(isFrozenThroughout(copy.value)).toBe(true);
      }),
    );
  });

  it('leaves out what is undefined, and the prototype that is missing', () => {
    const bare: unknown = Object.assign(Object.create(null) as object, { a: 1, b: undefined });
    expect(copyJson(bare, 'output').value).toEqual({ a: 1 });
    expect(Object.keys(copyJson(bare, 'output').value as object)).toEqual(['a']);
  });

  it('reads each member once, so that what was checked is what is kept', () => {
    let reads = 0;
    const shifting = {
      get a(): unknown {
        reads += 1;
        return reads === 1 ? 'first' : () => 'second';
      },
    };
    expect(copyJson(shifting, 'output').value).toEqual({ a: 'first' });
    expect(reads).toBe(1);
  });

  it('is apart from the value: who changes that changes nothing of the copy', () => {
    const value = { list: [1, { deep: 2 }] };
    const { value: copy } = copyJson(value, 'output');
    value.list.push(3);
    (value.list[1] as { deep: number }).deep = 9;
    expect(copy).toEqual({ list: [1, { deep: 2 }] });
  });

  it.each([
    ['UNSERIALIZABLE', { a: [{ 'b c': 1n }] }, 'output holds bigint at $.a[0].b c, which JSON cannot keep'],
    ['UNSERIALIZABLE', [['x', '\ud800']], 'output holds a lone surrogate at $[0][1], which JSON cannot keep'],
    ['INVALID_ARGUMENT', nested(maximumDepth + 1), `output is nested deeper than ${maximumDepth} at $[0]`],
    [
      'INVALID_ARGUMENT',
      { a: JSON.parse('{"__proto__":1}') as unknown },
      'output has the forbidden key at $.a.__proto__',
    ],
    ['INVALID_ARGUMENT', filled(maximumNodes), `output has more than ${maximumNodes} keys and elements`],
  ])('%s for %#', (code, value, says) => {
    expect(() => copyJson(value, 'output')).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(says) as string }) as Error,
    );
  });
});

function isFrozenThroughout(value: JsonValue): boolean {
  if (value === null || typeof value !== 'object') return true;
  return Object.isFrozen(value) && Object.values(value as Record<string, JsonValue>).every(isFrozenThroughout);
}
