import type { Readable } from 'node:stream';
import type { Environment } from '../platform/environment.ts';
import type { Clock } from '../ports/clock.ts';
import type { ExitCode } from './exit-codes.ts';
import type { ProcessEvents } from './process-events.ts';
import type { Terminal } from './terminal.ts';

/** What a command has of the process that it runs in. */
export interface CliContext {
  readonly terminal: Terminal;
  readonly stdin: Readable;
  readonly environment: Environment;
  readonly workingFolder: string;
  readonly clock: Clock;
  readonly events: ProcessEvents;
  /** Aborts when the person interrupts a command that does not deal with signals itself. */
  readonly interrupted: AbortSignal;
  /** What the process ends with when the command does not throw. */
  exitCode: ExitCode;
  /** Ends the process without waiting for anything. */
  readonly exitNow: (exitCode: ExitCode) => void;
}
