import { describe, expect, it } from 'vitest';

import { EngineError } from '../../../src/core/errors.ts';
import type { LeaseOperation } from '../../../src/store/memory-leases.ts';
import type { StoreFault } from '../../../src/store/store-fault.ts';
import { MemoryLeaseStore, TestEngine } from '../../../src/testing.ts';
import { tapJournal, tapSnapshots } from '../../support/port-taps.ts';
import { aPipeline, commitsOf } from '../../support/shard-kit.ts';

const card = aPipeline();
/** The same version, with another stage. */
const changed = aPipeline({ stages: ['parse', 'photos', 'publish'] });
/** Backs off for a minute after its first attempt. */
const waiting = aPipeline({
  delayMs: 60_000,
  run: (ctx) => {
    if (ctx.attempt === 1) throw new Error('later');
    return `v1-${ctx.stage}`;
  },
});

describe('an engine starts', () => {
  it('with every free shard, each claimed in the journal', async () => {
    const test = await TestEngine.start({ pipelines: [card], config: { shardCount: 20 } });
    expect(test.engine?.status.owned.map(({ shard }) => shard).toSorted((a, b) => a - b)).toEqual([
      ...Array(20).keys(),
    ]);
    expect(test.engine?.isReady).toBe(true);
    expect(test.metrics.value('shards_owned')).toBe(20);
    expect((await test.run(commitsOf(test.journal, 13 as never)))[0]?.commit.owner).toMatchObject({
      epoch: 1,
      node: 'node-1',
    });
    await test.stop();
  });

  it('R-STAGE-3: with two versions of a pipeline side by side, each task staying with its own', async () => {
    const second = aPipeline({ version: 2, run: (ctx) => `v2-${ctx.stage}` });
    const test = await TestEngine.start({ pipelines: [waiting] });
    await test.submit(waiting, 'old', { taskId: 'old' });
    await test.stop();
    await test.restart([waiting, second]);
    await test.submit(second, 'new', { taskId: 'new' });
    expect(await test.result(second, 'new' as never)).toEqual({ parse: 'v2-parse', publish: 'v2-publish' });
    expect(await test.result(waiting, 'old' as never)).toMatchObject({ parse: 'v1-parse' });
    expect(await test.get('old' as never)).toMatchObject({ version: 1 });
    await test.stop();
  });

  it('again with the same definitions and shard count', async () => {
    const test = await TestEngine.start({ pipelines: [card] });
    await test.stop();
    await test.restart();
    expect(test.engine?.status.owned).toMatchObject([{ epoch: 2 }]);
    await test.stop();
  });
});

describe('an engine refuses to start', () => {
  it('CONFIG_INVALID: with another shard count than the cluster was created with, and takes nothing', async () => {
    const test = await TestEngine.start({ pipelines: [card] });
    await test.stop();
    const other = test.createEngine('node-1', undefined, { config: { ...test.config, shardCount: 8 } });
    await expect(test.run(other.start())).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      field: 'shardCount',
      limit: '1',
      got: '8',
    });
    expect(other.status.owned).toEqual([]);
    expect(await test.leases.listNodes()).toEqual([]);
  });

  it('R-CORE-1 DEFINITION_CHANGED: with a changed definition of a version that is recorded, and names the way out', async () => {
    const test = await TestEngine.start({ pipelines: [card] });
    await test.stop();
    await expect(test.restart([changed])).rejects.toMatchObject({
      code: 'DEFINITION_CHANGED',
      field: 'pipelines.card',
      hint: expect.stringContaining('give the changed definition a new version'),
    });
    await test.restart([card]);
    await test.stop();
  });

  it('UNAVAILABLE: when the lease store does not answer', async () => {
    const test = TestEngine.create({ pipelines: [card] });
    const leases = new MemoryLeaseStore({ clock: test.clock, faults: () => 'unavailable' });
    const engine = test.createEngine('node-1', undefined, { leases });
    await expect(test.run(engine.start())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await test.run(engine.stop({ graceMs: 0 }));
  });

  it('R-FAIL-1 PIPELINE_VERSION_UNKNOWN: without the version of a live task, and leaves the shard to a node that has it', async () => {
    const test = await TestEngine.start({ pipelines: [waiting] });
    await test.submit(waiting, 'x', { taskId: 'a' });
    await test.kill();
    const older = test.createEngine('node-1', [aPipeline({ version: 2 })]);
    await expect(test.run(older.start())).rejects.toMatchObject({ code: 'PIPELINE_VERSION_UNKNOWN' });
    expect(older.status.owned).toEqual([]);
    const newer = test.createEngine('node-2', [waiting]);
    await test.run(newer.start());
    expect(newer.status.owned).toMatchObject([{ tasks: 1 }]);
    expect(await test.result(waiting, 'a' as never)).toMatchObject({ parse: 'v1-parse' });
    await test.run(newer.stop({ graceMs: 0 }));
  });

  it('REPLAY_DIVERGED: over a journal that it cannot trust, and gives the other shards back', async () => {
    const test = await TestEngine.start({ pipelines: [waiting], config: { shardCount: 2 } });
    await test.submit(waiting, 'x', { taskId: 'a' });
    const ofTask = (await test.get('a' as never)).shard;
    await test.kill();
    // The snapshots say that all up to the last record is in them, and have nothing of it.
    const last = await test.run(test.journal.readLast(ofTask));
    await test.snapshots.writer(ofTask, 1 as never).checkpoint(((last?.sequence ?? 0) - 1) as never);
    await expect(test.restart()).rejects.toMatchObject({ code: 'REPLAY_DIVERGED' });
    for (const shard of [0, 1]) expect(await test.leases.readShard(shard as never)).toMatchObject({ owner: null });
  });
});

describe('a shard that cannot be opened now', () => {
  it.each(['journal', 'snapshots'] as const)(
    'R-FAIL-1 UNAVAILABLE: for its %s, is told in the status with why, and tried for again',
    async (store) => {
      const test = TestEngine.create({ pipelines: [card] });
      let isDown = true;
      const tap = <Result>(call: string, make: () => Promise<Result>): Promise<Result> => {
        const isIt = call === 'journal.readLast' || call === 'snapshots.loadLive';
        return isDown && isIt ? Promise.reject(new EngineError('UNAVAILABLE', `${call}: no answer`)) : make();
      };
      const engine = test.createEngine('node-1', undefined, {
        ...(store === 'journal' ? { journal: tapJournal(test.journal, tap) } : {}),
        ...(store === 'snapshots' ? { snapshots: tapSnapshots(test.snapshots, tap) } : {}),
      });
      await test.run(engine.start());
      expect(engine.status).toMatchObject({
        owned: [],
        failing: [{ shard: 0, error: expect.stringContaining('no answer') }],
      });
      expect(engine.isReady).toBe(false);
      await test.advance(10_000);
      expect(engine.status.failing).toHaveLength(1);
      isDown = false;
      await test.advance(2_000);
      expect(engine.status).toMatchObject({ owned: [{ shard: 0 }], failing: [] });
      expect(engine.isReady).toBe(true);
      await test.run(engine.stop({ graceMs: 0 }));
    },
  );

  it('R-FAIL-1: while the leases cannot be listed, is tried for later', async () => {
    const test = TestEngine.create({ pipelines: [card] });
    let fault: (operation: LeaseOperation) => StoreFault = (operation) =>
      operation === 'listNodes' ? 'unavailable' : 'none';
    const leases = new MemoryLeaseStore({ clock: test.clock, faults: (operation) => fault(operation) });
    const engine = test.createEngine('node-1', undefined, { leases });
    await test.run(engine.start());
    expect(engine.status.owned).toEqual([]);
    fault = () => 'none';
    await test.advance(1_000);
    expect(engine.status.owned).toHaveLength(1);
  });

  it('LOG_REGRESSED: was lost for a broken journal, and is told in the status until it opens again', async () => {
    const test = await TestEngine.start({ pipelines: [card] });
    const { engine, journal } = test;
    const last = await test.run(journal.readLast(0 as never));
    // Somebody writes what nobody may write.
    await test.run(
      journal.append({
        shard: 0 as never,
        body: last?.body ?? new Uint8Array(),
        expectedLast: 1 as never,
        messageId: 'x',
      }),
    );
    await test.run(test.client.submit(card, 'x', { taskId: 'a' }));
    expect(test.logger.lines.find(({ message }) => message === 'a shard was lost')?.fields).toMatchObject({
      err: { code: 'LOG_REGRESSED' },
    });
    expect(engine?.status).toMatchObject({ owned: [{ epoch: 2 }], failing: [] });
  });
});
