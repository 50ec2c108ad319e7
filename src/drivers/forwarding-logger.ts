import { asError, showValue } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import type { LogFields, Logger } from '../ports/logger.ts';
import type { HostMessage, LogLevel } from './run-messages.ts';
import { toWireError } from './wire-error.ts';

/** Longest field of a forwarded log line, in characters of JSON. */
const maximumFieldLength = 4_000;
/** Longest message of a forwarded log line, in characters. */
const maximumMessageLength = 1_000;

/** What the children of one logger share. */
interface Forwarding {
  readonly send: (message: HostMessage & { type: 'log' }) => void;
  linesLeft: number;
  dropped: number;
}

/** Sends log lines to another thread, up to a number of lines; what is over it is counted. */
export class ForwardingLogger implements Logger {
  readonly #forwarding: Forwarding;
  readonly #fields: LogFields;

  private constructor(forwarding: Forwarding, fields: LogFields) {
    this.#forwarding = forwarding;
    this.#fields = fields;
  }

  static create(options: {
    readonly maximumLines: number;
    readonly send: (message: HostMessage & { type: 'log' }) => void;
  }): ForwardingLogger {
    return new ForwardingLogger({ send: options.send, linesLeft: options.maximumLines, dropped: 0 }, {});
  }

  /** Lines that were not sent. */
  get dropped(): number {
    return this.#forwarding.dropped;
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
    return new ForwardingLogger(this.#forwarding, { ...this.#fields, ...fields });
  }

  #write(level: LogLevel, fields: LogFields, message: string): void {
    const forwarding = this.#forwarding;
    if (forwarding.linesLeft === 0) {
      forwarding.dropped += 1;
      return;
    }
    forwarding.linesLeft -= 1;
    const { err, ...others } = { ...this.#fields, ...fields };
    forwarding.send({
      type: 'log',
      level,
      message: message.slice(0, maximumMessageLength),
      fields: Object.fromEntries(Object.entries(others).map(([name, value]) => [name, jsonOf(value)])),
      ...(err === undefined ? {} : { error: toWireError(asError(err)) }),
    });
  }
}

/** A field as JSON: what JSON cannot keep, or is too long, is shown in part. A log line must never fail. */
function jsonOf(value: unknown): JsonValue {
  try {
    const text = JSON.stringify(value);
    if (text !== undefined && text.length <= maximumFieldLength) return JSON.parse(text) as JsonValue;
  } catch {
    return showValue(value);
  }
  return showValue(value);
}
