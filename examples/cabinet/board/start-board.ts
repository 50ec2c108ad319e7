import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { BoardStats } from './board-server.ts';
import type { FaultRates } from './faults.ts';

/** Options of {@link startBoard}. */
export interface StartBoardOptions {
  readonly dataDir: string;
  /** A free one when left out. */
  readonly port?: number;
  readonly faults?: Partial<FaultRates>;
  readonly seed?: number;
  readonly slowMs?: number;
}

/** A board that runs as its own process. */
export interface BoardProcess {
  readonly url: string;
  readonly pid: number;
  stats(): Promise<BoardStats>;
  /** Ends it cleanly; resolves with its exit code. */
  stop(): Promise<number | null>;
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>;
}

/** How long a board may take to listen. */
export const startTimeoutMs = 30_000;

/** Starts `board/main.ts` as a child process and waits until it listens. @throws Error with what it said when it does not */
export async function startBoard(options: StartBoardOptions): Promise<BoardProcess> {
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), mainPath(), ...flagsOf(options)], {
    // A pipe to its input that is never written: it closes with this process, however this process ends, and the board ends then.
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const { url, pid } = await listening(child);
  return {
    url,
    pid,
    async stats() {
      const response = await fetch(new URL('/stats', url));
      return (await response.json()) as BoardStats;
    },
    async stop() {
      child.kill('SIGTERM');
      return (await exited)[0];
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

function mainPath(): string {
  return fileURLToPath(new URL('./main.ts', import.meta.url));
}

function flagsOf({ dataDir, port, faults = {}, seed, slowMs }: StartBoardOptions): readonly string[] {
  const flags: readonly (readonly [string, string | number | undefined])[] = [
    ['--data-dir', dataDir],
    ['--port', port],
    ['--fault-503', faults.unavailable],
    ['--fault-429', faults.rateLimited],
    ['--fault-slow', faults.slow],
    ['--fault-lost-answer', faults.lostAnswer],
    ['--slow-ms', slowMs],
    ['--seed', seed],
  ];
  return ['--end-with-parent', ...flags.flatMap(([name, value]) => (value === undefined ? [] : [name, String(value)]))];
}

async function listening(child: ChildProcess): Promise<{ readonly url: string; readonly pid: number }> {
  const complaints: string[] = [];
  child.stderr?.setEncoding('utf8').on('data', (text: string) => complaints.push(text));
  const timer = setTimeout(() => child.kill('SIGKILL'), startTimeoutMs);
  try {
    if (child.stdout === null) throw new Error('the board has no output');
    for await (const line of createInterface({ input: child.stdout })) {
      const message = JSON.parse(line) as { type?: unknown; url?: unknown };
      if (message.type === 'listening' && typeof message.url === 'string')
        return { url: message.url, pid: child.pid ?? 0 };
    }
    throw new Error(`the board did not start: ${complaints.join('').slice(0, 2_000)}`);
  } finally {
    clearTimeout(timer);
  }
}
