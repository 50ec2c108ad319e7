import { EngineError, type ErrorCode, type ErrorReport } from '../core/errors.ts';
import type { ShardId } from '../core/ids.ts';
import type { Reply } from '../core/replies.ts';

/** How a command travels. */
export type TravelClass =
  /** With others of its shard. */
  | 'shared'
  /** It waits for something: with other waiting ones where the owner answers in parts, and otherwise alone. */
  | 'waiting'
  /** In a request of its own. */
  | 'alone';

/** What is known of a command when it is handed over. */
export interface CommandFacts {
  readonly shard: ShardId;
  /** What the command is about, for errors: a task id, or `list`. */
  readonly subject: string;
  readonly bytes: Uint8Array;
  /** The trace that it belongs to. */
  readonly traceparent: string | undefined;
  readonly travel: TravelClass;
  /** When its caller gives up, by the monotonic clock. */
  readonly deadlineAt: number;
  readonly deadlineMs: number;
  /** How long one try waits for its answer. */
  readonly tryTimeoutMs: number;
  /** When a request that has no answer is repeated beside itself; infinite: never. */
  readonly repeatAfterMs: number;
}

/** A command that waits for its answer, over all its tries. */
export class PendingCommand {
  readonly facts: CommandFacts;
  readonly deadlineAt: number;
  readonly #onSettled: (pending: PendingCommand) => void;
  readonly #resolve: (reply: Reply) => void;
  /** Takes its caller's signal back. */
  forgetSignal: (() => void) | undefined = undefined;
  settled = false;
  /** Requests with it that have no answer yet, those of earlier tries included. */
  inFlight = 0;
  /** Whether its last try is not over: only that one decides on the next. */
  isTried = false;
  tries = 0;
  /** A try may have been received without an answer: what became of it is not known. */
  uncertain = false;
  /** The last definite refusal. */
  refusal: ErrorReport | null = null;

  constructor(facts: CommandFacts, resolve: (reply: Reply) => void, onSettled: (pending: PendingCommand) => void) {
    this.facts = facts;
    this.deadlineAt = facts.deadlineAt;
    this.#resolve = resolve;
    this.#onSettled = onSettled;
  }

  /** Answers its caller; a second answer is dropped. */
  settle(reply: Reply): void {
    if (this.settled) return;
    this.settled = true;
    this.forgetSignal?.();
    this.#onSettled(this);
    this.#resolve(reply);
  }
}

/** Why a command is to be tried again, with the same ids. */
export interface TryAgain {
  /** The try may have had an effect. */
  readonly uncertain: boolean;
  readonly refusal: ErrorReport | null;
  /** Not before so long. */
  readonly floorMs: number;
}

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

/** Why the command of a reply is to be tried again; null: the reply settles it. */
export function judgeReply(reply: Reply): TryAgain | null {
  if (reply.kind !== 'error' || !retriedCodes.has(reply.error.code)) return null;
  return {
    uncertain: !definiteRefusals.has(reply.error.code),
    refusal: reply.error,
    floorMs: Math.max(0, reply.error.retryAfterMs ?? 0),
  };
}

/** The answer to a command whose deadline has come: what is known of it, and no more. */
export function giveUp(pending: PendingCommand): Reply {
  const { subject, deadlineMs } = pending.facts;
  const uncertain = pending.uncertain || pending.inFlight > 0;
  if (!uncertain && pending.refusal !== null) return { kind: 'error', error: pending.refusal };
  const tries = `${pending.tries} ${pending.tries === 1 ? 'try' : 'tries'}`;
  const lastRefusal =
    pending.refusal === null ? '' : `; last answer: ${pending.refusal.code} ${pending.refusal.message}`;
  const message = uncertain
    ? `no answer about ${subject} within ${deadlineMs} ms and ${tries}; the outcome is unknown${lastRefusal}`
    : `${subject} was not sent within ${deadlineMs} ms: too many requests are in flight`;
  return errorReply('DEADLINE_EXCEEDED', message, {
    field: 'deadlineMs',
    limit: `${deadlineMs} ms`,
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
