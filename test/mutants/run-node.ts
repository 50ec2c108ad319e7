import { spawn } from 'node:child_process';

/** What a process said and came to. */
export interface NodeRun {
  readonly output: string;
  readonly code: number | null;
  /** It took too long and was killed. */
  readonly hasHung: boolean;
}

/** Runs Node in a folder, with all that it starts in one group, so that nothing of it outlives its time. */
export async function runNode(folder: string, args: readonly string[], longestMs: number): Promise<NodeRun> {
  const child = spawn(process.execPath, args, { cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()));
  const kill = (): void => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
  };
  process.once('exit', kill);
  let hasHung = false;
  const timer = setTimeout(() => {
    hasHung = true;
    kill();
  }, longestMs);
  const code = await new Promise<number | null>((ended) => child.once('close', ended));
  clearTimeout(timer);
  process.removeListener('exit', kill);
  return { output, code, hasHung };
}
