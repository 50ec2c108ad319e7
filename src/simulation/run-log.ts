import type { LogFields, Logger } from '../ports/logger.ts';

/** A line of a simulated process. */
export interface RunLine {
  readonly atMs: number;
  readonly process: string;
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

/** Lines that are kept when nothing else is said: the last ones before a failure. */
const defaultMaximumLines = 400;

/** What the processes of a simulation log: the last lines, and how often each message came. */
export class RunLog {
  readonly lines: RunLine[] = [];
  readonly counts = new Map<string, number>();
  readonly #nowMs: () => number;
  readonly #maximumLines: number;

  constructor(nowMs: () => number, maximumLines: number = defaultMaximumLines) {
    this.#nowMs = nowMs;
    this.#maximumLines = maximumLines;
  }

  /** A logger of one process. */
  loggerOf(process: string): Logger {
    const write = (level: RunLine['level'], fields: LogFields, message: string): void => {
      this.counts.set(message, (this.counts.get(message) ?? 0) + 1);
      this.lines.push({ atMs: this.#nowMs(), process, level, message, fields });
      if (this.lines.length > 2 * this.#maximumLines) this.lines.splice(0, this.lines.length - this.#maximumLines);
    };
    const logger: Logger = {
      debug: () => {},
      info: (fields, message) => write('info', fields, message),
      warn: (fields, message) => write('warn', fields, message),
      error: (fields, message) => write('error', fields, message),
      child: () => logger,
    };
    return logger;
  }
}
