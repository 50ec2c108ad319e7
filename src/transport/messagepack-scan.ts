import { isUtf8 } from 'node:buffer';
import { EngineError } from '../core/errors.ts';

/** Deepest nesting that is decoded at all; JSON values have their own, smaller limit, told with the field's name. */
export const maximumMessageDepth = 96;

const protoKeyLength = '__proto__'.length;
/** Largest high word of a 64-bit integer that a JavaScript number holds exactly. */
const maximumExactHighWord = 0x1f_ffff;

/**
 * Walks over MessagePack bytes without decoding them, so that the decoder meets only what JSON has words for: one value,
 * maps with text keys, valid UTF-8, exact integers; no binary, no extension types, no count that its bytes cannot hold.
 *
 * @throws EngineError `INVALID_MESSAGE` that names the byte, `INVALID_ARGUMENT` for a key `__proto__`
 */
export function scanMessagePack(bytes: Uint8Array): void {
  const end = scanValue(bytes, 0, 0);
  if (end !== bytes.length) throw refused(end, `${bytes.length - end} bytes follow the message`);
}

function scanValue(bytes: Uint8Array, at: number, depth: number): number {
  const token = bytes[at];
  if (token === undefined) throw truncated(at);
  if (token <= 0x7f || token >= 0xe0) return at + 1;
  if (token <= 0x8f) return scanMap(bytes, at + 1, token & 0x0f, depth);
  if (token <= 0x9f) return scanArray(bytes, at + 1, token & 0x0f, depth);
  if (token <= 0xbf) return scanText(bytes, at + 1, token & 0x1f);
  switch (token) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return at + 1;
    case 0xcc: // uint8
    case 0xd0: // int8
      return skip(bytes, at + 1, 1);
    case 0xcd: // uint16
    case 0xd1: // int16
      return skip(bytes, at + 1, 2);
    case 0xca: // float32
    case 0xce: // uint32
    case 0xd2: // int32
      return skip(bytes, at + 1, 4);
    case 0xcb: // float64
      return skip(bytes, at + 1, 8);
    case 0xcf: // uint64
    case 0xd3: // int64
      return scanLongInteger(bytes, at + 1, token === 0xd3);
    case 0xd9:
      return scanText(bytes, at + 2, unsigned(bytes, at + 1, 1));
    case 0xda:
      return scanText(bytes, at + 3, unsigned(bytes, at + 1, 2));
    case 0xdb:
      return scanText(bytes, at + 5, unsigned(bytes, at + 1, 4));
    case 0xdc:
      return scanArray(bytes, at + 3, unsigned(bytes, at + 1, 2), depth);
    case 0xdd:
      return scanArray(bytes, at + 5, unsigned(bytes, at + 1, 4), depth);
    case 0xde:
      return scanMap(bytes, at + 3, unsigned(bytes, at + 1, 2), depth);
    case 0xdf:
      return scanMap(bytes, at + 5, unsigned(bytes, at + 1, 4), depth);
    default:
      throw refused(at, `type 0x${token.toString(16)} (binary or extension) has no JSON form`);
  }
}

function scanArray(bytes: Uint8Array, start: number, count: number, depth: number): number {
  checkContainer(bytes, start, count, depth);
  let at = start;
  for (let index = 0; index < count; index += 1) at = scanValue(bytes, at, depth + 1);
  return at;
}

function scanMap(bytes: Uint8Array, start: number, count: number, depth: number): number {
  checkContainer(bytes, start, count * 2, depth);
  let at = start;
  for (let index = 0; index < count; index += 1) {
    const afterKey = scanKey(bytes, at);
    at = scanValue(bytes, afterKey, depth + 1);
  }
  return at;
}

/** Each member takes a byte at least: a count beyond that would make the decoder reserve memory for nothing. */
function checkContainer(bytes: Uint8Array, at: number, leastBytes: number, depth: number): void {
  if (leastBytes > bytes.length - at) throw truncated(bytes.length);
  if (depth >= maximumMessageDepth) throw refused(at, `nested deeper than ${maximumMessageDepth}`);
}

function scanKey(bytes: Uint8Array, at: number): number {
  const token = bytes[at] ?? 0;
  const isText = (token >= 0xa0 && token <= 0xbf) || (token >= 0xd9 && token <= 0xdb);
  if (!isText) throw refused(at, 'a key of a map is not text');
  const end = scanValue(bytes, at, 0);
  // The decoder would rename this key in silence.
  if (end - at > protoKeyLength && isProtoKey(bytes, end - protoKeyLength, at)) {
    throw new EngineError('INVALID_ARGUMENT', `forbidden key '__proto__' at byte ${at}`, { got: '__proto__' });
  }
  return end;
}

function isProtoKey(bytes: Uint8Array, textStart: number, at: number): boolean {
  if (bytes[textStart] !== 0x5f || bytes[textStart + 1] !== 0x5f) return false;
  const headBytes = { 0xd9: 2, 0xda: 3, 0xdb: 5 }[bytes[at] ?? 0] ?? 1;
  if (textStart - at !== headBytes) return false;
  return Buffer.from(bytes.subarray(textStart, textStart + protoKeyLength)).toString('latin1') === '__proto__';
}

function scanText(bytes: Uint8Array, start: number, length: number): number {
  const end = start + length;
  if (end > bytes.length) throw truncated(bytes.length);
  for (let at = start; at < end; at += 1) {
    if ((bytes[at] as number) < 0x80) continue;
    if (!isUtf8(bytes.subarray(start, end))) throw refused(start, 'text is not UTF-8');
    break;
  }
  return end;
}

function scanLongInteger(bytes: Uint8Array, at: number, signed: boolean): number {
  const end = skip(bytes, at, 8);
  const high = signed ? unsigned(bytes, at, 4) | 0 : unsigned(bytes, at, 4);
  if (high > maximumExactHighWord || high < -maximumExactHighWord) {
    throw refused(at - 1, 'an integer is beyond ±(2^53 − 1)');
  }
  return end;
}

function unsigned(bytes: Uint8Array, at: number, size: number): number {
  if (at + size > bytes.length) throw truncated(bytes.length);
  let value = 0;
  for (let index = 0; index < size; index += 1) value = value * 256 + (bytes[at + index] as number);
  return value;
}

function skip(bytes: Uint8Array, at: number, size: number): number {
  const end = at + size;
  if (end > bytes.length) throw truncated(bytes.length);
  return end;
}

function truncated(at: number): EngineError {
  return refused(at, 'the message ends too early');
}

function refused(at: number, what: string): EngineError {
  return new EngineError('INVALID_MESSAGE', `invalid MessagePack at byte ${at}: ${what}`);
}
