import type { Msg } from '@nats-io/transport-node';
import { EngineError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import { InboxQueue } from './inbox-queue.ts';
import type { BucketApi } from './bucket-api.ts';

/** The last message of one subject, as a scan came by it. */
export interface ScannedMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly body: Uint8Array;
  readonly header: (name: string) => string | undefined;
}

/** What a scan works with. */
export interface ScanDeps {
  readonly api: BucketApi;
  readonly link: NatsLink;
  readonly clock: Clock;
  /** How long a scan waits for the next message before it gives up. */
  readonly timeoutMs: number;
}

/** What a scan reads, and how far. */
export interface ScanQuery {
  readonly stream: string;
  readonly filters: readonly string[];
  /**
   * The sequence that must have come by, as the leader knows it; 0: nothing to read. It is asked again when messages stop
   * coming, for the message that it named may have been removed since.
   */
  readonly through: () => Promise<number>;
  readonly headersOnly?: boolean;
}

/** Messages that are asked for at a time: what may wait in memory ahead of a slow reader. */
const messagesPerPull = 1_000;
/** An abandoned consumer goes away after this. */
const inactiveThresholdNs = 30 * 1_000_000_000;
const pullExpiresNs = 30 * 1_000_000_000;
/** Silence after which the scan asks whether anything is left. */
const probeAfterMs = 100;
const statusTimeout = 408;

/**
 * The last message of every subject that the filters match, in order of the stream.
 *
 * It ends when sequence `through` has come by *and* nothing is pending. The first alone is not enough: a subject that was
 * written anew while the scan was on its way has lost its place before `through` and stands behind it. Whichever replica
 * serves the scan, and however far it lags, `through` is what it must reach.
 *
 * @throws EngineError `UNAVAILABLE` when messages stop coming, one is missing, or the link is lost
 */
export async function* scanLastPerSubject(
  deps: ScanDeps,
  query: ScanQuery,
): AsyncGenerator<ScannedMessage, void, undefined> {
  const through = await query.through();
  if (through === 0) return;
  const queue = new InboxQueue({ link: deps.link, clock: deps.clock, action: actionOf(query) });
  const consumer = `scan-${queue.subject.slice(queue.subject.lastIndexOf('.') + 1)}`;
  let isCreated = false;
  try {
    await deps.api.createConsumer(query.stream, consumerConfig(consumer, query));
    isCreated = true;
    yield* pullAll(deps, query, { queue, consumer, through });
  } finally {
    queue.close();
    // What cannot be removed now removes itself when it has been idle.
    if (isCreated) await deps.api.deleteConsumer(query.stream, consumer).catch(() => undefined);
  }
}

function consumerConfig(name: string, query: ScanQuery) {
  return {
    name,
    deliver_policy: 'last_per_subject',
    ack_policy: 'none',
    replay_policy: 'instant',
    filter_subjects: query.filters,
    headers_only: query.headersOnly === true,
    inactive_threshold: inactiveThresholdNs,
    mem_storage: true,
    num_replicas: 1,
  };
}

async function* pullAll(
  deps: ScanDeps,
  query: ScanQuery,
  scan: { readonly queue: InboxQueue; readonly consumer: string; readonly through: number },
): AsyncGenerator<ScannedMessage, void, undefined> {
  const { queue, consumer } = scan;
  const pullSubject = `$JS.API.CONSUMER.MSG.NEXT.${query.stream}.${consumer}`;
  const pull = Buffer.from(JSON.stringify({ batch: messagesPerPull, expires: pullExpiresNs }));
  let lastHeardMs = deps.clock.monotonicMs();
  let reached = 0;
  let deliveredCount = 0;
  let askedCount = 0;
  for (;;) {
    if (askedCount === 0) {
      queue.send(pullSubject, pull);
      askedCount = messagesPerPull;
    }
    const message = await queue.next(probeAfterMs);
    if (message === null) {
      if (await isNothingLeft(deps, query, { consumer, reached })) return;
      if (deps.clock.monotonicMs() - lastHeardMs < deps.timeoutMs) continue;
      throw new EngineError('UNAVAILABLE', `${actionOf(query)}: nothing came within ${deps.timeoutMs} ms`);
    }
    lastHeardMs = deps.clock.monotonicMs();
    const delivery = message.reply === undefined ? null : parseDelivery(message.reply);
    if (delivery === null) {
      if (message.headers?.code !== statusTimeout) throw brokenOff(query, message);
      askedCount = 0;
      continue;
    }
    askedCount -= 1;
    deliveredCount += 1;
    if (delivery.consumerSequence !== deliveredCount) {
      const detail = `message ${deliveredCount} is missing, ${delivery.consumerSequence} came`;
      throw new EngineError('UNAVAILABLE', `${actionOf(query)}: ${detail}`);
    }
    reached = delivery.streamSequence;
    yield {
      subject: message.subject,
      sequence: reached,
      body: message.data,
      header: (name) => message.headers?.last(name),
    };
    if (reached >= scan.through && delivery.pendingCount === 0) return;
  }
}

/** Messages that were pending may have been removed before they were delivered; then no delivery says "none is pending". */
async function isNothingLeft(
  deps: ScanDeps,
  query: ScanQuery,
  scan: { readonly consumer: string; readonly reached: number },
): Promise<boolean> {
  if (scan.reached < (await query.through())) return false;
  return (await deps.api.pendingCount(query.stream, scan.consumer)) === 0;
}

function actionOf(query: ScanQuery): string {
  return `scan ${query.filters.join(', ')} of ${query.stream}`;
}

function brokenOff(query: ScanQuery, message: Msg): EngineError {
  const { code, description } = message.headers ?? { code: 0, description: 'a message without a status' };
  return new EngineError('UNAVAILABLE', `${actionOf(query)}: the server broke it off: ${description} (${code})`);
}

/** What a delivered message's acknowledgement subject tells of it. */
export interface Delivery {
  readonly streamSequence: number;
  readonly consumerSequence: number;
  readonly pendingCount: number;
}

/**
 * Reads `$JS.ACK.<stream>.<consumer>.<tries>.<streamSeq>.<consumerSeq>.<time>.<pending>`, or the longer form that begins
 * `$JS.ACK.<domain>.<account>.` and may end with a random token; null for any other subject.
 */
export function parseDelivery(replySubject: string): Delivery | null {
  const tokens = replySubject.split('.');
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK' || tokens.length < 9) return null;
  const first = tokens.length === 9 ? 5 : 7;
  return {
    streamSequence: Number(tokens[first]),
    consumerSequence: Number(tokens[first + 1]),
    pendingCount: Number(tokens[first + 3]),
  };
}
