#!/usr/bin/env node
import type { CliContext } from './cli/context.ts';
import { toCliError, errorLine } from './cli/cli-error.ts';
import { exitCodes, type ExitCode } from './cli/exit-codes.ts';
import { ProcessEvents } from './cli/process-events.ts';
import { runCli } from './cli/program.ts';
import { Terminal } from './cli/terminal.ts';
import { processEnvironment } from './platform/environment.ts';
import { SystemClock } from './platform/system-clock.ts';

// The process's side of the command line: its streams, its signals, its end.

const interruption = new AbortController();
const environment = processEnvironment();
const exitNow = (exitCode: ExitCode): void => process.exit(exitCode);

const events = new ProcessEvents({
  onSignal: () => {
    if (interruption.signal.aborted) exitNow(exitCodes.interrupted);
    interruption.abort();
  },
  onCrash: (thrown) => {
    process.stderr.write(`${errorLine(toCliError(thrown))}\n`);
    exitNow(exitCodes.failed);
  },
  // Whoever read the output has what it wanted, as `head` does.
  onOutputClosed: () => exitNow(exitCodes.ok),
});

process.on('SIGINT', () => events.signal('SIGINT'));
process.on('SIGTERM', () => events.signal('SIGTERM'));
process.on('SIGUSR2', () => events.roll());
process.on('uncaughtException', (error) => events.crash(error));
process.on('unhandledRejection', (reason) => events.crash(reason));
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') events.outputClosed();
  else events.crash(error);
});
// Nobody is left to tell.
process.stderr.on('error', () => undefined);

const context: CliContext = {
  terminal: new Terminal({ stdout: process.stdout, stderr: process.stderr, environment }),
  stdin: process.stdin,
  environment,
  workingFolder: process.cwd(),
  clock: new SystemClock(),
  events,
  interrupted: interruption.signal,
  exitCode: exitCodes.ok,
  exitNow,
};

const exitCode = await runCli(process.argv.slice(2), context);
// On some systems a pipe is written later than `write` returns: what was printed goes out before the end.
await new Promise<void>((resolve) => void process.stdout.write('', () => resolve()));
exitNow(exitCode);
