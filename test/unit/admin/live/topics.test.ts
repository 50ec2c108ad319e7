import { beforeEach, describe, expect, it } from 'vitest';
import type { LiveConnection } from '../../../../src/admin/live/live-connection.ts';
import type { LiveFrame } from '../../../../src/admin/live/protocol.ts';
import type { TaskChanges } from '../../../../src/admin/live/task-changes.ts';
import { EngineError } from '../../../../src/core/errors.ts';
import { anIndexedTask } from '../../../support/admin-kit.ts';
import { ArrayJournal, deadLettered, redriven, submitted } from '../../../support/array-journal.ts';
import { LiveWorld, type MemorySocket } from '../../../support/live-kit.ts';

let journal: ArrayJournal;
let world: LiveWorld;
let socket: MemorySocket;
let connection: LiveConnection;

beforeEach(() => {
  journal = new ArrayJournal();
  world = new LiveWorld(journal);
  world.index.position = '0-0-0';
  ({ socket, connection } = world.connect('admin'));
});

const subscribe = async (id: string, topic: string, more: object = {}): Promise<void> => {
  world.say(connection, { type: 'subscribe', id, topic, ...more });
  await world.clock.advance(10);
};
const last = (): LiveFrame | undefined => socket.frames.at(-1);
const failure = new EngineError('UNAVAILABLE', 'the index is closed');

describe('a topic that tells a state', () => {
  it('is read once for all who look, told when it differs, and not read while nobody looks', async () => {
    let moves = 0;
    world.client.answers['cluster.status'] = () => ({ nodes: [], moves });
    const other = world.connect();
    await subscribe('c', 'cluster');
    world.say(other.connection, { type: 'subscribe', id: 'x', topic: 'cluster' });
    await world.clock.advance(3_500);
    expect(world.client.named('cluster.status')).toHaveLength(4);
    expect(socket.of('snapshot')).toMatchObject([{ id: 'c', position: null, data: { moves: 0 } }]);
    expect(socket.of('delta')).toEqual([]);
    moves = 2;
    await world.clock.advance(1_000);
    expect(socket.of('delta')).toMatchObject([{ id: 'c', seq: 1, data: { moves: 2 } }]);
    expect(other.socket.of('delta')).toMatchObject([{ id: 'x', seq: 1, data: { moves: 2 } }]);
    world.say(connection, { type: 'unsubscribe', id: 'c' });
    other.connection.ended();
    const asked = world.client.named('cluster.status').length;
    await world.clock.advance(10_000);
    expect(world.client.named('cluster.status')).toHaveLength(asked);
  });

  it('ends with UNAVAILABLE when it cannot be read, and is there again for who comes again', async () => {
    await subscribe('d', 'dead-letters');
    world.index.failure = failure;
    await world.clock.advance(1_000);
    expect(last()).toMatchObject({ type: 'error', id: 'd', code: 'UNAVAILABLE' });
    world.index.failure = null;
    world.index.put(anIndexedTask('t-1'));
    await subscribe('d', 'dead-letters');
    expect(last()).toMatchObject({
      type: 'snapshot',
      data: { count: 1, groups: [{ key: 'abcdef0123456789', count: 1 }] },
    });
  });

  it('tells an overview of counts, nodes and rates', async () => {
    world.index.put(anIndexedTask('t-1'), anIndexedTask('t-2', { status: 'running' }));
    await subscribe('o', 'overview');
    expect(last()).toMatchObject({
      type: 'snapshot',
      data: {
        statuses: [{ count: 1 }, { count: 1 }],
        unfinishedByPipeline: [{ key: 'card', count: 1 }],
        latencies: null,
      },
    });
    expect(last()).toMatchObject({ data: { eventsPerSecond: null } });
    await world.clock.advance(1_000);
    for (let count = 0; count < 20; count += 1) journal.commit(0, [submitted(`t-${count}`)]);
    // Of the one second that was watched, and later of ten.
    await world.clock.advance(1_500);
    expect(last()).toMatchObject({ type: 'delta', data: { eventsPerSecond: { 'io.cabinet.task.submitted': 20 } } });
    await world.clock.advance(9_000);
    expect(last()).toMatchObject({ type: 'delta', data: { eventsPerSecond: { 'io.cabinet.task.submitted': 2 } } });
    await world.clock.advance(15_000);
    expect(last()).toMatchObject({ type: 'delta', data: { eventsPerSecond: {} } });
  });

  it('tells a bulk action, and NOT_FOUND of one that is not there', async () => {
    await subscribe('b', 'bulk:mend-1');
    expect(last()).toMatchObject({ type: 'error', id: 'b', code: 'NOT_FOUND' });
  });

  it('shows new lines of the audit log', async () => {
    await subscribe('a', 'audit');
    expect(last()).toMatchObject({ type: 'snapshot', data: { entries: [] } });
    await world.audit.append({ action: 'task.cancel' } as never);
    await world.clock.advance(1_000);
    expect(last()).toMatchObject({ type: 'delta', seq: 1, data: { entries: [{ action: 'task.cancel' }] } });
  });
});

describe('the topic of changed tasks', () => {
  const changes = (): readonly TaskChanges[] => socket.of('delta').map(({ data }) => data as TaskChanges);

  it('tells each changed task once, as it is now, once the index knows', async () => {
    world.index.put(anIndexedTask('t-1', { attempt: 1 }));
    await subscribe('t', 'tasks');
    expect(last()).toMatchObject({ type: 'snapshot', data: { tasks: [{ taskId: 't-1' }], hasMore: false } });
    journal.commit(0, [submitted('t-1')]);
    journal.commit(0, [deadLettered('t-1', 2), submitted('t-2')]);
    await world.clock.advance(1_000);
    expect(changes()).toEqual([]);
    world.index.put(anIndexedTask('t-1', { attempt: 3 }), anIndexedTask('t-2'));
    world.index.position = '2-2-1';
    await world.clock.advance(250);
    expect(changes()).toMatchObject([
      { changed: [{ taskId: 't-2' }, { taskId: 't-1', attempt: 3 }], left: [], isPartial: false },
    ]);
  });

  it('tells that a task does not match any more', async () => {
    world.index.put(anIndexedTask('t-1', { status: 'running' }));
    world.index.position = '9-1-1';
    await subscribe('t', 'tasks', { filter: { statuses: ['running'] } });
    world.index.put(anIndexedTask('t-1', { status: 'completed' }));
    journal.commit(0, [submitted('t-1')]);
    await world.clock.advance(500);
    expect(changes()).toEqual([{ changed: [], left: ['t-1'], isPartial: false }]);
  });

  it('says when more has changed than it tells', async () => {
    world.index.position = '9-1-1';
    await subscribe('t', 'tasks');
    journal.commit(
      0,
      Array.from({ length: 700 }, (_, index) => submitted(`t-${index}`)),
    );
    await world.clock.advance(1_000);
    expect(changes().map(({ left, isPartial }) => [left.length, isPartial])).toEqual([
      [500, true],
      [200, false],
    ]);
  });
});

describe('the topic of one task', () => {
  it('tells its view, then its own events alone', async () => {
    journal.commit(0, [submitted('t-1'), submitted('t-2')]);
    await subscribe('one', 'task:t-1');
    expect(last()).toMatchObject({ type: 'snapshot', position: '1-2-2', data: { taskId: 't-1' } });
    journal.commit(0, [deadLettered('t-2', 2), deadLettered('t-1', 2), redriven('t-1', 3)]);
    await world.clock.advance(100);
    const types = socket.of('delta').flatMap(({ data }) => data as { type: string; subject: string }[]);
    expect(types.map(({ type, subject }) => [type.split('.').at(-1), subject])).toEqual([
      ['failed', 't-1'],
      ['dead-lettered', 't-1'],
      ['redriven', 't-1'],
      ['queued', 't-1'],
    ]);
  });

  it('ends with TASK_NOT_FOUND when there is none', async () => {
    world.client.answers['get'] = () => {
      throw new EngineError('TASK_NOT_FOUND', 'no task t-9');
    };
    await subscribe('one', 'task:t-9');
    expect(last()).toMatchObject({ type: 'error', id: 'one', code: 'TASK_NOT_FOUND' });
  });
});

describe('what cannot be told', () => {
  it('ends a subscription as RECORD_CORRUPT, or is passed over as a gap for who allows it', async () => {
    journal.commit(0, [submitted('t-1')]);
    await subscribe('strict', 'events');
    await subscribe('lenient', 'events', { allowGap: true });
    journal.put(0, Buffer.from('broken'));
    journal.commit(0, [submitted('t-2')]);
    await world.clock.advance(100);
    expect(socket.of('error')).toMatchObject([{ id: 'strict', code: 'RECORD_CORRUPT' }]);
    expect(socket.of('gap')).toEqual([{ type: 'gap', id: 'lenient', from: '1-1-2', to: '2-0-0' }]);
    expect(last()).toMatchObject({ type: 'delta', id: 'lenient', position: '3-1-2' });
  });
});
