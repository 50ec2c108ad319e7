/** Fields of a log line; `err` holds an error. Payloads and secrets do not belong here. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Structured log lines. A message is a constant sentence; what varies is in the fields. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A logger that adds these fields to each line. */
  child(fields: LogFields): Logger;
}
