import { readFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { findMissingPlatforms, type Lockfile } from '../../scripts/lockfile.ts';

async function readLockfile(): Promise<Lockfile> {
  return JSON.parse(await readFile(new URL('../../package-lock.json', import.meta.url), 'utf8')) as Lockfile;
}

describe('package-lock.json', () => {
  it('has the packages of all platforms, without which npm ci refuses it (tsx scripts/complete-lockfile.ts)', async () => {
    expect(findMissingPlatforms(await readLockfile())).toEqual({});
  });

  it('names no registry, so that each machine uses its own', async () => {
    const entries = Object.entries((await readLockfile()).packages);
    expect(entries.filter(([, entry]) => entry.resolved !== undefined).map(([path]) => path)).toEqual([]);
  });
});

describe('missing platform packages', () => {
  it('are told from what the lockfile’s packages ask for, with the platform that their name tells', () => {
    const optionalDependencies = { '@x/linux-arm64-musl': '1.2.3', '@x/win32-x64-msvc': '^1.2.3', '@x/here': '1.0.0' };
    const packages = { 'node_modules/x': { dev: true, optionalDependencies }, 'node_modules/@x/here': {} };
    expect(findMissingPlatforms({ packages })).toEqual({
      'node_modules/@x/linux-arm64-musl': {
        version: '1.2.3',
        dev: true,
        optional: true,
        os: ['linux'],
        cpu: ['arm64'],
        libc: ['musl'],
      },
      'node_modules/@x/win32-x64-msvc': { version: '1.2.3', dev: true, optional: true, os: ['win32'], cpu: ['x64'] },
    });
  });

  it('of a name without a platform are refused, not guessed', () => {
    const packages = { 'node_modules/x': { optionalDependencies: { fsevents: '2.3.3' } } };
    expect(() => findMissingPlatforms({ packages })).toThrow(/fsevents/);
  });
});
