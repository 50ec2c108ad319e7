import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';

import type { Clock, TimerHandle } from '../ports/clock.ts';
import { LineSplitter } from './line-splitter.ts';

/** A child process to run once. */
export interface ChildRunRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string | undefined;
  /** The whole environment of the child. */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  readonly signal: AbortSignal;
  /** From SIGTERM to SIGKILL. */
  readonly killGraceMs: number;
  /** Longest line of the standard output in characters. */
  readonly maximumLineLength: number;
  readonly onOutputLine: (line: string) => void;
  readonly onErrorLine: (line: string, isCut: boolean) => void;
}

/** How a child ended. */
export type ChildEnd =
  | { readonly kind: 'exited'; readonly code: number }
  /** By a signal that we did not send. */
  | { readonly kind: 'killed'; readonly signal: string }
  /** It never ran. */
  | { readonly kind: 'notSpawned'; readonly error: NodeJS.ErrnoException }
  /** A line of its output was over the bound; it was ended for that. */
  | { readonly kind: 'tooMuch' };

/** Longest line of the error output that is kept, in characters. */
const maximumErrorLineLength = 2_000;
/** How long after the child's end its pipes may stay open: only a process that left the group can hold them. */
const drainMs = 1_000;

/**
 * Runs a child process in a process group of its own, and resolves when it and its group have ended; never rejects.
 *
 * ```
 * running ──abort, too much output──► SIGTERM to the group ──grace over──► SIGKILL to the group
 *    └──the child ends──► SIGKILL to what is left of the group ──pipes close──► resolved
 * ```
 */
export function runChild(request: ChildRunRequest, deps: { readonly clock: Clock }): Promise<ChildEnd> {
  return new Promise((resolve) => {
    const child = trySpawn(request);
    if (child instanceof Error) resolve({ kind: 'notSpawned', error: child });
    else new ChildRun(request, deps.clock, child, resolve).begin();
  });
}

function trySpawn({ command, args, cwd, env }: ChildRunRequest): ChildProcessWithoutNullStreams | Error {
  try {
    // A group of its own, so that what the child starts ends with it.
    return spawn(command, [...args], { cwd, env, detached: true, windowsHide: true, shell: false, stdio: 'pipe' });
  } catch (thrown) {
    return thrown as Error;
  }
}

class ChildRun {
  readonly #request: ChildRunRequest;
  readonly #clock: Clock;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #resolve: (end: ChildEnd) => void;
  readonly #output: LineSplitter;
  readonly #errors: LineSplitter;
  #timer: TimerHandle | null = null;
  #isEnding = false;
  #isTooMuch = false;
  #isResolved = false;
  #end: ChildEnd | null = null;

  constructor(
    request: ChildRunRequest,
    clock: Clock,
    child: ChildProcessWithoutNullStreams,
    resolve: (end: ChildEnd) => void,
  ) {
    this.#request = request;
    this.#clock = clock;
    this.#child = child;
    this.#resolve = resolve;
    this.#output = new LineSplitter(
      request.maximumLineLength,
      (line) => {
        if (!this.#isTooMuch) request.onOutputLine(line);
      },
      () => this.#overflow(),
    );
    this.#errors = new LineSplitter(maximumErrorLineLength, request.onErrorLine);
  }

  begin(): void {
    const { signal, stdin } = this.#request;
    const child = this.#child;
    child.stdout.on('data', (chunk: Buffer) => this.#output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => this.#errors.push(chunk));
    // A child may end, or close its input, without having read it all: that is its right, and its exit code tells the rest.
    child.stdin.on('error', () => undefined);
    child.once('error', (error) => this.#onError(error));
    child.once('exit', (code, ended) => this.#onExit(code, ended));
    child.once('close', () => this.#finish());
    child.stdin.end(stdin);
    if (signal.aborted) this.#terminate();
    else signal.addEventListener('abort', this.#terminate, { once: true });
  }

  readonly #terminate = (): void => {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#kill('SIGTERM');
    this.#timer = this.#clock.setTimer(this.#request.killGraceMs, () => this.#kill('SIGKILL'));
  };

  /** What comes after that is thrown away: without a bound of its own it could go on for ever. */
  #overflow(): void {
    this.#isTooMuch = true;
    this.#terminate();
  }

  #onError(error: NodeJS.ErrnoException): void {
    // Without a process number it was not spawned; any other error (a signal that cannot be sent) is followed by its end.
    if (this.#child.pid !== undefined) return;
    this.#end = { kind: 'notSpawned', error };
    this.#finish();
  }

  #onExit(code: number | null, ended: NodeJS.Signals | null): void {
    this.#end = code === null ? { kind: 'killed', signal: ended ?? 'unknown' } : { kind: 'exited', code };
    // The attempt ends with its process: what that has left behind must not run beside the next attempt.
    this.#kill('SIGKILL');
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(drainMs, () => {
      this.#child.stdout.destroy();
      this.#child.stderr.destroy();
      this.#finish();
    });
  }

  #finish(): void {
    if (this.#end === null || this.#isResolved) return;
    this.#isResolved = true;
    this.#timer?.cancel();
    // Also of pipes that somebody else still holds: the child has said all that it had to say.
    this.#output.end();
    this.#errors.end();
    this.#request.signal.removeEventListener('abort', this.#terminate);
    this.#resolve(this.#isTooMuch ? { kind: 'tooMuch' } : this.#end);
  }

  #kill(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // No such group: all of it has ended. Where there are no groups (Windows) the child alone is ended.
      this.#child.kill(signal);
    }
  }
}
