import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ended } from './bench-server.ts';
import { resultsFolder } from './result-file.ts';

/** How long a process may take to stop by itself. */
const stopTimeoutMs = 20_000;

/** Starts a process of the bench beside this file; `settings` is its one argument, as JSON. */
export function startChild(
  file: string,
  settings: object | readonly string[],
  { isProfiled = false, flags = [] }: { readonly isProfiled?: boolean; readonly flags?: readonly string[] } = {},
): ChildProcess {
  const profile = isProfiled
    ? ['--cpu-prof', `--cpu-prof-dir=${fileURLToPath(resultsFolder)}`, `--cpu-prof-name=${file}.cpuprofile`]
    : [];
  const args = Array.isArray(settings) ? (settings as readonly string[]) : [JSON.stringify(settings)];
  return fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    serialization: 'advanced',
    execArgv: [...flags, ...profile],
  });
}

/** The settings that {@link startChild} gave to this process. */
export function ownSettings(): unknown {
  return JSON.parse(process.argv[2] ?? '{}');
}

/** Asks a process to stop, and kills it when it does not. */
export async function stopChild(child: ChildProcess): Promise<void> {
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
  await ended(child, () => child.send('stop'));
  clearTimeout(timer);
}

/** Kills it without a word. Resolves when it is gone. */
export function killChild(child: ChildProcess): Promise<void> {
  return ended(child, () => child.kill('SIGKILL'));
}

/** The next thing that a process says. Rejects when it ends before. */
export function messageOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null, signal: string | null): void =>
      reject(new Error(`a bench process ended early: ${code ?? signal}`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message);
    });
  });
}

/** Says something to a process and waits for its answer. */
export function ask(child: ChildProcess, message: string): Promise<unknown> {
  const answer = messageOf(child);
  child.send(message);
  return answer;
}
