import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { identifyProcess, isRunning } from './process-identity.ts';

// A dot in its name: none of the documents beside it has one.
const fileName = 'console.state.json';
const format = 1;

/**
 * Writes down where the console of a folder is, for commands on this machine.
 *
 * @returns forgets it
 */
export async function recordConsole(folder: string, url: string): Promise<() => Promise<void>> {
  const file = join(folder, fileName);
  const identity = identifyProcess(process.pid);
  const place = { format, url, host: hostname(), pid: process.pid, startMark: identity?.startMark ?? '' };
  await writeFile(`${file}.new`, `${JSON.stringify(place)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
  return () => rm(file, { force: true });
}

/** Where the console is that serves from the folder now; undefined when none does on this machine. */
export async function findConsole(folder: string): Promise<string | undefined> {
  try {
    const place = JSON.parse(await readFile(join(folder, fileName), 'utf8')) as Readonly<Record<string, unknown>>;
    const { format: found, url, host, pid, startMark } = place;
    const isUsable =
      found === format && typeof url === 'string' && typeof pid === 'number' && typeof startMark === 'string';
    // Killed, it has left its word behind, and another process may have its port by now.
    return isUsable && host === hostname() && isRunning({ pid, startMark }) ? url : undefined;
  } catch {
    return undefined;
  }
}
