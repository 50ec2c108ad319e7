import { isUtf8 } from 'node:buffer';
import { EngineError, showValue } from './errors.ts';
import { type JsonValue, maximumDepth } from './json.ts';

/** Levels that a request puts around the value of a user, which has {@link maximumDepth} levels of its own. */
const requestLevels = 8;

/**
 * The value of JSON text, read strictly: what `JSON.parse` lets pass in silence is refused.
 *
 * @param maximumBytes - checked before anything is read
 * @throws EngineError `PAYLOAD_TOO_LARGE`; `INVALID_MESSAGE` "invalid JSON at byte N" for anything that is not one JSON value
 *   in UTF-8 without duplicate keys; `INVALID_ARGUMENT` for a key `__proto__` or a value nested too deep; `UNSERIALIZABLE`
 *   for a number beyond the range of JavaScript's, or a whole number that would come out as another one
 */
export function parseStrictJson(bytes: Uint8Array, maximumBytes: number): JsonValue {
  if (bytes.length > maximumBytes) {
    throw new EngineError('PAYLOAD_TOO_LARGE', `the request has ${bytes.length} bytes, allowed are ${maximumBytes}`, {
      limit: `${maximumBytes} bytes`,
      got: bytes.length,
    });
  }
  if (!isUtf8(bytes)) throw new EngineError('INVALID_MESSAGE', 'invalid JSON: the text is not UTF-8');
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  return readCanonical(text) ?? new JsonReader(text).readAll();
}

/** Longest text that is read by trial: a larger one may be costly to read twice. */
const maximumTrialLength = 4_096;

/**
 * The value of a text that is just what JavaScript writes for it: nothing was lost on the way in, so no second look is needed. Most
 * requests of programs are. Null when it is another text, or one that wants its depth or a key looked at.
 */
function readCanonical(text: string): JsonValue | null {
  if (
    text.length > maximumTrialLength ||
    text.includes('__proto__') ||
    text.split(/[[{]/, maximumDepth).length === maximumDepth
  ) {
    return null;
  }
  try {
    const value = JSON.parse(text) as JsonValue;
    return JSON.stringify(value) === text ? value : null;
  } catch {
    return null;
  }
}

const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};
const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// eslint-disable-next-line no-control-regex -- control characters are just what JSON text may not hold raw
const plainTextPattern = /[^"\\\u0000-\u001f]*/y;
const hexPattern = /[0-9a-fA-F]{4}/y;
const blankPattern = /[ \t\n\r]*/y;

/**
 * Whether digits and number are one: a fraction and an exponent say that they are rounded, a whole number does not. What JavaScript
 * itself writes for the number is taken too.
 */
function isKept(digits: string, value: number): boolean {
  return !/^-?\d+$/.test(digits) || String(value) === digits || BigInt(digits) === BigInt(value);
}

/** One pass over one text. @see RFC 8259 */
class JsonReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  readAll(): JsonValue {
    this.#skipBlanks();
    const value = this.#readValue(0);
    this.#skipBlanks();
    if (this.#at < this.#text.length) throw this.#invalid('something follows the value');
    return value;
  }

  #readValue(depth: number): JsonValue {
    if (depth > maximumDepth + requestLevels) {
      throw new EngineError(
        'INVALID_ARGUMENT',
        `nested deeper than ${maximumDepth} at byte ${this.#byteOf(this.#at)}`,
        {
          limit: `${maximumDepth}`,
        },
      );
    }
    switch (this.#text[this.#at]) {
      case '{':
        return this.#readObject(depth);
      case '[':
        return this.#readArray(depth);
      case '"':
        return this.#readText();
      case 't':
        return this.#readWord('true', true);
      case 'f':
        return this.#readWord('false', false);
      case 'n':
        return this.#readWord('null', null);
      case undefined:
        throw this.#invalid('the text ends too early');
      default:
        return this.#readNumber();
    }
  }

  #readObject(depth: number): JsonValue {
    const object: Record<string, JsonValue> = {};
    this.#at += 1;
    this.#skipBlanks();
    if (this.#take('}')) return object;
    for (;;) {
      const keyAt = this.#at;
      if (this.#text[keyAt] !== '"') throw this.#invalid('a key must be text in double quotes');
      const key = this.#readText();
      if (key === '__proto__') {
        throw new EngineError('INVALID_ARGUMENT', `forbidden key '__proto__' at byte ${this.#byteOf(keyAt)}`, {
          got: key,
        });
      }
      if (Object.hasOwn(object, key)) throw this.#invalid(`duplicate key '${showValue(key)}'`, keyAt);
      this.#skipBlanks();
      if (!this.#take(':')) throw this.#invalid("a ':' is missing");
      this.#skipBlanks();
      object[key] = this.#readValue(depth + 1);
      this.#skipBlanks();
      if (this.#take('}')) return object;
      if (!this.#take(',')) throw this.#invalid("a ',' or '}' is missing");
      this.#skipBlanks();
    }
  }

  #readArray(depth: number): JsonValue {
    const array: JsonValue[] = [];
    this.#at += 1;
    this.#skipBlanks();
    if (this.#take(']')) return array;
    for (;;) {
      array.push(this.#readValue(depth + 1));
      this.#skipBlanks();
      if (this.#take(']')) return array;
      if (!this.#take(',')) throw this.#invalid("a ',' or ']' is missing");
      this.#skipBlanks();
    }
  }

  #readText(): string {
    this.#at += 1;
    let text = this.#match(plainTextPattern);
    for (;;) {
      const character = this.#text[this.#at];
      if (character === '"') {
        this.#at += 1;
        return text;
      }
      if (character === undefined) throw this.#invalid('the text ends within a string');
      if (character !== '\\') throw this.#invalid('a control character must be escaped');
      text += this.#readEscape() + this.#match(plainTextPattern);
    }
  }

  #readEscape(): string {
    const startAt = this.#at;
    const letter = this.#text[startAt + 1] ?? '';
    this.#at += 2;
    if (letter === 'u') {
      const digits = this.#match(hexPattern);
      if (digits !== '') return String.fromCharCode(Number.parseInt(digits, 16));
    } else if (Object.hasOwn(escapes, letter)) {
      return escapes[letter] as string;
    }
    throw this.#invalid('there is no such escape', startAt);
  }

  #readNumber(): number {
    const startAt = this.#at;
    const digits = this.#match(numberPattern);
    if (digits === '') throw this.#invalid('no value starts here');
    const value = Number(digits);
    if (!Number.isFinite(value)) {
      throw new EngineError('UNSERIALIZABLE', `the number at byte ${this.#byteOf(startAt)} is too large`, {
        got: digits,
      });
    }
    if (Number.isSafeInteger(value) || isKept(digits, value)) return value;
    throw new EngineError(
      'UNSERIALIZABLE',
      `the whole number at byte ${this.#byteOf(startAt)} would become another one`,
      {
        limit: 'whole numbers within ±(2^53 − 1), and larger ones that a double holds',
        got: digits,
        hint: 'send a large number, such as an id, as text',
      },
    );
  }

  #readWord<Value extends JsonValue>(word: string, value: Value): Value {
    if (!this.#text.startsWith(word, this.#at)) throw this.#invalid('no value starts here');
    this.#at += word.length;
    return value;
  }

  #skipBlanks(): void {
    this.#match(blankPattern);
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  /** What matches at the place, stepped over; empty when nothing does. */
  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }

  #invalid(what: string, at = this.#at): EngineError {
    return new EngineError('INVALID_MESSAGE', `invalid JSON at byte ${this.#byteOf(at)}: ${what}`);
  }

  #byteOf(index: number): number {
    return Buffer.byteLength(this.#text.slice(0, index));
  }
}
