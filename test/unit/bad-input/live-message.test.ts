import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { liveCloseCodes, type LiveFrame } from '../../../src/admin/live/protocol.ts';
import { errorCatalog, type ErrorCode } from '../../../src/core/errors.ts';
import { ArrayJournal } from '../../support/array-journal.ts';
import { LiveWorld, type MemorySocket } from '../../support/live-kit.ts';
import { anyJsonValue, anyText, badIdsOfJson, maximumErrorBytes } from './awkward-values.ts';

type ErrorFrame = Extract<LiveFrame, { readonly type: 'error' }>;

/** A connection that hears texts one by one, with a second between them so that no rate is in the way. */
function open(): { readonly socket: MemorySocket; readonly hear: (text: string) => ErrorFrame | undefined } {
  const world = new LiveWorld(new ArrayJournal());
  const { socket, connection } = world.connect('admin');
  let nowMs = 0;
  return {
    socket,
    hear: (text) => {
      nowMs += 1_000;
      const before = socket.frames.length;
      connection.put({ type: 'text', text, nowMs });
      return socket.frames.slice(before).find((frame): frame is ErrorFrame => frame.type === 'error');
    },
  };
}

function expectGoodFrame(frame: ErrorFrame | undefined): void {
  if (frame === undefined) return;
  expect(Object.hasOwn(errorCatalog, frame.code)).toBe(true);
  expect(frame.code).not.toBe('INTERNAL');
  expect(Buffer.byteLength(JSON.stringify(frame))).toBeLessThanOrEqual(maximumErrorBytes);
}

const subscribe = (changes: object): string =>
  JSON.stringify({ type: 'subscribe', id: 's-1', topic: 'events', ...changes });

describe('a message of the console’s socket', () => {
  it.each<[row: string, text: string, code: ErrorCode, field: string | undefined]>([
    ['31 a key twice', '{"type":"subscribe","id":"a","id":"b","topic":"events"}', 'INVALID_MESSAGE', undefined],
    ['29 __proto__', '{"__proto__":{"type":"pong"}}', 'INVALID_MESSAGE', undefined],
    ['32 truncated', '{"type":"pong"', 'INVALID_MESSAGE', undefined],
    ['32 something behind', '{"type":"pong"} {}', 'INVALID_MESSAGE', undefined],
    ['28 nested 30,000 deep', '['.repeat(30_000), 'INVALID_MESSAGE', undefined],
    ['no type', '{}', 'INVALID_MESSAGE', 'message.type'],
    ['null', 'null', 'INVALID_MESSAGE', 'message.type'],
    ['68 an unknown field', '{"type":"pong","more":1}', 'INVALID_MESSAGE', 'more'],
    ['80 an unknown topic', subscribe({ topic: 'secrets' }), 'NOT_FOUND', 'topic'],
    ['80 a wildcard as a topic', subscribe({ topic: '*' }), 'NOT_FOUND', 'topic'],
    ['80 all of a subject', subscribe({ topic: '>' }), 'NOT_FOUND', 'topic'],
    ['80 a topic that is a list', subscribe({ topic: ['events'] }), 'INVALID_MESSAGE', 'message.topic'],
    ['80 a topic of 257 characters', subscribe({ topic: 'x'.repeat(257) }), 'INVALID_MESSAGE', 'message.topic'],
    ['a name that is a number', subscribe({ id: 7 }), 'INVALID_MESSAGE', 'message.id'],
    [
      '64 a pattern as a filter',
      subscribe({ filter: { pipelines: ['(a+)+$'] } }),
      'INVALID_ARGUMENT',
      'filter.pipelines[0]',
    ],
    ['68 an unknown part of a filter', subscribe({ filter: { pipeline: ['card'] } }), 'INVALID_ARGUMENT', 'pipeline'],
    [
      'a filter of 101 ids',
      subscribe({ filter: { taskIds: Array.from({ length: 101 }, () => 't-1') } }),
      'INVALID_ARGUMENT',
      'filter.taskIds',
    ],
    [
      'a filter with a forbidden key',
      '{"type":"subscribe","id":"s","topic":"events","filter":{"constructor":1}}',
      'INVALID_MESSAGE',
      'message.filter',
    ],
    [
      'a place in a feed that has none',
      subscribe({ topic: 'overview', resumeFrom: '1-1-1' }),
      'RESUME_INVALID',
      'resumeFrom',
    ],
  ])('row %s is answered with its code and field, and the connection stays', (_row, text, code, field) => {
    const { socket, hear } = open();
    expect(hear(text)).toMatchObject({ code, ...(field === undefined ? {} : { field }) });
    expect(socket.closed).toBeNull();
    expect(hear(subscribe({ id: 'after', topic: 'events' }))).toBeUndefined();
  });

  it.each(badIdsOfJson.filter(([, value]) => typeof value === 'string'))(
    'INVALID_TASK_ID: row %s in a topic and in a filter',
    (row, taskId, says) => {
      const { hear } = open();
      if ((taskId as string).length < 129)
        expect(hear(subscribe({ topic: `task:${taskId as string}` }))).toMatchObject({
          code: 'INVALID_TASK_ID',
          field: 'taskId',
          message: expect.stringContaining(says) as string,
        });
      expect([row, hear(subscribe({ filter: { taskIds: [taskId] } }))]).toMatchObject([
        row,
        { code: 'INVALID_TASK_ID', field: 'filter.taskIds[0]' },
      ]);
    },
  );

  it('row 29: a forbidden key behind a long one is told in few bytes', () => {
    const { hear } = open();
    const frame = hear(subscribe({ filter: { ['k'.repeat(60_000)]: { constructor: 1 } } }));
    expect(frame?.code).toBe('INVALID_MESSAGE');
    expectGoodFrame(frame);
  });

  it('is taken or answered with an error of the catalog, whatever it is', () => {
    const part = fc.constantFrom('type', 'id', 'topic', 'filter', 'resumeFrom', 'allowGap', 'x');
    fc.assert(
      fc.property(
        fc.oneof(anyText, anyJsonValue),
        part,
        fc.constantFrom('events', 'tasks', 'audit', 'task:t-1', 'bulk:b-1'),
        fc.nat(5),
        (value, name, topic, pick) => {
          const { socket, hear } = open();
          const text =
            pick === 0 && typeof value === 'string'
              ? value
              : pick === 1
                ? JSON.stringify(value)
                : subscribe({ topic, [name]: value });
          if (Buffer.byteLength(text) > 64 * 1024) return; // The socket itself refuses it.
          expectGoodFrame(hear(text));
          expect(socket.closed).toBeNull();
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('row 79: RATE_LIMITED ends who sends a thousand at once, whatever they are', () => {
    const world = new LiveWorld(new ArrayJournal());
    const { socket, connection } = world.connect('viewer');
    for (let count = 0; count < 1_000; count += 1) connection.put({ type: 'text', text: '{', nowMs: 1 });
    expect(socket.closed).toEqual({ code: liveCloseCodes.rateLimited, reason: 'RATE_LIMITED' });
    expect(socket.frames.length).toBeLessThan(60);
  });
});
