import { RetryableError } from '../core/driver-errors.ts';
import { invalidArgument } from '../core/errors.ts';
import type { Bus } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { AnyDriver, LookupAnswer, LookupContext, StageContext } from '../ports/driver.ts';
import {
  checkSubject,
  decodeReply,
  encodeRemote,
  remoteProtocol,
  remoteSubjects,
  type LookupReply,
} from './remote-protocol.ts';
import { mayNotAsk, RemoteRun, type RemoteRunDeps } from './remote-run.ts';
import { stageRequestOf } from './stage-request.ts';
import { fromWireError } from './wire-error.ts';

/** Settings of a remote driver. */
export interface RemoteDriverOptions {
  readonly bus: Bus;
  /** Where the service is, such as `drivers.cards.export`. Permissions of NATS users are given for it and `.>` below it. */
  readonly subject: string;
  /** Whether the service answers lookups; false when left out. */
  readonly lookup?: boolean | undefined;
  /** Longest wait of one question for a result; 5,000 when left out. */
  readonly pollWaitMs?: number | undefined;
  /** Longest wait for an answer that needs no work; 2,000 when left out. */
  readonly answerTimeoutMs?: number | undefined;
  /** Longest wait for the answer of a lookup; 10,000 when left out. */
  readonly lookupTimeoutMs?: number | undefined;
  /** Time without any answer of the service after which its run is held to be lost; 10,000 when left out. */
  readonly lostAfterMs?: number | undefined;
  /** Time that a run has to stop after an abort; 4,000 when left out. Keep it below the engine's `abortGraceMs`. */
  readonly cancelGraceMs?: number | undefined;
  /** Largest request in bytes; 900,000 when left out, for a server whose `max_payload` is 1 MiB. */
  readonly maximumRequestBytes?: number | undefined;
  readonly clock: Clock;
}

const defaults = {
  pollWaitMs: 5_000,
  answerTimeoutMs: 2_000,
  lookupTimeoutMs: 10_000,
  lostAfterMs: 10_000,
  cancelGraceMs: 4_000,
  maximumRequestBytes: 900_000,
} as const;

/**
 * A driver whose work is done by a service on the bus, in another process and any language; the protocol is that of
 * docs/REMOTE-DRIVERS.md, and `serveRemoteDriver` is its other side in TypeScript.
 *
 * Errors: nobody serves the subject → `retryable` `NO_WORKER`; the node's NATS user may not ask there → `retryable` `BUS_FORBIDDEN`;
 * all are busy → `WORKER_BUSY`; an instance that is lost under its run → uncertain, `WORKER_LOST`; what the remote driver throws keeps class and code. An abort is passed on, and waited for
 * `cancelGraceMs`.
 */
export function createRemoteDriver(options: RemoteDriverOptions): AnyDriver {
  const given = Object.entries(options).filter(([name, value]) => name in defaults && value !== undefined);
  const settings: Record<keyof typeof defaults, number> = { ...defaults, ...Object.fromEntries(given) };
  for (const [field, value] of Object.entries(settings)) checkPositive(field, value);
  const { bus, clock } = options;
  const deps = { bus, clock, subject: checkSubject(options.subject), ...settings };
  const driver = { execute: (ctx: StageContext) => RemoteRun.execute(ctx, deps) };
  return options.lookup === true ? { ...driver, lookup: (ctx) => lookUp(ctx, deps) } : driver;
}

async function lookUp(
  ctx: LookupContext,
  deps: RemoteRunDeps & { readonly lookupTimeoutMs: number },
): Promise<LookupAnswer<unknown>> {
  const body = encodeRemote({ protocol: remoteProtocol, ...stageRequestOf(ctx) });
  const outcome = await deps.bus.request(remoteSubjects.lookup(deps.subject), body, {
    timeoutMs: deps.lookupTimeoutMs,
  });
  if (outcome.kind === 'forbidden') throw mayNotAsk(outcome);
  if (outcome.kind !== 'reply') {
    // Thrown, not `unknown`: the engine asks again.
    const code = outcome.kind === 'no-responders' ? 'NO_WORKER' : 'NO_ANSWER';
    throw new RetryableError(`the lookup at ${deps.subject} was not answered (${outcome.kind})`, { code });
  }
  const reply = decodeReply(outcome.body) as LookupReply;
  if (reply.status === 'failed') throw fromWireError(reply.error);
  const { kind, output } = (reply.answer ?? {}) as { readonly kind?: unknown; readonly output?: unknown };
  if (kind === 'done') return { kind, output };
  return kind === 'notDone' ? { kind } : { kind: 'unknown' };
}

function checkPositive(field: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return;
  const limit = 'a whole number from 1';
  throw invalidArgument({ field, message: `${field} must be ${limit}`, limit, got: value });
}
