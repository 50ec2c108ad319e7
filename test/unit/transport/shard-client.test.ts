import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../src/core/errors.ts';
import { shardOf } from '../../../src/core/hash.ts';
import { parseTaskId, type ShardId } from '../../../src/core/ids.ts';
import type { ShardCommand, TaskCommand } from '../../../src/core/messages.ts';
import { maximumCommandsPerRequest } from '../../../src/core/protocol.ts';
import type { Reply } from '../../../src/core/replies.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import { type BusFault, MemoryBus } from '../../../src/transport/memory-bus.ts';
import { ShardClient, type ShardClientLimits } from '../../../src/transport/shard-client.ts';
import { errorReplyOf, ShardServer } from '../../support/shard-server.ts';

const namespace = 'cabinet';
const shardCount = 4;

function aSubmit(taskId: string, input: string = 'x'): TaskCommand {
  const id = parseTaskId(taskId);
  return { type: 'task.submit', taskId: id, commandId: id as never, pipeline: 'card', input };
}

function accept(command: ShardCommand): Reply {
  if (command.type === 'task.list') return { kind: 'page', tasks: [], next: null };
  return { kind: 'accepted', taskId: command.taskId, state: 'parse.queued' };
}

function world(options: { faults?: () => BusFault; limits?: Partial<ShardClientLimits> } = {}) {
  const clock = new VirtualClock();
  const bus = new MemoryBus({
    clock,
    logger: new MemoryLogger(),
    latencyMs: 2,
    ...(options.faults && { faults: options.faults }),
  });
  const client = new ShardClient({
    bus,
    clock,
    random: new SeededRandom(7),
    namespace,
    shardCount,
    limits: options.limits,
  });
  const settle = async <Value>(promise: Promise<Value>): Promise<Value> => {
    let isSettled = false;
    void promise.finally(() => (isSettled = true));
    await clock.runUntil(() => isSettled);
    return promise;
  };
  const serve = (answer: (command: ShardCommand, shard: ShardId) => Reply | Promise<Reply> = accept) =>
    settle(new ShardServer(bus, answer).serve(namespace, shardCount));
  return { clock, bus, client, settle, serve };
}

function codeOf(reply: Reply): string {
  return reply.kind === 'error' ? reply.error.code : reply.kind;
}

describe('routing and grouping', () => {
  it('sends a command to the subject of its task’s shard, and to no other', async () => {
    const { client, settle, serve } = world();
    const server = await serve();
    const ids = Array.from({ length: 40 }, (_, index) => `task-${index}`);
    await settle(
      client.sendMany(
        ids.map((id) => aSubmit(id)),
        { deadlineMs: 1_000 },
      ),
    );
    for (const { shard, commands } of server.envelopes) {
      for (const command of commands) {
        expect('taskId' in command && shardOf(command.taskId, shardCount)).toBe(shard);
      }
    }
    expect(server.commands).toHaveLength(40);
  });

  it('puts the sends of one turn to one shard into one envelope, and answers each in its order', async () => {
    const { client, settle, serve } = world();
    const server = await serve();
    const replies = await settle(
      Promise.all(
        Array.from({ length: 40 }, (_, index) => client.send(aSubmit(`task-${index}`), { deadlineMs: 1_000 })),
      ),
    );
    expect(server.envelopes).toHaveLength(shardCount);
    expect(replies.map((reply) => 'taskId' in reply && reply.taskId)).toEqual(
      replies.map((_, index) => `task-${index}`),
    );
  });

  it('sends a lone command without waiting for company', async () => {
    const { client, clock, settle, serve } = world();
    await serve();
    const startedMs = clock.monotonicMs();
    await settle(client.send(aSubmit('task-1'), { deadlineMs: 1_000 }));
    expect(clock.monotonicMs() - startedMs).toBe(2);
  });

  it('keeps an envelope within 256 commands', async () => {
    const { client, settle, serve } = world();
    const server = await serve();
    const commands = Array.from({ length: 2_000 }, (_, index) => aSubmit(`task-${index}`));
    await settle(client.sendMany(commands, { deadlineMs: 10_000 }));
    expect(Math.max(...server.envelopes.map(({ commands: sent }) => sent.length))).toBe(maximumCommandsPerRequest);
    expect(server.commands).toHaveLength(2_000);
  });

  it('keeps an envelope within the size limit', async () => {
    const { client, settle, serve } = world({ limits: { maximumRequestBytes: 20_000 } });
    const server = await serve();
    const commands = Array.from({ length: 2_000 }, (_, index) =>
      aSubmit(`task-${index}`, 'x'.repeat(index % 7 === 0 ? 900 : 1)),
    );
    const replies = await settle(client.sendMany(commands, { deadlineMs: 10_000 }));
    expect(new Set(replies.map(codeOf))).toEqual(new Set(['accepted']));
    expect(Math.max(...server.envelopes.map(({ sizeBytes }) => sizeBytes))).toBeLessThanOrEqual(20_000);
    expect(server.commands).toHaveLength(2_000);
  });

  it('holds no more requests in flight than its bound, and sends what waited when one is answered', async () => {
    let inHand = 0;
    let most = 0;
    const { client, clock, settle, serve } = world({
      limits: { maximumRequestsPerShard: 1, maximumRequestsInFlight: 2, maximumRequestBytes: 300 },
    });
    await serve(async (command) => {
      inHand += 1;
      most = Math.max(most, inHand);
      await new Promise<void>((resolve) => void clock.setTimer(5, resolve));
      inHand -= 1;
      return accept(command);
    });
    const commands = Array.from({ length: 30 }, (_, index) => aSubmit(`task-${index}`, 'x'.repeat(150)));
    const replies = await settle(client.sendMany(commands, { deadlineMs: 60_000 }));
    expect(replies.every((reply) => reply.kind === 'accepted')).toBe(true);
    expect(most).toBe(2);
  });

  it('lets a waiting read go alone, so that it delays nobody', async () => {
    const { client, clock, settle, serve } = world();
    const server = await serve(async (command) => {
      if (command.type === 'task.result')
        await new Promise<void>((resolve) => void clock.setTimer(command.waitMs, resolve));
      return accept(command);
    });
    const taskId = parseTaskId('task-1');
    const waiting = client.send({ type: 'task.result', taskId, waitMs: 5_000 }, { deadlineMs: 10_000 });
    const startedMs = clock.monotonicMs();
    await settle(client.send({ type: 'task.get', taskId }, { deadlineMs: 1_000 }));
    expect(clock.monotonicMs() - startedMs).toBeLessThan(100);
    await settle(waiting);
    expect(server.envelopes.map(({ commands }) => commands.length)).toEqual([1, 1]);
  });
});

describe('retries', () => {
  it('R-IDEM-1: repeats with the same command id until somebody serves the shard', async () => {
    const { client, clock, settle, serve } = world();
    const sent = client.send(aSubmit('task-1'), { deadlineMs: 10_000 });
    await clock.advance(300);
    const server = await serve();
    expect(await settle(sent)).toMatchObject({ kind: 'accepted', taskId: 'task-1' });
    expect(server.commands).toEqual([aSubmit('task-1')]);
  });

  it('R-IDEM-1: repeats a command whose reply was lost with the same command id, well before the deadline', async () => {
    let faults = 2;
    const { client, clock, settle, serve } = world({ faults: () => (faults-- > 0 ? 'lostReply' : 'none') });
    const server = await serve();
    expect(await settle(client.send(aSubmit('task-1'), { deadlineMs: 10_000 }))).toMatchObject({ kind: 'accepted' });
    expect(server.commands).toEqual([aSubmit('task-1'), aSubmit('task-1'), aSubmit('task-1')]);
    expect(clock.monotonicMs()).toBeLessThan(6_000);
  });

  it('repeats after a broken link', async () => {
    let faults = 1;
    const { client, settle, serve } = world({ faults: () => (faults-- > 0 ? 'disconnected' : 'none') });
    await serve();
    expect(await settle(client.send(aSubmit('task-1'), { deadlineMs: 1_000 }))).toMatchObject({ kind: 'accepted' });
  });

  it('BUS_FORBIDDEN: ends all commands of the request at once, with the subject and what mends it, and repeats none', async () => {
    let requests = 0;
    const { client, clock, settle, serve } = world({ faults: () => ((requests += 1), 'forbidden') });
    await serve();
    const commands = [aSubmit('task-1'), aSubmit('task-2'), aSubmit('task-3')];
    const replies = await settle(client.sendMany(commands, { deadlineMs: 30_000 }));
    for (const [index, reply] of replies.entries()) {
      const subject = `cabinet.shard.${shardOf(commands[index]?.taskId ?? parseTaskId('none'), shardCount)}`;
      expect(reply).toMatchObject({
        kind: 'error',
        error: { code: 'BUS_FORBIDDEN', field: subject, message: expect.stringContaining(subject), retryable: false },
      });
      expect(reply).toMatchObject({ error: { hint: expect.stringContaining('nats-config') } });
    }
    expect(requests).toBe(new Set(commands.map(({ taskId }) => shardOf(taskId, shardCount))).size);
    expect(clock.monotonicMs()).toBeLessThan(100);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each(['NO_OWNER', 'OVERLOADED', 'MAILBOX_FULL', 'UNAVAILABLE', 'OWNERSHIP_LOST'] as const)(
    'repeats after %s',
    async (code) => {
      let refusals = 3;
      const { client, settle, serve } = world();
      const server = await serve((command) =>
        refusals-- > 0 ? errorReplyOf(new EngineError(code, 'not now')) : accept(command),
      );
      expect(codeOf(await settle(client.send(aSubmit('task-1'), { deadlineMs: 5_000 })))).toBe('accepted');
      expect(server.commands).toHaveLength(4);
    },
  );

  it('comes back after MAILBOX_FULL no earlier than it was asked to', async () => {
    let refusals = 1;
    const { client, clock, settle, serve } = world();
    await serve((command) =>
      refusals-- > 0 ? errorReplyOf(new EngineError('MAILBOX_FULL', 'full', { retryAfterMs: 700 })) : accept(command),
    );
    await settle(client.send(aSubmit('task-1'), { deadlineMs: 5_000 }));
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(700);
  });

  it('repeats only the commands of an envelope that were refused', async () => {
    const refused = new Set(['task-3', 'task-5']);
    const { client, settle, serve } = world();
    const server = await serve((command) =>
      'taskId' in command && refused.delete(command.taskId)
        ? errorReplyOf(new EngineError('MAILBOX_FULL', 'full'))
        : accept(command),
    );
    await settle(
      client.sendMany(
        Array.from({ length: 9 }, (_, index) => aSubmit(`task-${index}`)),
        { deadlineMs: 5_000 },
      ),
    );
    const counts = new Map<string, number>();
    for (const command of server.commands) {
      if ('taskId' in command) counts.set(command.taskId, (counts.get(command.taskId) ?? 0) + 1);
    }
    expect(
      [...counts]
        .filter(([, count]) => count > 1)
        .map(([taskId]) => taskId)
        .toSorted(),
    ).toEqual(['task-3', 'task-5']);
  });

  it.each(['NOT_ALLOWED', 'TASK_NOT_FOUND', 'TASK_CONFLICT', 'STORAGE_FULL'] as const)(
    'hands %s to the caller at once',
    async (code) => {
      const { client, settle, serve } = world();
      const server = await serve(() => errorReplyOf(new EngineError(code, 'no')));
      expect(codeOf(await settle(client.send(aSubmit('task-1'), { deadlineMs: 5_000 })))).toBe(code);
      expect(server.commands).toHaveLength(1);
    },
  );

  it('spreads its tries: no more than a dozen in ten seconds without an owner', async () => {
    let requests = 0;
    const { client, settle } = world({ faults: () => ((requests += 1), 'none') });
    await settle(client.send(aSubmit('task-1'), { deadlineMs: 10_000 }));
    expect(requests).toBeGreaterThan(5);
    expect(requests).toBeLessThan(30);
  });
});

describe('a request without an answer', () => {
  /** Serves with an answer that takes so long, by the order of the envelopes; null: never. */
  function slow(clock: VirtualClock, delaysMs: readonly (number | null)[]) {
    let received = 0;
    return async (command: ShardCommand): Promise<Reply> => {
      const number = received;
      received += 1;
      const delayMs = delaysMs[number] ?? null;
      await new Promise<void>((resolve) => {
        if (delayMs !== null) clock.setTimer(delayMs, resolve);
      });
      return { ...accept(command), state: `answer-${number + 1}` } as Reply;
    };
  }

  it('R-IDEM-1: is sent again after a second beside itself with the same ids, and the first answer counts', async () => {
    const { client, clock, settle, serve } = world();
    const server = await serve(slow(clock, [null, 0]));
    const startedMs = clock.monotonicMs();
    const reply = await settle(client.send(aSubmit('task-1'), { deadlineMs: 10_000 }));
    expect(reply).toMatchObject({ kind: 'accepted', state: 'answer-2' });
    expect(clock.monotonicMs() - startedMs).toBe(1_002);
    expect(server.commands).toEqual([aSubmit('task-1'), aSubmit('task-1')]);
    expect(client.repeatedRequests).toBe(1);
  });

  it('takes an answer to the first that comes before that to the second', async () => {
    const { client, clock, settle, serve } = world();
    await serve(slow(clock, [1_500, null]));
    const reply = await settle(client.send(aSubmit('task-1'), { deadlineMs: 10_000 }));
    expect(reply).toMatchObject({ state: 'answer-1' });
  });

  it('I47: drops an answer that comes late, be it the first or the second, and sends nothing more', async () => {
    for (const delaysMs of [
      [1_900, 0],
      [1_100, 800],
    ]) {
      const { client, clock, settle, serve } = world();
      const server = await serve(slow(clock, delaysMs));
      const reply = await settle(client.send(aSubmit('task-1'), { deadlineMs: 10_000 }));
      await clock.advance(20_000);
      expect(reply).toMatchObject({ state: delaysMs[1] === 0 ? 'answer-2' : 'answer-1' });
      expect(server.commands).toHaveLength(2);
      expect(client.pendingCount).toBe(0);
      expect(clock.pendingTimers).toBe(0);
    }
  });

  it('I47: hears a late answer also when its try is over, and a late refusal decides nothing', async () => {
    const { client, clock, settle, serve } = world();
    let received = 0;
    await serve(async (command) => {
      received += 1;
      // The repeat of the first try is refused while the second try is on its way.
      const delayMs = [60_000, 1_200, 900][received - 1] ?? 60_000;
      const refused = received === 2;
      await new Promise<void>((resolve) => void clock.setTimer(delayMs, resolve));
      return refused ? errorReplyOf(new EngineError('NO_OWNER', 'late')) : accept(command);
    });
    const reply = await settle(client.send(aSubmit('task-1'), { deadlineMs: 10_000 }));
    expect(reply).toMatchObject({ kind: 'accepted' });
    expect(received).toBe(3);
  });

  it('holds the outcome to be unknown when a repeat is refused: the first may have been received', async () => {
    let requests = 0;
    const { client, settle, serve } = world({ faults: () => ((requests += 1) === 1 ? 'lostRequest' : 'none') });
    await serve(() => errorReplyOf(new EngineError('MAILBOX_FULL', 'full', { retryAfterMs: 60_000 })));
    const reply = await settle(client.send(aSubmit('task-1'), { deadlineMs: 10_000 }));
    expect(reply).toMatchObject({ error: { code: 'DEADLINE_EXCEEDED' } });
    expect(requests).toBe(2);
  });

  it('has three in flight at most for one command, however long nobody answers', async () => {
    const { client, clock, settle, bus } = world();
    let inFlight = 0;
    let most = 0;
    const request = bus.request.bind(bus);
    bus.request = async (...args) => {
      inFlight += 1;
      most = Math.max(most, inFlight);
      const outcome = await request(...args);
      inFlight -= 1;
      return outcome;
    };
    await settle(bus.serve('cabinet.shard.*', () => undefined));
    await settle(client.send(aSubmit('task-1'), { deadlineMs: 60_000 }));
    await clock.advance(10_000);
    expect(most).toBeLessThanOrEqual(3);
    expect(inFlight).toBe(0);
  });

  it('frees its place for those behind it as soon as its repeat is answered', async () => {
    const { client, clock, settle, serve } = world({ limits: { maximumRequestsPerShard: 1 } });
    await serve(slow(clock, [null, 0, 0]));
    const first = client.send(aSubmit('task-1'), { deadlineMs: 10_000 });
    await clock.advance(10);
    const behind = client.send(aSubmit('task-1'), { deadlineMs: 10_000 });
    await settle(Promise.all([first, behind]));
    expect(clock.monotonicMs()).toBeLessThan(1_100);
  });

  it('is not repeated before the time of a waiting read, and never for a list', async () => {
    const { client, clock, settle, serve } = world();
    const server = await serve(slow(clock, [3_900, 1_500]));
    const read: TaskCommand = { type: 'task.result', taskId: parseTaskId('task-1'), waitMs: 3_000 };
    await settle(client.send(read, { deadlineMs: 30_000 }));
    await settle(client.list(0 as ShardId, { limit: 10 }, { deadlineMs: 30_000 }));
    expect(server.commands).toHaveLength(2);
    expect(client.repeatedRequests).toBe(0);
  });
});

describe('the deadline', () => {
  it('ends with DEADLINE_EXCEEDED when a try may have been received: the outcome is unknown', async () => {
    const { client, clock, settle, serve } = world({ faults: () => 'lostReply' });
    const server = await serve();
    const reply = await settle(client.send(aSubmit('task-1'), { deadlineMs: 3_000 }));
    expect(reply).toMatchObject({
      kind: 'error',
      error: {
        code: 'DEADLINE_EXCEEDED',
        retryable: true,
        limit: '3000 ms',
        hint: expect.stringContaining('same ids') as string,
      },
    });
    expect(reply.kind === 'error' && reply.error.message).toContain('the outcome is unknown');
    expect(clock.monotonicMs()).toBeLessThanOrEqual(3_020);
    expect(server.commands.length).toBeGreaterThan(1);
  });

  it('ends with NO_OWNER when nobody ever served the shard: nothing was done', async () => {
    const { client, clock, settle } = world();
    const reply = await settle(client.send(aSubmit('task-1'), { deadlineMs: 3_000 }));
    expect(reply).toMatchObject({
      error: { code: 'NO_OWNER', hint: expect.stringContaining('is the engine running?') as string },
    });
    expect(clock.monotonicMs()).toBeGreaterThan(2_500);
    expect(clock.monotonicMs()).toBeLessThanOrEqual(3_020);
  });

  it.each(['MAILBOX_FULL', 'OVERLOADED'] as const)('ends with %s when every try was refused so', async (code) => {
    const { client, settle, serve } = world();
    await serve(() => errorReplyOf(new EngineError(code, 'full')));
    expect(codeOf(await settle(client.send(aSubmit('task-1'), { deadlineMs: 1_000 })))).toBe(code);
  });

  it('ends with DEADLINE_EXCEEDED after UNAVAILABLE: its owner may have sent the record off before', async () => {
    const { client, settle, serve } = world();
    await serve(() => errorReplyOf(new EngineError('UNAVAILABLE', 'store is away')));
    const reply = await settle(client.send(aSubmit('task-1'), { deadlineMs: 1_000 }));
    expect(reply).toMatchObject({
      error: { code: 'DEADLINE_EXCEEDED', message: expect.stringContaining('UNAVAILABLE') as string },
    });
  });

  it('gives up at once when it is asked to wait past the deadline: MAILBOX_FULL', async () => {
    const { client, clock, settle, serve } = world();
    await serve(() => errorReplyOf(new EngineError('MAILBOX_FULL', 'full', { retryAfterMs: 60_000 })));
    const reply = await settle(client.send(aSubmit('task-1'), { deadlineMs: 5_000 }));
    expect(reply).toMatchObject({ error: { code: 'MAILBOX_FULL', retryAfterMs: 60_000 } });
    expect(clock.monotonicMs()).toBeLessThan(100);
  });

  it('ends each command of an envelope at its own deadline', async () => {
    const { client, clock, settle, serve } = world({ faults: () => 'lostReply' });
    await serve();
    const long = client.send(aSubmit('task-1'), { deadlineMs: 9_000 });
    const short = client.send(aSubmit('task-1'), { deadlineMs: 200 });
    expect(codeOf(await settle(short))).toBe('DEADLINE_EXCEEDED');
    expect(clock.monotonicMs()).toBeLessThanOrEqual(220);
    expect(codeOf(await settle(long))).toBe('DEADLINE_EXCEEDED');
    expect(clock.monotonicMs()).toBeGreaterThan(8_000);
  });

  it('ends a command that waited for its turn with DEADLINE_EXCEEDED that says it was not sent', async () => {
    const { client, settle, serve } = world({
      faults: () => 'lostReply',
      limits: { maximumRequestsInFlight: 1, maximumRequestsPerShard: 1, tryTimeoutMs: 60_000 },
    });
    await serve();
    void client.send(aSubmit('task-1'), { deadlineMs: 60_000 });
    await settle(Promise.resolve());
    const reply = await settle(client.send(aSubmit('task-2'), { deadlineMs: 500 }));
    expect(reply).toMatchObject({
      error: { code: 'DEADLINE_EXCEEDED', hint: expect.stringContaining('nothing was done') as string },
    });
    client.close();
  });

  it.each([[0], [-1]])('of %i ms has passed: DEADLINE_EXCEEDED without a request', async (deadlineMs) => {
    const { client, settle, serve } = world();
    const server = await serve();
    expect(codeOf(await settle(client.send(aSubmit('task-1'), { deadlineMs })))).toBe('DEADLINE_EXCEEDED');
    expect(server.envelopes).toEqual([]);
  });

  it.each([[3_600_001], [Infinity], [Number.NaN]])('of %d ms is refused with INVALID_ARGUMENT', async (deadlineMs) => {
    const { client, settle } = world();
    expect(await settle(client.send(aSubmit('task-1'), { deadlineMs }))).toMatchObject({
      error: { code: 'INVALID_ARGUMENT', field: 'deadlineMs' },
    });
  });
});

describe('bounds and endings', () => {
  it('refuses a command over the size limit with PAYLOAD_TOO_LARGE before it is sent', async () => {
    const { client, settle, serve } = world({ limits: { maximumRequestBytes: 1_000 } });
    const server = await serve();
    const reply = await settle(client.send(aSubmit('task-1', 'é'.repeat(600)), { deadlineMs: 1_000 }));
    expect(reply).toMatchObject({ error: { code: 'PAYLOAD_TOO_LARGE', field: 'input' } });
    expect(server.envelopes).toEqual([]);
  });

  it('refuses a command beyond the pending bound with OVERLOADED at once', async () => {
    const { client, settle } = world({ limits: { maximumPendingCommands: 2 } });
    void client.send(aSubmit('task-1'), { deadlineMs: 1_000 });
    void client.send(aSubmit('task-2'), { deadlineMs: 1_000 });
    const reply = await settle(client.send(aSubmit('task-3'), { deadlineMs: 1_000 }));
    expect(reply).toMatchObject({ error: { code: 'OVERLOADED', limit: '2 commands', retryable: true } });
    expect(client.pendingCount).toBe(2);
    client.close();
  });

  it('ends with CANCELED when its signal aborts, before or while it waits', async () => {
    const { client, clock, settle } = world();
    const controller = new AbortController();
    const sent = client.send(aSubmit('task-1'), { deadlineMs: 10_000, signal: controller.signal });
    await clock.advance(100);
    controller.abort();
    expect(codeOf(await settle(sent))).toBe('CANCELED');
    expect(codeOf(await settle(client.send(aSubmit('task-1'), { deadlineMs: 1, signal: controller.signal })))).toBe(
      'CANCELED',
    );
    expect(client.pendingCount).toBe(0);
  });

  it('ends everything with CANCELED when it is closed, and leaves no timer behind', async () => {
    const { client, clock, settle } = world();
    const sent = [
      client.send(aSubmit('task-1'), { deadlineMs: 9_000 }),
      client.send(aSubmit('task-2'), { deadlineMs: 9_000 }),
    ];
    await clock.advance(100);
    client.close();
    expect((await settle(Promise.all(sent))).map(codeOf)).toEqual(['CANCELED', 'CANCELED']);
    expect(codeOf(await settle(client.send(aSubmit('task-3'), { deadlineMs: 9_000 })))).toBe('CANCELED');
    await clock.advance(10);
    expect(clock.pendingTimers).toBe(0);
  });

  it('leaves no timer behind when all is answered: an idle client keeps no process alive', async () => {
    const { client, clock, settle, serve } = world();
    await serve();
    await settle(client.send(aSubmit('task-1'), { deadlineMs: 9_000 }));
    expect(clock.pendingTimers).toBe(0);
  });

  it('hands an answer that is no answer to the caller as INVALID_MESSAGE', async () => {
    const { bus, client, settle } = world();
    await settle(bus.serve('cabinet.shard.*', (request) => request.reply(Buffer.from('nonsense'))));
    expect(codeOf(await settle(client.send(aSubmit('task-1'), { deadlineMs: 1_000 })))).toBe('INVALID_MESSAGE');
  });

  it('asks for a page of one shard', async () => {
    const { client, settle, serve } = world();
    const server = await serve();
    expect(await settle(client.list(2 as ShardId, { limit: 5 }, { deadlineMs: 1_000 }))).toMatchObject({
      kind: 'page',
    });
    expect(server.envelopes).toMatchObject([{ shard: 2, commands: [{ type: 'task.list', limit: 5 }] }]);
  });
});
