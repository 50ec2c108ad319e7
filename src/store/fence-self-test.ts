import { EngineError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { AckInbox, localErrorCodes, type PublishOutcome } from '../transport/ack-inbox.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import { expectedLastHeader } from './journal-message.ts';
import type { StreamApi } from './stream-api.ts';
import { jetStreamCodes } from './jetstream-codes.ts';

const publishTimeoutMs = 5_000;
/** How long the scratch stream may take to elect a leader. */
const readinessTimeoutMs = 15_000;
const retryWaitMs = 50;
const nanosPerSecond = 1_000_000_000;
/** More than any stream will ever reach: an append that expects it is stale for sure. */
const impossibleSequence = Number.MAX_SAFE_INTEGER;

/**
 * Proves on the live server that a stale conditional append is refused.
 *
 * In a scratch stream (in memory, emptied by age, shared by all nodes) a first append must be stored, a second with the
 * same expectation refused, a third with the right one stored. A role that may not create streams asks the journal stream
 * itself with an expectation that cannot hold.
 *
 * @throws EngineError `SELF_TEST_FAILED`, `BUS_FORBIDDEN`, `UNAVAILABLE`
 */
export async function testFence(
  link: NatsLink,
  api: StreamApi,
  options: { readonly namespace: string; readonly replicas: number; readonly clock: Clock; readonly logger: Logger },
): Promise<void> {
  const acks = new AckInbox({ link, clock: options.clock, logger: options.logger, timeoutMs: publishTimeoutMs });
  const append = (subject: string, expected: number): Promise<PublishOutcome> =>
    settled(options.clock, () => acks.publish(subject, new Uint8Array(1), { [expectedLastHeader]: String(expected) }));
  try {
    const refusal = await ensureScratchStream(api, options);
    if (refusal !== undefined) {
      await probeJournal(append, options.namespace, refusal);
      return;
    }
    const inbox = link.newInbox();
    const subject = `${options.namespace}.self-test.${inbox.slice(inbox.lastIndexOf('.') + 1)}`;
    const first = demandStored(await append(subject, 0), subject);
    demandRefused(await append(subject, 0), subject);
    demandStored(await append(subject, first), subject);
  } finally {
    acks.close();
  }
}

/** Undefined when the stream is there, or why the user may not create it. */
async function ensureScratchStream(
  api: StreamApi,
  options: { readonly namespace: string; readonly replicas: number },
): Promise<EngineError | undefined> {
  const name = `${options.namespace}-self-test`;
  const config = {
    name,
    subjects: [`${options.namespace}.self-test.*`],
    description: 'Scratch: proves at start that stale appends are refused',
    storage: 'memory',
    retention: 'limits',
    num_replicas: options.replicas,
    max_age: 120 * nanosPerSecond,
    max_bytes: 1024 * 1024,
  };
  try {
    const answer = await api.call(`STREAM.CREATE.${name}`, config);
    // One that is there with other settings serves as well.
    if (answer.kind === 'ok' || answer.code === jetStreamCodes.streamNameInUse) return undefined;
    throw new EngineError(
      'UNAVAILABLE',
      `the scratch stream ${name} cannot be created: ${answer.code} ${answer.description}`,
      { hint: `${options.replicas} replicas need as many servers with JetStream` },
    );
  } catch (error) {
    if (error instanceof EngineError && error.code === 'BUS_FORBIDDEN') return error;
    throw error;
  }
}

async function probeJournal(
  append: (subject: string, expected: number) => Promise<PublishOutcome>,
  namespace: string,
  refusal: EngineError,
): Promise<void> {
  const subject = `${namespace}.journal.self-test`;
  const outcome = await append(subject, impossibleSequence);
  // Without the journal stream there is nothing to ask, and this user cannot create it.
  if (outcome.kind === 'no-responders') throw refusal;
  demandRefused(outcome, subject);
}

/** Asks again while a stream that was just created has no leader, or a write is in process. */
async function settled(clock: Clock, publish: () => Promise<PublishOutcome>): Promise<PublishOutcome> {
  const deadlineMs = clock.monotonicMs() + readinessTimeoutMs;
  for (;;) {
    const outcome = await publish();
    if (!isPassing(outcome) || clock.monotonicMs() >= deadlineMs) return outcome;
    await new Promise<void>((resolve) => void clock.setTimer(retryWaitMs, resolve));
  }
}

function isPassing(outcome: PublishOutcome): boolean {
  if (outcome.kind !== 'error') return false;
  return outcome.code !== jetStreamCodes.wrongLastSequence && outcome.code !== localErrorCodes.forbidden;
}

function demandStored(outcome: PublishOutcome, subject: string): number {
  if (outcome.kind === 'ack') return outcome.sequence;
  throw unavailable(outcome, subject);
}

function demandRefused(outcome: PublishOutcome, subject: string): void {
  if (outcome.kind === 'error' && outcome.code === jetStreamCodes.wrongLastSequence) return;
  if (outcome.kind !== 'ack') throw unavailable(outcome, subject);
  throw new EngineError('SELF_TEST_FAILED', `the server stored a stale append on ${subject}: its fence does not hold`, {
    field: subject,
    got: outcome.sequence,
    hint: 'a proxy or an old server strips or ignores the header Nats-Expected-Last-Subject-Sequence',
  });
}

function unavailable(outcome: Exclude<PublishOutcome, { kind: 'ack' }>, subject: string): EngineError {
  const detail = outcome.kind === 'error' ? `${outcome.code} ${outcome.description}` : outcome.kind;
  if (outcome.kind === 'error' && outcome.code === localErrorCodes.forbidden) {
    return new EngineError('BUS_FORBIDDEN', `the fence cannot be tested on ${subject}: ${detail}`, { field: subject });
  }
  return new EngineError('UNAVAILABLE', `the fence cannot be tested on ${subject}: ${detail}`);
}
