import { unreachable, type ErrorCode } from '../core/errors.ts';
import type { Sequence } from '../core/ids.ts';
import type { AppendOutcome } from '../ports/journal.ts';
import { localErrorCodes, type PublishOutcome } from '../transport/ack-inbox.ts';
import { jetStreamCodes } from './jetstream-codes.ts';

/** Refusals by validation: the same bytes will be refused for ever, and none of them is stored. */
const validationCodes: ReadonlySet<number> = new Set([
  localErrorCodes.unsendable,
  localErrorCodes.tooLarge,
  10_097, // headers over 64 KiB
  10_109, // stream sealed
  10_165, // TTL invalid
  10_166, // TTL not enabled
]);
const firstValidationCode = 10_174;
const lastValidationCode = 10_201;
/** Codes within that range that tell of the server's state, not of our bytes. */
const stateCodes: ReadonlySet<number> = new Set([10_176, 10_194, 10_201]);

/** Storage or account limits are reached, or a write to disk failed. The server may have stored it all the same. */
const storageCodes: ReadonlySet<number> = new Set([10_002, 10_023, 10_028, 10_047, 10_077]);

/**
 * What a publish's answer means for the append. Pure. Whatever is not certain is `unknown`: 10164 is never "fenced", 10071
 * never "try again".
 */
export function appendOutcomeOf(outcome: PublishOutcome): AppendOutcome {
  switch (outcome.kind) {
    case 'ack':
      return { kind: 'committed', sequence: outcome.sequence as Sequence, duplicate: outcome.duplicate };
    case 'error':
      return outcomeOfError(outcome.code, outcome.description);
    case 'no-responders':
      return unknown('UNAVAILABLE', 'no stream listens to the journal subject');
    case 'timeout':
      return unknown('UNAVAILABLE', 'no acknowledgement in time');
    case 'disconnected':
      return unknown('UNAVAILABLE', 'the NATS link is down');
    default:
      return unreachable(outcome);
  }
}

function outcomeOfError(code: number, description: string): AppendOutcome {
  const detail = `${code} ${description}`;
  if (code === jetStreamCodes.wrongLastSequence) return { kind: 'conflict' };
  if (code === jetStreamCodes.writeInProcess || code === jetStreamCodes.idInProcess) return { kind: 'busy' };
  if (isValidation(code)) return { kind: 'refused', detail };
  if (storageCodes.has(code)) return unknown('STORAGE_FULL', detail);
  if (code === localErrorCodes.forbidden) return unknown('BUS_FORBIDDEN', detail);
  return unknown('UNAVAILABLE', detail);
}

function isValidation(code: number): boolean {
  if (validationCodes.has(code)) return true;
  return code >= firstValidationCode && code <= lastValidationCode && !stateCodes.has(code);
}

function unknown(code: ErrorCode, detail: string): AppendOutcome {
  return { kind: 'unknown', code, detail };
}
