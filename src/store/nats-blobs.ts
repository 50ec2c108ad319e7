import { EngineError } from '../core/errors.ts';
import { parseTaskId, type Millis } from '../core/ids.ts';
import type { BlobReference } from '../core/records.ts';
import { blobBucket } from '../core/subjects.ts';
import { blobReuseMs, type BlobCensus, type BlobStore } from '../ports/blobs.ts';
import type { Clock } from '../ports/clock.ts';
import type { Random } from '../ports/random.ts';
import type { AckInbox } from '../transport/ack-inbox.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import { checkBlob, blobReference, digestOf } from './blob-reference.ts';
import type { BucketApi } from './bucket-api.ts';
import { objectStream } from './bucket-keys.ts';
import { runInFlight } from './in-flight.ts';
import { decodeObjectMeta, encodeObjectMeta, type ObjectMeta } from './object-meta.ts';
import { errorOfPublish } from './store-error.ts';
import { scanLastPerSubject } from './subject-scan.ts';

/** Chunk of an object, as the client libraries cut them. */
const chunkBytes = 128 * 1024;
const chunkHeadroomBytes = 1_024;
const maximumChunksInFlight = 16;
/** How long a census waits for the next message. */
const censusTimeoutMs = 10_000;

/**
 * Blobs in the layout of a JetStream Object Store, so that `nats object` can list and read them.
 *
 * The client library's own `put` is not used: it waits for each chunk, and removes an older object of the same name while
 * another node may be reading it. Here the chunks of each `put` have a subject of their own,
 * `<task>.<name>.<sha256>.<unique>`, whose first token makes a task's objects one filter.
 */
export class NatsBlobStore implements BlobStore {
  readonly #api: BucketApi;
  readonly #link: NatsLink;
  readonly #acks: Pick<AckInbox, 'publish'>;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #bucket: string;
  readonly #stream: string;
  readonly #chunkBytes: number;

  constructor(deps: {
    readonly api: BucketApi;
    readonly link: NatsLink;
    readonly acks: Pick<AckInbox, 'publish'>;
    readonly clock: Clock;
    readonly random: Random;
    readonly namespace: string;
  }) {
    this.#api = deps.api;
    this.#link = deps.link;
    this.#acks = deps.acks;
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#bucket = blobBucket(deps.namespace);
    this.#stream = objectStream(this.#bucket);
    this.#chunkBytes = Math.min(chunkBytes, deps.link.maximumPayloadBytes - chunkHeadroomBytes);
  }

  async put(taskId: string, name: string, bytes: Uint8Array): Promise<BlobReference> {
    const reference = blobReference(parseTaskId(taskId), name, bytes);
    const stored = await this.#readMeta(reference.key);
    const isSame = stored?.digest === digestOf(reference) && stored.size === reference.sizeBytes;
    if (isSame && this.#clock.now() - Date.parse(stored.mtime) < blobReuseMs) return reference;

    const chunkId = `${taskId}.${encodeToken(name)}.${reference.sha256}.${this.#random.id()}`;
    const chunkSubject = this.#chunkSubject(chunkId);
    const chunks = cut(bytes, this.#chunkBytes);
    try {
      await runInFlight(chunks, maximumChunksInFlight, (chunk) => this.#publish(chunkSubject, chunk));
      // Only now, when every chunk is acknowledged, does the object exist.
      const meta = this.#metaOf(reference, chunkId, chunks.length);
      await this.#publish(this.#metaSubject(reference.key), encodeObjectMeta(meta), { 'Nats-Rollup': 'sub' });
    } catch (error) {
      // Half an object would fill a full bucket further. What cannot be removed now goes with the task.
      if (!(await this.#isStored(reference.key, chunkId))) {
        await this.#api.purge(this.#stream, chunkSubject).catch(() => undefined);
      }
      throw error;
    }
    return reference;
  }

  async get(reference: BlobReference): Promise<Uint8Array> {
    const meta = await this.#readMeta(reference.key);
    if (meta === null) throw corrupt(reference, 'it is missing');
    const parts: Uint8Array[] = [];
    let fromSequence = 1;
    for (let index = 0; index < meta.chunks; index += 1) {
      const chunk = await this.#api.nextMessage(this.#stream, this.#chunkSubject(meta.nuid), fromSequence);
      if (chunk === null) throw corrupt(reference, `chunk ${index + 1} of ${meta.chunks} is missing`);
      parts.push(chunk.body);
      fromSequence = chunk.sequence + 1;
    }
    const bytes = Buffer.concat(parts);
    checkBlob(reference, bytes);
    return bytes;
  }

  async census(wanted: (taskId: string) => boolean): Promise<BlobCensus> {
    const mark = await this.#api.lastSequence(this.#stream);
    const scan = { api: this.#api, link: this.#link, clock: this.#clock, timeoutMs: censusTimeoutMs };
    const chunks = { stream: this.#stream, filter: this.#chunkSubject('>'), headersOnly: true };
    const newestAt = new Map<string, Millis>();
    for await (const { subject, storedAt } of scanLastPerSubject(scan, chunks)) {
      const [taskId = ''] = subject.slice(this.#chunkSubject('').length).split('.');
      if (!wanted(taskId)) continue;
      newestAt.set(taskId, Math.max(newestAt.get(taskId) ?? 0, storedAt ?? this.#clock.now()));
    }
    return { mark, newestAt };
  }

  async deleteTask(taskId: string, mark?: number): Promise<void> {
    const filter = this.#chunkSubject(`${parseTaskId(taskId)}.>`);
    const subjects = await this.#api.subjects(this.#stream, filter);
    const keys = new Set(subjects.map((subject) => this.#keyOfChunks(subject)));
    // Meta first: should this end halfway, the chunks are still there to tell a repeat what to remove.
    for (const key of keys) await this.#api.purge(this.#stream, this.#metaSubject(key), mark);
    if (subjects.length > 0) await this.#api.purge(this.#stream, filter, mark);
  }

  async #readMeta(key: string): Promise<ObjectMeta | null> {
    const message = await this.#api.lastMessage(this.#stream, this.#metaSubject(key));
    return message === null ? null : decodeObjectMeta(key, message.body);
  }

  /** Whether the object may be there after all: an acknowledgement of its meta may have been lost. In doubt, yes. */
  async #isStored(key: string, chunkId: string): Promise<boolean> {
    try {
      return (await this.#readMeta(key))?.nuid === chunkId;
    } catch {
      return true;
    }
  }

  async #publish(subject: string, body: Uint8Array, headers?: Readonly<Record<string, string>>): Promise<void> {
    const outcome = await this.#acks.publish(subject, body, headers);
    if (outcome.kind !== 'ack') throw errorOfPublish(`write ${subject}`, outcome);
  }

  #metaOf(reference: BlobReference, chunkId: string, chunkCount: number): ObjectMeta {
    return {
      name: reference.key,
      bucket: this.#bucket,
      nuid: chunkId,
      size: reference.sizeBytes,
      chunks: chunkCount,
      digest: digestOf(reference),
      mtime: new Date(this.#clock.now()).toISOString(),
      options: { max_chunk_size: this.#chunkBytes },
    };
  }

  #metaSubject(key: string): string {
    return `$O.${this.#bucket}.M.${encodeToken(key)}`;
  }

  #chunkSubject(chunkId: string): string {
    return `$O.${this.#bucket}.C.${chunkId}`;
  }

  #keyOfChunks(subject: string): string {
    const [taskId, name = '', sha256] = subject.slice(this.#chunkSubject('').length).split('.');
    return `${taskId}/${Buffer.from(name, 'base64url').toString('utf8')}/${sha256}`;
  }
}

/** Any text as one token of a subject; the Object Store pads it. */
function encodeToken(text: string): string {
  const unpadded = Buffer.from(text, 'utf8').toString('base64url');
  return unpadded.padEnd(Math.ceil(unpadded.length / 4) * 4, '=');
}

/** At least one chunk, so that an empty object too can be found by its task. */
function cut(bytes: Uint8Array, size: number): readonly Uint8Array[] {
  const count = Math.max(1, Math.ceil(bytes.length / size));
  return Array.from({ length: count }, (_, index) => bytes.subarray(index * size, (index + 1) * size));
}

function corrupt(reference: BlobReference, detail: string): EngineError {
  return new EngineError('RECORD_CORRUPT', `blob ${reference.key}: ${detail}`, { field: reference.key });
}
