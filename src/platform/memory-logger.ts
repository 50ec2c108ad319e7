import type { LogFields, Logger } from '../ports/logger.ts';

/** One captured log line. */
export interface LoggedLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  /** The line's own fields over those of its logger and of that logger's parents. */
  readonly fields: LogFields;
}

/** Keeps log lines in memory, for tests. Children write to the same list. */
export class MemoryLogger implements Logger {
  readonly #lines: LoggedLine[];
  readonly #fields: LogFields;

  constructor(shared: { readonly lines: LoggedLine[]; readonly fields: LogFields } = { lines: [], fields: {} }) {
    this.#lines = shared.lines;
    this.#fields = shared.fields;
  }

  /** The lines so far, in order. */
  get lines(): readonly LoggedLine[] {
    return this.#lines;
  }

  debug(fields: LogFields, message: string): void {
    this.#write('debug', fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#write('info', fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#write('warn', fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#write('error', fields, message);
  }

  child(fields: LogFields): Logger {
    return new MemoryLogger({ lines: this.#lines, fields: { ...this.#fields, ...fields } });
  }

  /** The messages of one level, or of all. */
  messages(level?: LoggedLine['level']): readonly string[] {
    return this.#lines.filter((line) => level === undefined || line.level === level).map((line) => line.message);
  }

  #write(level: LoggedLine['level'], fields: LogFields, message: string): void {
    this.#lines.push({ level, message, fields: { ...this.#fields, ...fields } });
  }
}
