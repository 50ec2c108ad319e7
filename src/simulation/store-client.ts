import { EngineError } from '../core/errors.ts';
import type { BlobStore } from '../ports/blobs.ts';
import type { Journal } from '../ports/journal.ts';
import type { LeaseStore } from '../ports/leases.ts';
import type { Logger } from '../ports/logger.ts';
import type { SnapshotStore } from '../ports/snapshots.ts';
import type { BucketCalls } from '../store/bucket-api.ts';
import { bucketStream } from '../store/bucket-keys.ts';
import type { ListedKey } from '../store/direct-list.ts';
import { NatsLeaseStore } from '../store/nats-leases.ts';
import { NatsSnapshotStore } from '../store/nats-snapshots.ts';
import type { ScannedMessage, ScanQuery } from '../store/subject-scan.ts';
import type { AckInbox } from '../transport/ack-inbox.ts';
import type { Connection } from './connection.ts';
import type { PublishAnswer, StreamMessage } from './jetstream-stream.ts';
import { SimulatedJournal } from './simulated-journal.ts';
import type { StoreServer } from './store-server.ts';

/** As a node has them. */
const ackTimeoutMs = 5_000;
const leaseTimeoutMs = 1_500;
const apiTimeoutMs = 5_000;
const listTimeoutMs = 2_000;
const maximumPayloadBytes = 1024 * 1024;

/** The stores as one process has them: the engine's own adapters over the model's streams. */
export class StoreClient {
  readonly journal: Journal;
  readonly snapshots: SnapshotStore;
  readonly leases: LeaseStore;
  readonly blobs: BlobStore;
  readonly #server: StoreServer;
  readonly #connection: Connection;

  constructor(deps: {
    readonly server: StoreServer;
    readonly connection: Connection;
    readonly logger: Logger;
    readonly namespace: string;
  }) {
    this.#server = deps.server;
    this.#connection = deps.connection;
    const { clock } = deps.connection.process;
    const { logger, namespace } = deps;
    const acks = this.#acks(ackTimeoutMs);
    this.journal = new SimulatedJournal({
      ask: (action, answer) => this.#ask(action, answer),
      acks,
      clock,
      namespace,
      stream: this.#server.journal,
      lagMs: () => this.#server.lagOfReplica(),
    });
    this.snapshots = new NatsSnapshotStore({
      api: this.#api(apiTimeoutMs),
      acks,
      clock,
      namespace,
      maximumPayloadBytes,
      scan: (query) => this.#scan(query),
    });
    this.leases = new NatsLeaseStore({
      api: this.#api(leaseTimeoutMs),
      acks: this.#acks(leaseTimeoutMs),
      clock,
      logger,
      namespace,
      list: (bucket) => this.#list(bucket),
    });
    this.blobs = this.#blobStore();
  }

  /** Asks the store; its answer is computed when the question is heard. @throws EngineError `UNAVAILABLE`, and what `answer` throws */
  async #ask<Answer>(
    action: string,
    answer: () => Answer | Promise<Answer>,
    timeoutMs: number = apiTimeoutMs,
  ): Promise<Answer> {
    const answered = await this.#connection.request<Answer | EngineError>(
      (respond) => {
        this.#server.hear(() => {
          void Promise.resolve()
            .then(answer)
            .then(respond, (thrown: unknown) => respond(thrown as EngineError));
        });
      },
      { timeoutMs },
    );
    if (answered.kind !== 'answer') throw new EngineError('UNAVAILABLE', `${action}: ${answered.kind}`);
    if (answered.answer instanceof Error) throw answered.answer;
    return answered.answer;
  }

  #acks(timeoutMs: number): Pick<AckInbox, 'publish'> {
    return {
      publish: async (subject, body, headers = {}) => {
        const bytes = new Uint8Array(body);
        const map = new Map(Object.entries(headers));
        const answered = await this.#connection.request<PublishAnswer>(
          (respond) => this.#server.publish(subject, bytes, map, respond),
          { timeoutMs },
        );
        return answered.kind === 'answer' ? answered.answer : answered;
      },
    };
  }

  #api(timeoutMs: number): BucketCalls {
    return {
      lastMessage: (stream, subject) =>
        this.#ask(`read ${subject}`, () => this.#server.stream(stream).last(subject), timeoutMs),
      subjects: (stream, filter) =>
        this.#ask(
          `list ${filter}`,
          () =>
            this.#server
              .stream(stream)
              .lastOfAll(filter)
              .map(({ subject }) => subject),
          timeoutMs,
        ),
      purge: (stream, filter, through) =>
        this.#ask(
          `purge ${filter}`,
          () => this.#server.stream(stream).purge(filter, through === undefined ? undefined : through + 1),
          timeoutMs,
        ),
    };
  }

  /** Two questions, between which the bucket may change: the subjects, then their messages. */
  async *#scan(query: ScanQuery): AsyncGenerator<ScannedMessage, void, undefined> {
    const { stream, filter } = query;
    const first = await this.#ask(`scan ${filter}`, () => this.#server.stream(stream).lastOfAll(filter));
    if (first.length === 0) return;
    const half = first.slice(0, Math.ceil(first.length / 2));
    const seen = new Set(half.map(({ subject }) => subject));
    for (const message of half) yield scanned(message);
    const rest = await this.#ask(`scan ${filter}`, () => this.#server.stream(stream).lastOfAll(filter));
    // What the first half has shown may have changed: it comes again, and the later one counts.
    const newest = half.at(-1)?.sequence ?? 0;
    for (const message of rest) if (!seen.has(message.subject) || message.sequence > newest) yield scanned(message);
  }

  async #list(bucket: string): Promise<readonly ListedKey[]> {
    const stream = bucketStream(bucket);
    const messages = await this.#ask(
      `list bucket ${bucket}`,
      () => this.#server.stream(stream).asOf(this.#server.lagOfReplica()),
      listTimeoutMs,
    );
    return messages.flatMap((message) => this.#server.listed(bucket, message) ?? []);
  }

  #blobStore(): BlobStore {
    const { blobs } = this.#server;
    return {
      put: (taskId, name, bytes) => this.#ask('put', () => blobs.put(taskId, name, bytes)),
      get: (reference) => this.#ask('get', () => blobs.get(reference)),
      census: (wanted) => this.#ask('census', () => blobs.census(wanted)),
      deleteTask: (taskId, mark) => this.#ask('deleteTask', () => blobs.deleteTask(taskId, mark)),
    };
  }
}

function scanned({ subject, body, storedAt, headers }: StreamMessage): ScannedMessage {
  return { subject, body, storedAt, header: (name) => headers.get(name) };
}
