import * as fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { encodeRecord } from '../../../src/core/commit-codec.ts';
import { InvariantViolation } from '../../../src/core/errors.ts';
import type { JsonValue } from '../../../src/core/json.ts';
import { messagePackKey, MessagePackWriter } from '../../../src/core/messagepack-writer.ts';
import type { TaskRecord } from '../../../src/core/records.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: 'number' });

function written(value: JsonValue): Buffer {
  const writer = new MessagePackWriter();
  writer.json(value);
  return Buffer.from(writer.take());
}

/** Text of every width in UTF-8, of lengths around where the head of a text grows. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 70 }),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc
    .tuple(
      fc.constantFrom('a', 'é', '中', '😀'),
      fc.constantFrom(15, 31, 32, 47, 48, 49, 63, 64, 85, 127, 128, 255, 256),
    )
    .map(([unit, length]) => unit.repeat(length)),
  fc.constantFrom('x'.repeat(65_535), 'x'.repeat(65_536), 'é'.repeat(32_768), `${'x'.repeat(65_530)}中中`),
);

const anyNumber = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
  fc.constantFrom(
    0,
    31,
    32,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    Number.MAX_SAFE_INTEGER,
  ),
  fc.constantFrom(-1, -32, -33, -128, -129, -32_768, -32_769, -(2 ** 31), -(2 ** 31) - 1, Number.MIN_SAFE_INTEGER),
);

const anyJson = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    anyText.filter((text) => text.isWellFormed()),
    anyNumber,
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(
      fc.string({ maxLength: 60 }).filter((key) => key !== '__proto__'),
      tie('value'),
      { maxKeys: 20 },
    ),
  ),
})).value;

describe('a MessagePack writer', () => {
  it('writes every JSON value byte for byte as msgpackr does', () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        expect(written(value).equals(packr.pack(value))).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it('writes lists and maps over the size that one byte tells', () => {
    for (const size of [15, 16, 65_535, 65_536]) {
      const list = Array.from({ length: size }, (_, index) => index % 7);
      expect(written(list).equals(packr.pack(list))).toBe(true);
    }
    for (const size of [15, 16, 1_000]) {
      const map = Object.fromEntries(Array.from({ length: size }, (_, index) => [`k${index}`, index]));
      expect(written(map).equals(packr.pack(map))).toBe(true);
    }
  });

  it('leaves out members that are undefined, as JSON does', () => {
    expect(packr.unpack(written({ a: 1, b: undefined } as never))).toEqual({ a: 1 });
  });

  it('InvariantViolation: refuses what JSON cannot keep, and writes the next value as if nothing was', () => {
    const writer = new MessagePackWriter();
    for (const value of [1n, Symbol('x'), () => 1, undefined]) {
      expect(() => writer.json(['kept half', value] as never)).toThrow(InvariantViolation);
      writer.clear();
      writer.json(7);
      expect([...writer.take()]).toEqual([7]);
    }
  });

  it('gives bytes of their own, which the next value does not change', () => {
    const writer = new MessagePackWriter();
    writer.text('first');
    const first = writer.take();
    writer.text('other');
    writer.take();
    expect(packr.unpack(first)).toBe('first');
  });

  it('grows for a value of megabytes, and goes on with small ones', () => {
    const writer = new MessagePackWriter();
    const large = ['x'.repeat(3_000_000), 'y'];
    writer.json(large);
    expect(packr.unpack(writer.take())).toEqual(large);
    writer.json('small');
    expect(packr.unpack(writer.take())).toBe('small');
  });

  it('encodes a key once for all, with its head', () => {
    expect(Buffer.from(messagePackKey('inputHash')).equals(packr.pack('inputHash'))).toBe(true);
  });
});

const anyPayload = fc.oneof(
  anyJson.map((json) => ({ json })),
  fc.record({ blob: fc.record({ key: anyText, sizeBytes: fc.nat(), sha256: anyText }) }),
);
const anyWay = {
  next: fc.option(fc.constantFrom('photos', 'publish')),
  skipped: fc.array(fc.record({ stage: fc.constantFrom('parse', 'photos'), reason: anyText }), { maxLength: 3 }),
  start: fc.boolean(),
};
const anyOrigin = fc.record(
  { commandId: fc.uuid(), by: anyText, reason: anyText, traceparent: fc.string() },
  { requiredKeys: ['commandId'] },
);

const anyEvent = fc.oneof(
  fc.record({
    type: fc.constant('task.submitted'),
    pipeline: fc.string(),
    version: fc.nat(),
    input: anyPayload,
    inputHash: fc.string(),
    origin: anyOrigin,
    ...anyWay,
  }),
  fc.record({
    type: fc.constant('stage.completed'),
    stage: fc.string(),
    attempt: fc.nat(),
    output: anyPayload,
    ...anyWay,
  }),
  fc.record({ type: fc.constant('stage.started'), stage: fc.string(), attempt: fc.nat() }),
  fc.record({ type: fc.constant('task.canceled'), origin: anyOrigin }),
);

describe('a record', () => {
  it('is written member by member to the bytes that msgpackr makes of it whole: one format', () => {
    const wellFormed = (text: string): boolean => text.isWellFormed();
    fc.assert(
      fc.property(
        fc.record({
          task: fc.uuid(),
          seq: fc.nat(),
          at: fc.integer({ min: 0, max: 2 ** 45 }),
          event: anyEvent,
          to: fc.string().filter(wellFormed),
          pipeline: fc.string(),
          version: fc.nat(),
        }),
        (record) => {
          fc.pre(JSON.stringify(record).isWellFormed() && !JSON.stringify(record).includes('\\ud'));
          expect(Buffer.from(encodeRecord(record as unknown as TaskRecord)).equals(packr.pack(record))).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });
});
