import { Readable } from 'node:stream';
import type { CliContext } from '../../../src/cli/context.ts';
import { exitCodes, type ExitCode } from '../../../src/cli/exit-codes.ts';
import { ProcessEvents } from '../../../src/cli/process-events.ts';
import { runCli } from '../../../src/cli/program.ts';
import { Terminal } from '../../../src/cli/terminal.ts';
import { SystemClock } from '../../../src/platform/system-clock.ts';

/** What a command in this process came to. */
export interface InProcessRun {
  readonly code: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command that asks no engine, in this process. */
export async function runInProcess(
  args: readonly string[],
  options: {
    readonly folder?: string;
    readonly environment?: Readonly<Record<string, string>>;
    readonly stdin?: string;
  } = {},
): Promise<InProcessRun> {
  const { environment = {}, folder = '/nowhere' } = options;
  const written = { stdout: '', stderr: '' };
  const context: CliContext = {
    terminal: new Terminal({
      stdout: { write: (text) => (written.stdout += text) },
      stderr: { write: (text) => (written.stderr += text) },
      environment,
    }),
    stdin: Readable.from([options.stdin ?? '']),
    environment,
    workingFolder: folder,
    clock: new SystemClock(),
    events: new ProcessEvents({
      onSignal: () => undefined,
      onCrash: () => undefined,
      onOutputClosed: () => undefined,
    }),
    interrupted: new AbortController().signal,
    exitCode: exitCodes.ok,
    exitNow: () => undefined,
  };
  return { code: await runCli(args, context), ...written };
}
