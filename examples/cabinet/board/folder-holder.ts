import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { identifyProcess, isRunning, type ProcessIdentity } from '../../../src/platform/process-identity.ts';

/** How long a board waits for the one before it to be gone. */
const holderTimeoutMs = 10_000;
const pollIntervalMs = 50;

/**
 * Makes this process the folder's one board: waits until the process that held it before is gone, for what that one still
 * writes must be read first.
 *
 * @throws Error when the other board still runs after the timeout
 */
export async function holdFolder(dataDir: string): Promise<void> {
  await mkdir(dataDir, { recursive: true });
  const file = join(dataDir, 'board.pid.json');
  const deadlineMs = performance.now() + holderTimeoutMs;
  for (let holder = await readRunning(file); holder !== undefined; holder = await readRunning(file)) {
    if (performance.now() > deadlineMs) throw new Error(`the board's folder is in use by process ${holder.pid}`);
    await sleep(pollIntervalMs);
  }
  await writeFile(`${file}.new`, JSON.stringify(identifyProcess(process.pid)));
  await rename(`${file}.new`, file);
}

async function readRunning(file: string): Promise<ProcessIdentity | undefined> {
  try {
    const holder = JSON.parse(await readFile(file, 'utf8')) as ProcessIdentity;
    return isRunning(holder) ? holder : undefined;
  } catch {
    return undefined; // The first board here, or one that was cut off while it wrote: nobody to wait for.
  }
}
