import * as fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../src/core/errors.ts';
import { maximumCommandsPerRequest } from '../../../src/core/protocol.ts';
import { ShardClient } from '../../../src/transport/shard-client.ts';
import { decodeReplies, decodeRequest, encodeRequest } from '../../../src/transport/request-codec.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../../src/platform/memory-metrics.ts';
import { serveShard } from '../../../src/transport/shard-service.ts';
import { SystemClock } from '../../../src/platform/system-clock.ts';
import { MemoryBus } from '../../../src/transport/memory-bus.ts';
import type { ShardId, TaskId } from '../../../src/core/ids.ts';
import type { ShardCommand } from '../../../src/core/messages.ts';
import { anyJsonValue, anyValue, badIds, expectGoodError, expectGoodReport, mutations } from './awkward-values.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true });
const plain = (value: unknown): Uint8Array => packr.pack(value);

const origin = { taskId: 't-1', commandId: 'c-1', by: 'anna', reason: 'why' };
/** A good command of every type, with every field that it may have. */
const goodCommands: readonly object[] = [
  { type: 'task.submit', ...origin, pipeline: 'card', version: 1, input: { sku: 'A' } },
  { type: 'task.pause', ...origin },
  { type: 'task.resume', ...origin },
  { type: 'task.cancel', ...origin },
  { type: 'task.redrive', ...origin },
  { type: 'task.resolve', ...origin, resolution: { kind: 'completed', output: [1] } },
  { type: 'task.resolve', ...origin, resolution: { kind: 'failed', message: 'gone' } },
  { type: 'task.get', taskId: 't-1', includePayloads: true },
  { type: 'task.result', taskId: 't-1', waitMs: 5 },
  { type: 'task.list', limit: 5, pipeline: 'card', status: 'held', includeFinished: true, after: 't-1' },
];

/** The command, or its error, in a request of it alone; the error of the request when that is refused as a whole. */
function readOne(bytes: Uint8Array): ShardCommand | EngineError {
  const decoded = decodeRequest(bytes);
  if (decoded.kind === 'rejected') return expectGoodError(decoded.error);
  const [command] = decoded.commands;
  if (command === undefined) throw new Error('there is no command');
  return command instanceof EngineError ? expectGoodError(command) : command;
}

describe('the owner’s request', () => {
  it('is taken in every type when it is right', () => {
    for (const command of goodCommands) expect(readOne(plain({ v: 1, commands: [command] }))).toEqual(command);
  });

  it.each(badIds.filter(([, value]) => typeof value !== 'string' || value.isWellFormed()))(
    'INVALID_TASK_ID: row %s is refused in every type that names a task',
    (_row, taskId, says) => {
      for (const command of goodCommands.filter((one) => 'taskId' in one)) {
        expect(readOne(plain({ v: 1, commands: [{ ...command, taskId }] }))).toMatchObject({
          code: 'INVALID_TASK_ID',
          field: 'taskId',
          message: expect.stringContaining(says) as string,
        });
      }
    },
  );

  it('is refused with the very field that is of another type', () => {
    const wrong: readonly unknown[] = [
      null,
      7.5,
      -1,
      '',
      'a b',
      [],
      {},
      { a: 1 },
      new Date(0),
      new Uint8Array(3),
      2n ** 60n,
    ];
    let refusedCount = 0;
    for (const command of goodCommands) {
      for (const value of wrong) {
        for (const [path, changed] of mutations(command, () => value)) {
          const read = readOne(plain({ v: 1, commands: [changed] }));
          if (!(read instanceof EngineError)) {
            expect([path, value, /^(input|resolution\.output|by|reason|resolution\.message)/.test(path)]).toEqual([
              path,
              value,
              true,
            ]);
            continue;
          }
          refusedCount += 1;
          // What MessagePack has and JSON has not is refused by its byte, before fields are read.
          if (read.code === 'INVALID_MESSAGE') expect(read.message).toMatch(/^invalid MessagePack at byte \d+: /);
          else if (!read.message.startsWith('unknown field'))
            expect([path, read.field?.startsWith(path) ?? path.startsWith('input')]).toEqual([path, true]);
        }
      }
    }
    expect(refusedCount).toBeGreaterThan(400);
  });

  it.each<[string, unknown, Partial<EngineError>]>([
    ['85 no version', { commands: [] }, { code: 'INVALID_MESSAGE' }],
    ['85 version 2', { v: 2, commands: [] }, { code: 'UNSUPPORTED_VERSION', field: 'v', limit: '1 to 1', got: '2' }],
    [
      '85 an unknown command',
      { v: 1, commands: [{ type: 'task.clone', taskId: 't-1' }] },
      { code: 'UNSUPPORTED_VERSION', field: 'type' },
    ],
    ['68 a field too many around', { v: 1, commands: [{}], more: 1 }, { code: 'INVALID_ARGUMENT', field: 'more' }],
    ['no commands', { v: 1, commands: [] }, { code: 'INVALID_ARGUMENT', field: 'commands', limit: '1 to 256' }],
    [
      '257 commands',
      { v: 1, commands: Array.from({ length: maximumCommandsPerRequest + 1 }, () => goodCommands[1]) },
      { code: 'INVALID_ARGUMENT', field: 'commands', got: '257' },
    ],
    ['commands as an object', { v: 1, commands: { 0: goodCommands[1] } }, { code: 'INVALID_MESSAGE' }],
    ['null', null, { code: 'INVALID_MESSAGE' }],
    ['a text', 'hello', { code: 'INVALID_MESSAGE' }],
    [
      'a command that is a list',
      { v: 1, commands: [[goodCommands[1]]] },
      { code: 'INVALID_ARGUMENT', field: 'command' },
    ],
    ['a command that is null', { v: 1, commands: [null] }, { code: 'INVALID_ARGUMENT', field: 'command' }],
  ])('row %s is refused with its code', (_row, value, error) => {
    expect(readOne(plain(value))).toMatchObject(error);
  });

  it.each<[string, readonly number[], string]>([
    ['of a list of 2^32 − 1 in five bytes', [0xdd, 0xff, 0xff, 0xff, 0xff], 'ends too early'],
    ['of a map of 2^32 − 1 in five bytes', [0xdf, 0xff, 0xff, 0xff, 0xff], 'ends too early'],
    ['of a text of 4 GiB in five bytes', [0xdb, 0xff, 0xff, 0xff, 0xff], 'ends too early'],
    ['of binary', [0xc4, 1, 0], 'has no JSON form'],
    ['of an extension', [0xd4, 1, 0], 'has no JSON form'],
    ['of a timestamp', [0xd6, 0xff, 0, 0, 0, 0], 'has no JSON form'],
    ['of a key that is a number', [0x81, 1, 1], 'a key of a map is not text'],
    ['of the byte that is never used', [0xc1], 'has no JSON form'],
    ['of text that is no UTF-8', [0xa2, 0xc3, 0x28], 'text is not UTF-8'],
    ['of a surrogate in UTF-8', [0xa3, 0xed, 0xa0, 0x80], 'text is not UTF-8'],
    ['of an integer beyond 2^53', [0xcf, 0, 0x20, 0, 0, 0, 0, 0, 1], 'beyond'],
    ['of nothing', [], 'ends too early'],
    ['of 100,000 lists within lists', Array.from({ length: 100_000 }, () => 0x91), 'nested deeper than 96'],
  ])('INVALID_MESSAGE: bytes %s are refused with the place', (_name, bytes, says) => {
    expect(readOne(Uint8Array.from(bytes))).toMatchObject({
      code: 'INVALID_MESSAGE',
      message: expect.stringContaining(says) as string,
    });
  });

  it('row 31: of a key that comes twice, what was checked is what is kept', () => {
    // {"v":1,"commands":[{"type":"task.get","taskId":"a.b" …,"taskId":"b"}]}, and the other way about
    const text = (value: string): Buffer => Buffer.from(plain(value));
    const withIds = (first: string, second: string): Uint8Array =>
      Buffer.concat([
        Buffer.from([0x82]),
        text('v'),
        Buffer.from([1]),
        text('commands'),
        Buffer.from([0x91, 0x83]),
        text('type'),
        text('task.get'),
        text('taskId'),
        text(first),
        text('taskId'),
        text(second),
      ]);
    expect(readOne(withIds('a.b', 'b'))).toEqual({ type: 'task.get', taskId: 'b' });
    expect(readOne(withIds('b', 'a.b'))).toMatchObject({ code: 'INVALID_TASK_ID', field: 'taskId' });
  });

  it('is taken or refused with an error of the catalog at every length that it is cut to, and never as another command', () => {
    const bytes = encodeRequest(goodCommands as readonly ShardCommand[]);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(decodeRequest(bytes.subarray(0, length))).toMatchObject({
        kind: 'rejected',
        error: { code: 'INVALID_MESSAGE' },
      });
    }
  });

  it('is taken or refused with an error of the catalog with any one bit of it turned', () => {
    const bytes = encodeRequest(goodCommands as readonly ShardCommand[]);
    let refusedCount = 0;
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const turned = Buffer.from(bytes);
      turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7));
      const decoded = decodeRequest(turned);
      const errors =
        decoded.kind === 'rejected' ? [decoded.error] : decoded.commands.filter((one) => one instanceof EngineError);
      for (const error of errors) expectGoodError(error);
      refusedCount += errors.length;
    }
    expect(refusedCount).toBeGreaterThan(1_000);
  });

  it('is taken or refused with an error of the catalog, whatever a field holds', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...goodCommands),
        fc.nat(20),
        fc.oneof(anyJsonValue, anyValue),
        (command, pick, value) => {
          const changed = mutations(command, () => value);
          const [, request] = changed[pick % changed.length] ?? ['', {}];
          let bytes: Uint8Array;
          try {
            bytes = plain({ v: 1, commands: [request] });
          } catch {
            return; // This encoder has no word for it.
          }
          readOne(bytes);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe('a shard’s subject', () => {
  it('row 83: drops a command without a reply subject, counts it and says so; it answers what is no message', async () => {
    const logger = new MemoryLogger();
    const metrics = new MemoryMetrics();
    const bus = new MemoryBus({ clock: new SystemClock(), logger });
    const delivered: ShardCommand[] = [];
    const unanswerable = metrics.counter({ name: 'unanswerable_total', help: 'x', labels: [] });
    await serveShard(
      { bus, namespace: 'cabinet', logger, unanswerable, maximumReplyBytes: 4_096 },
      0 as ShardId,
      (command) => void delivered.push(command),
    );
    bus.send('cabinet.shard.0', plain({ v: 1, commands: [goodCommands[3]] }));
    const outcome = await bus.request('cabinet.shard.0', Buffer.from('{}'), { timeoutMs: 1_000 });
    expect(outcome).toMatchObject({ kind: 'reply' });
    if (outcome.kind === 'reply')
      expect(decodeReplies(outcome.body, 3).replies).toMatchObject(
        Array.from({ length: 3 }, () => ({ kind: 'error', error: { code: 'INVALID_MESSAGE' } })),
      );
    expect(delivered).toEqual([]);
    expect(metrics.value('unanswerable_total')).toBe(1);
    expect(logger.lines).toMatchObject([{ level: 'warn', fields: { subject: 'cabinet.shard.0' } }]);
  });
});

describe('the answer of an owner', () => {
  const answers: readonly unknown[] = [
    { kind: 'error', error: { code: 'OVERLOADED', message: 'm', retryAfterMs: 'soon' } },
    { kind: 'error', error: { code: 'OVERLOADED', message: 'm', retryAfterMs: Number.NaN } },
    { kind: 'error', error: { code: 'MAILBOX_FULL', message: { a: 1 }, field: 7, limit: [], got: {}, hint: 1 } },
    { kind: 'error', error: { code: { toString: 1 }, message: 'm' } },
    { kind: 'error', error: { code: 'constructor', message: 'm' } },
    { kind: 'error', error: null },
    { kind: 'error' },
  ];

  it.each(answers)('of an error that is none, %j, is an error with its parts of their types', (reply) => {
    const [read] = decodeReplies(plain({ v: 1, replies: [reply] }), 1).replies;
    const { error } = read as unknown as { readonly error: Readonly<Record<string, unknown>> };
    for (const part of ['code', 'message', 'field', 'limit', 'got', 'hint'])
      expect(['string', 'undefined']).toContain(typeof error[part]);
    expect(error['retryAfterMs'] === undefined || Number.isFinite(error['retryAfterMs'])).toBe(true);
  });

  it('OVERLOADED: that asks for a wait that is none is tried again with pauses, not without', async () => {
    const clock = new SystemClock();
    const bus = new MemoryBus({ clock, logger: new MemoryLogger() });
    let requests = 0;
    await bus.serve('cabinet.shard.0', (request) => {
      requests += 1;
      request.reply(
        plain({
          v: 1,
          replies: [{ kind: 'error', error: { code: 'OVERLOADED', message: 'm', retryAfterMs: 'soon' } }],
        }),
      );
    });
    const client = new ShardClient({ bus, clock, random: new SeededRandom(1), namespace: 'cabinet', shardCount: 1 });
    const reply = await client.send({ type: 'task.get', taskId: 't-1' as TaskId }, { deadlineMs: 200 });
    client.close();
    expect(reply).toMatchObject({ kind: 'error', error: { code: 'OVERLOADED' } });
    expect(requests).toBeGreaterThan(1);
    expect(requests).toBeLessThan(15);
  });

  it('is read or refused with a code, with any one bit of it turned', () => {
    const replies = [
      { kind: 'accepted', taskId: 't-1', state: 'print.queued' },
      {
        kind: 'error',
        error: { code: 'NOT_ALLOWED', message: 'no', retryable: false, field: 'state', retryAfterMs: 5 },
      },
    ];
    const bytes = plain({ v: 1, replies });
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const turned = Buffer.from(bytes);
      turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7));
      try {
        decodeReplies(turned, 2);
      } catch (thrown) {
        expectGoodReport((thrown as EngineError).toReport());
      }
    }
  });
});
