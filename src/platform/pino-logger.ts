import { isatty } from 'node:tty';

import { destination, pino, stdSerializers, type DestinationStream, type Logger as Pino } from 'pino';
import { prettyFactory } from 'pino-pretty';

import type { LogFields, Logger } from '../ports/logger.ts';
import type { LogLevel } from './environment.ts';
import { currentTraceFields } from './open-telemetry.ts';
import { redactSecrets } from './redaction.ts';

const fileDescriptors = { stdout: 1, stderr: 2 } as const;
const ranks: Readonly<Record<LogLevel, number>> = { debug: 20, info: 30, warn: 40, error: 50 };

/** Options of {@link PinoLogger}. */
export interface PinoLoggerOptions {
  /** Least level that is written; `info` when left out. */
  readonly level?: LogLevel;
  /** `stdout` when left out. A command whose output is data logs to `stderr`. */
  readonly destination?: 'stdout' | 'stderr' | DestinationStream;
  /** One JSON object a line, lines for people, or `auto`: for people when the destination is a terminal. `auto` when left out. */
  readonly format?: 'json' | 'pretty' | 'auto';
  /** Whether lines for people have colors; whether the destination is a terminal when left out. */
  readonly color?: boolean | undefined;
  /** Fields of every line, beside process id and host name. */
  readonly fields?: LogFields;
}

/**
 * Log lines by pino. Secrets are replaced at any depth (`redactSecrets`), also inside errors, and a line is one JSON object,
 * so that a newline in a value cannot forge another line. Lines are written at once: what was logged before a crash is there.
 */
export class PinoLogger implements Logger {
  readonly #pino: Pino;
  /** Shared with all children. */
  readonly #threshold: { level: LogLevel };

  constructor(options: PinoLoggerOptions | { readonly pino: Pino; readonly threshold: { level: LogLevel } } = {}) {
    if ('pino' in options) {
      this.#pino = options.pino;
      this.#threshold = options.threshold;
      return;
    }
    this.#threshold = { level: options.level ?? 'info' };
    this.#pino = pino(
      {
        level: 'debug',
        // A fresh object each time: pino writes the line's own fields into it.
        mixin: () => ({ ...currentTraceFields() }),
        formatters: { log: (fields) => redactSecrets(fields) as Record<string, unknown> },
        serializers: { err: serializeError },
      },
      openDestination(options),
    ).child(redactSecrets(options.fields ?? {}) as Record<string, unknown>);
  }

  debug(fields: LogFields, message: string): void {
    if (this.#writes('debug')) this.#pino.debug(fields, message);
  }

  info(fields: LogFields, message: string): void {
    if (this.#writes('info')) this.#pino.info(fields, message);
  }

  warn(fields: LogFields, message: string): void {
    if (this.#writes('warn')) this.#pino.warn(fields, message);
  }

  error(fields: LogFields, message: string): void {
    if (this.#writes('error')) this.#pino.error(fields, message);
  }

  child(fields: LogFields): Logger {
    return new PinoLogger({
      pino: this.#pino.child(redactSecrets(fields) as Record<string, unknown>),
      threshold: this.#threshold,
    });
  }

  /** Changes the least level of this logger, its children and its parents, from the next line on. */
  setLevel(level: LogLevel): void {
    this.#threshold.level = level;
  }

  #writes(level: LogLevel): boolean {
    return ranks[level] >= ranks[this.#threshold.level];
  }
}

function openDestination(options: PinoLoggerOptions): DestinationStream {
  const target = options.destination ?? 'stdout';
  const format = options.format ?? 'auto';
  if (typeof target !== 'string') return format === 'pretty' ? makePretty(target, false) : target;
  const descriptor = fileDescriptors[target];
  const isTerminal = isatty(descriptor);
  const stream = destination({ dest: descriptor, sync: true });
  return format === 'pretty' || (format === 'auto' && isTerminal)
    ? makePretty(stream, options.color ?? isTerminal)
    : stream;
}

// A formatter in front of the destination, not pino-pretty's own stream: that one writes later, and loses the last lines.
function makePretty(target: DestinationStream, colorize: boolean): DestinationStream {
  const format = prettyFactory({ colorize, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l' });
  return { write: (line) => target.write(format(line) ?? line) };
}

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return redactSecrets(error);
  const { raw: _raw, ...fields } = stdSerializers.err(error);
  return redactSecrets(fields);
}
