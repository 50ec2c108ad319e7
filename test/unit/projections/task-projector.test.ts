import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { EngineError } from '../../../src/core/errors.ts';
import type { Sequence, ShardId, TaskId } from '../../../src/core/ids.ts';
import type { TaskRecord } from '../../../src/core/records.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../../src/platform/memory-metrics.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import type { JournalEntry } from '../../../src/ports/journal.ts';
import type { TaskIndexChange, TaskIndexStore, TaskRow } from '../../../src/ports/task-index.ts';
import { maximumStepRecords } from '../../../src/projections/task-follower.ts';
import { maximumExpiredTasks, TaskProjector } from '../../../src/projections/task-projector.ts';
import { MemoryTaskIndex } from '../../../src/store/memory-task-index.ts';
import { anOwner, aRecord, ArrayJournal, deadLettered, redriven, submitted } from '../../support/array-journal.ts';
import { histories, wander } from '../../support/random-history.ts';

const dayMs = 24 * 3_600_000;
const startedAt = 1_700_000_000_000;

/** An index whose steps can be counted, held up and made to fail. */
class WatchedIndex extends MemoryTaskIndex {
  readonly steps: TaskIndexChange[] = [];
  failures: Error[] = [];

  override async apply(change: TaskIndexChange): Promise<void> {
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    await super.apply(change);
    this.steps.push(change);
  }
}

interface World {
  readonly journal: ArrayJournal;
  readonly index: WatchedIndex;
  readonly clock: VirtualClock;
  readonly logger: MemoryLogger;
  readonly metrics: MemoryMetrics;
  readonly projector: TaskProjector;
}

const running: TaskProjector[] = [];

function aWorld(given: Partial<Pick<World, 'journal' | 'index'>> = {}, finishedRetentionMs = dayMs): World {
  const { journal = new ArrayJournal(), index = new WatchedIndex() } = given;
  const clock = new VirtualClock({ startAt: startedAt });
  const logger = new MemoryLogger();
  const metrics = new MemoryMetrics();
  const projector = new TaskProjector({ journal, index, clock, logger, metrics, finishedRetentionMs });
  running.push(projector);
  return { journal, index, clock, logger, metrics, projector };
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((projector) => projector.stop()));
});

/** Lets what is ready run until the condition holds. */
async function settled(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 5_000; turn += 1) {
    if (condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error('the condition did not come to hold');
}

async function caughtUp({ journal, projector }: Pick<World, 'journal' | 'projector'>): Promise<void> {
  const { last } = await journal.bounds();
  await settled(() => projector.status.sequence >= last);
}

async function rowsOf(index: TaskIndexStore): Promise<readonly TaskRow[]> {
  return index.scan(null, 100_000);
}

function completed(task: string, seq: number, at = startedAt + seq): TaskRecord {
  const event = {
    type: 'stage.completed',
    stage: 'parse' as never,
    attempt: 1,
    output: { json: null },
    next: null,
    skipped: [],
    start: false,
  } as const;
  return aRecord(task, seq, event, 'completed', at);
}

describe('the task projector', () => {
  it('R-EVT-2: follows the journal into the index, and only reads the journal', async () => {
    const world = aWorld();
    const { journal, index, projector } = world;
    journal.commit(0, [submitted('a')], { owner: anOwner(1) });
    projector.start();
    await caughtUp(world);
    journal.commit(1, [submitted('b'), deadLettered('b', 2), redriven('b', 3)]);
    journal.commit(0, [deadLettered('a', 2)]);
    await caughtUp(world);
    expect(await index.get('a' as TaskId)).toMatchObject({
      status: 'deadLettered',
      stage: 'parse',
      attempt: 3,
      failureCount: 1,
      failure: { class: 'retryable', code: 'HTTP_503', message: 'HTTP 503' },
      shard: 0,
    });
    expect(await index.get('b' as TaskId)).toMatchObject({ state: 'parse.queued', seq: 3, shard: 1 });
    expect(index.position).toBe('3-1-2');
  });

  it('R-EVT-2: a restart at any point goes on without a gap and without a repeat', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(histories, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(3), { minLength: 1, maxLength: 6 }),
        async (given, cuts) => {
          const commits = commitsOf(given.map((one) => wander(one).records));
          const journal = new ArrayJournal();
          const index = new WatchedIndex();
          for (const [turn, { shard, records }] of commits.entries()) {
            journal.commit(shard, records);
            if (cuts[turn % cuts.length] !== 0) continue;
            const world = aWorld({ journal, index });
            world.projector.start();
            await caughtUp(world);
            await world.projector.stop();
          }
          const world = aWorld({ journal, index });
          world.projector.start();
          await caughtUp(world);
          const atOnce = aWorld({ journal });
          atOnce.projector.start();
          await caughtUp(atOnce);
          expect(await rowsOf(index)).toEqual(await rowsOf(atOnce.index));
          expect(index.position).toBe(atOnce.index.position);
          const taken = index.steps.map(({ after, position }) => [after, position]);
          for (const [place, [after]] of taken.entries()) expect(after).toBe(taken[place - 1]?.[1] ?? null);
          await world.projector.stop();
          await atOnce.projector.stop();
        },
      ),
      { numRuns: 30 },
    );
  }, 60_000);

  it('a step that fails is read again from where the index stands', async () => {
    const world = aWorld();
    const { journal, index, clock, projector, logger } = world;
    index.failures = [new EngineError('UNAVAILABLE', 'the disk is full'), new Error('again')];
    journal.commit(0, [submitted('a')]);
    projector.start();
    await settled(() => projector.status.trouble !== null);
    expect(projector.status.trouble).toContain('disk');
    await clock.advance(200);
    await settled(() => logger.messages('warn').length === 2);
    await clock.advance(400);
    await caughtUp(world);
    expect(index.rowCount).toBe(1);
    expect(projector.status.trouble).toBeNull();
  });

  it('takes many records in bounded steps', async () => {
    const world = aWorld();
    const { journal, index, projector } = world;
    const tasks = 3 * maximumStepRecords;
    for (let task = 0; task < tasks; task += 10) {
      journal.commit(
        0,
        Array.from({ length: 10 }, (_, offset) => submitted(`t-${task + offset}`)),
      );
    }
    projector.start();
    await caughtUp(world);
    expect(index.rowCount).toBe(tasks);
    expect(Math.max(...index.steps.map(({ rows }) => rows.length))).toBeLessThanOrEqual(maximumStepRecords);
    expect(index.steps.length).toBeLessThan(tasks / 10);
  });

  it('RECORD_CORRUPT: an entry that cannot be read is passed over, said and counted', async () => {
    const world = aWorld();
    const { journal, index, projector, logger, metrics } = world;
    journal.commit(0, [submitted('a')]);
    const broken = journal.put(1, Buffer.from('no commit'));
    journal.commit(0, [submitted('b')]);
    journal.put(1, Buffer.from('nor this'));
    projector.start();
    await caughtUp(world);
    expect(index.rowCount).toBe(2);
    expect(projector.status.unreadableEntryCount).toBe(2);
    expect(metrics.value('task_index_unreadable_entries_total')).toBe(2);
    const [line] = logger.lines.filter(({ level }) => level === 'error');
    expect(line?.fields).toMatchObject({ shard: 1, sequence: broken });
  });

  it('what was trimmed before it was read is missed and said; a later record gives its task the right place', async () => {
    const world = aWorld();
    const { journal, index, projector, logger } = world;
    journal.commit(0, [submitted('a'), submitted('b')]);
    projector.start();
    await caughtUp(world);
    await projector.stop();
    const gone = journal.commit(0, [deadLettered('a', 2)]);
    journal.commit(0, [redriven('a', 3), submitted('c')]);
    await journal.trim(0 as ShardId, gone);
    const next = aWorld({ journal, index });
    next.projector.start();
    await caughtUp(next);
    expect(await index.get('a' as TaskId)).toMatchObject({ state: 'parse.queued', seq: 3 });
    expect(index.rowCount).toBe(3);
    expect(next.logger.lines.find(({ level }) => level === 'warn')?.fields).toEqual({ shard: 0, sequence: gone });
    expect(logger.messages('warn')).toEqual([]);
  });

  it('finished tasks leave when their retention ends, in bounded steps; dead letters stay', async () => {
    const world = aWorld({}, 10_000);
    const { journal, index, clock, projector } = world;
    const count = maximumExpiredTasks + 50;
    for (let task = 0; task < count; task += 1) {
      journal.commit(0, [submitted(`t-${task}`), completed(`t-${task}`, 2, startedAt)]);
    }
    journal.commit(0, [submitted('dead'), deadLettered('dead', 2)]);
    projector.start();
    await caughtUp(world);
    expect(index.rowCount).toBe(count + 1);
    await clock.advance(9_000);
    expect(index.rowCount).toBe(count + 1);
    await clock.advance(10_000);
    await settled(() => index.rowCount === 1);
    expect(await index.get('dead' as TaskId)).not.toBeNull();
    // What has ended long ago does not even come in.
    journal.commit(0, [submitted('old'), completed('old', 2, startedAt)]);
    await caughtUp(world);
    expect(index.rowCount).toBe(1);
  });

  it('R-EVT-2: an index that followed live and one that is rebuilt from the first entry are equal, row by row', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(histories, { minLength: 1, maxLength: 5 }), async (given) => {
        const world = aWorld();
        const { journal, index, projector } = world;
        projector.start();
        for (const { shard, records } of commitsOf(given.map((one) => wander(one).records))) {
          journal.commit(shard, records);
          await settled(() => projector.status.sequence > 0);
        }
        await caughtUp(world);
        const live = await rowsOf(index);
        const { position } = index;
        await projector.rebuild();
        expect(await rowsOf(index)).toEqual(live);
        expect(index.position).toBe(position);
        journal.commit(0, [submitted('later')]);
        await caughtUp(world);
        expect(await index.get('later' as TaskId)).not.toBeNull();
        await projector.stop();
      }),
      { numRuns: 30 },
    );
  }, 60_000);

  it('while it is rebuilt the old index answers and goes on', async () => {
    const world = aWorld();
    const { journal, index, projector } = world;
    for (let task = 0; task < 2_000; task += 1) journal.commit(task % 3, [submitted(`t-${task}`)]);
    projector.start();
    await caughtUp(world);
    const rebuilt = projector.rebuild();
    expect(projector.status.isRebuilding).toBe(true);
    expect(projector.rebuild()).toBe(rebuilt);
    journal.commit(0, [submitted('meanwhile')]);
    await settled(() => index.rowCount === 2_001);
    expect(await index.count({})).toBe(2_001);
    journal.commit(1, [submitted('also')]);
    await rebuilt;
    await caughtUp(world);
    expect(index.rowCount).toBe(2_002);
    expect(projector.status.isRebuilding).toBe(false);
  });

  it('a rebuild keeps what the journal tells no more: tasks that are trimmed, wholly or at their beginning', async () => {
    const world = aWorld();
    const { journal, index, projector } = world;
    journal.commit(0, [submitted('gone'), deadLettered('gone', 2)]);
    const trimmed = journal.commit(0, [submitted('cut'), deadLettered('cut', 2), submitted('again')]);
    journal.commit(0, [redriven('cut', 3), submitted('whole')]);
    journal.commit(0, [submitted('again')]);
    projector.start();
    await caughtUp(world);
    const live = await rowsOf(index);
    await journal.trim(0 as ShardId, trimmed);
    await projector.rebuild();
    expect(await rowsOf(index)).toEqual(live);
    expect(await index.get('cut' as TaskId)).toMatchObject({ failureCount: 1, submittedAt: startedAt + 1, seq: 3 });
    expect(index.rowCount).toBe(4);
  });

  it('a rebuild takes no row over that the journal contradicts', async () => {
    const world = aWorld();
    const { journal, index, projector } = world;
    journal.commit(0, [submitted('a')]);
    projector.start();
    await caughtUp(world);
    const [row] = await rowsOf(index);
    if (row === undefined) throw new Error('no row');
    const phantom: TaskRow = { task: { ...row.task, taskId: 'phantom' as TaskId }, sequence: 1 as Sequence };
    const wrong: TaskRow = { task: { ...row.task, failureCount: 9 }, sequence: row.sequence };
    await index.apply({ position: index.position ?? '', after: index.position, rows: [phantom, wrong], deletes: [] });
    await projector.rebuild();
    expect(await rowsOf(index)).toEqual([row]);
  });

  it('LOG_REGRESSED: a journal that ends before what was read has the index built anew, with nothing of before', async () => {
    const index = new WatchedIndex();
    const first = aWorld({ index });
    for (const task of ['a', 'b', 'c']) first.journal.commit(0, [submitted(task)]);
    first.projector.start();
    await caughtUp(first);
    await first.projector.stop();
    const journal = new RegressingJournal();
    journal.commit(0, [submitted('z')]);
    const second = aWorld({ journal, index });
    second.projector.start();
    await settled(() => second.logger.messages('info').length === 1);
    expect((await rowsOf(index)).map(({ task }) => task.taskId)).toEqual(['z']);
    expect(second.logger.messages('error')).toHaveLength(1);
    await second.clock.advance(1_000);
    journal.commit(0, [submitted('y')]);
    await caughtUp(second);
    expect(index.rowCount).toBe(2);
  });

  it('CANCELED: a rebuild ends when the projector is stopped, and the old index stays', async () => {
    const world = aWorld();
    const { journal, index, projector } = world;
    for (let task = 0; task < 2_000; task += 1) journal.commit(0, [submitted(`t-${task}`)]);
    projector.start();
    await caughtUp(world);
    const rebuilt = projector.rebuild();
    const outcome = rebuilt.catch((error: unknown) => error);
    await projector.stop();
    expect(await outcome).toMatchObject({ code: 'CANCELED' });
    expect(index.rowCount).toBe(2_000);
  });

  it('says for how long it is behind, as status and as metric', async () => {
    const world = aWorld();
    const { journal, index, clock, projector, metrics } = world;
    projector.start();
    await clock.advance(0);
    expect(projector.status).toMatchObject({ lagMs: 0, journalSequence: 0, position: null });
    index.failures = Array.from({ length: 20 }, () => new EngineError('UNAVAILABLE', 'no disk'));
    journal.commit(0, [submitted('a')]);
    for (let second = 0; second < 5; second += 1) {
      await clock.advance(1_000);
      await settled(() => projector.status.trouble !== null);
    }
    expect(projector.status.lagMs).toBeGreaterThanOrEqual(4_000);
    expect(metrics.value('task_index_lag_seconds')).toBeGreaterThanOrEqual(4);
    index.failures = [];
    await clock.advance(20_000);
    await caughtUp(world);
    expect(projector.status).toMatchObject({ lagMs: 0, journalSequence: 1, rowCount: 1 });
    expect(metrics.value('task_index_lag_seconds')).toBe(0);
    expect(metrics.value('task_index_rows')).toBe(1);
  });
});

/** A journal that says so when it ends before what is asked for. */
class RegressingJournal extends ArrayJournal {
  override async *follow(from: {
    after: Sequence;
    shard?: ShardId;
    signal: AbortSignal;
  }): AsyncGenerator<JournalEntry> {
    if ((await this.bounds()).last < from.after) throw new EngineError('LOG_REGRESSED', 'the journal is shorter');
    yield* super.follow(from);
  }
}

/** The histories of several tasks as commits that take turns, on two shards. */
function commitsOf(
  given: readonly (readonly TaskRecord[])[],
): readonly { readonly shard: number; readonly records: readonly TaskRecord[] }[] {
  const commits: { shard: number; records: TaskRecord[] }[] = [];
  const longest = Math.max(...given.map((records) => records.length));
  for (let from = 0; from < longest; from += 3) {
    for (const shard of [0, 1]) {
      const records = given.flatMap((history, task) =>
        task % 2 === shard
          ? history.slice(from, from + 3).map((record): TaskRecord => ({ ...record, task: `t-${task}` as TaskId }))
          : [],
      );
      if (records.length > 0) commits.push({ shard, records });
    }
  }
  return commits;
}
