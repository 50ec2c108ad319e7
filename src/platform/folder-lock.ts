import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

import { EngineError, showValue } from '../core/errors.ts';
import { identifyProcess, isRunning, type ProcessIdentity } from './process-identity.ts';

/** Times that a lost race for the lock is run again. */
const maxRaces = 20;

/** Who holds a folder, as its lock file says. */
export interface LockHolder extends ProcessIdentity {
  readonly host: string;
}

/** What {@link takeFolderLock} came to. */
export type FolderLockOutcome =
  | { readonly kind: 'taken'; readonly release: () => Promise<void> }
  | { readonly kind: 'held'; readonly holder: LockHolder };

/**
 * Makes this process the only one that works in a folder, until it releases or ends in whatever way.
 *
 * The lock is a file `<name>.<generation>`, made by a hard link, which is atomic and never partly written. The holder is
 * who has the highest generation; a holder that no longer runs is overtaken by the next generation, and a generation is
 * never used again while a higher one exists. So two who find the same dead holder cannot both win. A release leaves its
 * file, as a holder of nothing: were it removed, a slow starter could take a number that was used before.
 *
 * A holder on another host (a shared volume) cannot be asked whether it runs, so it counts as running.
 */
export async function takeFolderLock(folder: string, name = 'lock'): Promise<FolderLockOutcome> {
  const self = identifyProcess(process.pid);
  const mine: LockHolder = { pid: process.pid, startMark: self?.startMark ?? '', host: hostname() };
  for (let race = 0; race < maxRaces; race += 1) {
    const latest = await latestGeneration(folder, name);
    if (latest > 0) {
      const holder = await readHolder(join(folder, `${name}.${latest}`));
      if (holder !== undefined && counts(holder)) return { kind: 'held', holder };
    }
    const generation = latest + 1;
    const file = join(folder, `${name}.${generation}`);
    if (!(await createWhole(folder, file, JSON.stringify(mine)))) continue;
    if ((await latestGeneration(folder, name)) > generation) {
      await rm(file, { force: true }); // A slow starter: others have taken and left this number meanwhile.
      continue;
    }
    await removeOlder(folder, name, generation);
    return { kind: 'taken', release: () => writeFile(file, '') };
  }
  throw new EngineError('UNAVAILABLE', `the lock of ${showValue(folder)} was lost to others ${maxRaces} times`, {
    hint: 'many processes start in one data folder: give each its own',
  });
}

function counts(holder: LockHolder): boolean {
  return holder.host !== hostname() || isRunning(holder);
}

async function createWhole(folder: string, file: string, text: string): Promise<boolean> {
  const draft = join(folder, `.draft-${randomUUID()}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(draft, text, { mode: 0o600 });
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function readHolder(file: string): Promise<LockHolder | undefined> {
  try {
    const value = JSON.parse(await readFile(file, 'utf8')) as Partial<Record<keyof LockHolder, unknown>>;
    const { pid, startMark, host } = value;
    return typeof pid === 'number' && typeof startMark === 'string' && typeof host === 'string'
      ? { pid, startMark, host }
      : undefined;
  } catch {
    return undefined; // Empty: released. Gone: overtaken.
  }
}

async function generations(folder: string, name: string): Promise<readonly number[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((entry) => entry.startsWith(`${name}.`) && /^\d+$/.test(entry.slice(name.length + 1)))
    .map((entry) => Number(entry.slice(name.length + 1)));
}

async function latestGeneration(folder: string, name: string): Promise<number> {
  return Math.max(0, ...(await generations(folder, name)));
}

async function removeOlder(folder: string, name: string, generation: number): Promise<void> {
  const older = (await generations(folder, name)).filter((other) => other < generation);
  await Promise.all(older.map((other) => rm(join(folder, `${name}.${other}`), { force: true })));
}
