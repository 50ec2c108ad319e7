import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { takeFolderLock, type FolderLockOutcome } from '../../../src/platform/folder-lock.ts';
import { identifyProcess, isRunning } from '../../../src/platform/process-identity.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cabinet-lock-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function release(outcome: FolderLockOutcome): Promise<void> {
  if (outcome.kind === 'taken') await outcome.release();
}

describe('a folder lock', () => {
  it('is held by one until released, then taken by the next', async () => {
    const first = await takeFolderLock(folder);
    expect(first.kind).toBe('taken');
    expect(await takeFolderLock(folder)).toMatchObject({
      kind: 'held',
      holder: { pid: process.pid, host: hostname() },
    });
    await release(first);
    expect((await takeFolderLock(folder)).kind).toBe('taken');
  });

  it('goes to exactly one of many who find a dead holder', async () => {
    const dead = { pid: process.pid, startMark: 'an earlier process of this number', host: hostname() };
    await writeFile(join(folder, 'lock.7'), JSON.stringify(dead));
    const outcomes = await Promise.all(Array.from({ length: 12 }, () => takeFolderLock(folder)));
    expect(outcomes.filter((outcome) => outcome.kind === 'taken')).toHaveLength(1);
    expect(await readdir(folder)).toEqual(['lock.8']);
  });

  it('never uses a number again, so that a slow starter cannot take one that has passed', async () => {
    for (let round = 0; round < 3; round += 1) await release(await takeFolderLock(folder));
    expect(await readdir(folder)).toEqual(['lock.3']);
  });

  it('stays with a holder on another host, who cannot be asked whether it runs', async () => {
    const holder = { pid: 1, startMark: 'x', host: 'another-host' };
    await writeFile(join(folder, 'lock.1'), JSON.stringify(holder));
    expect(await takeFolderLock(folder)).toEqual({ kind: 'held', holder });
  });

  it('counts a file that is no record as held by nobody', async () => {
    await writeFile(join(folder, 'lock.1'), 'garbage');
    expect((await takeFolderLock(folder)).kind).toBe('taken');
  });
});

describe('a process identity', () => {
  it('tells a running process from one that has ended', async () => {
    const child = spawn('sleep', ['60']);
    const identity = identifyProcess(child.pid ?? 0);
    expect(identity).toBeDefined();
    if (identity === undefined) throw new Error('not identified');
    expect(isRunning(identity)).toBe(true);
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    expect(isRunning(identity)).toBe(false);
  });

  it('is not that of a later process with the same number', () => {
    expect(isRunning({ pid: process.pid, startMark: 'before' })).toBe(false);
    expect(identifyProcess(-1)).toBeUndefined();
  });
});
