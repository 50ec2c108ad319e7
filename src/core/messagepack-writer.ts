import { assert } from './errors.ts';
import type { JsonValue } from './json.ts';

const firstCapacityBytes = 64 * 1024;
/** A buffer that one large value has made larger than this is not kept. */
const keptCapacityBytes = 1024 * 1024;
/** Strings up to so many characters are written here, one by one; longer ones are worth a call into the runtime. */
const shortTextLength = 48;
/** Bytes that a UTF-16 code unit takes at most in UTF-8. */
const maximumUnitBytes = 3;
/** Bytes of the longest head of a text, list or map. */
const maximumHeadBytes = 5;

/** A map's key with its head, encoded once. */
export function messagePackKey(name: string): Uint8Array {
  const writer = new MessagePackWriter();
  writer.text(name);
  return writer.take();
}

/**
 * Writes MessagePack into one growing buffer, in the shortest form of each value and byte for byte as msgpackr does with plain maps: a
 * test holds them against each other. It is here because records and snapshots have known members, whose keys need not be encoded each time.
 *
 * @see the MessagePack specification, by Sadayuki Furuhashi
 */
export class MessagePackWriter {
  #buffer = Buffer.allocUnsafeSlow(firstCapacityBytes);
  #length = 0;

  /** What was written since the last call, as bytes of their own. */
  take(): Uint8Array {
    const bytes = Buffer.allocUnsafe(this.#length);
    this.#buffer.copy(bytes, 0, 0, this.#length);
    this.clear();
    return bytes;
  }

  /** Drops what was written since the last {@link take}: after an error halfway. */
  clear(): void {
    this.#length = 0;
    if (this.#buffer.length > keptCapacityBytes) this.#buffer = Buffer.allocUnsafeSlow(firstCapacityBytes);
  }

  /** Bytes that are encoded already. */
  raw(bytes: Uint8Array): void {
    const { length } = bytes;
    this.#reserve(length);
    const buffer = this.#buffer;
    const start = this.#length;
    for (let index = 0; index < length; index += 1) buffer[start + index] = bytes[index] as number;
    this.#length = start + length;
  }

  nil(): void {
    this.#byte(0xc0);
  }

  flag(value: boolean): void {
    this.#byte(value ? 0xc3 : 0xc2);
  }

  /** The head of a map; as many keys with their values follow. */
  map(size: number): void {
    this.#head(size, 0x80, 0xde);
  }

  /** The head of a list; as many values follow. */
  list(size: number): void {
    this.#head(size, 0x90, 0xdc);
  }

  /** @param value - finite; whole numbers of 32 bits are written as such, all others as doubles */
  number(value: number): void {
    this.#reserve(9);
    const buffer = this.#buffer;
    let at = this.#length;
    if (value >>> 0 === value) {
      if (value < 0x80) {
        buffer[at++] = value;
      } else if (value < 0x100) {
        buffer[at++] = 0xcc;
        buffer[at++] = value;
      } else if (value < 0x1_0000) {
        buffer[at++] = 0xcd;
        at = buffer.writeUInt16BE(value, at);
      } else {
        buffer[at++] = 0xce;
        at = buffer.writeUInt32BE(value, at);
      }
    } else if (value >> 0 === value) {
      if (value >= -0x20) {
        buffer[at++] = 0x1_00 + value;
      } else if (value >= -0x80) {
        buffer[at++] = 0xd0;
        buffer[at++] = 0x1_00 + value;
      } else if (value >= -0x8000) {
        buffer[at++] = 0xd1;
        at = buffer.writeInt16BE(value, at);
      } else {
        buffer[at++] = 0xd2;
        at = buffer.writeInt32BE(value, at);
      }
    } else {
      buffer[at++] = 0xcb;
      at = buffer.writeDoubleBE(value, at);
    }
    this.#length = at;
  }

  text(value: string): void {
    const { length } = value;
    this.#reserve(length * maximumUnitBytes + maximumHeadBytes);
    if (length > shortTextLength || !this.#shortText(value, length)) this.#longText(value, length);
  }

  textOrNil(value: string | null): void {
    if (value === null) this.nil();
    else this.text(value);
  }

  numberOrNil(value: number | null): void {
    if (value === null) this.nil();
    else this.number(value);
  }

  /** Any value that JSON keeps, with members that are undefined left out. */
  json(value: JsonValue): void {
    switch (typeof value) {
      case 'string':
        return this.text(value);
      case 'number':
        return this.number(value);
      case 'boolean':
        return this.flag(value);
      case 'object':
        break;
      default:
        assert(false, () => `MessagePack: a ${typeof value} is no JSON`);
    }
    if (value === null) return this.nil();
    if (Array.isArray(value)) {
      this.list(value.length);
      for (const element of value as readonly JsonValue[]) this.json(element);
      return;
    }
    this.#object(value as { readonly [key: string]: JsonValue | undefined });
  }

  #object(value: { readonly [key: string]: JsonValue | undefined }): void {
    let size = 0;
    for (const key in value) if (value[key] !== undefined) size += 1;
    this.map(size);
    for (const key in value) {
      const member = value[key];
      if (member === undefined) continue;
      this.text(key);
      this.json(member);
    }
  }

  /** False when it is not all ASCII: then nothing counts as written. */
  #shortText(value: string, length: number): boolean {
    const buffer = this.#buffer;
    let at = this.#length;
    if (length < 0x20) {
      buffer[at++] = 0xa0 | length;
    } else {
      buffer[at++] = 0xd9;
      buffer[at++] = length;
    }
    for (let index = 0; index < length; index += 1) {
      const unit = value.charCodeAt(index);
      if (unit >= 0x80) return false;
      buffer[at++] = unit;
    }
    this.#length = at;
    return true;
  }

  /** Written behind a head of the size that ASCII needs; moved when it turns out to need a larger one. */
  #longText(value: string, length: number): void {
    const buffer = this.#buffer;
    const start = this.#length;
    const guessed = textHeadBytes(length);
    const bytes = buffer.write(value, start + guessed, 'utf8');
    const needed = textHeadBytes(bytes);
    if (needed !== guessed) buffer.copyWithin(start + needed, start + guessed, start + guessed + bytes);
    if (needed === 1) {
      buffer[start] = 0xa0 | bytes;
    } else if (needed === 2) {
      buffer[start] = 0xd9;
      buffer[start + 1] = bytes;
    } else if (needed === 3) {
      buffer[start] = 0xda;
      buffer.writeUInt16BE(bytes, start + 1);
    } else {
      buffer[start] = 0xdb;
      buffer.writeUInt32BE(bytes, start + 1);
    }
    this.#length = start + needed + bytes;
  }

  #head(size: number, short: number, long: number): void {
    this.#reserve(maximumHeadBytes);
    const buffer = this.#buffer;
    if (size < 0x10) {
      buffer[this.#length++] = short | size;
    } else if (size < 0x1_0000) {
      buffer[this.#length] = long;
      this.#length = buffer.writeUInt16BE(size, this.#length + 1);
    } else {
      buffer[this.#length] = long + 1;
      this.#length = buffer.writeUInt32BE(size, this.#length + 1);
    }
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  #reserve(bytes: number): void {
    const wanted = this.#length + bytes;
    if (wanted <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(wanted, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}

function textHeadBytes(bytes: number): number {
  if (bytes < 0x20) return 1;
  if (bytes < 0x100) return 2;
  return bytes < 0x1_0000 ? 3 : 5;
}
