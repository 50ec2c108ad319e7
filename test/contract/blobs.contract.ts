import { describe, expect, it } from 'vitest';

import type { BlobStore } from '../../src/ports/blobs.ts';
import { expectEngineError } from '../support/nats-store-kit.ts';

/** What the suite needs of an adapter. */
export interface BlobHarness {
  /** A store without contents. */
  readonly store: BlobStore;
  /** Another handle of the same store, as another node has it. */
  readonly other: BlobStore;
}

function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + seed + (index >> 8)) % 256);
}

/** What every blob store promises. */
export function blobsContract(name: string, open: () => Promise<BlobHarness>): void {
  describe(`${name}: blobs`, () => {
    it.each([0, 1, 128 * 1024, 128 * 1024 + 1, 3_000_000])('%i bytes come back as they were', async (length) => {
      const { store, other } = await open();
      const bytes = pattern(length);
      const reference = await store.put('task-a', 'input', bytes);
      expect(reference.sizeBytes).toBe(length);
      expect(reference.key).toBe(`task-a/input/${reference.sha256}`);
      expect(Buffer.compare(await other.get(reference), bytes)).toBe(0);
    });

    it('a repeat gives the same reference, also at one time from two nodes', async () => {
      const { store, other } = await open();
      const bytes = pattern(300_000);
      const references = await Promise.all([
        store.put('task-a', 'input', bytes),
        other.put('task-a', 'input', bytes),
        store.put('task-a', 'input', bytes),
      ]);
      references.push(await store.put('task-a', 'input', bytes));
      expect(new Set(references.map((reference) => JSON.stringify(reference))).size).toBe(1);
      for (const reference of references) expect(Buffer.compare(await other.get(reference), bytes)).toBe(0);
    });

    it('other bytes, another name or another task is another blob', async () => {
      const { store } = await open();
      const references = [
        await store.put('task-a', 'output.photos', pattern(1_000, 1)),
        await store.put('task-a', 'output.photos', pattern(1_000, 2)),
        await store.put('task-a', 'a/b > c ä', pattern(1_000, 1)),
        await store.put('task-b', 'output.photos', pattern(1_000, 1)),
      ];
      expect(new Set(references.map(({ key }) => key)).size).toBe(4);
      for (const reference of references) expect((await store.get(reference)).length).toBe(1_000);
      expect((await store.get(references[1] ?? never()))[0]).toBe(2);
    });

    it('RECORD_CORRUPT for a blob that was never stored', async () => {
      const { store } = await open();
      const reference = await store.put('task-a', 'input', pattern(10));
      const sha256 = '0'.repeat(64);
      await expectEngineError(store.get({ ...reference, key: `task-a/input/${sha256}`, sha256 }), 'RECORD_CORRUPT');
    });

    it('RECORD_CORRUPT when size or hash are not those of the reference', async () => {
      const { store } = await open();
      const reference = await store.put('task-a', 'input', pattern(1_000));
      const size = await expectEngineError(store.get({ ...reference, sizeBytes: 999 }), 'RECORD_CORRUPT');
      expect(size.got).toBe('1000');
      const hash = await expectEngineError(store.get({ ...reference, sha256: 'f'.repeat(64) }), 'RECORD_CORRUPT');
      expect(hash.message).toContain('other contents');
    });

    it('all blobs of a task are deleted, no other task’s, and a repeat does nothing', async () => {
      const { store, other } = await open();
      const mine = [
        await store.put('task-a', 'input', pattern(200_000)),
        await store.put('task-a', 'output.photos', pattern(10)),
        await store.put('task-a', 'empty', new Uint8Array(0)),
      ];
      const neighbours = [
        await store.put('task-ab', 'input', pattern(10)),
        await store.put('task', 'input', pattern(10)),
        await store.put('A', 'task-a', pattern(10)),
      ];
      await store.deleteTask('task-a');
      await other.deleteTask('task-a');
      await store.deleteTask('never-seen');
      for (const reference of mine) await expectEngineError(other.get(reference), 'RECORD_CORRUPT');
      for (const reference of neighbours) expect((await other.get(reference)).length).toBe(10);
      const again = await store.put('task-a', 'input', pattern(200_000));
      expect((await store.get(again)).length).toBe(200_000);
    });

    it('a census tells which of the wanted tasks have objects, and since when', async () => {
      const { store, other } = await open();
      expect((await store.census(() => true)).newestAt.size).toBe(0);
      await store.put('task-a', 'input', pattern(300_000));
      await store.put('task-a', 'output.photos', pattern(10));
      await store.put('task-b', 'empty', new Uint8Array(0));
      const { newestAt } = await other.census((taskId) => taskId !== 'task-b');
      expect([...newestAt.keys()]).toEqual(['task-a']);
      expect((await other.census(() => true)).newestAt.size).toBe(2);
    });

    it('a deletion up to a mark leaves what was stored since, however late it comes', async () => {
      const { store, other } = await open();
      const old = await store.put('task-a', 'input', pattern(300_000, 1));
      const { mark } = await store.census(() => true);
      const fresh = await store.put('task-a', 'output.photos', pattern(300_000, 2));
      await other.deleteTask('task-a', mark);
      await other.deleteTask('task-a', mark);
      await expectEngineError(store.get(old), 'RECORD_CORRUPT');
      expect((await store.get(fresh)).length).toBe(300_000);
      await other.deleteTask('task-a', (await store.census(() => true)).mark);
      await expectEngineError(store.get(fresh), 'RECORD_CORRUPT');
    });

    it.each(['a > b', 'a.b', '*', '>', ''])('INVALID_TASK_ID for %j, which would reach other tasks', async (id) => {
      const { store } = await open();
      await expectEngineError(store.put(id, 'input', pattern(1)), 'INVALID_TASK_ID');
      await expectEngineError(store.deleteTask(id), 'INVALID_TASK_ID');
    });

    it.each(['', 'x'.repeat(201)])('INVALID_ARGUMENT for the name %j', async (blobName) => {
      const { store } = await open();
      await expectEngineError(store.put('task-a', blobName, pattern(1)), 'INVALID_ARGUMENT');
    });
  });
}

function never(): never {
  throw new Error('unreachable');
}
