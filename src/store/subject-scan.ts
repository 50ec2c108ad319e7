import type { Msg } from '@nats-io/transport-node';
import { EngineError } from '../core/errors.ts';
import type { Millis } from '../core/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import type { BucketApi } from './bucket-api.ts';
import { InboxQueue } from './inbox-queue.ts';

/** The last message of one subject, as a scan came by it. */
export interface ScannedMessage {
  readonly subject: string;
  readonly body: Uint8Array;
  /** When the server stored it; null for one that was read by itself, at the end of a scan. */
  readonly storedAt: Millis | null;
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

/** What a scan reads: the last message of each subject of the stream that the filter matches. */
export interface ScanQuery {
  readonly stream: string;
  readonly filter: string;
  readonly headersOnly?: boolean;
}

/** A scan as its caller knows it. */
export type ScanLastPerSubject = (query: ScanQuery) => AsyncGenerator<ScannedMessage, void, undefined>;

/** Messages that are asked for at a time: what may wait in memory ahead of a slow reader. */
const messagesPerPull = 1_000;
/** An abandoned consumer goes away after this. */
const inactiveThresholdNs = 30 * 1_000_000_000;
const pullExpiresNs = 30 * 1_000_000_000;
/** Silence after which the scan asks the leader whether anything is left. */
const probeAfterMs = 100;
/** Wait for a consumer that was created a moment ago and that other servers do not know yet. */
const repeatPullAfterMs = 5;
const requestExpired = 408;
const nanosPerMilli = 1_000_000;
const noResponders = 503;

/**
 * The last message of every subject that the filter matches: at least everything that was acknowledged before the call,
 * whichever replica serves it and however far that one lags. A subject that is written meanwhile may come twice; the later
 * one counts.
 *
 * The mark to read up to is the leader's last matching message. That alone is not enough: a subject that was written anew
 * during the scan has lost its place before the mark and stands behind it. The consumer's own count of what is pending goes
 * wrong under such writes (seen on 2.15.1), so the leader is asked for a second mark. If nothing was written since, all has
 * come by; else what it lists and the scan has not seen is read one by one.
 *
 * @throws EngineError `UNAVAILABLE` when messages stop coming, one is missing, or the link is lost
 */
export async function* scanLastPerSubject(
  deps: ScanDeps,
  query: ScanQuery,
): AsyncGenerator<ScannedMessage, void, undefined> {
  const mark = await lastSequence(deps.api, query);
  if (mark === 0) return;
  const seen = new Set<string>();
  const reached = yield* consume(deps, query, { mark, seen });
  if (reached >= (await lastSequence(deps.api, query))) return;
  for (const subject of await deps.api.subjects(query.stream, query.filter)) {
    if (seen.has(subject)) continue;
    const message = await deps.api.lastMessage(query.stream, subject);
    if (message === null) continue;
    yield { subject, body: message.body, storedAt: null, header: (name) => message.headers.get(name) };
  }
}

async function lastSequence(api: BucketApi, query: ScanQuery): Promise<number> {
  return (await api.lastMessage(query.stream, query.filter))?.sequence ?? 0;
}

/** Reads up to the mark through a consumer of its own, and gives the sequence that it reached. */
async function* consume(
  deps: ScanDeps,
  query: ScanQuery,
  scan: { readonly mark: number; readonly seen: Set<string> },
): AsyncGenerator<ScannedMessage, number, undefined> {
  const queue = new InboxQueue({ link: deps.link, clock: deps.clock, action: actionOf(query) });
  const consumer = `scan-${queue.subject.slice(queue.subject.lastIndexOf('.') + 1)}`;
  let isCreated = false;
  try {
    await deps.api.createConsumer(query.stream, {
      name: consumer,
      deliver_policy: 'last_per_subject',
      ack_policy: 'none',
      replay_policy: 'instant',
      filter_subjects: [query.filter],
      headers_only: query.headersOnly === true,
      inactive_threshold: inactiveThresholdNs,
      mem_storage: true,
      num_replicas: 1,
    });
    isCreated = true;
    return yield* pullUntil(deps, query, { ...scan, queue, consumer });
  } finally {
    queue.close();
    // What cannot be removed now removes itself when it has been idle.
    if (isCreated) await deps.api.deleteConsumer(query.stream, consumer).catch(() => undefined);
  }
}

async function* pullUntil(
  deps: ScanDeps,
  query: ScanQuery,
  scan: {
    readonly mark: number;
    readonly seen: Set<string>;
    readonly queue: InboxQueue;
    readonly consumer: string;
  },
): AsyncGenerator<ScannedMessage, number, undefined> {
  const { queue, seen } = scan;
  const pullSubject = `$JS.API.CONSUMER.MSG.NEXT.${query.stream}.${scan.consumer}`;
  const pull = Buffer.from(JSON.stringify({ batch: messagesPerPull, expires: pullExpiresNs }));
  let lastHeardMs = deps.clock.monotonicMs();
  let reached = 0;
  let deliveredCount = 0;
  let askedCount = 0;
  while (reached < scan.mark) {
    if (askedCount === 0) {
      queue.send(pullSubject, pull);
      askedCount = messagesPerPull;
    }
    const message = await queue.next(probeAfterMs);
    const delivery = message?.reply === undefined ? null : parseDelivery(message.reply);
    if (message === null || delivery === null) {
      if (message !== null) {
        askedCount = 0;
        await waitAfterStatus(deps.clock, query, message);
      } else if (reached >= (await lastSequence(deps.api, query))) {
        return reached; // The message that was the mark has been removed since.
      }
      if (deps.clock.monotonicMs() - lastHeardMs < deps.timeoutMs) continue;
      throw new EngineError('UNAVAILABLE', `${actionOf(query)}: nothing came within ${deps.timeoutMs} ms`);
    }
    lastHeardMs = deps.clock.monotonicMs();
    askedCount -= 1;
    deliveredCount += 1;
    if (delivery.consumerSequence !== deliveredCount) {
      const detail = `message ${deliveredCount} is missing, ${delivery.consumerSequence} came`;
      throw new EngineError('UNAVAILABLE', `${actionOf(query)}: ${detail}`);
    }
    reached = delivery.streamSequence;
    seen.add(message.subject);
    const { storedAt } = delivery;
    yield { subject: message.subject, body: message.data, storedAt, header: (name) => message.headers?.last(name) };
  }
  return reached;
}

/** Returns when the request for messages may be repeated. @throws EngineError `UNAVAILABLE` for any other status */
async function waitAfterStatus(clock: Clock, query: ScanQuery, message: Msg): Promise<void> {
  const { code, description } = message.headers ?? { code: 0, description: 'a message without a status' };
  if (code === requestExpired) return;
  if (code !== noResponders) {
    throw new EngineError('UNAVAILABLE', `${actionOf(query)}: the server broke it off: ${description} (${code})`);
  }
  await new Promise<void>((resolve) => void clock.setTimer(repeatPullAfterMs, resolve));
}

function actionOf(query: ScanQuery): string {
  return `scan ${query.filter} of ${query.stream}`;
}

/** What a delivered message's acknowledgement subject tells of it. */
export interface Delivery {
  readonly streamSequence: number;
  readonly consumerSequence: number;
  /** When the server stored the message. */
  readonly storedAt: Millis;
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
    storedAt: Math.floor(Number(tokens[first + 2]) / nanosPerMilli),
  };
}
