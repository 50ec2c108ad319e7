import { describe, expect, it } from 'vitest';

import { encodeSnapshot } from '../../../src/actors/snapshot-codec.ts';
import { PipelineRegistry } from '../../../src/pipeline/registry.ts';
import { FinishedTasks } from '../../../src/shard/finished-tasks.ts';
import { ShardMetrics } from '../../../src/shard/shard-metrics.ts';
import type { SnapshotOperation } from '../../../src/store/memory-snapshots.ts';
import type { StoreFault } from '../../../src/store/store-fault.ts';
import { MemoryLogger, MemoryMetrics, MemorySnapshotStore, VirtualClock } from '../../../src/testing.ts';
import { aPipeline, epochOf, shard, taskOf } from '../../support/shard-kit.ts';
import { aFinishedTask } from '../../support/task-kit.ts';

const card = aPipeline();

class World {
  readonly clock = new VirtualClock();
  readonly metrics = new MemoryMetrics();
  readonly logger = new MemoryLogger();
  readonly lookups: (readonly string[])[] = [];
  fault: (operation: SnapshotOperation) => StoreFault = () => 'none';
  readonly store = new MemorySnapshotStore({ clock: this.clock, faults: (operation) => this.fault(operation) });
  readonly finished: FinishedTasks;
  readonly found: string[] = [];

  constructor(registry = new PipelineRegistry([card])) {
    const { store, lookups } = this;
    const counting = {
      maximumSnapshotBytes: store.maximumSnapshotBytes,
      writer: store.writer.bind(store),
      checkpoint: store.checkpoint.bind(store),
      loadLive: store.loadLive.bind(store),
      finishedIds: store.finishedIds.bind(store),
      findFinished: (of: typeof shard, ids: readonly ReturnType<typeof taskOf>[]) => {
        lookups.push(ids);
        return store.findFinished(of, ids);
      },
    };
    this.finished = new FinishedTasks(
      { store: counting, registry, clock: this.clock, logger: this.logger, metrics: new ShardMetrics(this.metrics) },
      shard,
    );
  }

  async write(...ids: readonly string[]): Promise<void> {
    await this.store.writer(shard, epochOf(1)).write(
      ids.map((id) => ({
        kind: 'finished' as const,
        taskId: taskOf(id),
        bytes: encodeSnapshot(aFinishedTask(card, id)),
        retentionMs: 60_000,
      })),
    );
  }

  finish(id: string): void {
    this.finished.add(taskOf(id), encodeSnapshot(aFinishedTask(card, id)));
  }

  find(id: string): void {
    this.finished.find(taskOf(id), (found) => {
      const what =
        found.kind === 'failed'
          ? ((found.error as { code?: string }).code ?? found.error.message)
          : (found.state?.machine.value ?? 'new');
      this.found.push(`${id}: ${what}`);
    });
  }
}

describe('whether an id is that of a finished task', () => {
  it('R-IDEM-1: is known at once of one that has ended and is not written yet', () => {
    const world = new World();
    world.finish('a');
    world.find('a');
    expect(world.found).toEqual(['a: canceled']);
    expect(world.lookups).toEqual([]);
    expect(world.finished.unwrittenStates().map(({ taskId }) => taskId)).toEqual(['a']);
  });

  it('R-IDEM-1: is read from the store when it is written', async () => {
    const world = new World();
    await world.finished.fillFilter();
    world.finish('a');
    await world.write('a');
    world.finished.written(taskOf('a'));
    world.find('a');
    await world.clock.advance(0);
    expect(world.found).toEqual(['a: canceled']);
    expect(world.lookups).toEqual([['a']]);
  });

  it('is denied at once for a new id, with no look-up, when the filter is filled', async () => {
    const world = new World();
    await world.write('old');
    await world.finished.fillFilter();
    world.find('new');
    expect(world.found).toEqual(['new: new']);
    world.find('old');
    await world.clock.advance(0);
    expect(world.found).toEqual(['new: new', 'old: canceled']);
    expect(world.metrics.value('finished_lookups_total')).toBe(1);
  });

  it('is looked up for every id while the filter is not filled, many ids at one time', async () => {
    const world = new World();
    await world.write('b');
    for (const id of ['a', 'b', 'c']) world.find(id);
    await world.clock.advance(0);
    expect(world.lookups).toEqual([['a', 'b', 'c']]);
    expect(world.found).toEqual(['a: new', 'b: canceled', 'c: new']);
  });

  it('is looked up in groups of at most 512', async () => {
    const world = new World();
    for (let index = 0; index < 1_100; index += 1) world.find(`t-${index}`);
    await world.clock.advance(0);
    expect(world.lookups.map(({ length }) => length)).toEqual([512, 512, 76]);
    expect(world.found).toHaveLength(1_100);
  });

  it('R-IDEM-3 UNAVAILABLE: fails when the store does not answer: it is never guessed', async () => {
    const world = new World();
    world.fault = () => 'unavailable';
    world.find('a');
    await world.clock.advance(0);
    expect(world.found).toEqual(['a: UNAVAILABLE']);
  });

  it('RECORD_CORRUPT: fails for the one that cannot be read, and for no other of the group', async () => {
    const world = new World();
    await world.write('b');
    const bytes = new Uint8Array([0xc1]);
    await world.store
      .writer(shard, epochOf(1))
      .write([{ kind: 'finished', taskId: taskOf('a'), bytes, retentionMs: 60_000 }]);
    for (const id of ['a', 'b']) world.find(id);
    await world.clock.advance(0);
    expect(world.found).toEqual(['a: RECORD_CORRUPT', 'b: canceled']);
  });

  it('PIPELINE_VERSION_UNKNOWN: fails for a task of a version that this node does not have', async () => {
    const world = new World(new PipelineRegistry([aPipeline({ version: 2 })]));
    await world.write('a');
    world.find('a');
    await world.clock.advance(0);
    expect(world.found).toEqual(['a: PIPELINE_VERSION_UNKNOWN']);
  });

  it('is denied again when the retention is over', async () => {
    const world = new World();
    await world.write('a');
    await world.finished.fillFilter();
    await world.clock.advance(60_000);
    world.find('a');
    await world.clock.advance(0);
    expect(world.found).toEqual(['a: new']);
  });
});

describe('filling the filter', () => {
  it('R-FAIL-1: is tried again when the store fails, and ids are looked up until it is done', async () => {
    const world = new World();
    await world.write('a');
    world.fault = (operation) => (operation === 'finishedIds' ? 'unavailable' : 'none');
    const filled = world.finished.fillFilter();
    await world.clock.advance(6_000);
    world.find('new');
    await world.clock.advance(0);
    expect(world.lookups).toEqual([['new']]);
    world.fault = () => 'none';
    await world.clock.advance(5_000);
    await filled;
    world.find('newer');
    expect(world.found).toEqual(['new: new', 'newer: new']);
    expect(world.logger.messages('warn')).toHaveLength(2);
  });

  it('ends when the shard is closed', async () => {
    const world = new World();
    world.fault = () => 'unavailable';
    const filled = world.finished.fillFilter();
    world.finished.close();
    await world.clock.advance(5_000);
    await expect(filled).resolves.toBeUndefined();
    expect(world.clock.pendingTimers).toBe(0);
  });
});
