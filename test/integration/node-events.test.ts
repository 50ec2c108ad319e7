import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client.ts';
import { SeededRandom } from '../../src/platform/seeded-random.ts';
import type { PipelineEvent } from '../../src/projections/cloud-event.ts';
import { fingerprintFailure } from '../../src/projections/failure-fingerprint.ts';
import { followEvents } from '../../src/projections/event-feed.ts';
import { comparePositions, type Position } from '../../src/projections/position.ts';
import type { EngineChild } from '../support/engine-child.ts';
import { EngineWorld } from '../support/engine-world.ts';
import { ledgerPipeline } from '../support/ledger-pipeline.ts';
import { eventually } from '../support/nats-world.ts';

const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000);
const orderCount = 60;

describe(`events of a node that is killed while they are read, seed ${seed}`, () => {
  let world: EngineWorld;
  let client: Client;
  let engine: EngineChild;
  let foreign: NatsConnection;
  let live: LiveFeed;

  beforeAll(async () => {
    world = await EngineWorld.start();
    live = new LiveFeed(world);
    engine = await world.startEngine();
    client = await world.connect();
    foreign = await connect({ servers: world.nats.url });
  });

  afterAll(async () => {
    await live?.stop();
    await foreign?.close();
    await world?.stop();
  });

  async function ask(subject: string, request: unknown): Promise<Record<string, unknown>> {
    return (await foreign.request(subject, JSON.stringify(request), { timeout: 10_000 })).json();
  }

  it('R-EVT-1: a feed from the start tells every event once and in order, over a kill of the engine', async () => {
    await live.start();
    const submitted = world.submitOrders(client, 'order', orderCount);
    await world.ledger.interrupt(80, 'applied', () => engine.kill());
    engine = await world.startEngine();
    await submitted;
    await world.untilAllEnd(client);
    const report = await world.expectAllDone();
    await eventually('the feed has come to the end', () => live.completedCount === orderCount);
    expect(isRising(live.ids)).toBe(true);
    const told = new Set(
      live.events.flatMap((event) => ('seq' in event.data ? [`${event.subject}/${event.data.seq}`] : [])),
    );
    expect(told.size).toBe(report.records.length);
    expect(live.count('io.cabinet.task.submitted')).toBe(orderCount);
    expect(live.count('io.cabinet.task.completed')).toBe(orderCount);
    expect(live.count('io.cabinet.stage.started')).toBe(report.starts.length);
    expect(live.count('io.cabinet.shard.owner-changed')).toBe(report.claims.length);
    const retries = report.records.filter(({ event }) => event.type === 'stage.failed');
    expect(live.count('io.cabinet.stage.retry-scheduled')).toBe(retries.length);
    expect(retries.length).toBeGreaterThan(0);
  });

  it('R-EVT-1: a feed that is resumed at any position goes on exactly after it', async () => {
    const random = new SeededRandom(seed);
    const { ids } = live;
    for (let round = 0; round < 12; round += 1) {
      const index = Math.floor(random.next() * (ids.length - 1));
      const rest = await live.read(ids[index], ids.length - index - 1);
      expect(rest, `after ${ids[index]}`).toEqual(ids.slice(index + 1));
    }
  });

  it('R-EVT-1: the watch of one task tells its events alone, from the start and from any of them', async () => {
    const taskId = 'order-1';
    const expected = live.events.filter(({ subject }) => subject === taskId).map(({ id }) => id);
    const watch = async (after?: string): Promise<Position[]> => {
      const ids: Position[] = [];
      for await (const event of client.watch(taskId, { after })) ids.push(event.id);
      return ids;
    };
    expect(await watch()).toEqual(expected);
    for (const [index, id] of expected.entries()) expect(await watch(id)).toEqual(expected.slice(index + 1));
  });

  it('R-EVT-1 R-WRK-2: the history of a task that had two owners shows where the ownership changed', async () => {
    const moved = live.events.find((event) => event.type === 'io.cabinet.stage.interrupted');
    const { records, isComplete } = await client.history(moved?.subject ?? '');
    expect(isComplete).toBe(true);
    expect([...new Set(records.map(({ epoch }) => epoch))]).toEqual([1, 2]);
    const change = records.find(({ record }) => record.event.type === 'owner.changed');
    expect(change).toMatchObject({ epoch: 2, record: { event: { epoch: 2 } } });
    const before = records.filter(({ sequence }) => sequence < (change?.sequence ?? 0));
    expect(before.length).toBeGreaterThan(0);
    expect(before.every(({ epoch }) => epoch === 1)).toBe(true);
  });

  it('R-EVT-2: readers change nothing: no record and no effect came of all that was read', async () => {
    const before = await world.readJournal();
    const effects = world.ledger.executions.length;
    await live.read(undefined, live.ids.length);
    await client.history('order-2');
    expect((await world.readJournal()).records).toHaveLength(before.records.length);
    expect(world.ledger.executions).toHaveLength(effects);
  });

  it('R-JOB-2: dead letters are listed by client and JSON service, and redriven by the fingerprint of their failure', async () => {
    const broken = ['broken-1', 'broken-2', 'broken-3'];
    await client.submitMany(
      ledgerPipeline,
      broken.map((taskId) => ({ taskId, input: { broken: true } })),
    );
    await eventually('all are given up', async () => (await client.deadLetters.list()).tasks.length === broken.length);
    const { tasks } = await client.deadLetters.list({ stage: 'publish', failureCode: 'BROKEN' });
    expect(tasks.map(({ taskId }) => taskId)).toEqual(broken);
    const [first] = tasks;
    if (first?.failure == null) throw new Error('a dead letter has no failure');
    const fingerprint = fingerprintFailure(first.stage, first.failure, first.taskId);

    const listed = await ask('it.api.dead-letters', { pipeline: 'order', limit: 2 });
    expect(listed).toMatchObject({
      matchCount: 3,
      deadLetters: [{ fingerprint, reason: 'notRetryable' }, { fingerprint }],
    });
    const rest = await ask('it.api.dead-letters', { limit: 2, after: listed['next'] });
    expect(rest).toMatchObject({ matchCount: 3, deadLetters: [{ taskId: 'broken-1', fingerprint }], next: null });

    // One by the JSON service, the others by the kind of their failure; both again, as an impatient operator does.
    const one = { taskId: 'broken-1', commandId: 'redrive-once', by: 'ops' };
    expect(await ask('it.api.redrive', one)).toMatchObject({ kind: 'done', repeated: false });
    const redrives = await Promise.all([1, 2].map(() => client.deadLetters.redrive({ fingerprint }, { by: 'ops' })));
    expect(redrives.flat().every(({ kind }) => kind === 'done')).toBe(true);
    expect(await ask('it.api.redrive', one)).toMatchObject({ kind: 'done', repeated: true });
    for (const taskId of broken) expect(await client.result(ledgerPipeline, taskId)).toHaveProperty('publish.receipt');
    expect((await client.deadLetters.list()).tasks).toEqual([]);
    expect(await ask('it.api.dead-letters', {})).toMatchObject({ matchCount: 0, deadLetters: [] });

    const report = await world.expectAllDone();
    const redriven = report.records.filter(({ event }) => event.type === 'task.redriven');
    expect(redriven.map(({ task }) => task).toSorted()).toEqual(broken);
    // The key of the failed attempt is the key of the one that did it.
    for (const taskId of broken) expect(world.ledger.appliedCount(world.keyOf(taskId, 'publish'))).toBe(1);
  });

  it('INVALID_ARGUMENT: a position of the future, of another task or of no feed is refused', async () => {
    const { ids } = live;
    await expect(live.read('999999-1-1' as Position, 1)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(live.read('nonsense' as Position, 1)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const strange = live.events.find(({ subject }) => subject !== undefined && subject !== 'order-1')?.id ?? ids[0];
    await expect(client.watch('order-1', { after: strange }).next()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});

/** A reader of the whole feed, from the start, with all that it has heard. */
class LiveFeed {
  readonly events: PipelineEvent[] = [];
  readonly #world: EngineWorld;
  readonly #stopping = new AbortController();
  #reading: Promise<void> | null = null;

  constructor(world: EngineWorld) {
    this.#world = world;
  }

  get ids(): readonly Position[] {
    return this.events.map(({ id }) => id);
  }

  get completedCount(): number {
    return this.count('io.cabinet.task.completed');
  }

  count(type: PipelineEvent['type']): number {
    return this.events.filter((event) => event.type === type).length;
  }

  async start(): Promise<void> {
    const journal = await this.#world.journal();
    this.#reading = (async () => {
      const feed = followEvents({ journal, namespace: 'it', signal: this.#stopping.signal });
      for await (const event of feed) this.events.push(event);
    })();
  }

  /** The ids of the next `count` events after a position, and no more. */
  async read(after: Position | undefined, count: number): Promise<readonly Position[]> {
    const stop = new AbortController();
    const ids: Position[] = [];
    if (count === 0) return ids;
    const journal = await this.#world.journal();
    for await (const event of followEvents({ journal, namespace: 'it', after, signal: stop.signal })) {
      ids.push(event.id);
      if (ids.length === count) break;
    }
    stop.abort();
    return ids;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#reading;
  }
}

function isRising(ids: readonly Position[]): boolean {
  return ids.every((id, index) => index === 0 || comparePositions(ids[index - 1] ?? id, id) < 0);
}
