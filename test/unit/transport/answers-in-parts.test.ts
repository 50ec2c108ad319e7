import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../src/core/errors.ts';
import { parseTaskId } from '../../../src/core/ids.ts';
import type { ShardCommand, TaskCommand } from '../../../src/core/messages.ts';
import type { Reply } from '../../../src/core/replies.ts';
import { shardSubject } from '../../../src/core/subjects.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import type { Bus } from '../../../src/ports/bus.ts';
import { MemoryBus } from '../../../src/transport/memory-bus.ts';
import { encodeReplies } from '../../../src/transport/request-codec.ts';
import { ShardClient } from '../../../src/transport/shard-client.ts';
import { errorReplyOf, ShardServer } from '../../support/shard-server.ts';

const namespace = 'cabinet';

function aSubmit(taskId: string): TaskCommand {
  const id = parseTaskId(taskId);
  return { type: 'task.submit', taskId: id, commandId: id as never, pipeline: 'card', input: 'x' };
}

function aResult(taskId: string, waitMs: number): TaskCommand {
  return { type: 'task.result', taskId: parseTaskId(taskId), waitMs };
}

function accept(command: ShardCommand): Reply {
  if (command.type === 'task.list') return { kind: 'page', tasks: [], next: null };
  return { kind: 'accepted', taskId: command.taskId, state: 'parse.queued' };
}

/** A client of one shard; `tap` stands between it and the bus. */
function world(tap: (bus: Bus) => Bus = (bus) => bus) {
  const clock = new VirtualClock();
  const bus = new MemoryBus({ clock, logger: new MemoryLogger(), latencyMs: 2 });
  const client = new ShardClient({ bus: tap(bus), clock, random: new SeededRandom(7), namespace, shardCount: 1 });
  const settle = async <Value>(promise: Promise<Value>): Promise<Value> => {
    let isSettled = false;
    void promise.finally(() => (isSettled = true));
    await clock.runUntil(() => isSettled);
    return promise;
  };
  const after = <Value>(delayMs: number, value: Value): Promise<Value> =>
    new Promise((resolve) => void clock.setTimer(delayMs, () => resolve(value)));
  const serve = (answer: (command: ShardCommand) => Reply | Promise<Reply>, isOlder = false) =>
    settle(new ShardServer(bus, answer, { isOlder }).serve(namespace, 1));
  return { clock, bus, client, settle, after, serve };
}

/** Replies to waits after their time, to all else at once. */
function waitingAnswer(after: <Value>(delayMs: number, value: Value) => Promise<Value>) {
  return (command: ShardCommand): Reply | Promise<Reply> =>
    command.type === 'task.result' ? after(command.waitMs, accept(command)) : accept(command);
}

describe('an owner that answers in parts', () => {
  it('is sent waiting commands together once it has answered, and each is answered in its own time', async () => {
    const { client, clock, settle, after, serve } = world();
    const server = await serve(waitingAnswer(after));
    await settle(client.send(aSubmit('task-0'), { deadlineMs: 1_000 }));
    const startedMs = clock.monotonicMs();
    const answeredMs: number[] = [];
    const waits = [300, 100, 900].map(async (waitMs, index) => {
      await client.send(aResult(`task-${index}`, waitMs), { deadlineMs: 10_000 });
      answeredMs.push(clock.monotonicMs() - startedMs - waitMs);
    });
    await settle(Promise.all(waits));
    expect(server.envelopes.map(({ commands }) => commands.length)).toEqual([1, 3]);
    expect(answeredMs).toEqual([2, 2, 2]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('answers a command of a request while a neighbor is still worked on', async () => {
    const { client, clock, settle, after, serve } = world();
    await serve((command) => after('taskId' in command && command.taskId === 'slow' ? 500 : 0, accept(command)));
    const startedMs = clock.monotonicMs();
    const slow = client.send(aSubmit('slow'), { deadlineMs: 5_000 });
    await settle(client.send(aSubmit('quick'), { deadlineMs: 5_000 }));
    expect(clock.monotonicMs() - startedMs).toBeLessThan(10);
    expect(await settle(slow)).toMatchObject({ taskId: 'slow' });
    expect(client.repeatedRequests).toBe(0);
  });

  it('is sent waiting commands alone as long as it has not answered, for it may be an older one', async () => {
    const { client, settle, after, serve } = world();
    const server = await serve(waitingAnswer(after));
    const waits = [1, 2, 3].map((index) => client.send(aResult(`task-${index}`, 50), { deadlineMs: 5_000 }));
    await settle(Promise.all(waits));
    expect(server.envelopes.map(({ commands }) => commands.length)).toEqual([1, 1, 1]);
    expect(client.answersInParts(parseTaskId('task-1'))).toBe(true);
  });

  it('is taken for an older one again when its successor is: one waiting command does not delay another', async () => {
    const { bus, client, clock, settle, after, serve } = world();
    const server = await serve(waitingAnswer(after));
    await settle(client.send(aSubmit('task-0'), { deadlineMs: 1_000 }));
    await server.stop();
    const older = new ShardServer(bus, waitingAnswer(after));
    await settle(older.serve(namespace, 1));
    await settle(client.send(aSubmit('task-0'), { deadlineMs: 1_000 }));
    expect(client.answersInParts(parseTaskId('task-0'))).toBe(false);
    const startedMs = clock.monotonicMs();
    const long = client.send(aResult('task-1', 900), { deadlineMs: 5_000 });
    await settle(client.send(aResult('task-2', 10), { deadlineMs: 5_000 }));
    expect(clock.monotonicMs() - startedMs).toBeLessThan(50);
    await settle(long);
    expect(older.envelopes.map(({ commands }) => commands.length)).toEqual([1, 1, 1]);
  });

  it('R-IDEM-1: is asked again for what a lost part has left open when the last one has come, with the same ids', async () => {
    let lost = 0;
    const { client, clock, settle, after, serve } = world((bus) => ({
      serve: bus.serve.bind(bus),
      request: (subject, body, options) =>
        bus.request(subject, body, {
          ...options,
          onPart: (part) => (lost++ === 0 ? undefined : options.onPart?.(part)),
        }),
    }));
    const server = await serve((command) =>
      after('taskId' in command && command.taskId === 'last' ? 20 : 0, accept(command)),
    );
    const replies = await settle(client.sendMany([aSubmit('lost'), aSubmit('last')], { deadlineMs: 5_000 }));
    expect(replies.map(({ kind }) => kind)).toEqual(['accepted', 'accepted']);
    expect(server.envelopes.map(({ commands }) => commands)).toEqual([
      [aSubmit('lost'), aSubmit('last')],
      [aSubmit('lost')],
    ]);
    expect(clock.monotonicMs()).toBeLessThan(1_000);
  });

  it('DEADLINE_EXCEEDED: leaves the outcome of a command unknown whose part was lost, and refused when asked again', async () => {
    let isLost = false;
    const { client, settle, after, serve } = world((bus) => ({
      serve: bus.serve.bind(bus),
      request: (subject, body, options) =>
        bus.request(subject, body, { ...options, onPart: () => void (isLost = true) }),
    }));
    await serve((command) =>
      isLost
        ? errorReplyOf(new EngineError('MAILBOX_FULL', 'full', { retryAfterMs: 60_000 }))
        : after('taskId' in command && command.taskId === 'last' ? 20 : 0, accept(command)),
    );
    const [lost] = await settle(client.sendMany([aSubmit('lost'), aSubmit('last')], { deadlineMs: 5_000 }));
    expect(lost).toMatchObject({ error: { code: 'DEADLINE_EXCEEDED', hint: expect.stringContaining('same ids') } });
  });

  it('is asked once more beside itself for those alone that should have been answered by then', async () => {
    const { client, settle, after, serve } = world();
    let received = 0;
    const server = await serve((command) => {
      received += 1;
      // The first request's quick one has no answer.
      if (command.type === 'task.result' && command.taskId === 'quick' && received === 2)
        return new Promise(() => undefined);
      return waitingAnswer(after)(command);
    });
    await settle(client.send(aSubmit('task-0'), { deadlineMs: 1_000 }));
    const waits = [aResult('quick', 100), aResult('slow', 3_000)];
    const replies = await settle(client.sendMany(waits, { deadlineMs: 20_000 }));
    expect(replies.map(({ kind }) => kind)).toEqual(['accepted', 'accepted']);
    expect(server.envelopes.slice(1).map(({ commands }) => commands)).toEqual([waits, [aResult('quick', 100)]]);
    expect(client.repeatedRequests).toBe(1);
  });

  it('repeats what a part has refused while its neighbors are still waited for', async () => {
    let refusals = 2;
    const { client, clock, settle, after, serve } = world();
    await serve((command) => {
      if ('taskId' in command && command.taskId === 'refused' && refusals-- > 0)
        return errorReplyOf(new EngineError('OVERLOADED', 'full', { retryAfterMs: 10 }));
      return after('taskId' in command && command.taskId === 'slow' ? 800 : 0, accept(command));
    });
    const slow = client.send(aSubmit('slow'), { deadlineMs: 5_000 });
    expect(await settle(client.send(aSubmit('refused'), { deadlineMs: 5_000 }))).toMatchObject({ kind: 'accepted' });
    expect(clock.monotonicMs()).toBeLessThan(500);
    await settle(slow);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each([
    ['a place that no command has', [7]],
    ['as many places as it has no replies', [0, 1]],
    ['a place that is no number', ['0']],
    ['no list of places', 'all'],
  ])('INVALID_MESSAGE: ends the commands of a request that it answers with %s', async (_, of) => {
    const { bus, client, settle } = world();
    const answer = encodeReplies([accept(aSubmit('task-1'))], 10_000, of as readonly number[]);
    await settle(bus.serve(shardSubject(namespace, 0 as never), (request) => request.reply(answer)));
    expect(await settle(client.send(aSubmit('task-1'), { deadlineMs: 5_000 }))).toMatchObject({
      kind: 'error',
      error: { code: 'INVALID_MESSAGE' },
    });
  });
});
