import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { FileDocumentStore } from '../../src/platform/file-documents.ts';
import type { DocumentStore } from '../../src/ports/documents.ts';
import { MemoryDocumentStore } from '../../src/store/memory-documents.ts';

const folders: string[] = [];

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cabinet-documents-'));
  folders.push(folder);
  return folder;
}

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

const adapters: readonly (readonly [string, () => Promise<DocumentStore>])[] = [
  ['memory', async () => new MemoryDocumentStore()],
  ['files', async () => new FileDocumentStore(join(await newFolder(), 'admin'))],
];

describe.each(adapters)('documents in %s', (_, open) => {
  it('give back what was put last, and null for what was not', async () => {
    const store = await open();
    expect(await store.get('a')).toBeNull();
    await store.put('a', { n: [1, 'x', null] });
    await store.put('a', { n: 2 });
    expect(await store.get('a')).toEqual({ n: 2 });
  });

  it('give values that nobody else has', async () => {
    const store = await open();
    const document = { list: [1] };
    await store.put('a', document);
    document.list.push(2);
    expect(await store.get('a')).toEqual({ list: [1] });
  });

  it('are removed, also twice', async () => {
    const store = await open();
    await store.put('a', 1);
    await store.delete('a');
    await store.delete('a');
    expect(await store.get('a')).toBeNull();
  });

  it('list their keys by prefix, sorted', async () => {
    const store = await open();
    for (const key of ['b-2', 'a-1', 'b-1', 'b']) await store.put(key, key);
    expect(await store.keys('b-')).toEqual(['b-1', 'b-2']);
    expect(await store.keys('')).toEqual(['a-1', 'b', 'b-1', 'b-2']);
    expect(await store.keys('zz')).toEqual([]);
  });

  it.each(['', '../x', 'a/b', 'a.b', '.', 'a b', 'ä', 'x'.repeat(129)])(
    'INVALID_ARGUMENT: %j is no key',
    async (key) => {
      const store = await open();
      await expect(store.put(key, 1)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(store.get(key)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(store.delete(key)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    },
  );
});

describe('documents in files', () => {
  it('outlive the store, for the own user alone, without leftovers', async () => {
    const folder = join(await newFolder(), 'admin');
    const store = new FileDocumentStore(folder);
    await Promise.all(Array.from({ length: 20 }, (_, index) => store.put('a', index)));
    expect(typeof (await new FileDocumentStore(folder).get('a'))).toBe('number');
    expect(await readdir(folder)).toEqual(['a.json']);
    expect((await stat(join(folder, 'a.json'))).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });

  it('make a folder that is open to others their own', async () => {
    const folder = await newFolder();
    await chmod(folder, 0o755);
    await new FileDocumentStore(folder).put('a', 1);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });

  it('RECORD_CORRUPT: names a document that is not JSON', async () => {
    const folder = await newFolder();
    await writeFile(join(folder, 'a.json'), '{"half":');
    await expect(new FileDocumentStore(folder).get('a')).rejects.toMatchObject({ code: 'RECORD_CORRUPT' });
  });

  it('UNAVAILABLE: says where it cannot write', async () => {
    const folder = await newFolder();
    const file = join(folder, 'file');
    await writeFile(file, '');
    const store = new FileDocumentStore(join(file, 'below'));
    await expect(store.put('a', 1)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(store.keys('')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
