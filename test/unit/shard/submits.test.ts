import { describe, expect, it } from 'vitest';

import { MemorySnapshotStore } from '../../../src/testing.ts';
import { HeldDrivers } from '../../support/held-drivers.ts';
import { aPipeline, commitsOf } from '../../support/shard-kit.ts';
import { outcomeOf, ShardWorld, type Sent } from '../../support/shard-world.ts';

async function served() {
  const drivers = new HeldDrivers();
  const pipelines = [aPipeline({ run: drivers.run }), aPipeline({ name: 'other', run: drivers.run })];
  const [world, engine] = await ShardWorld.start({ pipelines, config: { finishedRetentionMs: 60_000 } });
  return { world, engine, drivers };
}

function count(sent: readonly Sent[], outcome: string): number {
  return sent.filter((one) => outcomeOf(one) === outcome).length;
}

async function recordsOf(world: ShardWorld): Promise<string[]> {
  const commits = await world.test.run(commitsOf(world.test.journal));
  return commits.flatMap(({ commit }) => commit.records.map(({ event }) => event.type));
}

describe('submits of one id', () => {
  it('R-IDEM-1 R-IDEM-2: at one time make one task, whatever of them is first; the rest find it', async () => {
    const { world, drivers } = await served();
    const sent = Array.from({ length: 50 }, () => world.submit('a', 'same'));
    await world.clock.advance(100);
    expect([count(sent, 'accepted'), count(sent, 'existing')]).toEqual([1, 49]);
    expect(await recordsOf(world)).toEqual(['task.submitted']);
    expect(drivers.started).toEqual(['a/parse/1']);
  });

  it('R-IDEM-2 TASK_CONFLICT: with another input or pipeline are refused, and show both hashes', async () => {
    const { world } = await served();
    const sent = [world.submit('a', 'one'), world.submit('a', 'two'), world.submit('a', 'one', 'other')];
    await world.clock.advance(100);
    expect(sent.map(outcomeOf)).toEqual(['accepted', 'TASK_CONFLICT', 'TASK_CONFLICT']);
    expect(sent[1]?.replies[0]).toMatchObject({
      error: { limit: expect.stringMatching(/^input hash [0-9a-f]{64}$/), got: expect.stringMatching(/^input hash/) },
    });
    expect(await recordsOf(world)).toEqual(['task.submitted']);
  });

  it('R-IDEM-1: find the task after it has ended, unwritten or written, and start nothing', async () => {
    const { world, drivers } = await served();
    await world.answer(world.submit('a'));
    for (let stage = 0; stage < 2; stage += 1) {
      drivers.finish();
      await world.clock.advance(10);
    }
    expect(await world.answer(world.submit('a'))).toMatchObject({ kind: 'existing', state: 'completed' });
    await world.clock.advance(5_000);
    expect(world.test.metrics.value('snapshot_writes_total', { kind: 'finished' })).toBe(1);
    expect(await world.answer(world.submit('a'))).toMatchObject({ kind: 'existing', state: 'completed' });
    expect(await world.answer(world.submit('a', 'other'))).toMatchObject({ error: { code: 'TASK_CONFLICT' } });
    expect(drivers.started).toHaveLength(2);
  });

  it('make a new task when the retention of the finished one is over', async () => {
    const { world, drivers } = await served();
    await world.answer(world.submit('a'));
    await world.answer(world.control('cancel', 'a'));
    await world.clock.advance(70_000);
    expect(await world.answer(world.submit('a', 'new'))).toMatchObject({ kind: 'accepted' });
    expect(drivers.started).toEqual(['a/parse/1', 'a/parse/1']);
  });

  it('R-CORE-3: of an id that was free again make a task that survives a crash', async () => {
    const drivers = new HeldDrivers();
    const config = { finishedRetentionMs: 1_000, snapshotIntervalMs: 3_600_000, snapshotEveryRecords: 2 };
    const [world, engine] = await ShardWorld.start({ pipelines: [aPipeline({ run: drivers.run })], config });
    await world.answer(world.submit('a', 'first'));
    await world.answer(world.control('cancel', 'a'));
    await world.clock.advance(5_000);
    expect(await world.answer(world.submit('a', 'second'))).toMatchObject({ kind: 'accepted' });
    await world.test.run(engine.abandon());
    // The snapshots are gone: the records of both tasks stand in one journal.
    const next = world.engine('node-1', { snapshots: new MemorySnapshotStore({ clock: world.clock }) });
    await world.test.run(next.start());
    expect(await world.answer(world.submit('a', 'second'))).toMatchObject({ kind: 'existing' });
  });
});

describe('a submit that is refused', () => {
  it.each([
    { code: 'PIPELINE_UNKNOWN', pipeline: 'nothing', version: undefined, input: 'x' },
    { code: 'PIPELINE_VERSION_UNKNOWN', pipeline: 'card', version: 9, input: 'x' },
    { code: 'INPUT_INVALID', pipeline: 'card', version: 1, input: 42 },
    { code: 'PAYLOAD_TOO_LARGE', pipeline: 'card', version: 1, input: 'x'.repeat(17 * 1024 * 1024) },
  ])('R-JOB-2: with $code costs no record, and the same id may be submitted rightly', async ({ code, ...submit }) => {
    const { world, engine } = await served();
    const sent = world.submit('a', submit.input, submit.pipeline, submit.version);
    await world.clock.advance(100);
    expect(outcomeOf(sent)).toBe(code);
    expect(engine.status.owned[0]?.tasks).toBe(0);
    expect(await recordsOf(world)).toEqual([]);
    expect(outcomeOf(world.submit('a', 'right'))).toBeUndefined();
    await world.clock.advance(100);
    expect(await recordsOf(world)).toEqual(['task.submitted']);
  });
});

describe('a command', () => {
  it('R-JOB-2: returns before any driver has ended', async () => {
    const { world, drivers } = await served();
    expect(await world.answer(world.submit('a'))).toMatchObject({ kind: 'accepted', state: 'parse.running' });
    expect(drivers.running).toEqual(['a/parse/1']);
  });

  it('R-IDEM-2: repeated with its id gets the answer of the first and has no effect, also after a restart', async () => {
    const { world, engine } = await served();
    await world.answer(world.submit('a'));
    const id = 'c-pause' as never;
    expect(await world.answer(world.control('pause', 'a', id))).toMatchObject({ kind: 'done', repeated: false });
    expect(await world.answer(world.control('pause', 'a', id))).toMatchObject({ kind: 'done', repeated: true });
    await world.test.run(engine.abandon());
    await world.test.run(world.engine('node-1').start());
    expect(await world.answer(world.control('pause', 'a', id))).toMatchObject({ kind: 'done', repeated: true });
    expect((await recordsOf(world)).filter((type) => type === 'task.paused')).toHaveLength(1);
    expect(world.test.metrics.value('repeated_commands_total')).toBe(2);
  });

  it('NOT_ALLOWED: of a task that has ended costs no record', async () => {
    const { world } = await served();
    await world.answer(world.submit('a'));
    await world.answer(world.control('cancel', 'a'));
    const before = await recordsOf(world);
    expect(await world.answer(world.control('redrive', 'a'))).toMatchObject({ error: { code: 'NOT_ALLOWED' } });
    expect(await recordsOf(world)).toEqual(before);
  });
});
