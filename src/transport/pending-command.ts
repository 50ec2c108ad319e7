import { EngineError, type ErrorCode, type ErrorReport } from '../core/errors.ts';
import type { ShardId } from '../core/ids.ts';
import type { Reply } from '../core/replies.ts';

/** A command that waits for its answer, over all its tries. */
export interface PendingCommand {
  readonly shard: ShardId;
  /** What the command is about, for errors: a task id, or `list`. */
  readonly subject: string;
  readonly bytes: Uint8Array;
  /** The trace that it belongs to. */
  readonly traceparent: string | undefined;
  /** Goes in a request of its own: the replies of an envelope come together, and this one may take long. */
  readonly alone: boolean;
  /** When its caller gives up, by the monotonic clock. */
  readonly deadlineAt: number;
  readonly deadlineMs: number;
  /** How long one try waits for its answer. */
  readonly tryTimeoutMs: number;
  /** When a request that has no answer is repeated beside itself; infinite: never. */
  readonly repeatAfterMs: number;
  readonly settle: (reply: Reply) => void;
  settled: boolean;
  /** Requests with it that have no answer yet, those of earlier tries included. */
  inFlight: number;
  /** Whether its last try is not over: only that one decides on the next. */
  isTried: boolean;
  tries: number;
  /** A try may have been received without an answer: what became of it is not known. */
  uncertain: boolean;
  /** The last definite refusal. */
  refusal: ErrorReport | null;
}

/** What the answer to one try means for a command. */
export type TryVerdict =
  | { readonly kind: 'settle'; readonly reply: Reply }
  /** Try again with the same ids, not before `floorMs`. */
  | {
      readonly kind: 'retry';
      readonly uncertain: boolean;
      readonly refusal: ErrorReport | null;
      readonly floorMs: number;
    };

/** Refusals after which the same command may be taken: by another owner, or when there is room again. */
const retriedCodes: ReadonlySet<ErrorCode> = new Set([
  'NO_OWNER',
  'OVERLOADED',
  'MAILBOX_FULL',
  'UNAVAILABLE',
  'OWNERSHIP_LOST',
]);

// An owner that lost its store or its shard may have sent the record off before: only these say that nothing was done.
const definiteRefusals: ReadonlySet<ErrorCode> = new Set(['NO_OWNER', 'OVERLOADED', 'MAILBOX_FULL']);

/** Whether a reply settles its command or asks for another try. */
export function judgeReply(reply: Reply): TryVerdict {
  if (reply.kind !== 'error' || !retriedCodes.has(reply.error.code)) return { kind: 'settle', reply };
  return {
    kind: 'retry',
    uncertain: !definiteRefusals.has(reply.error.code),
    refusal: reply.error,
    floorMs: Math.max(0, reply.error.retryAfterMs ?? 0),
  };
}

/** The answer to a command whose deadline has come: what is known of it, and no more. */
export function giveUp(pending: PendingCommand): Reply {
  const uncertain = pending.uncertain || pending.inFlight > 0;
  if (!uncertain && pending.refusal !== null) return { kind: 'error', error: pending.refusal };
  const tries = `${pending.tries} ${pending.tries === 1 ? 'try' : 'tries'}`;
  const lastRefusal =
    pending.refusal === null ? '' : `; last answer: ${pending.refusal.code} ${pending.refusal.message}`;
  const message = uncertain
    ? `no answer about ${pending.subject} within ${pending.deadlineMs} ms and ${tries}; the outcome is unknown${lastRefusal}`
    : `${pending.subject} was not sent within ${pending.deadlineMs} ms: too many requests are in flight`;
  return errorReply('DEADLINE_EXCEEDED', message, {
    field: 'deadlineMs',
    limit: `${pending.deadlineMs} ms`,
    hint: uncertain ? 'repeat it with the same ids: it takes effect once' : 'nothing was done; send it again later',
  });
}

/** Nobody serves the shard: nothing was received. */
export function noOwnerReport(shard: ShardId, namespace: string): ErrorReport {
  return new EngineError('NO_OWNER', `nobody serves shard ${shard} of namespace '${namespace}'`, {
    hint: 'is the engine running? `cabinet status` shows the nodes; a takeover takes some seconds',
  }).toReport();
}

/** An error as a reply. */
export function errorReply(
  code: ErrorCode,
  message: string,
  options: ConstructorParameters<typeof EngineError>[2] = {},
): Reply {
  return { kind: 'error', error: new EngineError(code, message, options).toReport() };
}
