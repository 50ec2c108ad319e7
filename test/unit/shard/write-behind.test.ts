import { describe, expect, it } from 'vitest';

import { decodeSnapshot } from '../../../src/actors/snapshot-codec.ts';
import type { TaskState } from '../../../src/actors/task-state.ts';
import { PipelineRegistry } from '../../../src/pipeline/registry.ts';
import { ShardMetrics } from '../../../src/shard/shard-metrics.ts';
import { WriteBehind, type WriteBehindDeps } from '../../../src/shard/write-behind.ts';
import type { StoreFault } from '../../../src/store/store-fault.ts';
import type { SnapshotOperation } from '../../../src/store/memory-snapshots.ts';
import { MemoryLogger, MemoryMetrics, MemorySnapshotStore, VirtualClock } from '../../../src/testing.ts';
import { loadLive } from '../../support/live-snapshots.ts';
import { aConfig, aPipeline, epochOf, sequenceOf, shard } from '../../support/shard-kit.ts';
import { aFinishedTask, aLiveTask, aTask, canceled, submitted } from '../../support/task-kit.ts';

const card = aPipeline();
const registry = new PipelineRegistry([card]);

class World {
  readonly clock = new VirtualClock();
  readonly metrics = new MemoryMetrics();
  readonly logger = new MemoryLogger();
  readonly store: MemorySnapshotStore;
  readonly calls: string[] = [];
  readonly lost: string[] = [];
  /** Snapshots of finished tasks as they were told, before any was written. */
  readonly finished = new Map<string, Uint8Array>();
  fault: (operation: SnapshotOperation) => StoreFault = () => 'none';

  constructor(maximumSnapshotBytes?: number) {
    this.store = new MemorySnapshotStore({
      clock: this.clock,
      faults: (operation) => this.fault(operation),
      ...(maximumSnapshotBytes === undefined ? {} : { maximumSnapshotBytes }),
    });
  }

  writeBehind(epoch = 1, config: Parameters<typeof aConfig>[0] = {}): WriteBehind {
    const inner = this.store.writer(shard, epochOf(epoch));
    const writer: WriteBehindDeps['writer'] = {
      write: async (writes) => {
        await inner.write(writes);
        this.calls.push(...writes.map(({ kind, taskId }) => `${kind} ${taskId}`));
      },
      checkpoint: async (sequence) => {
        await inner.checkpoint(sequence);
        this.calls.push(`checkpoint ${sequence}`);
      },
      dropEarlierEpochs: async () => {
        await inner.dropEarlierEpochs();
        this.calls.push('drop');
      },
    };
    return new WriteBehind(
      {
        writer,
        maximumSnapshotBytes: this.store.maximumSnapshotBytes,
        clock: this.clock,
        logger: this.logger,
        metrics: new ShardMetrics(this.metrics),
        config: aConfig(config),
        onFinished: (taskId, bytes) => this.finished.set(taskId, bytes),
        onFinishedWritten: (taskId) => this.calls.push(`told ${taskId}`),
        onCheckpoint: (sequence) => this.calls.push(`told ${sequence}`),
        onSuperseded: (error) => this.lost.push(error.code),
      },
      shard,
      sequenceOf(10),
    );
  }

  async live(): Promise<Map<string, TaskState>> {
    const { live } = await loadLive(this.store, shard);
    return new Map([...live].map(([taskId, bytes]) => [taskId, decodeSnapshot(taskId, bytes, registry)]));
  }

  /** The calls so far, which are forgotten. */
  takeCalls(): string[] {
    return this.calls.splice(0);
  }
}

describe('snapshots behind the commits', () => {
  it('go out once an interval with the newest state of each task, then the checkpoint', async () => {
    const world = new World();
    const writer = world.writeBehind();
    writer.changed(aLiveTask(card, 'a', 'old'), sequenceOf(11));
    writer.changed(aLiveTask(card, 'b'), sequenceOf(12));
    writer.changed(aLiveTask(card, 'a', 'new'), sequenceOf(13));
    await world.clock.advance(999);
    expect(world.calls).toEqual([]);
    await world.clock.advance(1);
    expect(world.takeCalls()).toEqual(['live a', 'live b', 'checkpoint 13', 'told 13', 'drop']);
    expect((await world.live()).get('a')?.input).toEqual({ json: 'new' });
    await world.clock.advance(60_000);
    expect(world.calls).toEqual([]);
  });

  it('start early after so many records, but not before the turn of the commit is over', async () => {
    const world = new World();
    const writer = world.writeBehind(1, { snapshotEveryRecords: 2 });
    for (const id of ['a', 'b', 'c']) writer.changed(aLiveTask(card, id), sequenceOf(11));
    expect(world.calls).toEqual([]);
    await world.clock.advance(0);
    expect(world.takeCalls()).toEqual(['live a', 'live b', 'live c', 'checkpoint 11', 'told 11', 'drop']);
  });

  it('are written once of a task that ends before its first snapshot, as a finished one', async () => {
    const world = new World();
    const writer = world.writeBehind();
    const { state } = aTask(card, 'a', [submitted(card), canceled]);
    writer.changed(aLiveTask(card, 'a'), sequenceOf(11));
    writer.changed(state, sequenceOf(12));
    await world.clock.advance(10_000);
    expect(world.calls).toEqual(['finished a', 'told a', 'checkpoint 12', 'told 12', 'drop']);
    expect((await world.live()).size).toBe(0);
    expect((await world.store.findFinished(shard, [state.taskId])).size).toBe(1);
  });

  it('replace a live snapshot by the finished one', async () => {
    const world = new World();
    const writer = world.writeBehind();
    writer.changed(aLiveTask(card, 'a'), sequenceOf(11));
    await world.clock.advance(1_000);
    expect((await world.live()).size).toBe(1);
    writer.changed(aFinishedTask(card, 'a'), sequenceOf(12));
    await world.clock.advance(1_000);
    expect((await world.live()).size).toBe(0);
  });

  it('R-IDEM-1: tell of a finished one at once, with the bytes that are written later', async () => {
    const world = new World();
    const writer = world.writeBehind();
    const state = aFinishedTask(card, 'a');
    writer.changed(state, sequenceOf(12));
    expect([...world.finished.keys()]).toEqual(['a']);
    expect(world.takeCalls()).toEqual([]);
    await world.clock.advance(1_000);
    const stored = await world.store.findFinished(shard, [state.taskId]);
    const told = world.finished.get('a') ?? new Uint8Array();
    expect(Buffer.from(stored.get(state.taskId) ?? []).equals(told)).toBe(true);
  });

  it('tell the first checkpoint even when nothing changes, so that the next recovery starts there', async () => {
    const world = new World();
    world.writeBehind();
    await world.clock.advance(1_000);
    expect(world.calls).toEqual(['checkpoint 10', 'told 10', 'drop']);
  });
});

describe('a snapshot round that fails', () => {
  it.each(['unavailable', 'full', 'lostAnswer'] as const)(
    'R-FAIL-1: %s: keeps what it had to write, and the next one makes it good',
    async (fault) => {
      const world = new World();
      const writer = world.writeBehind();
      world.fault = (operation) => (operation === 'write' ? fault : 'none');
      writer.changed(aLiveTask(card, 'a', 'old'), sequenceOf(11));
      writer.changed(aLiveTask(card, 'b'), sequenceOf(12));
      await world.clock.advance(1_500);
      expect(world.calls).toEqual([]);
      expect((await loadLive(world.store, shard)).checkpoint).toBeNull();
      expect(world.metrics.value('snapshot_failures_total')).toBe(1);
      // What has changed again meanwhile wins over what was kept.
      writer.changed(aLiveTask(card, 'a', 'new'), sequenceOf(13));
      world.fault = () => 'none';
      await world.clock.advance(1_000);
      expect(world.takeCalls().toSorted()).toEqual(['checkpoint 13', 'drop', 'live a', 'live b', 'told 13']);
      expect((await world.live()).get('a')?.input).toEqual({ json: 'new' });
    },
  );

  it('keeps the newer state of a task that changed while the round was on its way', async () => {
    const world = new World();
    const writer = world.writeBehind();
    world.fault = (operation) => (operation === 'write' ? 'unavailable' : 'none');
    writer.changed(aLiveTask(card, 'a', 'old'), sequenceOf(11));
    const round = writer.flush();
    writer.changed(aLiveTask(card, 'a', 'new'), sequenceOf(12));
    await round;
    world.fault = () => 'none';
    await writer.flush();
    expect((await world.live()).get('a')?.input).toEqual({ json: 'new' });
  });

  it('at its checkpoint tells nobody that it has moved', async () => {
    const world = new World();
    const writer = world.writeBehind();
    world.fault = (operation) => (operation === 'checkpoint' ? 'unavailable' : 'none');
    writer.changed(aLiveTask(card, 'a'), sequenceOf(11));
    await world.clock.advance(3_500);
    expect(world.calls).toEqual(['live a']);
    world.fault = () => 'none';
    await world.clock.advance(1_000);
    expect(world.calls).toEqual(['live a', 'checkpoint 11', 'told 11', 'drop']);
  });

  it('at dropping the earlier epochs repeats that, and not the checkpoint', async () => {
    const world = new World();
    world.writeBehind();
    world.fault = (operation) => (operation === 'dropEarlierEpochs' ? 'unavailable' : 'none');
    await world.clock.advance(1_000);
    expect(world.takeCalls()).toEqual(['checkpoint 10', 'told 10']);
    world.fault = () => 'none';
    await world.clock.advance(1_000);
    expect(world.takeCalls()).toEqual(['told 10', 'drop']);
    await world.clock.advance(60_000);
    expect(world.calls).toEqual([]);
  });

  it('PAYLOAD_TOO_LARGE: for one task writes all others, and the checkpoint does not pass that task by', async () => {
    const world = new World(4_096);
    const writer = world.writeBehind();
    writer.changed(aLiveTask(card, 'large', 'x'.repeat(8_192)), sequenceOf(11));
    writer.changed(aFinishedTask(card, 'b'), sequenceOf(12));
    await world.clock.advance(1_000);
    expect(world.takeCalls()).toEqual(['finished b', 'told b']);
    expect(world.logger.lines.at(-1)?.fields).toMatchObject({ err: { code: 'PAYLOAD_TOO_LARGE' } });
    // The task has ended, and what it was too large with is gone.
    writer.changed(aFinishedTask(card, 'large'), sequenceOf(13));
    await world.clock.advance(1_000);
    expect(world.takeCalls()).toEqual(['finished large', 'told large', 'checkpoint 13', 'told 13', 'drop']);
  });
});

describe('the checkpoint', () => {
  it('never tells of what came while its round was on the way', async () => {
    const world = new World();
    const writer = world.writeBehind();
    writer.changed(aLiveTask(card, 'a'), sequenceOf(11));
    const round = writer.flush();
    writer.changed(aLiveTask(card, 'b'), sequenceOf(12));
    await round;
    expect((await loadLive(world.store, shard)).checkpoint?.sequence).toBe(11);
    await writer.flush();
    expect((await loadLive(world.store, shard)).checkpoint?.sequence).toBe(12);
  });

  it('R-LOCK-1 OWNERSHIP_LOST: of a higher epoch ends the write-behind of the zombie, which writes nothing any more', async () => {
    const world = new World();
    const zombie = world.writeBehind(1);
    const owner = world.writeBehind(2);
    await owner.flush();
    zombie.changed(aLiveTask(card, 'a'), sequenceOf(11));
    await zombie.flush();
    expect(world.lost).toEqual(['OWNERSHIP_LOST']);
    world.takeCalls();
    zombie.changed(aLiveTask(card, 'b'), sequenceOf(12));
    await zombie.flush();
    await world.clock.advance(60_000);
    expect(world.calls).toEqual([]);
    expect(world.lost).toHaveLength(1);
  });

  it('drops the live snapshots of earlier epochs only after it stands', async () => {
    const world = new World();
    const first = world.writeBehind(1);
    first.changed(aLiveTask(card, 'a'), sequenceOf(11));
    await first.flush();
    await first.close();
    const next = world.writeBehind(2);
    next.changed(aLiveTask(card, 'a', 'taken over'), sequenceOf(12));
    world.fault = (operation) => (operation === 'checkpoint' ? 'unavailable' : 'none');
    await next.flush();
    // A crash here: the recovery still finds the first epoch's.
    expect((await world.live()).get('a')?.input).toEqual({ json: 'in' });
    world.fault = () => 'none';
    await next.flush();
    expect((await world.live()).get('a')?.input).toEqual({ json: 'taken over' });
  });

  it('is not written any more once it is closed', async () => {
    const world = new World();
    const writer = world.writeBehind();
    writer.changed(aLiveTask(card, 'a'), sequenceOf(11));
    await writer.close();
    await world.clock.advance(60_000);
    await writer.flush();
    expect(world.calls).toEqual([]);
  });
});

describe('rounds that fail for long', () => {
  it('UNAVAILABLE: are told of at the first one and every 30 s, each is counted, and their end is told', async () => {
    const world = new World();
    world.fault = (operation) => (operation === 'write' ? 'unavailable' : 'none');
    const writer = world.writeBehind();
    writer.changed(aLiveTask(card, 'a'), sequenceOf(11));
    await world.clock.advance(65_000);
    const told = () => world.logger.lines.map(({ message, fields }) => [message, fields['rounds'], fields['forMs']]);
    const failed = 'a snapshot round failed; the next ones repeat it';
    expect(told()).toEqual([
      [failed, 1, 0],
      [failed, 31, 30_000],
      [failed, 61, 60_000],
    ]);
    expect(world.metrics.value('snapshot_failures_total')).toBe(65);
    world.fault = () => 'none';
    await world.clock.advance(1_000);
    expect(told().at(-1)).toEqual(['snapshot rounds succeed again', 65, 65_000]);
    world.fault = (operation) => (operation === 'write' ? 'unavailable' : 'none');
    writer.changed(aLiveTask(card, 'a', 'new'), sequenceOf(12));
    await world.clock.advance(1_000);
    expect(told().at(-1)).toEqual([failed, 1, 0]);
    await writer.close();
  });
});
