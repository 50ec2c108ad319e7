import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TaskId } from '../../src/core/ids.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { MemoryTaskIndex } from '../../src/store/memory-task-index.ts';
import { SqliteTaskIndex } from '../../src/store/sqlite-task-index.ts';
import { expectEngineError, silentLogger } from '../support/nats-store-kit.ts';
import { anIndexedTask, put, taskIndexContract } from './task-index.contract.ts';

/** Threads of a test process do not run TypeScript by themselves. */
const execArgv = ['--import', new URL('../fixtures/drivers/register-tsx.mjs', import.meta.url).href];

let folder = '';
let files = 0;
const opened: SqliteTaskIndex[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cabinet-index-'));
});

afterEach(async () => {
  for (const index of opened.splice(0)) await index.close();
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function open(file?: string, logger = silentLogger): Promise<SqliteTaskIndex> {
  const index = await SqliteTaskIndex.open({ file, logger, execArgv });
  opened.push(index);
  return index;
}

function newFile(): string {
  files += 1;
  return join(folder, `tasks-${files}.db`);
}

taskIndexContract('memory', () => Promise.resolve(new MemoryTaskIndex()), { runs: 200 });
taskIndexContract('SQLite in memory', () => open(), { runs: 4 });
taskIndexContract('SQLite in a file', () => open(newFile()), { runs: 12 });

describe('the file of a task index', () => {
  it('keeps tasks, counts and position over a restart, in good order or not', async () => {
    const file = newFile();
    const first = await open(file);
    await put(first, [anIndexedTask({ id: 'a' }), anIndexedTask({ id: 'b', status: 'queued' })]);
    await first.close();
    const second = await open(file);
    expect(second.position).toBe('1-1-1');
    expect(second.rowCount).toBe(2);
    expect(await second.countBy('status', {}, 9)).toEqual([
      { key: 'queued', count: 1 },
      { key: 'running', count: 1 },
    ]);
    expect(await second.get('a' as TaskId)).toEqual(anIndexedTask({ id: 'a' }));
  });

  it('UNAVAILABLE: a second process, or index, cannot have the same file', async () => {
    const file = newFile();
    const index = await open(file);
    await put(index, [anIndexedTask()]);
    const error = await expectEngineError(open(file), 'UNAVAILABLE');
    expect(error.message).toContain('in use');
    expect(await index.count({})).toBe(1);
  });

  it.each([
    [
      'of another schema version',
      async (file: string) => {
        const index = await open(file);
        await put(index, [anIndexedTask()]);
        await index.close();
        const database = new Database(file);
        database.exec('PRAGMA user_version = 99');
        database.close();
      },
      'version 99',
    ],
    ['that is no database', (file: string) => writeFile(file, 'not a database at all'.repeat(500)), 'not a database'],
    [
      'with broken pages that was not closed in good order',
      async (file: string) => {
        const index = await open(file);
        const many = Array.from({ length: 2_000 }, (_, number) => anIndexedTask({ id: `t-${number}` }));
        await put(index, many);
        await index.close();
        const database = new Database(file);
        database.exec("UPDATE meta SET value = 'yes' WHERE name = 'isOpen'");
        database.close();
        const { open: openFile } = await import('node:fs/promises');
        const handle = await openFile(file, 'r+');
        await handle.write(Buffer.alloc(16_384, 0xab), 0, 16_384, 40_960);
        await handle.close();
      },
      'broken',
    ],
  ])('one %s is dropped, loudly, and begins anew', async (_what, spoil, reason) => {
    const file = newFile();
    await spoil(file);
    const logger = new MemoryLogger();
    const index = await open(file, logger);
    expect(index.position).toBeNull();
    expect(index.rowCount).toBe(0);
    const [line] = logger.lines.filter(({ level }) => level === 'error');
    expect(line?.message).toContain('dropped');
    expect(String(line?.fields['reason'])).toContain(reason);
    await put(index, [anIndexedTask()]);
    expect(await index.count({})).toBe(1);
  });
});
