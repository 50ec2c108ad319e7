import type { EngineError, ErrorCode } from '../core/errors.ts';

/** What the process of a command ends with. A public API: a number is never given another meaning. */
export const exitCodes = {
  ok: 0,
  /** The operation failed, or some of many did. */
  failed: 1,
  /** The command line, an input or the configuration is not right: the same call cannot succeed. */
  usage: 2,
  notFound: 3,
  /** The awaited task was dead-lettered or canceled. */
  taskFailed: 4,
  timedOut: 5,
  /** No NATS server, no engine behind it or no admin API could be reached, or it refused who asks. */
  cannotConnect: 6,
  /** The state of the task, of the data folder or of the server does not allow it. */
  conflict: 7,
  interrupted: 130,
} as const;

/** One of {@link exitCodes}. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

const exitCodeByError: Partial<Record<ErrorCode, ExitCode>> = {
  INVALID_TASK_ID: exitCodes.usage,
  INVALID_ARGUMENT: exitCodes.usage,
  UNSERIALIZABLE: exitCodes.usage,
  PAYLOAD_TOO_LARGE: exitCodes.usage,
  INPUT_INVALID: exitCodes.usage,
  PIPELINE_INVALID: exitCodes.usage,
  RETRY_POLICY_INVALID: exitCodes.usage,
  CONFIG_INVALID: exitCodes.usage,
  CONFIRMATION_REQUIRED: exitCodes.usage,
  TASK_NOT_FOUND: exitCodes.notFound,
  NODE_NOT_FOUND: exitCodes.notFound,
  NOT_FOUND: exitCodes.notFound,
  PIPELINE_UNKNOWN: exitCodes.notFound,
  PIPELINE_VERSION_UNKNOWN: exitCodes.notFound,
  TASK_FAILED: exitCodes.taskFailed,
  DEADLINE_EXCEEDED: exitCodes.timedOut,
  NATS_UNREACHABLE: exitCodes.cannotConnect,
  ADMIN_UNREACHABLE: exitCodes.cannotConnect,
  TLS_ERROR: exitCodes.cannotConnect,
  BUS_FORBIDDEN: exitCodes.cannotConnect,
  UNAUTHENTICATED: exitCodes.cannotConnect,
  FORBIDDEN: exitCodes.cannotConnect,
  HOST_REFUSED: exitCodes.cannotConnect,
  NO_OWNER: exitCodes.cannotConnect,
  TASK_CONFLICT: exitCodes.conflict,
  NOT_ALLOWED: exitCodes.conflict,
  DEFINITION_CHANGED: exitCodes.conflict,
  UNSUPPORTED_VERSION: exitCodes.conflict,
  NATS_BINARY_MISSING: exitCodes.conflict,
  SERVER_VERSION_UNSUPPORTED: exitCodes.conflict,
  JETSTREAM_DISABLED: exitCodes.conflict,
  DURABILITY_UNSAFE: exitCodes.conflict,
  STREAM_MISCONFIGURED: exitCodes.conflict,
  CANCELED: exitCodes.interrupted,
};

/** What a command ends with that failed of this. {@link exitCodes.failed} for what has no code of its own. */
export function exitCodeOf(error: EngineError): ExitCode {
  // Only the data folder of another engine: the settings are right, the moment is not.
  if (error.code === 'CONFIG_INVALID' && error.field === 'dataDir' && error.limit !== undefined) {
    return exitCodes.conflict;
  }
  return exitCodeByError[error.code] ?? exitCodes.failed;
}

/** The table of exit codes for `--help`. */
export const exitCodeHelp = `
Exit codes:
  0 ok · 1 the operation failed · 2 wrong usage, input or configuration · 3 not found · 4 the awaited task failed
  5 timed out · 6 cannot connect · 7 precondition or conflict · 130 interrupted`;
