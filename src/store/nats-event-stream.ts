import { eventStream, eventSubjects } from '../core/subjects.ts';
import type { EventPublishOutcome, EventStream, EventStreamEnd, PublishableEvent } from '../ports/event-stream.ts';
import type { Random } from '../ports/random.ts';
import type { AckInbox, PublishOutcome } from '../transport/ack-inbox.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import { messageHeaders } from '../transport/reply-inbox.ts';
import type { BucketApi } from './bucket-api.ts';
import { ensureStream } from './buckets.ts';
import { messageIdHeader } from './journal-message.ts';
import { jetStreamCodes } from './jetstream-codes.ts';

/** Bytes of events that the stream keeps when nothing else is said; beyond them the oldest go. */
export const defaultEventBytes = 1024 * 1024 * 1024;
/** How long the server sees a repeated position by itself; the condition on the stream's end holds for ever. */
const duplicateWindowMs = 120_000;
const nanosPerMilli = 1_000_000;
/** The header that makes a publish conditional on the last sequence of the whole stream. */
const expectedLastHeader = 'Nats-Expected-Last-Sequence';
const contentType = 'application/cloudevents+json; charset=utf-8';

/** The end is another's, or one of the events is in the stream already. */
const conflictCodes: ReadonlySet<number> = new Set([
  jetStreamCodes.wrongLastSequence,
  jetStreamCodes.batchHasDuplicate,
]);

/** What {@link ensureEventStream} asks of the stream. */
export interface EventStreamOptions {
  readonly namespace: string;
  readonly replicas: number;
  readonly maximumBytes?: number | undefined;
}

/**
 * Creates the stream of events if it is missing and checks it. It is bounded by bytes and not by age: its last message says where
 * the publisher goes on, also after a long rest.
 *
 * @throws EngineError `STREAM_MISCONFIGURED`, `UNAVAILABLE`, `STORAGE_FULL`, `BUS_FORBIDDEN`
 */
export async function ensureEventStream(api: BucketApi, options: EventStreamOptions): Promise<void> {
  await ensureStream(api, {
    name: eventStream(options.namespace),
    subjects: [eventSubjects(options.namespace)],
    storage: 'file',
    retention: 'limits',
    discard: 'old',
    num_replicas: options.replicas,
    max_bytes: options.maximumBytes ?? defaultEventBytes,
    max_age: 0,
    max_msgs: -1,
    max_msgs_per_subject: -1,
    duplicate_window: duplicateWindowMs * nanosPerMilli,
    deny_delete: true,
    allow_direct: true,
    allow_atomic: true,
  });
}

/** The published events in a JetStream stream: `<namespace>.events.<pipeline>.<type>`, the position as message id. */
export class NatsEventStream implements EventStream {
  readonly #api: BucketApi;
  readonly #link: NatsLink;
  readonly #acks: Pick<AckInbox, 'publish'>;
  readonly #random: Random;
  readonly #stream: string;
  readonly #subjects: string;

  /** @param deps - `acks` is an inbox on that very link: the parts of a batch must stay in their order */
  constructor(deps: {
    readonly api: BucketApi;
    readonly link: NatsLink;
    readonly acks: Pick<AckInbox, 'publish'>;
    readonly random: Random;
    readonly namespace: string;
  }) {
    this.#api = deps.api;
    this.#link = deps.link;
    this.#acks = deps.acks;
    this.#random = deps.random;
    this.#stream = eventStream(deps.namespace);
    this.#subjects = eventSubjects(deps.namespace);
  }

  async end(): Promise<EventStreamEnd> {
    const last = await this.#api.lastMessage(this.#stream, this.#subjects);
    if (last !== null) return { position: last.headers.get(messageIdHeader) ?? null, sequence: last.sequence };
    // Emptied by hand: its sequences go on all the same.
    return { position: null, sequence: await this.#api.lastSequence(this.#stream) };
  }

  async publish(events: readonly PublishableEvent[], expectedLast: number): Promise<EventPublishOutcome> {
    if (events.length === 0) return { kind: 'published', sequence: expectedLast };
    // One atomic batch. A condition on each message instead would let a later one in though an earlier one was refused, where
    // another publisher's message has filled its place.
    const batchId = this.#random.id();
    const outcomes = events.map((event, index) => {
      const headers = {
        [messageIdHeader]: event.position,
        'content-type': contentType,
        'Nats-Batch-Id': batchId,
        'Nats-Batch-Sequence': String(index + 1),
        ...(index === 0 ? { [expectedLastHeader]: String(expectedLast) } : {}),
      };
      const isLast = index === events.length - 1;
      return isLast ? this.#commit(event, headers) : this.#add(event, headers);
    });
    const outcome = await (outcomes.at(-1) as Promise<PublishOutcome>);
    const end = expectedLast + events.length;
    if (outcome.kind === 'ack' && outcome.sequence === end) return { kind: 'published', sequence: end };
    if (outcome.kind === 'error' && conflictCodes.has(outcome.code)) return { kind: 'conflict' };
    return { kind: 'unknown', detail: outcome.kind === 'error' ? outcome.description : outcome.kind };
  }

  /** A message that counts only once its batch is committed; nobody answers it. */
  #add({ subject, body }: PublishableEvent, headers: Readonly<Record<string, string>>): null {
    // What is not sent, or lost, makes the batch incomplete, and the server refuses to commit it.
    if (this.#link.isConnected) {
      this.#link.connection.publish(subject, body, { headers: messageHeaders(headers) });
    }
    return null;
  }

  #commit({ subject, body }: PublishableEvent, headers: Readonly<Record<string, string>>): Promise<PublishOutcome> {
    return this.#acks.publish(subject, body, { ...headers, 'Nats-Batch-Commit': '1' });
  }
}
