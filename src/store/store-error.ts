import {
  EngineError,
  InvariantViolation,
  unreachable,
  type EngineErrorOptions,
  type ErrorCode,
} from '../core/errors.ts';
import { localErrorCodes, type PublishOutcome } from '../transport/ack-inbox.ts';

/** A JetStream error as the server words it. */
export interface JetStreamFault {
  readonly code: number;
  readonly description: string;
}

// 10002 account limit, 10023 cluster or server limit, 10028 memory, 10047 disk. 10077 is "could not store", for any reason
// that the store has; its text tells a full stream (`maximum bytes exceeded`, `no space left on device`) from a broken one.
const storageFullCodes: ReadonlySet<number> = new Set([10002, 10023, 10028, 10047]);
const lowestJetStreamCode = 10_000;
const storeFailed = 10077;
const fullDescription = /maximum|exceeded|no space|insufficient/i;
const tooLargeCodes: ReadonlySet<number> = new Set([10054, 10097]);
const ttlDisabled = 10166;
/** An invalid TTL, or a subject or header that cannot be sent. */
const ourBugCodes: ReadonlySet<number> = new Set([10165, localErrorCodes.unsendable]);

/** The engine's code for a JetStream error that is no answer to a condition. */
export function codeOfFault(fault: JetStreamFault): ErrorCode {
  if (storageFullCodes.has(fault.code)) return 'STORAGE_FULL';
  if (fault.code === storeFailed && fullDescription.test(fault.description)) return 'STORAGE_FULL';
  if (tooLargeCodes.has(fault.code)) return 'PAYLOAD_TOO_LARGE';
  if (fault.code === ttlDisabled) return 'STREAM_MISCONFIGURED';
  if (fault.code === localErrorCodes.forbidden) return 'BUS_FORBIDDEN';
  return ourBugCodes.has(fault.code) ? 'INTERNAL' : 'UNAVAILABLE';
}

/**
 * What a JetStream error is to the engine.
 *
 * @param action - what was being done, such as `write key 3.checkpoint`; it begins the message
 */
export function errorOfFault(action: string, fault: JetStreamFault): EngineError {
  const code = codeOfFault(fault);
  const source = fault.code >= lowestJetStreamCode ? 'JetStream' : 'NATS client';
  const message = `${action}: ${fault.description} (${source} ${fault.code})`;
  const cause = new Error(`${source} ${fault.code}: ${fault.description}`);
  if (code === 'INTERNAL') return new InvariantViolation(message, { cause });
  return new EngineError(code, message, { cause, ...hintOf(code) });
}

function hintOf(code: ErrorCode): EngineErrorOptions {
  if (code === 'STORAGE_FULL') return { hint: 'raise the limit of the stream or account, or free disk space' };
  return {};
}

/** What a publish that was not acknowledged is to the engine. */
export function errorOfPublish(action: string, outcome: Exclude<PublishOutcome, { kind: 'ack' }>): EngineError {
  switch (outcome.kind) {
    case 'error':
      return errorOfFault(action, outcome);
    case 'no-responders':
      return new EngineError('UNAVAILABLE', `${action}: no stream takes it now (no responders)`);
    case 'timeout':
      return new EngineError('UNAVAILABLE', `${action}: no acknowledgement in time`);
    case 'disconnected':
      return new EngineError('UNAVAILABLE', `${action}: the connection to NATS is down`);
    default:
      return unreachable(outcome);
  }
}
