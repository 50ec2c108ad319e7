/**
 * Every error code that leaves the engine, with whether the same request may succeed later.
 * The docs list is generated from this table, and a test asks that each code has a test of its own.
 */
export const errorCatalog = {
  INVALID_TASK_ID: { retryable: false, meaning: 'the task id is missing or has a character that is not allowed' },
  INVALID_ARGUMENT: { retryable: false, meaning: 'an argument is missing, of the wrong type or out of its range' },
  INVALID_MESSAGE: { retryable: false, meaning: 'the bytes of a request are not a message of this protocol' },
  UNSUPPORTED_VERSION: { retryable: false, meaning: 'the request speaks a protocol version this node does not' },
  UNSERIALIZABLE: { retryable: false, meaning: 'a value cannot be written as JSON without losing something' },
  PAYLOAD_TOO_LARGE: { retryable: false, meaning: 'an encoded value is over the size limit' },
  INPUT_INVALID: { retryable: false, meaning: "the input does not satisfy the pipeline's schema" },
  PIPELINE_INVALID: { retryable: false, meaning: 'a pipeline definition breaks a rule; the message names the path' },
  RETRY_POLICY_INVALID: { retryable: false, meaning: 'a retry policy is not finite or out of range' },
  PIPELINE_UNKNOWN: { retryable: false, meaning: 'no pipeline of that name is registered' },
  PIPELINE_VERSION_UNKNOWN: { retryable: false, meaning: 'the pipeline is known, but not in that version' },
  DEFINITION_CHANGED: { retryable: false, meaning: 'a version is already recorded with another definition' },
  TASK_NOT_FOUND: { retryable: false, meaning: 'no task of that id exists, or its retention has ended' },
  NODE_NOT_FOUND: {
    retryable: false,
    meaning: 'no node of that name has a lease or an order',
  },
  TASK_CONFLICT: { retryable: false, meaning: 'the task id is taken by a task with another input' },
  NOT_ALLOWED: { retryable: false, meaning: "the task's state does not accept that command" },
  MAILBOX_FULL: { retryable: true, meaning: "the task's mailbox is full" },
  OVERLOADED: { retryable: true, meaning: 'the shard has as much uncommitted work as it may hold' },
  NO_OWNER: { retryable: true, meaning: 'nobody serves the shard at this moment' },
  UNAVAILABLE: { retryable: true, meaning: 'the engine or its store cannot serve now' },
  STORAGE_FULL: {
    retryable: true,
    meaning: 'the JetStream storage is full; an earlier try may still take effect: repeat it with the same id',
  },
  DEADLINE_EXCEEDED: { retryable: true, meaning: 'no answer before the deadline; the outcome is unknown, repeat it' },
  CANCELED: { retryable: false, meaning: 'the caller canceled the request' },
  TASK_FAILED: { retryable: false, meaning: 'the awaited task was dead-lettered or canceled' },
  UNAUTHENTICATED: { retryable: false, meaning: 'the admin API got no credential, or one that is not valid any more' },
  FORBIDDEN: { retryable: false, meaning: 'the role of the credential does not allow that' },
  RATE_LIMITED: { retryable: true, meaning: 'the caller asks more often than it may' },
  HOST_REFUSED: { retryable: false, meaning: 'the Host header names no host that the admin API serves' },
  ORIGIN_REFUSED: {
    retryable: false,
    meaning: 'the request comes from a page of another origin, or does not prove otherwise',
  },
  NOT_FOUND: { retryable: false, meaning: 'there is nothing at that address' },
  METHOD_NOT_ALLOWED: { retryable: false, meaning: 'the address does not take that HTTP method' },
  MEDIA_TYPE_UNSUPPORTED: { retryable: false, meaning: 'the body is not plain application/json' },
  URL_TOO_LONG: { retryable: false, meaning: 'the URL is over its limit' },
  HEADERS_TOO_LARGE: { retryable: false, meaning: 'the request has too many headers, or too large ones' },
  REQUEST_TIMEOUT: { retryable: true, meaning: 'the request was not complete in time' },
  CONFIRMATION_REQUIRED: { retryable: false, meaning: 'so many tasks are meant that their number must be confirmed' },
  SLOW_CONSUMER: {
    retryable: true,
    meaning: "a console's socket took its frames too slowly and was closed; it may resume",
  },
  RESUME_TOO_OLD: {
    retryable: false,
    meaning: 'what comes after the position is trimmed; the error names the oldest position that is left',
  },
  RESUME_INVALID: { retryable: false, meaning: 'the position to resume from is none of this feed' },
  CONFIG_INVALID: { retryable: false, meaning: 'a setting is out of range or breaks a relation' },
  NATS_UNREACHABLE: { retryable: true, meaning: 'no connection to the NATS server' },
  TLS_ERROR: {
    retryable: false,
    meaning: 'the other side speaks no TLS, or its certificate is not trusted, expired or of another name',
  },
  ADMIN_UNREACHABLE: {
    retryable: true,
    meaning: 'no connection to the admin API, or what answers at its address is none',
  },
  NATS_BINARY_MISSING: { retryable: false, meaning: 'no usable nats-server binary was found or fetched' },
  SERVER_VERSION_UNSUPPORTED: { retryable: false, meaning: 'the NATS server is too old for fences and TTLs' },
  JETSTREAM_DISABLED: { retryable: false, meaning: 'the NATS server or account has no JetStream' },
  BUS_FORBIDDEN: { retryable: false, meaning: 'the NATS user lacks a permission; the message names the subject' },
  DURABILITY_UNSAFE: { retryable: false, meaning: 'power-loss durability was asked of a server that does not sync' },
  STREAM_MISCONFIGURED: { retryable: false, meaning: 'a stream exists with settings that break a promise' },
  SELF_TEST_FAILED: { retryable: false, meaning: 'the server accepted a stale append in the start-up test' },
  LOG_REGRESSED: { retryable: false, meaning: 'the journal is shorter than what was acknowledged before' },
  REPLAY_DIVERGED: { retryable: false, meaning: 'replay reached another state than the record says' },
  RECORD_CORRUPT: { retryable: false, meaning: 'a journal record or snapshot cannot be read' },
  OWNERSHIP_LOST: { retryable: true, meaning: 'another node owns the shard now' },
  RESTART_INTENSITY_EXCEEDED: { retryable: false, meaning: 'a node process kept ending and was given up' },
  PROCESS_CORRUPTED: {
    retryable: true,
    meaning: 'a driver changed built-in functions; its process writes nothing more',
  },
  INTERNAL: { retryable: false, meaning: 'a promise of the engine is broken: a bug; see the log' },
} as const satisfies Record<string, { retryable: boolean; meaning: string }>;

/** A stable code of {@link errorCatalog}. */
export type ErrorCode = keyof typeof errorCatalog;

/** An error as it crosses a wire or a console: a stable code, then what a person needs to mend it. */
export interface ErrorReport {
  readonly code: ErrorCode;
  readonly message: string;
  /** The argument or setting at fault. */
  readonly field?: string;
  /** What is allowed. */
  readonly limit?: string;
  /** What was got, cut to 120 characters and escaped. */
  readonly got?: string;
  readonly hint?: string;
  readonly retryable: boolean;
  /** Wait at least this long before trying again. */
  readonly retryAfterMs?: number;
}

/** Options of {@link EngineError}. */
export interface EngineErrorOptions {
  readonly field?: string | undefined;
  readonly limit?: string | undefined;
  readonly got?: unknown;
  readonly hint?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** Any error the engine throws or answers with, told by its `code`. */
export class EngineError extends Error {
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly limit: string | undefined;
  readonly got: string | undefined;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: EngineErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'EngineError';
    this.code = code;
    this.field = options.field;
    this.limit = options.limit;
    this.got = 'got' in options && options.got !== undefined ? showValue(options.got) : undefined;
    this.hint = options.hint;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return errorCatalog[this.code].retryable;
  }

  /** This error as plain data for a reply, an event or a log line. */
  toReport(): ErrorReport {
    return {
      code: this.code,
      message: this.message,
      ...(this.field === undefined ? {} : { field: this.field }),
      ...(this.limit === undefined ? {} : { limit: this.limit }),
      ...(this.got === undefined ? {} : { got: this.got }),
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
      retryable: this.retryable,
    };
  }

  /** The error that a report tells of, on the other side of a wire. */
  static fromReport(report: ErrorReport): EngineError {
    return new EngineError(report.code, report.message, report);
  }
}

/** An `INVALID_ARGUMENT` (or a nearer code) that names the field, the limit and what was got. */
export function invalidArgument(details: {
  readonly field: string;
  readonly message: string;
  readonly limit?: string;
  readonly got?: unknown;
  readonly hint?: string;
  readonly code?: ErrorCode;
}): EngineError {
  return new EngineError(details.code ?? 'INVALID_ARGUMENT', details.message, details);
}

/** A broken promise in our own code. Nobody handles it locally: a supervisor restarts what threw it. */
export class InvariantViolation extends EngineError {
  constructor(message: string, options: EngineErrorOptions = {}) {
    super('INTERNAL', message, options);
    this.name = 'InvariantViolation';
  }
}

/** Throws {@link InvariantViolation} unless the condition holds. */
export function assert(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new InvariantViolation(message());
}

/** The default branch of an exhaustive switch: the compiler refuses a call that can be reached. */
export function unreachable(value: never): never {
  throw new InvariantViolation(`unreachable: ${showValue(value)}`);
}

/** Longest echo of a caller's value in an error, in characters. */
export const maximumEchoLength = 120;

/** `value` as one safe line of at most {@link maximumEchoLength} characters: control characters are escaped. */
export function showValue(value: unknown): string {
  let text: string;
  try {
    text = typeof value === 'string' ? value : (JSON.stringify(value) ?? typeof value);
  } catch {
    text = typeof value; // Cyclic values and BigInts have no JSON; their type is what can be said of them.
  }
  const escaped = text
    .slice(0, maximumEchoLength)
    .replace(
      /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e]/gu,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  return escaped.slice(0, maximumEchoLength);
}

/** What was thrown, as an Error; a thrown non-Error keeps its value as text. Never throws. */
export function asError(thrown: unknown): Error {
  try {
    if (thrown instanceof Error) return thrown;
  } catch {
    // A proxy may refuse even that question; its type is what can be said of it.
  }
  return new Error(`non-error thrown: ${showValue(thrown)}`);
}
