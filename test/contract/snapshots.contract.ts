import { describe, expect, it } from 'vitest';

import type { Epoch, Sequence, ShardId, TaskId } from '../../src/core/ids.ts';
import type { SnapshotStore, SnapshotWrite } from '../../src/ports/snapshots.ts';
import { loadLive } from '../support/live-snapshots.ts';
import { expectEngineError, until } from '../support/nats-store-kit.ts';

/** What the suite needs of an adapter. */
export interface SnapshotHarness {
  /** A store without contents. */
  readonly store: SnapshotStore;
  /** Another handle of the same store, as another node has it. */
  readonly other: SnapshotStore;
  /** Lets that much of the store's time pass. */
  readonly elapse: (ms: number) => Promise<void>;
}

const shard = 3 as ShardId;
const retentionMs = 60_000;

function task(name: string | number): TaskId {
  return `task-${name}` as TaskId;
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function live(name: string | number, text = `live ${name}`): SnapshotWrite {
  return { kind: 'live', taskId: task(name), bytes: bytes(text) };
}

function finished(name: string | number, keepMs = retentionMs): SnapshotWrite {
  return { kind: 'finished', taskId: task(name), bytes: bytes(`finished ${name}`), retentionMs: keepMs };
}

function manyLive(round: number): SnapshotWrite[] {
  return Array.from({ length: 300 }, (_, index) => live(index, `round ${round}`));
}

function textOf(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : Buffer.from(value).toString('utf8');
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const epoch = (value: number): Epoch => value as Epoch;
const sequence = (value: number): Sequence => value as Sequence;

/** What every snapshot store promises. */
export function snapshotsContract(name: string, open: () => Promise<SnapshotHarness>): void {
  describe(`${name}: snapshots`, () => {
    it('an untouched shard has no checkpoint, no live and no finished tasks', async () => {
      const { store } = await open();
      expect(await loadLive(store, shard)).toEqual({ checkpoint: null, live: new Map() });
      expect(await store.checkpoint(shard)).toBeNull();
      expect(await collect(store.finishedIds(shard))).toEqual([]);
      expect((await store.findFinished(shard, [task('a')])).size).toBe(0);
      expect((await store.findFinished(shard, [])).size).toBe(0);
    });

    it('what is written before a checkpoint is loaded with it, on another node', async () => {
      const { store, other } = await open();
      const writer = store.writer(shard, epoch(1));
      await writer.write([live('a', 'old'), live('b')]);
      await writer.write([live('a', 'new')]);
      await writer.checkpoint(sequence(17));
      const loaded = await loadLive(other, shard);
      expect(loaded.checkpoint).toEqual({ shard, epoch: 1, sequence: 17 });
      expect([...loaded.live.keys()].toSorted()).toEqual(['task-a', 'task-b']);
      expect(textOf(loaded.live.get(task('a')))).toBe('new');
    });

    it('without a checkpoint there is nothing to load, however many snapshots there are', async () => {
      const { store } = await open();
      await store.writer(shard, epoch(1)).write([live('a')]);
      expect(await loadLive(store, shard)).toEqual({ checkpoint: null, live: new Map() });
    });

    it('a batch of 2,000 is loaded whole', async () => {
      const { store, other } = await open();
      const writer = store.writer(shard, epoch(1));
      await writer.write(Array.from({ length: 2_000 }, (_, index) => live(index)));
      await writer.checkpoint(sequence(1));
      const loaded = await loadLive(other, shard);
      expect(loaded.live.size).toBe(2_000);
      expect(textOf(loaded.live.get(task(1_999)))).toBe('live 1999');
    });

    it('binary bytes come back as they were, the empty snapshot too', async () => {
      const { store } = await open();
      const all = Uint8Array.from({ length: 256 }, (_, index) => index);
      const writer = store.writer(shard, epoch(1));
      await writer.write([
        { kind: 'live', taskId: task('a'), bytes: all },
        { kind: 'live', taskId: task('empty'), bytes: new Uint8Array(0) },
        { kind: 'finished', taskId: task('f'), bytes: all, retentionMs },
      ]);
      await writer.checkpoint(sequence(1));
      const loaded = await loadLive(store, shard);
      expect(Buffer.from(loaded.live.get(task('a')) ?? [])).toEqual(Buffer.from(all));
      expect(loaded.live.get(task('empty'))?.length).toBe(0);
      expect(Buffer.from((await store.findFinished(shard, [task('f')])).get(task('f')) ?? [])).toEqual(
        Buffer.from(all),
      );
    });

    it('a finished task is found by its id and no longer live', async () => {
      const { store, other } = await open();
      const writer = store.writer(shard, epoch(1));
      await writer.write([live('a'), live('b')]);
      await writer.write([finished('a'), finished('c')]);
      await writer.checkpoint(sequence(9));
      expect([...(await loadLive(other, shard)).live.keys()]).toEqual(['task-b']);
      const found = await other.findFinished(shard, [task('a'), task('b'), task('c'), task('d')]);
      expect([...found.keys()].toSorted()).toEqual(['task-a', 'task-c']);
      expect(textOf(found.get(task('a')))).toBe('finished a');
      expect((await collect(other.finishedIds(shard))).toSorted()).toEqual(['task-a', 'task-c']);
    });

    it('of two writes of one task in a batch the later one counts', async () => {
      const { store } = await open();
      const writer = store.writer(shard, epoch(1));
      await writer.write([live('a', 'first'), live('a', 'second'), live('b'), finished('b')]);
      await writer.checkpoint(sequence(1));
      const loaded = await loadLive(store, shard);
      expect([...loaded.live].map(([taskId, value]) => [taskId, textOf(value)])).toEqual([['task-a', 'second']]);
      expect(await collect(store.finishedIds(shard))).toEqual(['task-b']);
    });

    it('an owner reads single live snapshots back, of its own epoch and of an earlier one', async () => {
      const { store } = await open();
      await store.writer(shard, epoch(1)).write([live('a', 'old a'), live('b', 'old b')]);
      const writer = store.writer(shard, epoch(2));
      await writer.write([live('a', 'new a')]);
      const wanted = [task('a'), task('b'), task('unknown')];
      const shown = (found: ReadonlyMap<TaskId, Uint8Array>): unknown =>
        [...found].map(([taskId, value]) => `${taskId}: ${textOf(value)}`).toSorted();
      expect(shown(await writer.read(wanted, epoch(1)))).toEqual(['task-a: old a', 'task-b: old b']);
      expect(shown(await writer.read(wanted, epoch(2)))).toEqual(['task-a: new a']);
      expect(shown(await writer.read([], epoch(2)))).toEqual([]);
    });

    it('a read after a write is never stale', async () => {
      const { store } = await open();
      const writer = store.writer(shard, epoch(1));
      for (let index = 0; index < 50; index += 1) {
        await writer.write([live('a', `round ${index}`)]);
        expect(textOf((await writer.read([task('a')], epoch(1))).get(task('a')))).toBe(`round ${index}`);
      }
    });

    it('what a writer has forgotten and read again it replaces, and removes when its task has ended', async () => {
      const { store, other } = await open();
      const writer = store.writer(shard, epoch(1));
      await writer.write([live('a', 'first'), live('b', 'first'), live('c', 'first')]);
      await writer.checkpoint(sequence(1));
      for (const one of ['a', 'b', 'c']) writer.forget(task(one));
      await writer.read([task('a'), task('b')], epoch(1));
      await writer.write([live('a', 'second'), finished('b')]);
      const loaded = await loadLive(other, shard);
      expect([...loaded.live].map(([taskId, value]) => `${taskId}: ${textOf(value)}`).toSorted()).toEqual([
        'task-a: second',
        'task-c: first',
      ]);
    });

    it('a batch may be written again', async () => {
      const { store } = await open();
      const writer = store.writer(shard, epoch(1));
      const batch = [live('a'), finished('b')];
      await writer.write(batch);
      await writer.write(batch);
      await writer.checkpoint(sequence(1));
      await writer.checkpoint(sequence(1));
      expect([...(await loadLive(store, shard)).live.keys()]).toEqual(['task-a']);
      expect(await collect(store.finishedIds(shard))).toEqual(['task-b']);
    });

    it('a finished task is there until its retention ends, and gone after it', async () => {
      const { store, elapse } = await open();
      await store.writer(shard, epoch(1)).write([finished('brief', 1_000), finished('kept')]);
      const both = await store.findFinished(shard, [task('brief'), task('kept')]);
      expect(both.size).toBe(2);
      expect(await collect(store.finishedIds(shard))).toHaveLength(2);
      await until(async () => (await store.findFinished(shard, [task('brief')])).size === 0, { elapse });
      expect(await collect(store.finishedIds(shard))).toEqual(['task-kept']);
    });

    it('a retention of a part of a second is rounded up, never down', async () => {
      const { store, elapse } = await open();
      const startedAt = Date.now();
      await store.writer(shard, epoch(1)).write([finished('a', 1_001)]);
      await elapse(950);
      expect((await store.findFinished(shard, [task('a')])).size, `after ${Date.now() - startedAt} ms`).toBe(1);
    });

    it('shards do not see each other, also not 1 and 11', async () => {
      const { store } = await open();
      const one = store.writer(1 as ShardId, epoch(1));
      const eleven = store.writer(11 as ShardId, epoch(1));
      await one.write([live('a'), finished('x')]);
      await eleven.write([live('b'), finished('y')]);
      await one.checkpoint(sequence(1));
      await eleven.checkpoint(sequence(2));
      expect((await store.checkpoint(1 as ShardId))?.sequence).toBe(1);
      expect((await store.checkpoint(11 as ShardId))?.sequence).toBe(2);
      expect([...(await loadLive(store, 1 as ShardId)).live.keys()]).toEqual(['task-a']);
      expect([...(await loadLive(store, 11 as ShardId)).live.keys()]).toEqual(['task-b']);
      expect(await collect(store.finishedIds(1 as ShardId))).toEqual(['task-x']);
      expect((await store.findFinished(1 as ShardId, [task('y')])).size).toBe(0);
    });

    it('R-OWN: OWNERSHIP_LOST when a zombie writes its checkpoint, and the newer one stays', async () => {
      const { store, other } = await open();
      const zombie = store.writer(shard, epoch(4));
      await zombie.checkpoint(sequence(10));
      const owner = other.writer(shard, epoch(5));
      await owner.checkpoint(sequence(12));
      await expectEngineError(zombie.checkpoint(sequence(99)), 'OWNERSHIP_LOST');
      await expectEngineError(store.writer(shard, epoch(3)).checkpoint(sequence(100)), 'OWNERSHIP_LOST');
      expect((await loadLive(store, shard)).checkpoint).toEqual({ shard, epoch: 5, sequence: 12 });
    });

    it('a checkpoint never goes backwards within its epoch', async () => {
      const { store, other } = await open();
      await store.writer(shard, epoch(4)).checkpoint(sequence(10));
      await other.writer(shard, epoch(4)).checkpoint(sequence(7));
      expect((await loadLive(store, shard)).checkpoint?.sequence).toBe(10);
      expect(await other.checkpoint(shard)).toEqual({ shard, epoch: 4, sequence: 10 });
    });

    it('what a zombie writes late is loaded by nobody', async () => {
      const { store, other } = await open();
      const zombie = store.writer(shard, epoch(1));
      await zombie.write([live('a', 'old a'), live('b', 'old b')]);
      await zombie.checkpoint(sequence(5));
      const owner = other.writer(shard, epoch(2));
      await owner.write([live('a', 'new a'), finished('b')]);
      await owner.checkpoint(sequence(8));
      await zombie.write([live('b', 'from the dead'), live('a', 'from the dead')]);
      const loaded = await loadLive(other, shard);
      expect([...loaded.live].map(([taskId, value]) => [taskId, textOf(value)])).toEqual([['task-a', 'new a']]);
      await owner.dropEarlierEpochs();
      expect((await loadLive(other, shard)).live.size).toBe(1);
    });

    it('earlier epochs are dropped, one’s own stays, and dropping again does nothing', async () => {
      const { store } = await open();
      for (const value of [1, 2, 10]) {
        await store.writer(shard, epoch(value)).write([live('a', `epoch ${value}`), live(`only-${value}`)]);
      }
      const writer = store.writer(shard, epoch(10));
      await writer.checkpoint(sequence(5));
      await writer.dropEarlierEpochs();
      await writer.dropEarlierEpochs();
      const loaded = await loadLive(store, shard);
      expect([...loaded.live.keys()].toSorted()).toEqual(['task-a', 'task-only-10']);
    });

    it('a second writer of one epoch takes up where the first has left', async () => {
      const { store, other } = await open();
      await store.writer(shard, epoch(1)).write([live('a', 'first'), live('b')]);
      const second = other.writer(shard, epoch(1));
      await second.write([live('a', 'second')]);
      await second.checkpoint(sequence(2));
      const loaded = await loadLive(store, shard);
      expect(textOf(loaded.live.get(task('a')))).toBe('second');
      expect(loaded.live.size).toBe(2);
    });

    it('find after write is never stale, from another node', async () => {
      const { store, other } = await open();
      const writer = store.writer(shard, epoch(1));
      let missedCount = 0;
      for (let index = 0; index < 300; index += 1) {
        await writer.write([finished(index)]);
        if (!(await other.findFinished(shard, [task(index)])).has(task(index))) missedCount += 1;
      }
      expect(missedCount).toBe(0);
    });

    it('a list of finished ids has what was written before it, from another node', async () => {
      const { store, other } = await open();
      const writer = store.writer(shard, epoch(1));
      for (let index = 0; index < 25; index += 1) {
        await writer.write([finished(index)]);
        expect(await collect(other.finishedIds(shard))).toHaveLength(index + 1);
      }
    });

    it('a list of finished ids may be left early', async () => {
      const { store } = await open();
      await store.writer(shard, epoch(1)).write(Array.from({ length: 50 }, (_, index) => finished(index)));
      const seen: TaskId[] = [];
      for await (const taskId of store.finishedIds(shard)) {
        seen.push(taskId);
        if (seen.length === 3) break;
      }
      expect(seen).toHaveLength(3);
      expect(await collect(store.finishedIds(shard))).toHaveLength(50);
    });

    it('a load that runs while everything is written anew misses no task', async () => {
      const { store, other } = await open();
      const writer = store.writer(shard, epoch(1));
      await writer.write(manyLive(0));
      await writer.checkpoint(sequence(1));
      const loads = new AbortController();
      const writing = (async () => {
        for (let round = 1; !loads.signal.aborted; round += 1) {
          await writer.write(manyLive(round));
          await writer.checkpoint(sequence(1 + round));
        }
      })();
      try {
        for (let index = 0; index < 15; index += 1) expect((await loadLive(other, shard)).live.size).toBe(300);
      } finally {
        loads.abort();
        await writing;
      }
    });

    it('PAYLOAD_TOO_LARGE for a snapshot over the limit, before anything of the batch is written', async () => {
      const { store } = await open();
      const writer = store.writer(shard, epoch(1));
      const tooLarge: SnapshotWrite = {
        kind: 'live',
        taskId: task('big'),
        bytes: new Uint8Array(store.maximumSnapshotBytes + 1),
      };
      await expectEngineError(writer.write([live('a'), tooLarge]), 'PAYLOAD_TOO_LARGE');
      await writer.checkpoint(sequence(1));
      expect((await loadLive(store, shard)).live.size).toBe(0);
    });

    it('the largest snapshot is stored and loaded', async () => {
      const { store } = await open();
      const largest = new Uint8Array(store.maximumSnapshotBytes).fill(7);
      const writer = store.writer(shard, epoch(1));
      const longId = `t${'x'.repeat(127)}` as TaskId;
      await writer.write([
        { kind: 'live', taskId: task('big'), bytes: largest },
        { kind: 'finished', taskId: longId, bytes: largest, retentionMs: 400 * 24 * 3_600_000 },
      ]);
      await writer.checkpoint(sequence(1));
      expect((await loadLive(store, shard)).live.get(task('big'))?.length).toBe(largest.length);
      expect((await store.findFinished(shard, [longId])).get(longId)?.length).toBe(largest.length);
    });

    it.each(['a > b', 'a.b', '*', '>', '', 'a\nb', '$KV'])(
      'INVALID_TASK_ID for %j, which would reach other keys',
      async (id) => {
        const { store } = await open();
        const writer = store.writer(shard, epoch(1));
        const taskId = id as TaskId;
        await expectEngineError(writer.write([{ kind: 'live', taskId, bytes: bytes('x') }]), 'INVALID_TASK_ID');
        await expectEngineError(
          writer.write([{ kind: 'finished', taskId, bytes: bytes('x'), retentionMs }]),
          'INVALID_TASK_ID',
        );
        await expectEngineError(store.findFinished(shard, [taskId]), 'INVALID_TASK_ID');
      },
    );
  });
}
