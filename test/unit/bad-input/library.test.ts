import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Client, createClient } from '../../../src/client.ts';
import type { ClusterLeases } from '../../../src/client/cluster-client.ts';
import { noOrders } from '../../../src/core/cluster-orders.ts';
import type { ShardCommand } from '../../../src/core/messages.ts';
import type { Reply } from '../../../src/core/replies.ts';
import type { TaskView } from '../../../src/core/task-view.ts';
import { definePipeline } from '../../../src/pipeline/define-pipeline.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { SystemClock } from '../../../src/platform/system-clock.ts';
import { MemoryBus } from '../../../src/transport/memory-bus.ts';
import { ArrayJournal } from '../../support/array-journal.ts';
import { ShardServer } from '../../support/shard-server.ts';
import { anyValue, badIds, nestedLists, oddIds, takenOrRefused, thrownBy } from './awkward-values.ts';

const dead = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(
  (taskId) =>
    ({ taskId, status: 'deadLettered', stage: 'print', failure: { class: 'fatal' }, seq: 3 }) as unknown as TaskView,
);

function answer(command: ShardCommand, shard: number): Reply {
  switch (command.type) {
    case 'task.submit':
      return { kind: 'accepted', taskId: command.taskId, state: 'parse.queued' };
    case 'task.get':
      return { kind: 'task', task: { taskId: command.taskId, pipeline: 'card' } as TaskView };
    case 'task.result':
      return { kind: 'pending', taskId: command.taskId, state: 'parse.running' };
    case 'task.list':
      return { kind: 'page', tasks: shard === 0 ? dead : [], next: null };
    default:
      return { kind: 'done', taskId: command.taskId, state: 'parse.held', repeated: false };
  }
}

const leases = {
  readNode: async (nodeId: string) => ({ nodeId, incarnation: 'i', startedAt: 1, draining: false }),
  listNodes: async () => [],
  readShard: async (shard: number) => ({ shard, owner: null, epoch: 0, revision: 0 }),
  listShards: async () => [],
  readOrders: async () => ({ orders: noOrders, revision: 0 }),
  writeOrders: async () => ({ kind: 'written', revision: 1 }),
} as unknown as ClusterLeases;

async function world(): Promise<{ readonly client: Client; readonly server: ShardServer }> {
  const clock = new SystemClock();
  const bus = new MemoryBus({ clock, logger: new MemoryLogger() });
  const server = await new ShardServer(bus, answer).serve('cabinet', 4);
  const client = createClient({
    bus,
    clock,
    random: new SeededRandom(5),
    namespace: 'cabinet',
    shardCount: 4,
    journal: new ArrayJournal(),
    leases,
    deadlineMs: 500,
  });
  return { client, server };
}

/** Calls as JavaScript makes them: nothing holds its arguments. */
type Untyped = Readonly<Record<string, (...args: unknown[]) => unknown>>;
const untyped = (object: unknown): Untyped =>
  new Proxy(object as object, {
    get: (target, name) => (Reflect.get(target, name) as (...args: unknown[]) => unknown).bind(target),
  }) as unknown as Untyped;

/** The first that a generator gives. */
const firstOf = (generator: unknown): Promise<unknown> => (generator as AsyncGenerator).next();

/** Somebody's own class. */
class Card {
  readonly sku = 'A';
}

/** Every call that names a task. */
const taskCalls: readonly (readonly [string, (client: Untyped, taskId: unknown) => unknown])[] = [
  ['submit', (client, taskId) => client['submit']?.('card', 1, { taskId })],
  ['get', (client, taskId) => client['get']?.(taskId)],
  ['result', (client, taskId) => client['result']?.('card', taskId, { timeoutMs: 10 })],
  ['pause', (client, taskId) => client['pause']?.(taskId)],
  ['resume', (client, taskId) => client['resume']?.(taskId)],
  ['cancel', (client, taskId) => client['cancel']?.(taskId)],
  ['redrive', (client, taskId) => client['redrive']?.(taskId)],
  ['resolve', (client, taskId) => client['resolve']?.(taskId, { kind: 'notDone' })],
  ['watch', (client, taskId) => firstOf(client['watch']?.(taskId))],
  ['history', (client, taskId) => client['history']?.(taskId)],
];

describe('a task id in the library', () => {
  it.each(badIds)(
    'INVALID_TASK_ID: row %s is refused by every call, before anything is sent',
    async (_row, value, says) => {
      const { client, server } = await world();
      for (const [name, call] of taskCalls) {
        const error = await thrownBy(() => call(untyped(client), value));
        expect([name, error.code, error.field]).toEqual([name, 'INVALID_TASK_ID', 'taskId']);
        expect([name, error.message]).toEqual([name, expect.stringContaining(says) as string]);
        expect(error.limit).toContain('1 to 128 characters');
      }
      expect(server.envelopes).toEqual([]);
    },
  );

  it('INVALID_TASK_ID: row 1, none at all, is said to be required', async () => {
    const { client } = await world();
    for (const [name, call] of taskCalls.filter(([one]) => one !== 'submit')) {
      expect([name, (await thrownBy(() => call(untyped(client), undefined))).message]).toEqual([
        name,
        'taskId is required',
      ]);
    }
  });

  it.each(oddIds)('row 16: %s is text and stays as it is', async (taskId) => {
    const { client, server } = await world();
    await client.submit('card', 1, { taskId });
    expect(server.commands).toMatchObject([{ taskId, commandId: taskId }]);
  });
});

/** An input, and the error of it. */
const badInputs: readonly (readonly [row: string, input: unknown, code: string, says: string])[] = [
  ['20 none', undefined, 'INVALID_ARGUMENT', 'input is required'],
  ['25 a BigInt', { a: 1n }, 'UNSERIALIZABLE', 'bigint at $.a'],
  ['25 a function', { a: () => 1 }, 'UNSERIALIZABLE', 'function at $.a'],
  ['25 a symbol', [Symbol('x')], 'UNSERIALIZABLE', 'symbol at $[0]'],
  ['25 a Map', { a: new Map() }, 'UNSERIALIZABLE', 'an instance of Map at $.a'],
  ['25 a Set', new Set(), 'UNSERIALIZABLE', 'an instance of Set at $'],
  ['25 a Date', { at: new Date(0) }, 'UNSERIALIZABLE', 'an instance of Date at $.at'],
  ['25 an instance of a class', new Card(), 'UNSERIALIZABLE', 'an instance of Card at $'],
  ['25 a boxed text', Object('x'), 'UNSERIALIZABLE', 'an instance of String at $'],
  ['25 undefined in a list', [1, undefined], 'UNSERIALIZABLE', 'undefined at $[1]'],
  // eslint-disable-next-line no-sparse-arrays -- it is the hole that is meant
  ['25 a hole in a list', [1, , 2], 'UNSERIALIZABLE', 'undefined at $[1]'],
  ['25 a promise', Promise.resolve(1), 'UNSERIALIZABLE', 'an instance of Promise at $'],
  ['26 NaN', { a: Number.NaN }, 'UNSERIALIZABLE', 'NaN at $.a'],
  ['26 Infinity', Infinity, 'UNSERIALIZABLE', 'Infinity at $'],
  ['26 -Infinity', [-Infinity], 'UNSERIALIZABLE', '-Infinity at $[0]'],
  ['26 -0', { a: [-0] }, 'UNSERIALIZABLE', '-0 at $.a[0]'],
  ['14 a lone surrogate', { a: '\udc00' }, 'UNSERIALIZABLE', 'a lone surrogate at $.a'],
  ['28 nested 10,001 deep', nestedLists(10_001), 'INVALID_ARGUMENT', 'nested deeper than 64'],
  [
    '28 a million elements',
    Array.from({ length: 1e6 }, () => 1),
    'INVALID_ARGUMENT',
    'more than 10000 keys and elements',
  ],
  ['29 an own __proto__', JSON.parse('{"a":{"__proto__":1}}'), 'INVALID_ARGUMENT', 'forbidden key at $.a.__proto__'],
  ['29 constructor', { constructor: 1 }, 'INVALID_ARGUMENT', 'forbidden key at $.constructor'],
  ['29 prototype', [{ prototype: 1 }], 'INVALID_ARGUMENT', 'forbidden key at $[0].prototype'],
  ['22 too large as it is encoded', 'x'.repeat(2 ** 20), 'PAYLOAD_TOO_LARGE', 'the command has'],
];

describe('an input in the library', () => {
  it.each(badInputs)('row %s is refused with code and place: %#', async (_row, input, code, says) => {
    const { client, server } = await world();
    const error = await thrownBy(() => client.submit('card', input));
    expect(error).toMatchObject({ code, field: 'input', message: expect.stringContaining(says) as string });
    const [outcome] = await client.submitMany('card', [{ input }]);
    expect(outcome).toMatchObject({ kind: 'error', error: { code, field: 'input' } });
    expect(server.envelopes).toEqual([]);
  });

  it('UNSERIALIZABLE: an output that an operator tells is held to the same', async () => {
    const { client } = await world();
    const error = await thrownBy(() => untyped(client)['resolve']?.('t-1', { kind: 'completed', output: { a: [1n] } }));
    expect(error).toMatchObject({ code: 'UNSERIALIZABLE', field: 'resolution.output' });
  });

  it('row 29: a path into long keys is told in few words', async () => {
    const { client } = await world();
    const key = 'k\u0000'.repeat(10_000);
    const error = await thrownBy(() => client.submit('card', { [key]: { [key]: { constructor: 1 } } }));
    expect(error.message.length).toBeLessThan(300);
    expect(error.message).not.toContain('\u0000');
  });

  it('INVALID_ARGUMENT: a value that holds itself ends at the depth limit, and is no endless walk', async () => {
    const { client } = await world();
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    expect(await thrownBy(() => client.submit('card', cyclic))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      limit: '64',
    });
  });
});

/** Calls with one bad argument. */
const badCalls: readonly (readonly [
  string,
  (client: Untyped, deadLetters: Untyped, cluster: Untyped) => unknown,
  string,
])[] = [
  ...[undefined, null, 7, true, '', 'Card', 'a.b', {}, { name: 7 }, [], function card() {}].map(
    (pipeline) =>
      [`submit to ${inspect(pipeline)}`, (client: Untyped) => client['submit']?.(pipeline, 1), 'pipeline'] as const,
  ),
  ['submit, version 0', (client) => client['submit']?.('card', 1, { version: 0 }), 'version'],
  ['submit, version "3"', (client) => client['submit']?.('card', 1, { version: '3' }), 'version'],
  ['submit, options null', (client) => client['submit']?.('card', 1, null), 'options'],
  ['submit, options as text', (client) => client['submit']?.('card', 1, 'soon'), 'options'],
  [
    'submit, an id and a key',
    (client) => client['submit']?.('card', 1, { taskId: 'a', idempotencyKey: 'b' }),
    'idempotencyKey',
  ],
  ['submit, an empty key', (client) => client['submit']?.('card', 1, { idempotencyKey: '' }), 'idempotencyKey'],
  [
    'submit, a key that is a number',
    (client) => client['submit']?.('card', 1, { idempotencyKey: 7 }),
    'idempotencyKey',
  ],
  [
    'submit, a key of 1,025 characters',
    (client) => client['submit']?.('card', 1, { idempotencyKey: 'k'.repeat(1_025) }),
    'idempotencyKey',
  ],
  [
    'submit, a key with a lone surrogate',
    (client) => client['submit']?.('card', 1, { idempotencyKey: '\ud800' }),
    'idempotencyKey',
  ],
  ['submit, by a number', (client) => client['submit']?.('card', 1, { by: 7 }), 'by'],
  [
    'submit, a reason of 2,001 characters',
    (client) => client['submit']?.('card', 1, { reason: 'r'.repeat(2_001) }),
    'reason',
  ],
  ...[Number.NaN, Infinity, 'soon', {}, 3_600_001].map(
    (deadlineMs) =>
      [
        `submit, deadline ${inspect(deadlineMs)}`,
        (client: Untyped) => client['submit']?.('card', 1, { deadlineMs }),
        'deadlineMs',
      ] as const,
  ),
  ['submit, a signal that is none', (client) => client['submit']?.('card', 1, { signal: {} }), 'signal'],
  ['submitMany of no list', (client) => client['submitMany']?.('card', { 0: { input: 1 } }), 'items'],
  ['submitMany, options null', (client) => client['submitMany']?.('card', [], null), 'options'],
  ['get, options null', (client) => client['get']?.('t-1', null), 'options'],
  ['get, includePayloads as text', (client) => client['get']?.('t-1', { includePayloads: 'yes' }), 'includePayloads'],
  ['result of no pipeline', (client) => client['result']?.(null, 't-1'), 'pipeline'],
  ...[Number.NaN, Infinity, 'soon', 3_600_001].map(
    (timeoutMs) =>
      [
        `result, timeout ${String(timeoutMs)}`,
        (client: Untyped) => client['result']?.('card', 't-1', { timeoutMs }),
        'timeoutMs',
      ] as const,
  ),
  ['pause, a bad command id', (client) => client['pause']?.('t-1', { commandId: 'a b' }), 'commandId'],
  ['cancel, options as a list', (client) => client['cancel']?.('t-1', ['now']), 'options'],
  ['resolve without a resolution', (client) => client['resolve']?.('t-1'), 'resolution'],
  ['resolve of no kind', (client) => client['resolve']?.('t-1', { kind: 'perhaps' }), 'resolution.kind'],
  ['resolve, a field too many', (client) => client['resolve']?.('t-1', { kind: 'notDone', output: 1 }), 'output'],
  ['list, query null', (client) => client['list']?.(null), 'query'],
  ['list, limit 1,001', (client) => client['list']?.({ limit: 1_001 }), 'limit'],
  ['list, an unknown status', (client) => client['list']?.({ status: 'done' }), 'status'],
  ['watch after no position', (client) => firstOf(client['watch']?.('t-1', { after: '1.2' })), 'after'],
  ['info, deadline NaN', (client) => client['info']?.({ deadlineMs: Number.NaN }), 'deadlineMs'],
  ['dead letters, query null', (_client, deadLetters) => deadLetters['list']?.(null), 'query'],
  ['row 62: redrive of nothing said', (_client, deadLetters) => deadLetters['redrive']?.(), 'filter'],
  ['row 62: redrive of an empty filter', (_client, deadLetters) => deadLetters['redrive']?.({}), 'filter'],
  [
    'row 62: redrive of a filter whose only part is undefined',
    (_client, deadLetters) => deadLetters['redrive']?.({ stage: undefined }),
    'filter',
  ],
  [
    'row 68: redrive of a misspelled filter',
    (_client, deadLetters) => deadLetters['redrive']?.({ pipelin: 'card' }),
    'pipelin',
  ],
  ['redrive, all: false', (_client, deadLetters) => deadLetters['redrive']?.({ all: false }), 'all'],
  [
    'redrive, all beside a filter',
    (_client, deadLetters) => deadLetters['redrive']?.({ all: true, stage: 'print' }),
    'all',
  ],
  ...[-2, 0, 1.5, Number.NaN, '3'].map(
    (maximum) =>
      [
        `redrive, maximum ${String(maximum)}`,
        (_client: Untyped, deadLetters: Untyped) => deadLetters['redrive']?.({ all: true }, { maximum }),
        'maximum',
      ] as const,
  ),
  ['cordon of no node', (_client, _deadLetters, cluster) => cluster['cordon']?.('a.b'), 'nodeId'],
  [
    'drain, deadline NaN',
    (_client, _deadLetters, cluster) => cluster['drain']?.('n-1', { deadlineMs: Number.NaN }),
    'deadlineMs',
  ],
  [
    'drain, deadline without end',
    (_client, _deadLetters, cluster) => cluster['drain']?.('n-1', { deadlineMs: Infinity }),
    'deadlineMs',
  ],
  ['status, options null', (_client, _deadLetters, cluster) => cluster['status']?.(null), 'options'],
  ...[-1, 4, 1.5, Number.NaN, '0', null, Symbol('s')].map(
    (shard) =>
      [
        `move of shard ${String(shard)}`,
        (_client: Untyped, _deadLetters: Untyped, cluster: Untyped) => cluster['moveShard']?.(shard, 'n-1'),
        'shard',
      ] as const,
  ),
  [
    'move, deadline as text',
    (_client, _deadLetters, cluster) => cluster['moveShard']?.(0, 'n-1', { deadlineMs: 'soon' }),
    'deadlineMs',
  ],
];

describe('a call of the library with a bad argument', () => {
  it.each(badCalls)(
    'INVALID_ARGUMENT: %s is refused with its field, and nothing is sent',
    async (_name, call, field) => {
      const { client, server } = await world();
      const error = await thrownBy(() => call(untyped(client), untyped(client.deadLetters), untyped(client.cluster)));
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field });
      expect(server.commands.filter(({ type }) => type !== 'task.list')).toEqual([]);
    },
  );

  it('row 86: DEADLINE_EXCEEDED for a deadline that has passed, and nothing is sent', async () => {
    const { client, server } = await world();
    for (const deadlineMs of [0, -1, -Number.MAX_VALUE]) {
      expect(await thrownBy(() => client.submit('card', 1, { deadlineMs }))).toMatchObject({
        code: 'DEADLINE_EXCEEDED',
        field: 'deadlineMs',
      });
    }
    expect(server.envelopes).toEqual([]);
  });

  it('leaves the good items of many alone', async () => {
    const { client } = await world();
    const items = [{ input: 1 }, null, 7, { input: 1n }, { input: 1, taskId: '.' }, { input: 2 }];
    const outcomes = (await untyped(client)['submitMany']?.('card', items)) as readonly { readonly kind: string }[];
    expect(outcomes.map(({ kind }) => kind)).toEqual(['accepted', 'error', 'error', 'error', 'error', 'accepted']);
  });

  it('is taken, or refused with an error of the catalog, whatever it is', { timeout: 20_000 }, async () => {
    const { client, server } = await world();
    const calls: readonly ((a: unknown, b: unknown, c: unknown) => unknown)[] = [
      (a, b, c) => untyped(client)['submit']?.(a, b, c),
      (a, b) => untyped(client)['submit']?.('card', 1, { taskId: a, by: b }),
      (a, b, c) => untyped(client)['submitMany']?.(a, [b, c]),
      (a, b) => untyped(client)['get']?.(a, b),
      (a, b, c) => untyped(client)['pause']?.('t-1', { commandId: a, by: b, reason: c }),
      (a, b) => untyped(client)['resolve']?.('t-1', a, b),
      (a) => untyped(client)['list']?.(a),
      (a, b) => untyped(client.deadLetters)['redrive']?.(a, b),
      (a, b) => untyped(client.cluster)['unpinShard']?.(a, b),
      (a, b) => firstOf(untyped(client)['watch']?.(a, { after: b })),
    ];
    await fc.assert(
      fc.asyncProperty(fc.nat(calls.length - 1), anyValue, anyValue, anyValue, async (index, a, b, c) => {
        await takenOrRefused(() => calls[index]?.(a, b, c));
      }),
      { numRuns: 600 },
    );
    expect(server.commands.filter(({ type }) => type === 'task.cancel')).toEqual([]);
  });
});

describe('a definition', () => {
  const okStage = { output: z.unknown(), driver: () => 1, retry: { maxAttempts: 2 }, timeoutMs: 1_000 };
  const stageFields = [
    'output',
    'driver',
    'retry',
    'timeoutMs',
    'heartbeatTimeoutMs',
    'deadlineMs',
    'port',
    'skip',
    'effect',
    'concurrency',
    'lookup',
  ];
  const retryFields = ['maxAttempts', 'initialDelayMs', 'maxDelayMs', 'factor', 'jitter', 'retryOn'];
  const define = definePipeline as (options: unknown) => unknown;
  const withStage = (name: unknown, options: unknown, fields: object = {}): unknown =>
    define({
      name: 'card',
      version: 1,
      input: z.unknown(),
      stages: (pipeline: { readonly stage: (name: unknown, options: unknown) => unknown }) =>
        pipeline.stage(name, options),
      ...fields,
    });

  it('PIPELINE_INVALID, RETRY_POLICY_INVALID: is taken or refused with its path, whatever stands in one of its fields', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...stageFields),
        fc.constantFrom(...retryFields),
        anyValue,
        fc.nat(4),
        (field, retryField, value, where) => {
          try {
            if (where === 0) withStage(value, okStage);
            else if (where === 1) withStage('print', { ...okStage, [field]: value });
            else if (where === 2) withStage('print', { ...okStage, retry: { maxAttempts: 2, [retryField]: value } });
            else if (where === 3) withStage('print', okStage, { name: value });
            else withStage('print', okStage, { version: value, input: value });
          } catch (thrown) {
            expect(thrown).toMatchObject({
              code: expect.stringMatching(/^(PIPELINE_INVALID|RETRY_POLICY_INVALID)$/) as string,
              field: expect.any(String) as string,
            });
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('RETRY_POLICY_INVALID: a hole in the list of classes is a stranger in it', () => {
    for (const retryOn of [[undefined], ['retryable', undefined], [undefined, 0n]]) {
      expect(() => withStage('print', { ...okStage, retry: { maxAttempts: 2, retryOn } })).toThrow(
        expect.objectContaining({ code: 'RETRY_POLICY_INVALID', field: 'stages.print.retry.retryOn' }),
      );
    }
  });

  it.each([0, -1, 1.5, '3', 1e9, Number.NaN, Infinity, null])(
    'RETRY_POLICY_INVALID: row 46, %s attempts, with the range',
    (maxAttempts) => {
      expect(() => withStage('print', { ...okStage, retry: { maxAttempts } })).toThrow(
        expect.objectContaining({
          code: 'RETRY_POLICY_INVALID',
          field: expect.stringContaining('maxAttempts') as string,
          limit: expect.stringMatching(/1.*1000|1,000/) as string,
        }),
      );
    },
  );
});
