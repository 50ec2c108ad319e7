import { describe, expect, it } from 'vitest';
import { BulkRunner } from '../../../src/admin/bulk/bulk-runner.ts';
import {
  bulkCommandId,
  bulkPaceDefaults,
  chunkSize,
  failurePercent,
  newBulkRun,
  type BulkAction,
  type BulkPace,
  type BulkRun,
} from '../../../src/admin/bulk/bulk-run.ts';
import { afterBulkStep, nextBulkStep } from '../../../src/admin/bulk/bulk-step.ts';
import { BulkStore } from '../../../src/admin/bulk/bulk-store.ts';
import { EngineError } from '../../../src/core/errors.ts';
import { parseTaskId } from '../../../src/core/ids.ts';
import type { JsonValue } from '../../../src/core/json.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import type { TaskFilter } from '../../../src/ports/task-index.ts';
import { MemoryDocumentStore } from '../../../src/store/memory-documents.ts';
import { anIndexedTask, FakeClient, FakeIndex, startAdminWorld } from '../../support/admin-kit.ts';

/** An engine whose tasks follow a command at once, and answer a repeat of it from the record. */
class FakeEngine {
  readonly index = new FakeIndex();
  readonly client = new FakeClient();
  readonly effects: string[] = [];
  readonly commandIds = new Map<string, Set<string>>();
  /** What becomes of a task that was sent back to work. */
  outcomeOf: (taskId: string) => 'completed' | 'deadLettered' = () => 'completed';
  /** When it gives an error, the command fails with it and has no effect. */
  refusalOf: (taskId: string) => EngineError | null = () => null;

  constructor() {
    for (const name of ['redrive', 'cancel', 'pause', 'resume']) {
      this.client.answers[name] = (taskId: string, { commandId }: { commandId: string }) =>
        this.#take(name, taskId, commandId);
    }
  }

  put(count: number, status: 'deadLettered' | 'running' = 'deadLettered'): void {
    for (let index = 0; index < count; index += 1) {
      this.index.put(anIndexedTask(`t-${String(index).padStart(5, '0')}`, { status }));
    }
  }

  #take(name: string, taskId: string, commandId: string): unknown {
    const refusal = this.refusalOf(taskId);
    if (refusal !== null) throw refusal;
    const known = this.commandIds.get(taskId) ?? new Set<string>();
    const repeated = known.has(commandId);
    this.commandIds.set(taskId, known.add(commandId));
    const task = this.index.tasks.get(taskId);
    if (!repeated && task !== undefined) {
      this.effects.push(taskId);
      const status = name === 'redrive' ? this.outcomeOf(taskId) : 'canceled';
      this.index.put({ ...task, status, seq: task.seq + 3 });
    }
    return { taskId, state: 'x', repeated };
  }
}

interface BulkWorld {
  readonly engine: FakeEngine;
  readonly clock: VirtualClock;
  readonly documents: MemoryDocumentStore;
  readonly logger: MemoryLogger;
  readonly runner: BulkRunner;
}

function openWorld(parts: Partial<BulkWorld> = {}): BulkWorld {
  const engine = parts.engine ?? new FakeEngine();
  const clock = parts.clock ?? new VirtualClock();
  const documents = parts.documents ?? new MemoryDocumentStore();
  const logger = parts.logger ?? new MemoryLogger();
  const runner = new BulkRunner({
    client: engine.client.asClient(),
    index: engine.index,
    store: new BulkStore(documents),
    clock,
    random: new SeededRandom(3),
    logger,
  });
  return { engine, clock, documents, logger, runner };
}

function aRequest(
  changes: { action?: BulkAction; filter?: TaskFilter; pace?: Partial<BulkPace>; id?: string } = {},
): Parameters<typeof newBulkRun>[0] {
  const { action = 'redrive', filter = {}, pace = {}, id = 'b-1' } = changes;
  const statuses = action === 'redrive' ? (['deadLettered'] as const) : (['running'] as const);
  return {
    id,
    action,
    filter: { statuses, ...filter },
    reason: 'the printer is mended',
    by: 'anna',
    createdAt: 1_000_000,
    pace: { ...bulkPaceDefaults, ...pace },
  };
}

async function ended(world: BulkWorld, id = 'b-1'): Promise<BulkRun> {
  await world.clock.runUntil(() => world.runner.get(id).phase === 'ended');
  return world.runner.get(id);
}

describe('a bulk action', () => {
  it('sends a first batch, watches it, then sends the rest at its rate, and looks at the end', async () => {
    const world = openWorld();
    world.engine.put(120);
    const startedAtMs = world.clock.monotonicMs();
    await world.runner.start(aRequest());
    await world.clock.runUntil(() => world.runner.get('b-1').phase === 'watching');
    expect(world.engine.effects).toHaveLength(10);
    await world.clock.runUntil(() => world.runner.get('b-1').phase === 'settling');
    // 110 tasks at 50 a second.
    expect(world.clock.monotonicMs() - startedAtMs).toBeGreaterThan(2_200);
    const run = await ended(world);
    expect(run).toMatchObject({ end: 'completed', selectedCount: 120, sentCount: 120, doneCount: 120, failedCount: 0 });
    expect(new Set(world.engine.effects).size).toBe(120);
    expect(world.engine.client.named('redrive')[0]?.args).toEqual([
      't-00000',
      {
        commandId: bulkCommandId('b-1', parseTaskId('t-00000')),
        expectedSeq: 7,
        by: 'anna',
        reason: 'the printer is mended',
      },
    ]);
    await world.runner.close();
  });

  it('never sends faster than its rate', async () => {
    const world = openWorld();
    world.engine.put(200);
    await world.runner.start(aRequest({ pace: { ratePerSecond: 20, firstBatch: 1, watchMs: 0 } }));
    for (let second = 1; second <= 8; second += 1) {
      await world.clock.advance(1_000);
      expect(world.engine.effects.length).toBeLessThanOrEqual(20 * second + 20);
    }
    expect(world.engine.effects.length).toBeGreaterThan(100);
    await world.runner.close();
  });

  it('stops when the first batch fails again, and leaves the rest alone', async () => {
    const world = openWorld();
    world.engine.put(500);
    world.engine.outcomeOf = (taskId) => (taskId === 't-00003' ? 'deadLettered' : 'completed');
    await world.runner.start(aRequest());
    expect(await ended(world)).toMatchObject({ end: 'stopped', sentCount: 10, failedAgain: [1] });
    expect(world.engine.effects).toHaveLength(10);
    await world.runner.close();
  });

  it('stops when more of its commands fail than it may, with the codes of those', async () => {
    const world = openWorld();
    world.engine.put(300);
    world.engine.refusalOf = (taskId) =>
      taskId >= 't-00100' ? new EngineError('INPUT_INVALID', `not ${taskId}`) : null;
    await world.runner.start(aRequest());
    const run = await ended(world);
    expect(run).toMatchObject({
      end: 'stopped',
      failures: expect.arrayContaining([{ taskId: 't-00100', code: 'INPUT_INVALID', message: 'not t-00100' }]),
    });
    expect(run.sentCount).toBeLessThan(130);
    expect(failurePercent(run)).toBeGreaterThan(2);
    await world.runner.close();
  });

  it('notices at the end of each piece that tasks fail again later on', async () => {
    const world = openWorld();
    world.engine.put(3 * chunkSize);
    world.engine.outcomeOf = (taskId) => (taskId >= 't-00400' ? 'deadLettered' : 'completed');
    await world.runner.start(aRequest({ pace: { ratePerSecond: 500 } }));
    expect(await ended(world)).toMatchObject({ end: 'stopped', sentCount: chunkSize, failedAgain: [100] });
    await world.runner.close();
  });

  it('goes on with failures below its limit, and tells them', async () => {
    const world = openWorld();
    world.engine.put(40);
    world.engine.outcomeOf = (taskId) => (taskId.endsWith('5') ? 'deadLettered' : 'completed');
    await world.runner.start(aRequest({ pace: { stopAtFailurePercent: 50 } }));
    expect(await ended(world)).toMatchObject({ end: 'completed', doneCount: 40, failedAgain: [4] });
    await world.runner.close();
  });

  it('does not take a task that enters the filter later', async () => {
    const world = openWorld();
    world.engine.put(30);
    await world.runner.start(aRequest());
    await world.clock.runUntil(() => world.runner.get('b-1').phase === 'watching');
    world.engine.index.put(anIndexedTask('t-00002-late'), anIndexedTask('t-99999'));
    expect(await ended(world)).toMatchObject({ selectedCount: 30, doneCount: 30 });
    expect(world.engine.effects).not.toContain('t-99999');
    await world.runner.close();
  });

  it('does not take a task that was submitted after it began, so that its selection ends', () => {
    expect(newBulkRun(aRequest()).filter).toMatchObject({ submittedBefore: 1_000_000 });
    expect(newBulkRun(aRequest({ filter: { submittedBefore: 5 } })).filter).toMatchObject({ submittedBefore: 5 });
  });

  it('passes over tasks that went on by themselves: NOT_ALLOWED and TASK_NOT_FOUND are no failures', async () => {
    const world = openWorld();
    world.engine.put(20);
    world.engine.refusalOf = (taskId) =>
      taskId < 't-00015' ? new EngineError(taskId < 't-00008' ? 'NOT_ALLOWED' : 'TASK_NOT_FOUND', 'gone') : null;
    await world.runner.start(aRequest());
    expect(await ended(world)).toMatchObject({ end: 'completed', skippedCount: 15, doneCount: 5, failedCount: 0 });
    await world.runner.close();
  });

  it('ends at once when no task is meant', async () => {
    const world = openWorld();
    await world.runner.start(aRequest());
    expect(await ended(world)).toMatchObject({ end: 'completed', selectedCount: 0 });
    await world.runner.close();
  });

  it('waits out a shard without an owner: NO_OWNER costs time and no failure', async () => {
    const world = openWorld();
    world.engine.put(20);
    let refusals = 5;
    world.engine.refusalOf = (taskId) =>
      taskId === 't-00004' && refusals-- > 0 ? new EngineError('NO_OWNER', 'nobody') : null;
    await world.runner.start(aRequest());
    expect(await ended(world)).toMatchObject({ end: 'completed', doneCount: 20, failedCount: 0 });
    expect(new Set(world.engine.effects).size).toBe(world.engine.effects.length);
    expect(world.logger.messages('warn').length).toBe(5);
    await world.runner.close();
  });

  it('counts as failed what cannot be reached for long: UNAVAILABLE', async () => {
    const world = openWorld();
    world.engine.put(3);
    world.engine.refusalOf = () => new EngineError('UNAVAILABLE', 'gone');
    await world.runner.start(aRequest());
    expect(await ended(world)).toMatchObject({ end: 'stopped', failedCount: 3 });
    await world.runner.close();
  });

  it('of cancels needs no watch: the answer is the outcome', async () => {
    const world = openWorld();
    world.engine.put(30, 'running');
    await world.runner.start(aRequest({ action: 'cancel' }));
    expect(await ended(world)).toMatchObject({ end: 'completed', doneCount: 30, failedAgain: [] });
    await world.runner.close();
  });
});

describe('an operator', () => {
  it('holds a run, lets it go on, and ends it; NOT_ALLOWED once it has ended', async () => {
    const world = openWorld();
    world.engine.put(400);
    await world.runner.start(aRequest());
    await world.clock.runUntil(() => world.runner.get('b-1').phase === 'rest');
    const pausing = world.runner.pause('b-1');
    expect(await pausing).toMatchObject({ isPaused: true });
    const before = world.engine.effects.length;
    await world.clock.advance(60_000);
    expect(world.engine.effects.length).toBe(before);
    expect(before).toBeLessThan(400);
    await world.runner.resume('b-1');
    await world.clock.advance(1_000);
    expect(world.engine.effects.length).toBeGreaterThan(before);
    expect(await world.runner.abort('b-1')).toMatchObject({ phase: 'ended', end: 'aborted' });
    const after = world.engine.effects.length;
    await world.clock.advance(60_000);
    expect(world.engine.effects.length).toBe(after);
    await expect(world.runner.resume('b-1')).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
    await expect(world.runner.pause('b-9')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await world.runner.close();
  });

  it('NOT_ALLOWED: has at most four runs at a time, and the same id is the same run', async () => {
    const world = openWorld();
    world.engine.put(100);
    for (const id of ['b-1', 'b-2', 'b-3', 'b-4']) await world.runner.start(aRequest({ id }));
    expect((await world.runner.start(aRequest())).id).toBe('b-1');
    await expect(world.runner.start(aRequest({ id: 'b-5' }))).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
    await world.runner.close();
  });

  it('UNAVAILABLE: has no run that is not durable', async () => {
    const world = openWorld();
    world.documents.put = () => Promise.reject(new EngineError('UNAVAILABLE', 'the disk is full'));
    await expect(world.runner.start(aRequest())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(world.runner.list()).toEqual([]);
    await world.runner.close();
  });
});

/** A store that goes away with the process: from its `failAt`-th call on nothing is written. */
class MortalStore extends MemoryDocumentStore {
  calls = 0;
  failAt = Number.POSITIVE_INFINITY;
  /** Whether the last write before the end is still done. */
  writesLast = false;

  override async put(key: string, document: JsonValue): Promise<void> {
    this.calls += 1;
    if (this.calls === this.failAt && this.writesLast) await super.put(key, document);
    if (this.calls >= this.failAt) return new Promise(() => undefined);
    return super.put(key, document);
  }
}

describe('a crash', () => {
  it('before or after any write is made up for: every task once, none left out', async () => {
    const dry = new MortalStore();
    const whole = openWorld({ documents: dry });
    whole.engine.put(60);
    await whole.runner.start(aRequest({ pace: { ratePerSecond: 40 } }));
    await ended(whole);
    await whole.runner.close();
    const writes = dry.calls;
    expect(writes).toBeGreaterThan(6);
    // The first write is the start's own: without it nobody was told that there is a run.
    for (let failAt = 2; failAt <= writes; failAt += 1) {
      for (const writesLast of [false, true]) {
        const documents = new MortalStore();
        Object.assign(documents, { failAt, writesLast });
        const first = openWorld({ documents });
        first.engine.put(60);
        await first.runner.start(aRequest({ pace: { ratePerSecond: 40 } }));
        await first.clock.advance(120_000);
        expect(first.runner.get('b-1').phase).not.toBe('ended');

        documents.failAt = Number.POSITIVE_INFINITY;
        const second = openWorld({ documents, engine: first.engine });
        await second.runner.open();
        expect(await ended(second)).toMatchObject({
          end: 'completed',
          selectedCount: 60,
          doneCount: 60,
          failedCount: 0,
        });
        expect([failAt, second.engine.effects.length, new Set(second.engine.effects).size]).toEqual([failAt, 60, 60]);
        await second.runner.close();
      }
    }
  });

  it('of a held run leaves it held', async () => {
    const first = openWorld();
    first.engine.put(100);
    await first.runner.start(aRequest());
    await first.runner.pause('b-1');
    await first.runner.close();
    const second = openWorld({ documents: first.documents, engine: first.engine });
    await second.runner.open();
    await second.clock.advance(60_000);
    expect(second.runner.get('b-1')).toMatchObject({ isPaused: true });
    await second.runner.resume('b-1');
    expect(await ended(second)).toMatchObject({ end: 'completed', doneCount: 100 });
    await second.runner.close();
  });

  it('removes what an ended run had selected, and RECORD_CORRUPT names a damaged one', async () => {
    const world = openWorld();
    world.engine.put(20);
    await world.runner.start(aRequest());
    await ended(world);
    await world.runner.close();
    expect(await world.documents.keys('bulk-')).toEqual(['bulk-run-b-1']);
    await world.documents.put('bulk-run-b-1', { id: 'b-1' });
    await expect(openWorld({ documents: world.documents }).runner.open()).rejects.toMatchObject({
      code: 'RECORD_CORRUPT',
    });
  });
});

describe('the next step', () => {
  it('of a run at rest is none, and a run moves only forward', () => {
    const run = newBulkRun(aRequest());
    expect(nextBulkStep({ ...run, isPaused: true })).toEqual({ kind: 'rest' });
    expect(nextBulkStep({ ...run, phase: 'ended' })).toEqual({ kind: 'rest' });
    expect(nextBulkStep(run)).toEqual({ kind: 'select', cursor: null, chunk: 0, limit: chunkSize });
    const selected = afterBulkStep(run, { kind: 'selected', count: 3, next: null });
    expect(nextBulkStep(selected)).toMatchObject({ kind: 'send', from: 0, count: 3 });
  });
});

describe('the bulk routes', () => {
  it('tell a count and a sample in a dry run, and touch nothing', async () => {
    const world = await startAdminWorld();
    world.index.put(anIndexedTask('t-1'), anIndexedTask('t-2'), anIndexedTask('t-3', { status: 'running' }));
    const body = { action: 'redrive', filter: { pipelines: ['card'] }, reason: 'mended', dryRun: true };
    const answer = await world.ask('/api/bulk', { method: 'POST', token: world.tokens.operator, body });
    expect(answer).toMatchObject({
      status: 200,
      body: { isDryRun: true, count: 2, sample: [{ taskId: 't-1' }, { taskId: 't-2' }], run: null },
    });
    expect((await world.ask('/api/bulk')).body).toEqual({ runs: [] });
    expect(world.audit.entries).toMatchObject([{ action: 'bulk.redrive.dry-run' }, { outcome: 'done' }]);
    await world.stop();
  });

  it('start a run once for one idempotency key, tell how far it is, and command it', async () => {
    const world = await startAdminWorld({ clock: new VirtualClock() });
    world.index.put(...Array.from({ length: 30 }, (_, index) => anIndexedTask(`t-${index}`)));
    const body = { action: 'redrive', filter: { failureFingerprints: ['abcdef0123456789'] }, firstBatch: 5 };
    const post = { method: 'POST', token: world.tokens.operator, headers: { 'idempotency-key': 'mend-1' } } as const;
    const first = await world.ask('/api/bulk', { ...post, body });
    expect(first).toMatchObject({
      status: 202,
      body: { count: 30, run: { bulkId: 'mend-1', by: 'a-operator', pace: { firstBatch: 5 } } },
    });
    await world.ask('/api/bulk', { ...post, body });
    expect(((await world.ask('/api/bulk')).body as { runs: unknown[] }).runs).toHaveLength(1);
    expect((await world.ask('/api/bulk/mend-1/pause', { ...post, body: {} })).body).toMatchObject({ isPaused: true });
    expect((await world.ask('/api/bulk/mend-1/abort', { ...post, body: {} })).body).toMatchObject({
      phase: 'ended',
      end: 'aborted',
    });
    expect((await world.ask('/api/bulk/mend-1/resume', { ...post, body: {} })).errorCode).toBe('NOT_ALLOWED');
    expect((await world.ask('/api/bulk/none')).errorCode).toBe('NOT_FOUND');
    await world.stop();
  });

  it('INVALID_ARGUMENT: refuse an empty filter without all, and CONFIRMATION_REQUIRED: many without their number', async () => {
    const world = await startAdminWorld({ clock: new VirtualClock() });
    const post = (body: object): ReturnType<typeof world.ask> => world.ask('/api/bulk', { method: 'POST', body });
    expect((await post({ action: 'cancel', filter: {} })).body).toMatchObject({
      error: { code: 'INVALID_ARGUMENT', field: 'filter' },
    });
    world.index.count = async () => 20_000;
    const many = await post({ action: 'cancel', filter: {}, all: true });
    expect(many).toMatchObject({
      status: 409,
      body: { error: { code: 'CONFIRMATION_REQUIRED', field: 'confirmCount', hint: 'send confirmCount: 20000' } },
    });
    expect((await post({ action: 'cancel', filter: {}, all: true, confirmCount: 9 })).errorCode).toBe(
      'CONFIRMATION_REQUIRED',
    );
    expect((await post({ action: 'cancel', filter: {}, all: true, confirmCount: 20_000 })).status).toBe(202);
    expect((await post({ action: 'explode', filter: { versions: [1] } })).errorCode).toBe('INVALID_ARGUMENT');
    expect((await post({ action: 'cancel', filter: { regex: '(a+)+$' } })).errorCode).toBe('INVALID_ARGUMENT');
    await world.stop();
  });
});
