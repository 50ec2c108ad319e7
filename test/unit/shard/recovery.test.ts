import { describe, expect, it } from 'vitest';

import { encodeSnapshot } from '../../../src/actors/snapshot-codec.ts';
import { assembleCommit, encodeRecord } from '../../../src/core/commit-codec.ts';
import type { TaskRecord } from '../../../src/core/records.ts';
import type { StageName } from '../../../src/core/ids.ts';
import { PipelineRegistry } from '../../../src/pipeline/registry.ts';
import type { SnapshotWriter } from '../../../src/ports/snapshots.ts';
import { PassiveTasks } from '../../../src/shard/passive-tasks.ts';
import { recoverShard, type RecoveredShard } from '../../../src/shard/recovery.ts';
import { MemoryJournal, MemorySnapshotStore, VirtualClock } from '../../../src/testing.ts';
import { aPipeline, epochOf, sequenceOf, shard, taskOf } from '../../support/shard-kit.ts';
import { aTask, canceled, stageCompleted, submitted } from '../../support/task-kit.ts';

const card = aPipeline();
const task = aTask(card, 'a', [submitted(card), stageCompleted('parse', 'publish'), stageCompleted('publish', null)]);

/** It backs off after its second record, is held after its third, and ends with its fourth. */
const waiter = aTask(card, 'a', [
  submitted(card),
  {
    type: 'stage.failed',
    stage: 'parse' as StageName,
    attempt: 1,
    failure: { class: 'retryable', code: 'UNEXPECTED', name: 'Error', message: 'not now' },
    decision: { kind: 'retry', dueAt: 1_800_000_000_000, delayMs: 1_000 },
  },
  { type: 'task.paused', origin: { commandId: 'c-pause' as never } },
  canceled,
]);

/** A shard's stores as an owner has left them. */
class World {
  readonly clock = new VirtualClock();
  readonly journal = new MemoryJournal({ clock: this.clock });
  readonly snapshots = new MemorySnapshotStore({ clock: this.clock });
  readonly passive = new PassiveTasks();
  /** Reads single snapshots in the store's place. */
  reader: Pick<SnapshotWriter, 'read'> | null = null;
  #last = 0;

  /** Appends one commit. */
  async commit(...records: readonly TaskRecord[]): Promise<void> {
    const body = assembleCommit(
      { format: 1, epoch: epochOf(1), batch: this.#last + 1, at: 1 },
      records.map(encodeRecord),
    );
    await this.put(body);
  }

  async put(body: Uint8Array): Promise<void> {
    const appended = this.journal.append({
      shard,
      body,
      expectedLast: sequenceOf(this.#last),
      messageId: `m-${this.#last}`,
    });
    await this.clock.advance(0);
    const outcome = await appended;
    if (outcome.kind !== 'committed') throw new Error(outcome.kind);
    this.#last = outcome.sequence;
  }

  async snapshot(upTo: number, built = task): Promise<void> {
    const { state } = replayed(built.records.slice(0, upTo));
    await this.snapshots
      .writer(shard, epochOf(1))
      .write([{ kind: 'live', taskId: state.taskId, bytes: encodeSnapshot(state) }]);
  }

  async checkpoint(sequence: number, epoch = 1): Promise<void> {
    await this.snapshots.writer(shard, epochOf(epoch)).checkpoint(sequenceOf(sequence));
  }

  /** What the next owner recovers: up to its own claim, which stands behind all that was checkpointed. */
  async recover(registry = new PipelineRegistry([card])): Promise<RecoveredShard> {
    await this.put(assembleCommit({ format: 1, epoch: epochOf(9), batch: 1, at: 2 }, []));
    return this.recoverAtLast(registry);
  }

  async recoverAtLast(registry = new PipelineRegistry([card])): Promise<RecoveredShard> {
    const { journal, snapshots } = this;
    const writer = this.reader ?? snapshots.writer(shard, epochOf(9));
    const recovered = recoverShard(
      { journal, snapshots, writer, passive: this.passive, registry, dedupWindowSize: 32, maxInterruptions: 5 },
      shard,
      sequenceOf(this.#last),
    );
    recovered.catch(() => {}); // Awaited below.
    await this.clock.advance(0);
    return recovered;
  }
}

/** The task after its first records. */
function replayed(records: readonly TaskRecord[]) {
  return aTask(
    card,
    records[0]?.task ?? 'a',
    records.map(({ event }) => event),
  );
}

describe('a recovery', () => {
  it('R-CORE-1 R-CORE-3: replays the whole journal when nothing was checkpointed', async () => {
    const world = new World();
    await world.commit(...task.records.slice(0, 2));
    const { live, finished, checkpointEpoch, checkpointSequence, replayedRecords } = await world.recover();
    expect(live.get(taskOf('a'))).toEqual(replayed(task.records.slice(0, 2)).state);
    expect([finished.size, checkpointEpoch, checkpointSequence, replayedRecords]).toEqual([0, null, 0, 2]);
  });

  it('R-CORE-1: reaches the same state from a snapshot and the tail as from the journal alone', async () => {
    for (const upTo of [1, 2]) {
      const world = new World();
      for (const record of task.records.slice(0, 2)) await world.commit(record);
      await world.snapshot(upTo);
      await world.checkpoint(upTo);
      const { live, replayedRecords } = await world.recover();
      expect(live.get(taskOf('a'))).toEqual(replayed(task.records.slice(0, 2)).state);
      expect(replayedRecords).toBe(2 - upTo);
    }
  });

  it('passes over records that a snapshot newer than the checkpoint has already', async () => {
    const world = new World();
    for (const record of task.records.slice(0, 2)) await world.commit(record);
    await world.snapshot(2);
    await world.checkpoint(0);
    expect((await world.recover()).live.get(taskOf('a'))).toEqual(replayed(task.records.slice(0, 2)).state);
  });

  it('tells tasks that ended after the checkpoint as finished, for nobody may have written them', async () => {
    const world = new World();
    await world.commit(...task.records);
    const { live, finished } = await world.recover();
    expect(live.size).toBe(0);
    expect(finished.get(taskOf('a'))?.machine.value).toBe('completed');
  });

  it('R-LOCK-1: reads only the live snapshots of the epoch that the checkpoint names', async () => {
    const world = new World();
    for (const record of task.records.slice(0, 1)) await world.commit(record);
    await world.checkpoint(1, 2);
    // A zombie's late write of the first epoch.
    await world.snapshot(1);
    expect((await world.recover()).live.size).toBe(0);
  });

  it('passes over what is left of a task that ended before the checkpoint was written', async () => {
    const world = new World();
    for (const record of task.records) await world.commit(record);
    // The task's end was written, and its live snapshot removed, before the checkpoint moved past its first record.
    await world.checkpoint(1);
    const { live, finished } = await world.recover();
    expect([live.size, finished.size]).toEqual([0, 0]);
  });

  it('takes an id that was free again as the new task that it is', async () => {
    const world = new World();
    const second = aTask(card, 'a', [submitted(card, 'second')]);
    await world.commit(...aTask(card, 'a', [submitted(card, 'first'), canceled]).records);
    await world.commit(...second.records);
    expect((await world.recover()).live.get(taskOf('a'))).toEqual(second.state);
  });
});

describe('a recovery of tasks that wait', () => {
  it('keeps none of their states, and knows when they want to be woken', async () => {
    const world = new World();
    for (const record of waiter.records.slice(0, 2)) await world.commit(record);
    await world.snapshot(2, waiter);
    await world.checkpoint(2);
    const { live, checkpointEpoch } = await world.recover();
    expect([live.size, checkpointEpoch]).toEqual([0, 1]);
    expect(world.passive.get(taskOf('a'))).toMatchObject({ seq: 2, dueAt: 1_800_000_000_000, isCarried: false });
  });

  it('R-CORE-1: takes one back that the journal goes on from', async () => {
    const world = new World();
    for (const record of waiter.records.slice(0, 3)) await world.commit(record);
    await world.snapshot(2, waiter);
    await world.checkpoint(2);
    const { live } = await world.recover();
    expect(live.get(taskOf('a'))).toEqual(replayed(waiter.records.slice(0, 3)).state);
    expect(world.passive.size).toBe(0);
  });

  it('passes over records that its snapshot has already', async () => {
    const world = new World();
    for (const record of waiter.records.slice(0, 3)) await world.commit(record);
    await world.snapshot(3, waiter);
    await world.checkpoint(1);
    const { live, replayedRecords } = await world.recover();
    expect([live.size, replayedRecords, world.passive.get(taskOf('a'))?.seq]).toEqual([0, 2, 3]);
  });

  it('takes one for ended whose snapshot the owner before replaces by that of its end meanwhile', async () => {
    const world = new World();
    for (const record of waiter.records) await world.commit(record);
    await world.snapshot(2, waiter);
    await world.checkpoint(2);
    world.reader = { read: () => Promise.resolve(new Map()) };
    const bytes = encodeSnapshot(waiter.state);
    const taskId = taskOf('a');
    await world.snapshots.writer(shard, epochOf(2)).write([{ kind: 'finished', taskId, bytes, retentionMs: 60_000 }]);
    const { live, finished } = await world.recover();
    expect([live.size, finished.size, world.passive.size]).toEqual([0, 0, 0]);
  });

  it.each([
    { what: 'is gone', read: new Map() },
    {
      what: 'went back to 1',
      read: new Map([[taskOf('a'), encodeSnapshot(replayed(waiter.records.slice(0, 1)).state)]]),
    },
  ])('UNAVAILABLE: stops when the snapshot that it read a moment ago $what', async ({ what, read }) => {
    const world = new World();
    for (const record of waiter.records) await world.commit(record);
    await world.snapshot(2, waiter);
    await world.checkpoint(2);
    world.reader = { read: () => Promise.resolve(read) };
    await expect(world.recover()).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(`the snapshot of task a at record 2 ${what}`),
    });
  });
});

describe('a recovery that cannot trust what it reads', () => {
  it('LOG_REGRESSED: stops at a checkpoint that is not before its own claim', async () => {
    const world = new World();
    await world.commit(...task.records.slice(0, 1));
    await world.snapshot(1);
    await world.checkpoint(1);
    await expect(world.recoverAtLast()).rejects.toMatchObject({ code: 'LOG_REGRESSED', got: '1' });
    await expect(world.recover()).resolves.toMatchObject({ checkpointSequence: 1 });
  });

  it('REPLAY_DIVERGED: stops at an unfinished task whose beginning is nowhere', async () => {
    const world = new World();
    for (const record of task.records.slice(0, 2)) await world.commit(record);
    await world.checkpoint(1);
    await expect(world.recover()).rejects.toMatchObject({
      code: 'REPLAY_DIVERGED',
      message: expect.stringContaining('record 2 of task a (to publish.running)'),
    });
  });

  it('REPLAY_DIVERGED: stops at a gap in a task’s records', async () => {
    const world = new World();
    const [first, , third] = task.records as [TaskRecord, TaskRecord, TaskRecord];
    await world.commit(first, third);
    await expect(world.recover()).rejects.toMatchObject({
      code: 'REPLAY_DIVERGED',
      message: expect.stringContaining('record 3 follows 1'),
    });
  });

  it('R-CORE-1 REPLAY_DIVERGED: stops at a record that leads elsewhere than it says', async () => {
    const world = new World();
    const [first, second] = task.records as [TaskRecord, TaskRecord];
    await world.commit(first, { ...second, to: 'publish.queued' });
    await expect(world.recover()).rejects.toMatchObject({ code: 'REPLAY_DIVERGED' });
  });

  it('PIPELINE_VERSION_UNKNOWN: stops at a version that this node does not have, in the journal or in a snapshot', async () => {
    const newer = new PipelineRegistry([aPipeline({ version: 2 })]);
    const fromJournal = new World();
    await fromJournal.commit(...task.records.slice(0, 1));
    await expect(fromJournal.recover(newer)).rejects.toMatchObject({
      code: 'PIPELINE_VERSION_UNKNOWN',
      field: 'version',
    });
    const fromSnapshot = new World();
    await fromSnapshot.commit(...task.records.slice(0, 1));
    await fromSnapshot.snapshot(1);
    await fromSnapshot.checkpoint(1);
    await expect(fromSnapshot.recover(newer)).rejects.toMatchObject({ code: 'PIPELINE_VERSION_UNKNOWN' });
  });

  it('PIPELINE_UNKNOWN: stops at a pipeline that this node does not have', async () => {
    const world = new World();
    await world.commit(...task.records.slice(0, 1));
    const other = new PipelineRegistry([aPipeline({ name: 'other' })]);
    await expect(world.recover(other)).rejects.toMatchObject({ code: 'PIPELINE_UNKNOWN' });
  });

  it('RECORD_CORRUPT: stops at a commit or a snapshot that cannot be read', async () => {
    const world = new World();
    await world.put(new Uint8Array([0xc1]));
    await expect(world.recover()).rejects.toMatchObject({ code: 'RECORD_CORRUPT' });
    const other = new World();
    await other.commit(...task.records.slice(0, 1));
    await other.snapshots
      .writer(shard, epochOf(1))
      .write([{ kind: 'live', taskId: taskOf('a'), bytes: new Uint8Array([0xc1]) }]);
    await other.checkpoint(1);
    await expect(other.recover()).rejects.toMatchObject({ code: 'RECORD_CORRUPT' });
  });
});
