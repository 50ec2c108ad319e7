import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../src/core/errors.ts';
import { parseStrictJson } from '../../../src/core/strict-json.ts';

function read(text: string): unknown {
  return parseStrictJson(Buffer.from(text), 1_000_000);
}

describe('parseStrictJson', () => {
  it('reads every JSON text as JSON.parse does', () => {
    const value = fc.jsonValue({ stringUnit: 'binary', maxDepth: 5 });
    fc.assert(
      fc.property(value, fc.constantFrom(undefined, 1, '\t'), (json, indent) => {
        const text = JSON.stringify(json, null, indent);
        fc.pre(!text.includes('__proto__'));
        expect(read(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it.each([
    [' [1, -2.5e3, 0.1E-2] '],
    ['"\\u00e9\\n\\"\\\\\\/\\b\\f\\r\\t"'],
    ['{"":{"a":[]},"b":{}}'],
    ['"\\ud83d\\ude00"'],
  ])('reads %s', (text) => {
    expect(read(text)).toEqual(JSON.parse(text));
  });

  it.each([
    ['nothing', '', 0, 'the text ends too early'],
    ['trailing garbage', '{} x', 3, 'something follows the value'],
    ['two values', '1 2', 2, 'something follows the value'],
    ['a comment', '{/* */}', 1, 'a key must be text in double quotes'],
    ['single quotes', "{'a':1}", 1, 'a key must be text in double quotes'],
    ['a trailing comma', '[1,]', 3, 'no value starts here'],
    ['a truncated object', '{"a":1', 6, "a ',' or '}' is missing"],
    ['a truncated text', '"abc', 4, 'the text ends within a string'],
    ['a raw line break', '"a\nb"', 2, 'a control character must be escaped'],
    ['an unknown escape', '"\\x41"', 1, 'there is no such escape'],
    ['a short escape', '"\\u12"', 1, 'there is no such escape'],
    ['a leading zero', '01', 1, 'something follows the value'],
    ['NaN', 'NaN', 0, 'no value starts here'],
    ['a missing colon', '{"a" 1}', 5, "a ':' is missing"],
    ['a duplicate key', '{"a":1,"a":2}', 7, "duplicate key 'a'"],
    ['an escaped duplicate key', '{"a":1,"\\u0061":2}', 7, "duplicate key 'a'"],
    ['an error after é', '["é",x]', 6, 'no value starts here'],
  ])('refuses %s with INVALID_MESSAGE that names the byte', (_, text, byte, what) => {
    expect(() => read(text)).toThrowError(
      expect.objectContaining({ code: 'INVALID_MESSAGE', message: `invalid JSON at byte ${byte}: ${what}` }),
    );
  });

  it.each([['{"__proto__":1}'], ['{"a":{"\\u005f_proto__":1}}']])('refuses %s with INVALID_ARGUMENT', (text) => {
    expect(() => read(text)).toThrowError(expect.objectContaining({ code: 'INVALID_ARGUMENT', got: '__proto__' }));
  });

  it('refuses 10,001 levels with INVALID_ARGUMENT and no stack overflow', () => {
    expect(() => read('['.repeat(10_001))).toThrowError(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', limit: '64' }),
    );
  });

  it('refuses a number beyond the range with UNSERIALIZABLE', () => {
    expect(() => read('[1e999]')).toThrowError(expect.objectContaining({ code: 'UNSERIALIZABLE', got: '1e999' }));
  });

  it('refuses what is not UTF-8 with INVALID_MESSAGE', () => {
    expect(() => parseStrictJson(Uint8Array.of(0x22, 0xff, 0x22), 10)).toThrowError(
      expect.objectContaining({ code: 'INVALID_MESSAGE' }),
    );
  });

  it('refuses a long text with PAYLOAD_TOO_LARGE before it reads it', () => {
    expect(() => parseStrictJson(Buffer.alloc(11, '['), 10)).toThrowError(
      expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE', limit: '10 bytes' }),
    );
  });

  it('gives a value or a coded error for any bytes, and never more than JSON.parse takes', () => {
    const nearly = fc.array(fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '1', 'e', '-', 'null', '\\', ' ', 'é'));
    fc.assert(
      fc.property(
        fc.oneof(
          nearly.map((parts) => Buffer.from(parts.join(''))),
          fc.uint8Array(),
        ),
        (bytes) => {
          try {
            const value = parseStrictJson(bytes, 1_000);
            expect(value).toEqual(JSON.parse(Buffer.from(bytes).toString()));
          } catch (error) {
            expect(error).toBeInstanceOf(EngineError);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
