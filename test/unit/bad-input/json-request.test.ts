import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { ErrorReport } from '../../../src/core/errors.ts';
import { maximumDepth } from '../../../src/core/json.ts';
import type { ShardCommand } from '../../../src/core/messages.ts';
import type { Reply } from '../../../src/core/replies.ts';
import type { TaskView } from '../../../src/core/task-view.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../../src/platform/memory-metrics.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { SystemClock } from '../../../src/platform/system-clock.ts';
import { JsonApi } from '../../../src/transport/json-api.ts';
import { MemoryBus } from '../../../src/transport/memory-bus.ts';
import { ShardClient } from '../../../src/transport/shard-client.ts';
import { ShardServer } from '../../support/shard-server.ts';
import { anyJsonValue, anyText, badIdsOfJson, expectGoodReport, mutations, nestedLists } from './awkward-values.ts';

const namespace = 'cabinet';
const info = {
  namespace,
  shardCount: 4,
  node: 'n1',
  version: '0.1.0',
  protocol: { min: 1, max: 1 },
  maximumRequestBytes: 8_192,
  pipelines: [{ name: 'card', version: 1, fingerprint: 'f', stages: ['print'] }],
};

function answer(command: ShardCommand): Reply {
  switch (command.type) {
    case 'task.submit':
      return { kind: 'accepted', taskId: command.taskId, state: 'print.queued' };
    case 'task.get':
      return { kind: 'task', task: { taskId: command.taskId } as TaskView };
    case 'task.result':
      return { kind: 'pending', taskId: command.taskId, state: 'print.running' };
    case 'task.list':
      return { kind: 'page', tasks: [], next: null };
    default:
      return { kind: 'done', taskId: command.taskId, state: 'print.held', repeated: false };
  }
}

let stop: () => Promise<void> = async () => undefined;

afterEach(() => stop());

async function world() {
  const clock = new SystemClock();
  const logger = new MemoryLogger();
  const random = new SeededRandom(3);
  const bus = new MemoryBus({ clock, logger });
  const server = await new ShardServer(bus, answer).serve(namespace, 4);
  const api = new JsonApi({
    bus,
    clock,
    random,
    shardClient: new ShardClient({ bus, clock, random, namespace, shardCount: 4 }),
    namespace,
    node: 'n1',
    version: '0.1.0',
    info: () => info,
    pipelines: () => info.pipelines,
    logger,
    metrics: new MemoryMetrics(),
    maximumRequestBytes: 8_192,
  });
  await api.start();
  stop = () => api.stop();
  /** The error of the answer; null when it was taken. */
  const ask = async (
    endpoint: string,
    body: Uint8Array | string,
    headers?: Record<string, string>,
  ): Promise<ErrorReport | null> => {
    const outcome = await bus.request(`cabinet.api.${endpoint}`, Buffer.from(body), { timeoutMs: 2_000, headers });
    if (outcome.kind !== 'reply') throw new Error(`no answer: ${outcome.kind}`);
    const { error } = JSON.parse(Buffer.from(outcome.body).toString()) as { readonly error?: ErrorReport };
    if (error === undefined) return null;
    expect(outcome.headers.get('Nats-Service-Error')).toMatch(/^[\x20-\x7e]{1,512}$/);
    expect(outcome.headers.get('Nats-Service-Error-Code')).toMatch(/^[45]\d\d$/);
    return expectGoodReport(error);
  };
  return { ask, server, logger };
}

/** A good request of every endpoint, with every field that it may have. */
const goodRequests: Readonly<Record<string, object>> = {
  submit: {
    pipeline: 'card',
    version: 1,
    input: { sku: 'A' },
    taskId: 't-1',
    by: 'anna',
    reason: 'import',
    deadlineMs: 500,
  },
  'submit-many': { items: [{ pipeline: 'card', input: 1, taskId: 't-1' }], deadlineMs: 500 },
  get: { taskId: 't-1', includePayloads: true, deadlineMs: 500 },
  result: { taskId: 't-1', waitMs: 1, deadlineMs: 500 },
  list: { pipeline: 'card', status: 'held', includeFinished: true, limit: 5, after: 't-1', deadlineMs: 500 },
  pause: { taskId: 't-1', commandId: 'c-1', by: 'anna', reason: 'wait', deadlineMs: 500 },
  resume: { taskId: 't-1', commandId: 'c-1', by: 'anna', reason: 'go', deadlineMs: 500 },
  cancel: { taskId: 't-1', commandId: 'c-1', by: 'anna', reason: 'sold', deadlineMs: 500 },
  redrive: { taskId: 't-1', commandId: 'c-1', by: 'anna', reason: 'mended', deadlineMs: 500 },
  resolve: { taskId: 't-1', commandId: 'c-1', resolution: { kind: 'completed', output: { page: 1 } }, deadlineMs: 500 },
  info: { deadlineMs: 500 },
  pipelines: { deadlineMs: 500 },
  'dead-letters': { pipeline: 'card', limit: 5, after: 't-1', deadlineMs: 500 },
};
const endpoints = Object.keys(goodRequests);
/** Those that name a task, and the field in which they do. */
const namesTask = endpoints.filter((endpoint) => 'taskId' in (goodRequests[endpoint] as object));

/** Fields that take any JSON value. */
const free = new Set(['input', 'input.sku', 'resolution.output', 'resolution.output.page']);

describe('a JSON request', () => {
  it('is taken on every endpoint when it is right, so that what follows is refused for what is wrong', async () => {
    const { ask } = await world();
    for (const endpoint of endpoints)
      expect([endpoint, await ask(endpoint, JSON.stringify(goodRequests[endpoint]))]).toEqual([endpoint, null]);
  });

  it.each(badIdsOfJson)(
    'INVALID_TASK_ID: row %s is refused on every endpoint that names a task',
    async (_row, taskId, says) => {
      const { ask, server } = await world();
      expect(namesTask).toHaveLength(8);
      for (const endpoint of namesTask) {
        const error = await ask(endpoint, JSON.stringify({ ...goodRequests[endpoint], taskId }));
        expect([endpoint, error]).toMatchObject([
          endpoint,
          { code: 'INVALID_TASK_ID', field: 'taskId', message: expect.stringContaining(says) as string },
        ]);
      }
      expect(server.envelopes).toEqual([]);
    },
  );

  it('INVALID_TASK_ID: row 14, a lone surrogate that is escaped in the text', async () => {
    const { ask } = await world();
    expect(await ask('get', '{"taskId":"a\\ud800"}')).toMatchObject({
      code: 'INVALID_TASK_ID',
      message: expect.stringContaining('U+D800') as string,
    });
  });

  it.each<[row: string, endpoint: string, body: string, error: Partial<ErrorReport>]>([
    ['20 no input', 'submit', '{"pipeline":"card"}', { code: 'INVALID_ARGUMENT', field: 'input' }],
    [
      '22 over the limit',
      'submit',
      `{"pipeline":"card","input":"${'x'.repeat(8_192)}"}`,
      { code: 'PAYLOAD_TOO_LARGE', limit: '8192 bytes' },
    ],
    [
      '22 over the limit by escapes',
      'submit',
      `{"pipeline":"card","input":"${'\\u0000'.repeat(1_500)}"}`,
      { code: 'PAYLOAD_TOO_LARGE' },
    ],
    ['22 over the limit by blanks', 'get', `{"taskId":"t-1"${' '.repeat(8_192)}}`, { code: 'PAYLOAD_TOO_LARGE' }],
    [
      '26 NaN',
      'submit',
      '{"pipeline":"card","input":NaN}',
      { code: 'INVALID_MESSAGE', message: 'invalid JSON at byte 27: no value starts here' },
    ],
    ['26 -0', 'submit', '{"pipeline":"card","input":[-0]}', { code: 'UNSERIALIZABLE', field: 'input' }],
    [
      '26 a number beyond the range',
      'submit',
      '{"pipeline":"card","input":1e999}',
      { code: 'UNSERIALIZABLE', got: '1e999' },
    ],
    [
      '26 a whole number that would be rounded',
      'submit',
      '{"pipeline":"card","input":{"order":9007199254740993}}',
      { code: 'UNSERIALIZABLE', got: '9007199254740993' },
    ],
    [
      '26 the largest of 64 bits',
      'submit',
      '{"pipeline":"card","input":18446744073709551615}',
      { code: 'UNSERIALIZABLE' },
    ],
    [
      '28 nested too deep',
      'submit',
      `{"pipeline":"card","input":${JSON.stringify(nestedLists(maximumDepth + 1))}}`,
      { code: 'INVALID_ARGUMENT', field: 'input', limit: '64' },
    ],
    [
      '28 nested 4,000 deep',
      'submit',
      `{"pipeline":"card","input":${'['.repeat(4_000)}`,
      { code: 'INVALID_ARGUMENT', limit: '64' },
    ],
    ['29 __proto__', 'submit', '{"pipeline":"card","input":{"a":{"__proto__":{"x":1}}}}', { code: 'INVALID_ARGUMENT' }],
    ['29 __proto__ of the request', 'get', '{"__proto__":{"taskId":"t-1"}}', { code: 'INVALID_ARGUMENT' }],
    [
      '29 constructor',
      'submit',
      '{"pipeline":"card","input":{"constructor":1}}',
      { code: 'INVALID_ARGUMENT', field: 'input' },
    ],
    [
      '31 a key twice',
      'get',
      '{"taskId":"a","taskId":"b"}',
      { code: 'INVALID_MESSAGE', message: "invalid JSON at byte 14: duplicate key 'taskId'" },
    ],
    ['31 a key twice, once escaped', 'get', '{"taskId":"a","task\\u0049d":"b"}', { code: 'INVALID_MESSAGE' }],
    [
      '32 something behind',
      'get',
      '{"taskId":"a"} x',
      { code: 'INVALID_MESSAGE', message: 'invalid JSON at byte 15: something follows the value' },
    ],
    ['32 a comment', 'get', '{"taskId":/* */"a"}', { code: 'INVALID_MESSAGE' }],
    [
      '32 single quotes',
      'get',
      "{'taskId':'a'}",
      { code: 'INVALID_MESSAGE', message: 'invalid JSON at byte 1: a key must be text in double quotes' },
    ],
    [
      '32 truncated',
      'get',
      '{"taskId":"a',
      { code: 'INVALID_MESSAGE', message: 'invalid JSON at byte 12: the text ends within a string' },
    ],
    ['32 a comma too many', 'get', '{"taskId":"a",}', { code: 'INVALID_MESSAGE' }],
    ['32 a byte order mark', 'get', '\ufeff{"taskId":"a"}', { code: 'INVALID_MESSAGE' }],
    ['32 a raw control character', 'get', '{"taskId":"a\u0001"}', { code: 'INVALID_MESSAGE' }],
    [
      '68 an unknown field',
      'cancel',
      '{"taskId":"a","force":true}',
      { code: 'INVALID_ARGUMENT', field: 'force', message: "unknown field 'force' of cancel" },
    ],
    [
      '35 headers as fields',
      'submit',
      '{"pipeline":"card","input":1,"metadata":{"Nats-Msg-Id":"x"}}',
      { code: 'INVALID_ARGUMENT', field: 'metadata' },
    ],
    ['85 a protocol version', 'get', '{"v":2,"taskId":"a"}', { code: 'INVALID_ARGUMENT', field: 'v' }],
    [
      '86 a deadline that has passed',
      'cancel',
      '{"taskId":"a","deadlineMs":-1}',
      { code: 'DEADLINE_EXCEEDED', field: 'deadlineMs' },
    ],
    [
      '86 a deadline over an hour',
      'cancel',
      '{"taskId":"a","deadlineMs":3600001}',
      { code: 'INVALID_ARGUMENT', field: 'deadlineMs', message: 'deadline over 3600 s' },
    ],
    [
      '65 an order',
      'list',
      '{"sortBy":"updatedAt"}',
      { code: 'INVALID_ARGUMENT', field: 'sortBy', limit: 'pipeline, status, includeFinished, limit, after' },
    ],
    ['64 a pattern as a pipeline', 'list', '{"pipeline":"(a+)+$"}', { code: 'INVALID_ARGUMENT', field: 'pipeline' }],
  ])('row %s: %s is refused with code, field and limit, and nothing is done', async (_row, endpoint, body, error) => {
    const { ask, server } = await world();
    expect(await ask(endpoint, body)).toMatchObject(error);
    expect(server.envelopes).toEqual([]);
  });

  it('keeps a large whole number that a double holds, and one that is written as rounded', async () => {
    const { ask, server } = await world();
    expect(
      await ask('submit', '{"pipeline":"card","input":[9007199254740992,1e300,123456789012345680000,0.1]}'),
    ).toBeNull();
    expect(server.commands).toMatchObject([{ input: [2 ** 53, 1e300, 123456789012345680000, 0.1] }]);
  });

  it('row 35: takes no header of a client into the command, whatever it is called', async () => {
    const { ask, server } = await world();
    const names = [
      'Nats-Msg-Id',
      'Nats-Expected-Last-Subject-Sequence',
      'Nats-TTL',
      'Nats-Rollup',
      'Nats-Schedule',
      'Nats-Batch-Id',
      'Nats-Trace-Dest',
    ];
    expect(
      await ask('cancel', '{"taskId":"t-1","commandId":"c-1"}', Object.fromEntries(names.map((name) => [name, '1']))),
    ).toBeNull();
    expect(server.commands).toEqual([{ type: 'task.cancel', taskId: 't-1', commandId: 'c-1' }]);
  });

  it('takes no trace that is none: a bad traceparent is left out and harms nothing', async () => {
    const { ask, server } = await world();
    for (const traceparent of ['', '00', `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`, 'x'.repeat(10_000), '00-é-1-1']) {
      expect(await ask('cancel', '{"taskId":"t-1","commandId":"c-1"}', { traceparent })).toBeNull();
    }
    expect(server.commands.every((command) => !('traceparent' in command))).toBe(true);
  });

  it.each(endpoints)('on %s with one field of another type is refused with that field', async (endpoint) => {
    const { ask, server, logger } = await world();
    const wrong: readonly unknown[] = [
      null,
      7.5,
      -1,
      true,
      '',
      'a b\u0000',
      [],
      [[1]],
      {},
      { a: 1 },
      'x'.repeat(3_000),
    ];
    let refusedCount = 0;
    for (const value of wrong) {
      for (const [path, request] of mutations(goodRequests[endpoint] as object, () => value)) {
        const body = JSON.stringify(request);
        const error = await ask(endpoint, body);
        if (error === null) {
          // A few values are right by chance: where a text, a flag, a number or anything may stand.
          expect([
            path,
            body.slice(0, 80),
            free.has(path) || /^(by|reason|deadlineMs|includePayloads|includeFinished|items)/.test(path),
          ]).toEqual([path, body.slice(0, 80), true]);
          continue;
        }
        refusedCount += 1;
        const field = error.field ?? '';
        const isAbout = field === path || field.startsWith(`${path}.`) || path.startsWith(field);
        expect([path, value, field, isAbout]).toEqual([path, value, field, true]);
      }
    }
    expect(refusedCount).toBeGreaterThan(5);
    expect(server.commands.filter((command) => 'taskId' in command && command.taskId !== 't-1')).toEqual([]);
    expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it(
    'is answered with its data or an error of the catalog, whatever a field or its name is',
    { timeout: 20_000 },
    async () => {
      const { ask, logger } = await world();
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...endpoints),
          anyJsonValue,
          anyText,
          fc.nat(100),
          async (endpoint, value, name, pick) => {
            const changed = mutations(goodRequests[endpoint] as object, () => value);
            const [, request] = changed[pick % changed.length] ?? ['', {}];
            await ask(endpoint, JSON.stringify(pick % 5 === 0 ? { ...request, [name]: value } : request));
          },
        ),
        { numRuns: 1_500 },
      );
      expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
    },
  );

  it('is answered with its data or an error of the catalog, whatever its bytes are', { timeout: 20_000 }, async () => {
    const { ask, logger } = await world();
    const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...endpoints),
        flips,
        fc.nat(400),
        anyText,
        async (endpoint, changes, cut, more) => {
          const bytes = Buffer.from(JSON.stringify(goodRequests[endpoint]));
          for (const [at, mask] of changes) bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ mask;
          await ask(endpoint, bytes.subarray(0, bytes.length - (cut % 3 === 0 ? cut % bytes.length : 0)));
          await ask(endpoint, more);
        },
      ),
      { numRuns: 1_000 },
    );
    expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });
});
