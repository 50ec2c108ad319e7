import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { EngineError, type ErrorCode } from '../../../src/core/errors.ts';
import type { JsonValue } from '../../../src/core/json.ts';
import type { ShardCommand } from '../../../src/core/messages.ts';
import { maximumCommandsPerRequest } from '../../../src/core/protocol.ts';
import type { Reply } from '../../../src/core/replies.ts';
import { parseCommand } from '../../../src/transport/parse-command.ts';
import {
  decodeReplies,
  decodeRequest,
  encodeRejection,
  encodeReplies,
  encodeRequest,
} from '../../../src/transport/request-codec.ts';

const packr = new Packr({ useRecords: false });
const getCommand = { type: 'task.get', taskId: 't-1' };

function aSubmit(input: unknown, taskId = 't-1'): ShardCommand {
  return parseCommand({ type: 'task.submit', taskId, commandId: taskId, pipeline: 'card', input });
}

function rejection(bytes: Uint8Array, maximumBytes?: number): EngineError {
  const decoded = decodeRequest(bytes, maximumBytes);
  if (decoded.kind === 'rejected') return decoded.error;
  throw new Error('the request was taken');
}

function envelope(commands: unknown, v: unknown = 1): Uint8Array {
  return packr.pack({ v, commands });
}

function bytesOf(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

describe('a request', () => {
  it('comes back as it was sent, for any JSON input', () => {
    const text = fc.string({ unit: 'grapheme' });
    const json = fc.jsonValue({ stringUnit: 'grapheme', maxDepth: 4 }) as fc.Arbitrary<JsonValue>;
    fc.assert(
      fc.property(fc.array(fc.tuple(json, text), { minLength: 1, maxLength: 5 }), (inputs) => {
        // Keys that no input may have: the next test.
        const keepable = inputs.filter(
          ([value]) => !/"(__proto__|constructor|prototype)":/.test(JSON.stringify(value)),
        );
        fc.pre(keepable.length > 0);
        // JSON has no -0: a copy by way of its text is what the engine would take.
        const commands = keepable.map(([value, note]) => aSubmit(JSON.parse(JSON.stringify({ value, note }))));
        expect(decodeRequest(encodeRequest(commands))).toEqual({ kind: 'commands', commands });
      }),
    );
  });

  it.each([['prototype'], ['constructor']])(
    'with the key %s anywhere in its input is refused alone: INVALID_ARGUMENT',
    (key) => {
      const submit = { type: 'task.submit', taskId: 't-1', commandId: 't-1', pipeline: 'card' };
      expect(() => aSubmit({ deep: [{ [key]: 1 }] })).toThrowError(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
      const decoded = decodeRequest(envelope([{ ...submit, input: { deep: [{ [key]: 1 }] } }, getCommand]));
      const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
      expect(decoded).toMatchObject({ kind: 'commands', commands: [refused, getCommand] });
    },
  );

  it('takes those names as text, for any key that only holds them', () => {
    const command = aSubmit({ note: 'prototype', prototypes: ['constructor', '__proto__'] });
    expect(decodeRequest(encodeRequest([command]))).toEqual({ kind: 'commands', commands: [command] });
  });

  it('leaves out what is undefined, as JSON does', () => {
    const decoded = decodeRequest(encodeRequest([aSubmit({ a: undefined, b: 1 })]));
    expect(decoded).toMatchObject({ kind: 'commands', commands: [{ input: { b: 1 } }] });
    expect(decoded.kind === 'commands' && Object.keys((decoded.commands[0] as { input: object }).input)).toEqual(['b']);
  });

  it('is a plain MessagePack map that any language can write', () => {
    expect(decodeRequest(envelope([getCommand]))).toEqual({ kind: 'commands', commands: [getCommand] });
  });

  it('answers a bad command in its place and leaves its neighbors alone: INVALID_TASK_ID', () => {
    const decoded = decodeRequest(envelope([getCommand, { ...getCommand, taskId: 'a.b' }, getCommand]));
    expect(decoded).toMatchObject({
      kind: 'commands',
      commands: [getCommand, expect.objectContaining({ code: 'INVALID_TASK_ID' }), getCommand],
    });
  });

  it.each<[string, ErrorCode, Uint8Array]>([
    ['no bytes', 'INVALID_MESSAGE', bytesOf()],
    ['JSON text', 'INVALID_MESSAGE', Buffer.from('{"v":1,"commands":[]}')],
    ['a number', 'INVALID_MESSAGE', bytesOf(7)],
    ['nil', 'INVALID_MESSAGE', bytesOf(0xc0)],
    ['a list', 'INVALID_MESSAGE', bytesOf(0x90)],
    ['a map without v', 'INVALID_MESSAGE', packr.pack({ commands: [] })],
    ['bytes after the message', 'INVALID_MESSAGE', Buffer.concat([envelope([getCommand]), bytesOf(0xc0)])],
    ['a message that ends too early', 'INVALID_MESSAGE', envelope([getCommand]).subarray(0, 20)],
    ['a list of 2^32 − 1 that is not there', 'INVALID_MESSAGE', bytesOf(0xdd, 0xff, 0xff, 0xff, 0xff)],
    ['a map of 2^32 − 1 that is not there', 'INVALID_MESSAGE', bytesOf(0xdf, 0xff, 0xff, 0xff, 0xff)],
    ['a text of 2^32 − 1 that is not there', 'INVALID_MESSAGE', bytesOf(0xdb, 0xff, 0xff, 0xff, 0xff)],
    ['binary', 'INVALID_MESSAGE', envelope([{ ...getCommand, taskId: Buffer.from('t-1') }])],
    ['a Date extension', 'INVALID_MESSAGE', envelope([{ ...getCommand, at: new Date(0) }])],
    ['a Map extension', 'INVALID_MESSAGE', new Packr({ moreTypes: true }).pack({ v: 1, commands: [new Set([1])] })],
    ['an undefined extension', 'INVALID_MESSAGE', envelope([undefined])],
    ['a key that is no text', 'INVALID_MESSAGE', bytesOf(0x81, 0x01, 0x01)],
    ['text that is not UTF-8', 'INVALID_MESSAGE', bytesOf(0x81, 0xa1, 0x76, 0xa2, 0xc3, 0x28)],
    ['an inexact integer', 'INVALID_MESSAGE', bytesOf(0x81, 0xa1, 0x76, 0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0)],
    ['an inexact negative integer', 'INVALID_MESSAGE', bytesOf(0x81, 0xa1, 0x76, 0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0)],
    ['10,000 levels', 'INVALID_MESSAGE', Buffer.concat([Buffer.alloc(10_000, 0x91), bytesOf(0xc0)])],
    ['no list of commands', 'INVALID_MESSAGE', packr.pack({ v: 1 })],
    ['a __proto__ key', 'INVALID_ARGUMENT', Buffer.concat([bytesOf(0x81, 0xa9), Buffer.from('__proto__'), bytesOf(1)])],
    ['a field too many', 'INVALID_ARGUMENT', packr.pack({ v: 1, commands: [getCommand], trace: 'x' })],
    ['no commands', 'INVALID_ARGUMENT', envelope([])],
    [
      'too many commands',
      'INVALID_ARGUMENT',
      envelope(Array.from({ length: maximumCommandsPerRequest + 1 }, () => getCommand)),
    ],
  ])('of %s is rejected with %s', (_, code, bytes) => {
    expect(rejection(bytes).code).toBe(code);
  });

  it.each([[0], [2], ['1'], [null], [1.5]])('of version %j is rejected with UNSUPPORTED_VERSION and the range', (v) => {
    expect(rejection(envelope([getCommand], v)).toReport()).toMatchObject({
      code: 'UNSUPPORTED_VERSION',
      field: 'v',
      limit: '1 to 1',
      retryable: false,
    });
  });

  it('over the size limit is rejected with PAYLOAD_TOO_LARGE before anything is read', () => {
    const error = rejection(new Uint8Array(1_001), 1_000);
    expect(error.toReport()).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', limit: '1000 bytes', got: '1001' });
  });

  it('of any bytes is taken or rejected with a code, and never crashes', () => {
    const mutated = fc
      .tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))
      .map(([at, byte]) =>
        encodeRequest([aSubmit({ a: ['b', 1.5, null] })]).map((old, index) => (index === at % 90 ? byte : old)),
      );
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
        const decoded = decodeRequest(bytes);
        if (decoded.kind === 'rejected') expect(decoded.error.code).not.toBe('INTERNAL');
        else for (const command of decoded.commands) if (!(command instanceof EngineError)) parseCommand(command);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('an answer', () => {
  const done: Reply = { kind: 'done', taskId: 't-1' as never, state: 'photos.held', repeated: false };

  it('comes back as it was sent, in order', () => {
    const full: Reply = {
      kind: 'error',
      error: new EngineError('MAILBOX_FULL', 'full', { retryAfterMs: 7 }).toReport(),
    };
    expect(decodeReplies(encodeReplies([done, full, done]), 3)).toEqual({ replies: [done, full, done], of: null });
  });

  it('that rejects the whole request stands for each of its commands: UNSUPPORTED_VERSION', () => {
    const error = new EngineError('UNSUPPORTED_VERSION', 'v');
    const { replies } = decodeReplies(encodeRejection(error), 3);
    const reply = { kind: 'error', error: error.toReport() };
    expect(replies).toEqual([reply, reply, reply]);
  });

  it('keeps an error whose code is unknown here as INTERNAL, with its name in the text', () => {
    const bytes = packr.pack({
      v: 1,
      replies: [{ kind: 'error', error: { code: 'NEWER', message: 'm', retryable: true } }],
    });
    expect(decodeReplies(bytes, 1).replies).toMatchObject([
      { error: { code: 'INTERNAL', message: 'NEWER: m', retryable: false } },
    ]);
  });

  it.each<[string, Uint8Array, number]>([
    ['with too few replies', encodeReplies([done, done]), 3],
    ['with too many replies', encodeReplies([done, done]), 1],
    ['of an unknown kind', packr.pack({ v: 1, replies: [{ kind: 'maybe' }] }), 1],
    ['without replies', packr.pack({ v: 1 }), 1],
    ['of junk', bytesOf(1, 2, 3), 1],
  ])('%s is refused with INVALID_MESSAGE', (_, bytes, count) => {
    expect(() => decodeReplies(bytes, count)).toThrowError(expect.objectContaining({ code: 'INVALID_MESSAGE' }));
  });

  it('of another version is refused with UNSUPPORTED_VERSION', () => {
    const bytes = packr.pack({ v: 2, replies: [done] });
    expect(() => decodeReplies(bytes, 1)).toThrowError(expect.objectContaining({ code: 'UNSUPPORTED_VERSION' }));
  });

  it('over the limit keeps what fits: PAYLOAD_TOO_LARGE for one that never fits, UNAVAILABLE for one to ask for again', () => {
    const sized = (length: number): Reply => ({ kind: 'pending', taskId: 't-1' as never, state: 'x'.repeat(length) });
    const bytes = encodeReplies([sized(10), sized(5_000), sized(2_000), sized(2_000)], 4_096);
    expect(bytes.length).toBeLessThanOrEqual(4_096);
    expect(decodeReplies(bytes, 4).replies).toMatchObject([
      { kind: 'pending' },
      { kind: 'error', error: { code: 'PAYLOAD_TOO_LARGE' } },
      { kind: 'pending' },
      { kind: 'error', error: { code: 'UNAVAILABLE', retryable: true } },
    ]);
  });

  it('of any bytes is read or refused with a code, and never crashes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        try {
          decodeReplies(bytes, 1);
        } catch (error) {
          expect(error).toBeInstanceOf(EngineError);
        }
      }),
    );
  });
});
