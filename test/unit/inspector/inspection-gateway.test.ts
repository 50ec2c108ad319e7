import { createWebSocketReceiver, type StatelyInspectionEvent } from '@statelyai/inspect';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { inspectionUpgrade } from '../../../src/admin/inspect/inspection-upgrade.ts';
import type { AdminOptions } from '../../../src/admin/server.ts';
import { EngineError } from '../../../src/core/errors.ts';
import { shardOf } from '../../../src/core/hash.ts';
import type { Sequence } from '../../../src/core/ids.ts';
import { encodeInspection } from '../../../src/inspector/encode-inspection.ts';
import { machineFinder } from '../../../src/inspector/find-machine.ts';
import type { GatewayLimits } from '../../../src/inspector/gateway-limits.ts';
import type { KnownTask } from '../../../src/inspector/inspect-task.ts';
import { machineOf } from '../../../src/inspector/inspected-machine.ts';
import { InspectionGateway } from '../../../src/inspector/inspection-gateway.ts';
import { maximumQueuedSteps } from '../../../src/inspector/step-queue.ts';
import { readTaskSteps } from '../../../src/inspector/task-steps.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { SystemClock } from '../../../src/platform/system-clock.ts';
import { a, aTask, listingPipeline } from '../../support/a-task.ts';
import { type AdminWorld, startAdminWorld } from '../../support/admin-kit.ts';
import type { ArrayJournal } from '../../support/array-journal.ts';
import {
  aJournalOf,
  appendRecord,
  claimShard,
  eventTypesIn,
  inspectedShards,
  inspectedTask,
  TestViewer,
} from '../../support/inspection-kit.ts';

/** The admin server with a gateway over a journal in memory. */
class GatewayWorld {
  static readonly all: GatewayWorld[] = [];
  readonly journal: ArrayJournal;
  readonly gateway: InspectionGateway;
  readonly admin: AdminWorld;
  readonly #viewers: TestViewer[] = [];

  private constructor(journal: ArrayJournal, gateway: InspectionGateway, admin: AdminWorld) {
    this.journal = journal;
    this.gateway = gateway;
    this.admin = admin;
  }

  static async start(
    journal: ArrayJournal,
    options: {
      readonly limits?: Partial<GatewayLimits>;
      readonly known?: KnownTask;
      readonly clock?: SystemClock;
    } = {},
  ): Promise<GatewayWorld> {
    const gateway = new InspectionGateway({
      journal,
      clock: options.clock ?? new SystemClock(),
      shardOf: (taskId) => shardOf(taskId, inspectedShards),
      findMachine: machineFinder([listingPipeline], () => Promise.reject(new Error('no engine'))),
      findTask: async () => {
        if (options.known !== undefined) return options.known;
        throw new EngineError('TASK_NOT_FOUND', 'there is no such task');
      },
      limits: options.limits,
    });
    const onUpgrade: AdminOptions['onUpgrade'] = (access) =>
      inspectionUpgrade({ gateway, access, random: new SeededRandom(1) });
    const world = new GatewayWorld(journal, gateway, await startAdminWorld({ onUpgrade }));
    GatewayWorld.all.push(world);
    return world;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.admin.admin.port}`;
  }

  /** A socket with the bearer token of a viewer, unless the test says otherwise. */
  look(
    query = '',
    options: { readonly headers?: Record<string, string>; readonly task?: string; readonly protocols?: string[] } = {},
  ): TestViewer {
    const {
      task = inspectedTask,
      headers = { authorization: `Bearer ${this.admin.tokens.viewer}` },
      protocols,
    } = options;
    const url = `ws://127.0.0.1:${this.admin.admin.port}/api/inspect/${task}${query}`;
    const viewer = new TestViewer(url, { headers, ...(protocols === undefined ? {} : { protocols }) });
    this.#viewers.push(viewer);
    return viewer;
  }

  async stop(): Promise<void> {
    for (const viewer of this.#viewers) viewer.leave();
    this.gateway.close();
    await this.admin.stop();
  }
}

afterEach(async () => {
  for (const world of GatewayWorld.all.splice(0)) await world.stop();
});

/** A task at work, and its journal. */
function atWork(): { readonly task: ReturnType<typeof aTask>; readonly journal: ArrayJournal } {
  const task = aTask().running('photos');
  return { task, journal: aJournalOf(task.records) };
}

describe('the inspection gateway', () => {
  it('gives the receiver of @statelyai/inspect exactly the messages of a task that is finished', async () => {
    const { records } = aTask().completed();
    const world = await GatewayWorld.start(aJournalOf(records));
    const { ticket } = (await world.admin.ask('/api/session/ticket', { method: 'POST' })).body as {
      readonly ticket: string;
    };
    const server = `ws://127.0.0.1:${world.admin.admin.port}/api/inspect/t-1?format=stately&ticket=${ticket}`;
    const received: StatelyInspectionEvent[] = [];
    const subscription = createWebSocketReceiver({ server }).subscribe((event) => void received.push(event));
    const { steps } = await readTaskSteps({
      journal: world.journal,
      shard: shardOf(inspectedTask, inspectedShards),
      taskId: inspectedTask,
    });
    const subject = {
      taskId: inspectedTask,
      machine: machineOf(listingPipeline),
      format: 'stately',
      showsPayloads: false,
    } as const;
    const expected = encodeInspection(subject, steps);
    await vi.waitFor(() => expect(received).toHaveLength(expected.length), { timeout: 15_000 });
    subscription.unsubscribe();
    expect(received).toEqual(JSON.parse(JSON.stringify(expected)));
    expect(received.at(-1)).toMatchObject({
      type: '@xstate.snapshot',
      snapshot: { status: 'done', value: 'completed' },
    });
  });

  it('tells the past and then what comes, under the same ids across a move, and ends with the task', async () => {
    const { task, journal } = atWork();
    const world = await GatewayWorld.start(journal);
    const viewer = world.look();
    await viewer.until((frames) => eventTypesIn(frames).includes('stage.completed'));
    claimShard(journal, 2);
    const first = task.send(a.ownerChange(), { epoch: 2 as never });
    appendRecord(journal, first.record, 2);
    appendRecord(journal, task.send(a.cancel()).record, 2);
    expect(await viewer.closed).toEqual({ code: 1000, reason: 'ENDED' });
    expect(eventTypesIn(viewer.frames)).toEqual([
      'task.submitted',
      'stage.completed',
      'engine.owner.changed',
      'owner.changed',
      'task.canceled',
    ]);
    const sessions = new Set(viewer.frames.map(({ sessionId }) => sessionId));
    expect([...sessions]).toEqual(['t-1', 't-1/parse#1', 't-1/photos#1']);
    await vi.waitFor(() => expect(world.gateway.sessionCount).toBe(0));
  });

  it('reads nothing while nobody looks, one feed a shard however many look, and none once they left', async () => {
    const { journal } = atWork();
    const world = await GatewayWorld.start(journal);
    const readsAtFirst = journal.reads;
    expect([readsAtFirst, world.gateway.followedShardCount]).toEqual([0, 0]);
    const viewers = [world.look(), world.look('?format=engine'), world.look('?from=now')];
    for (const viewer of viewers) await viewer.until((frames) => frames.length > 1);
    expect(world.gateway.followedShardCount).toBe(1);
    // A read of the past each, and the one feed.
    expect(journal.reads).toBe(viewers.length + 1);
    for (const viewer of viewers) viewer.leave();
    await vi.waitFor(() => expect([world.gateway.sessionCount, world.gateway.followedShardCount]).toEqual([0, 0]));
  });

  it('lets nothing between the past and what comes: commits while it reads are told once', async () => {
    const { task, journal } = atWork();
    const world = await GatewayWorld.start(journal);
    const viewers = Array.from({ length: 8 }, () => world.look('?format=engine'));
    for (const [index, viewer] of viewers.entries()) {
      await viewer.opened;
      appendRecord(journal, task.send(a.checkpoint('photos', 1, `step-${index}`)).record);
    }
    appendRecord(journal, task.send(a.cancel()).record);
    for (const viewer of viewers) {
      expect(await viewer.closed).toEqual({ code: 1000, reason: 'ENDED' });
      const seqs = viewer.frames
        .filter(({ seq, type }) => seq !== undefined && type === '@xstate.transition')
        .map(({ seq }) => seq);
      expect(seqs).toEqual(task.records.map(({ seq }) => seq));
    }
  });

  it('waits for a redrive after a dead letter', async () => {
    const task = aTask().deadLettered('photos');
    const journal = aJournalOf(task.records);
    const world = await GatewayWorld.start(journal);
    const viewer = world.look('?from=now');
    await viewer.until((frames) => frames.length === 2);
    appendRecord(journal, task.send(a.redrive()).record);
    const frames = await viewer.until((seen) => eventTypesIn(seen).includes('task.redriven'));
    expect(frames.at(-1)).toMatchObject({ snapshot: { value: { photos: 'queued' } } });
  });

  it('replays at the speed asked for: ten times as fast as it happened', async () => {
    const task = aTask();
    task.send(a.submit());
    task.now += 3_000;
    task.send(a.completion('parse'));
    task.send(a.cancel());
    const clock = new SystemClock();
    const world = await GatewayWorld.start(aJournalOf(task.records), { clock });
    const begunAt = clock.monotonicMs();
    expect(await world.look('?speed=10').closed).toMatchObject({ code: 1000 });
    const tookMs = clock.monotonicMs() - begunAt;
    expect(tookMs).toBeGreaterThanOrEqual(295);
    expect(tookMs).toBeLessThan(2_500);
  });

  it('says so when the first records are trimmed, and begins with what is left', async () => {
    const { task, journal } = atWork();
    await journal.trim(shardOf(inspectedTask, inspectedShards), 2 as Sequence);
    const world = await GatewayWorld.start(journal);
    const viewer = world.look();
    const frames = await viewer.until((seen) => seen.length >= 3);
    expect(frames[1]).toMatchObject({ event: { type: 'engine.history.trimmed', missingCount: 1 } });
    expect(frames[2]).toMatchObject({ snapshot: { value: { photos: 'running' } } });
    appendRecord(journal, task.send(a.cancel()).record);
    expect(await viewer.closed).toMatchObject({ code: 1000 });
  });

  it('tells where a task stands of which the journal has nothing any more', async () => {
    const known = { pipeline: 'listing', version: 2, state: 'deadLettered.photos', seq: 9, updatedAt: 7 };
    const world = await GatewayWorld.start(aJournalOf([]), { known });
    const frames = await world.look('?format=engine').until((seen) => seen.length >= 2);
    expect(frames[0]).toMatchObject({ type: '@xstate.actor', snapshot: { value: { deadLettered: 'photos' } } });
    expect(frames[1]).toMatchObject({ type: 'engine.history.trimmed', missingCount: 9 });
  });

  it('TASK_NOT_FOUND: closes the socket of a task that does not exist with 4404', async () => {
    const world = await GatewayWorld.start(aJournalOf([]));
    expect(await world.look('', { task: 'nobody' }).closed).toEqual({ code: 4404, reason: 'TASK_NOT_FOUND' });
  });

  it('RECORD_CORRUPT: closes the sockets of a journal that cannot be read, the live ones too', async () => {
    const { journal } = atWork();
    const world = await GatewayWorld.start(journal);
    const live = world.look();
    await live.until((frames) => frames.length > 3);
    journal.put(shardOf(inspectedTask, inspectedShards), Buffer.from('t-1 is no commit'));
    expect(await live.closed).toEqual({ code: 4500, reason: 'RECORD_CORRUPT' });
    expect(await world.look().closed).toEqual({ code: 4500, reason: 'RECORD_CORRUPT' });
  });

  it('UNAVAILABLE: tells its viewers to come again when it stops, and takes no more', async () => {
    const { journal } = atWork();
    const world = await GatewayWorld.start(journal);
    const viewer = world.look();
    await viewer.until((frames) => frames.length > 3);
    world.gateway.close();
    expect(await viewer.closed).toEqual({ code: 1001, reason: 'UNAVAILABLE' });
    expect(await world.look().opened).toMatchObject({ status: 503, code: 'UNAVAILABLE' });
  });
});

describe('who may look', () => {
  const refusals: readonly (readonly [string, string, object])[] = [
    ['INVALID_TASK_ID: an id with a dot', '/api/inspect/a.b', { status: 400, code: 'INVALID_TASK_ID' }],
    ['INVALID_TASK_ID: no id', '/api/inspect/-', { status: 400, code: 'INVALID_TASK_ID' }],
    ['INVALID_ARGUMENT: another format', '?format=xml', { status: 400, code: 'INVALID_ARGUMENT', field: 'format' }],
    ['INVALID_ARGUMENT: another start', '?from=-1', { status: 400, code: 'INVALID_ARGUMENT', field: 'from' }],
    ['INVALID_ARGUMENT: another speed', '?speed=2', { status: 400, code: 'INVALID_ARGUMENT', field: 'speed' }],
    ['INVALID_ARGUMENT: a field twice', '?from=now&from=start', { status: 400, field: 'from' }],
    ['INVALID_ARGUMENT: an unknown field', '?fast=1', { status: 400, code: 'INVALID_ARGUMENT', field: 'fast' }],
    ['FORBIDDEN: payloads for a viewer', '?payloads=1', { status: 403, code: 'FORBIDDEN', field: 'payloads' }],
  ];

  it.each(refusals)('%s is refused before the socket opens', async (_name, address, expected) => {
    const world = await GatewayWorld.start(atWork().journal);
    const viewer = address.startsWith('/') ? world.look('', { task: address.slice(13) }) : world.look(address);
    expect(await viewer.opened).toMatchObject(expected);
    expect(world.gateway.sessionCount).toBe(0);
  });

  it('UNAUTHENTICATED: nobody without a credential, with a bad token, with a used or a doubled ticket', async () => {
    const world = await GatewayWorld.start(atWork().journal);
    const ticketOf = async (): Promise<string> =>
      ((await world.admin.ask('/api/session/ticket', { method: 'POST' })).body as { readonly ticket: string }).ticket;
    const refused = { status: 401, code: 'UNAUTHENTICATED' };
    expect(await world.look('', { headers: {} }).opened).toMatchObject(refused);
    expect(await world.look('', { headers: { authorization: 'Bearer nobody' } }).opened).toMatchObject(refused);
    const ticket = await ticketOf();
    expect(await world.look(`?ticket=${ticket}`, { headers: {} }).opened).toBeNull();
    expect(await world.look(`?ticket=${ticket}`, { headers: {} }).opened).toMatchObject(refused);
    const protocols = ['cabinet.inspect.v1', `ticket.${await ticketOf()}`];
    expect(await world.look('', { headers: {}, protocols }).opened).toBeNull();
    const doubled = [...protocols.slice(0, 1), `ticket.${await ticketOf()}`, `ticket.${await ticketOf()}`];
    expect(await world.look('', { headers: {}, protocols: doubled }).opened).toMatchObject(refused);
  });

  it("ORIGIN_REFUSED: a page of another origin, and a session's cookie without an origin", async () => {
    const world = await GatewayWorld.start(atWork().journal);
    const authorization = `Bearer ${world.admin.tokens.viewer}`;
    const refused = { status: 403, code: 'ORIGIN_REFUSED' };
    expect(await world.look('', { headers: { authorization, origin: 'https://stately.ai' } }).opened).toMatchObject(
      refused,
    );
    expect(await world.look('', { headers: { authorization, origin: world.origin } }).opened).toBeNull();
    const login = await world.admin.ask('/api/session', {
      method: 'POST',
      token: null,
      body: { token: world.admin.tokens.viewer },
      headers: { origin: world.origin },
    });
    const cookie = String(login.headers['set-cookie']).split(';', 1)[0] ?? '';
    expect(await world.look('', { headers: { cookie } }).opened).toMatchObject(refused);
    expect(await world.look('', { headers: { cookie, origin: world.origin } }).opened).toBeNull();
  });

  it('shows the values of payloads to an operator who asks for them', async () => {
    const world = await GatewayWorld.start(atWork().journal);
    const headers = { authorization: `Bearer ${world.admin.tokens.operator}` };
    const frames = await world.look('?payloads=1', { headers }).until((seen) => eventTypesIn(seen).length === 2);
    expect(JSON.stringify(frames)).toContain('"value":{"photos":3}');
    const usual = await world.look('', { headers }).until((seen) => eventTypesIn(seen).length === 2);
    expect(JSON.stringify(usual)).not.toContain('"value":{"photos":3}');
  });

  it('UNAUTHENTICATED: closes the socket of a token that was revoked, with 4401', async () => {
    const world = await GatewayWorld.start(atWork().journal);
    const made = (await world.admin.ask('/api/tokens', { method: 'POST', body: { name: 'guest', role: 'viewer' } }))
      .body as {
      readonly token: string;
      readonly id?: string;
    };
    const viewer = world.look('', { headers: { authorization: `Bearer ${made.token}` } });
    await viewer.until((frames) => frames.length > 3);
    const listed = (await world.admin.ask('/api/tokens')).body as {
      readonly tokens: { readonly id: string; readonly name: string }[];
    };
    const id = listed.tokens.find(({ name }) => name === 'guest')?.id ?? '';
    const revoked = await world.admin.ask(`/api/tokens/${id}`, { method: 'DELETE', body: {} });
    expect(revoked.status).toBeLessThan(300);
    expect(await viewer.closed).toEqual({ code: 4401, reason: 'UNAUTHENTICATED' });
  });
});

describe('the bounds of the gateway', () => {
  it('RATE_LIMITED: of one viewer and of all', async () => {
    const limits = { maximumSessions: 3, maximumSessionsPerViewer: 2 };
    const world = await GatewayWorld.start(atWork().journal, { limits });
    const refused = { status: 429, code: 'RATE_LIMITED' };
    expect(await world.look().opened).toBeNull();
    const second = world.look();
    expect(await second.opened).toBeNull();
    expect(await world.look().opened).toMatchObject(refused);
    const operator = { headers: { authorization: `Bearer ${world.admin.tokens.operator}` } };
    expect(await world.look('', operator).opened).toBeNull();
    expect(await world.look('', operator).opened).toMatchObject(refused);
    second.leave();
    await vi.waitFor(() => expect(world.gateway.sessionCount).toBe(2));
    expect(await world.look().opened).toBeNull();
  });

  it('tells a viewer that is slower than its task how many steps it lost, and where the task is', async () => {
    const { task, journal } = atWork();
    const world = await GatewayWorld.start(journal, { limits: { framesPerSecond: 50 } });
    const viewer = world.look('?format=engine&from=now');
    await viewer.until((frames) => frames.length === 2);
    const stepCount = maximumQueuedSteps + 500;
    for (let count = 0; count < stepCount; count += 1) {
      appendRecord(journal, task.send(a.checkpoint('photos', 1, `c-${count}`)).record);
    }
    appendRecord(journal, task.send(a.cancel()).record);
    await viewer.closed;
    const dropped = viewer.frames.filter(({ type }) => type === 'engine.steps.dropped');
    const told = eventTypesIn(viewer.frames).filter((type) => !type.startsWith('engine.'));
    const lost = dropped.reduce((sum, frame) => sum + Number(frame['stepCount']), 0);
    expect(lost).toBeGreaterThan(maximumQueuedSteps);
    expect(lost + told.length).toBe(stepCount + 1);
    expect(viewer.frames.findLast(({ sessionId }) => sessionId === 't-1')).toMatchObject({
      snapshot: { value: 'canceled' },
    });
  }, 60_000);

  it('SLOW_CONSUMER: closes a viewer that takes nothing', async () => {
    const { task, journal } = atWork();
    const limits = {
      maximumBufferedBytes: 64 * 1024,
      stallMs: 300,
      pingMs: 600_000,
      framesPerSecond: 1e6,
      bytesPerSecond: 1e9,
    };
    const world = await GatewayWorld.start(journal, { limits });
    const viewer = world.look('?format=engine');
    await viewer.until((frames) => frames.length > 2);
    viewer.stall();
    await vi.waitFor(
      () => {
        for (let count = 0; count < 400; count += 1) {
          appendRecord(journal, task.send(a.checkpoint('photos', 1, `c-${task.records.length}`)).record);
        }
        expect(world.gateway.sessionCount).toBe(0);
      },
      { timeout: 25_000, interval: 50 },
    );
  }, 60_000);

  it('RATE_LIMITED: closes a viewer that talks, and one that sends too much at once', async () => {
    const world = await GatewayWorld.start(atWork().journal, { limits: { maximumInboundMessages: 3 } });
    const talking = world.look();
    await talking.opened;
    for (let count = 0; count < 4; count += 1) talking.socket.send('hello');
    expect(await talking.closed).toEqual({ code: 4429, reason: 'RATE_LIMITED' });
    const loud = world.look();
    await loud.opened;
    loud.socket.send('x'.repeat(4_096));
    expect((await loud.closed).code).toBe(1009);
  });

  it('ends the connection of a viewer that is not there any more', async () => {
    const world = await GatewayWorld.start(atWork().journal, { limits: { pingMs: 50 } });
    const viewer = world.look();
    await viewer.until((frames) => frames.length > 3);
    viewer.stall();
    await vi.waitFor(() => expect(world.gateway.sessionCount).toBe(0), { timeout: 10_000 });
  });
});
