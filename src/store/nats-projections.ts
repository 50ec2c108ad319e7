import { deadLetterBucket } from '../core/subjects.ts';
import type { Clock } from '../ports/clock.ts';
import type { ProjectionChange, ProjectionSave, ProjectionStore, StoredProjection } from '../ports/projection-store.ts';
import type { JsonValue } from '../core/json.ts';
import type { AckInbox } from '../transport/ack-inbox.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import type { BucketApi } from './bucket-api.ts';
import { keyOfSubject, keySubject, lastTokenOf } from './bucket-keys.ts';
import { isRemoval, NatsBucket, ttlHeader } from './nats-bucket.ts';
import {
  decodePosition,
  decodeDocument,
  documentFilter,
  documentKey,
  encodeDocuments,
  encodePosition,
  positionKey,
} from './projection-keys.ts';
import { errorOfPublish } from './store-error.ts';
import { scanLastPerSubject } from './subject-scan.ts';
import { jetStreamCodes } from './jetstream-codes.ts';

/** Room that headers (fence, time to live) and the subject take in a message beside the document. */
const headroomBytes = 1_024;
const scanTimeoutMs = 5_000;
/** What stands for a removed document goes away after this; nothing reads it. */
const removalTtlMs = 60_000;
/** Waits between two tries of a write while another conditional write of the same fence is in process. */
const busyDelaysMs = [1, 2, 5, 10, 20, 50, 100];
const noBody = new Uint8Array(0);

/**
 * Projections in a JetStream KV bucket: `<name>.position`, and `<name>.document.<key>` a document, all JSON.
 *
 * A save writes the position key three times over: it *claims* it (the old position, by compare-and-set), writes each
 * document under the condition that the claim is still the key's last write, and then sets the new position, by
 * compare-and-set on the claim. So as soon as another save has claimed, the server refuses whatever this one still sends,
 * and a save that was cut off leaves documents that are ahead of the position, never behind it.
 *
 * @see "Nats-Expected-Last-Subject-Sequence-Subject", since nats-server 2.11: a write fenced by another subject
 */
export class NatsProjectionStore implements ProjectionStore {
  readonly maximumDocumentBytes: number;
  readonly #api: BucketApi;
  readonly #link: NatsLink;
  readonly #acks: Pick<AckInbox, 'publish'>;
  readonly #clock: Clock;
  readonly #bucket: NatsBucket;

  constructor(deps: {
    readonly api: BucketApi;
    readonly link: NatsLink;
    readonly acks: Pick<AckInbox, 'publish'>;
    readonly clock: Clock;
    readonly namespace: string;
  }) {
    this.#api = deps.api;
    this.#link = deps.link;
    this.#acks = deps.acks;
    this.#clock = deps.clock;
    const name = deadLetterBucket(deps.namespace);
    this.#bucket = new NatsBucket({ name, api: deps.api, acks: deps.acks, clock: deps.clock });
    this.maximumDocumentBytes = deps.link.maximumPayloadBytes - headroomBytes;
  }

  async peek(name: string): Promise<Pick<StoredProjection, 'position' | 'revision'>> {
    const key = positionKey(name);
    const { value, revision } = await this.#bucket.get(key);
    return { position: value === null ? null : decodePosition(key, value), revision };
  }

  async load(name: string): Promise<StoredProjection> {
    // The position first: documents that are newer than it are right, older ones would be lost.
    const { position, revision } = await this.peek(name);
    const documents = new Map<string, JsonValue>();
    if (revision === 0) return { position, revision, documents };
    const { stream, name: bucket } = this.#bucket;
    const scan = scanLastPerSubject(
      { api: this.#api, link: this.#link, clock: this.#clock, timeoutMs: scanTimeoutMs },
      { stream, filter: keySubject(bucket, documentFilter(name)) },
    );
    for await (const message of scan) {
      const key = keyOfSubject(bucket, message.subject);
      if (isRemoval(message.header)) documents.delete(lastTokenOf(key));
      else documents.set(lastTokenOf(key), decodeDocument(message.body));
    }
    return { position, revision, documents };
  }

  async save(name: string, change: ProjectionChange, expectedRevision: number): Promise<ProjectionSave> {
    const encoded = encodeDocuments(change, this.maximumDocumentBytes);
    if (encoded.size === 0 && change.deletes.length === 0) {
      return this.#setPosition(name, change.position, expectedRevision);
    }
    const { position, revision } = await this.peek(name);
    if (revision !== expectedRevision) return { kind: 'conflict' };
    const claim = await this.#setPosition(name, position, expectedRevision);
    if (claim.kind === 'conflict') return claim;
    for (const [key, bytes] of encoded) {
      if (!(await this.#writeFenced(name, key, claim.revision, { body: bytes, headers: {} })))
        return { kind: 'conflict' };
    }
    const removal = { 'KV-Operation': 'PURGE', 'Nats-Rollup': 'sub', ...ttlHeader(removalTtlMs) };
    for (const key of change.deletes) {
      const isWritten = await this.#writeFenced(name, key, claim.revision, { body: noBody, headers: removal });
      if (!isWritten) return { kind: 'conflict' };
    }
    return this.#setPosition(name, change.position, claim.revision);
  }

  async #setPosition(name: string, position: string | null, expected: number): Promise<ProjectionSave> {
    const outcome = await this.#bucket.set(positionKey(name), encodePosition(position), { expected });
    if (outcome.kind === 'stored') return { kind: 'saved', revision: outcome.revision };
    if (outcome.kind === 'conflict') return outcome;
    throw outcome.error;
  }

  /** One document under the claim; false when the claim is another's by now. One at a time: replicated streams take no more. */
  async #writeFenced(
    name: string,
    key: string,
    claim: number,
    message: { readonly body: Uint8Array; readonly headers: Readonly<Record<string, string>> },
  ): Promise<boolean> {
    const subject = keySubject(this.#bucket.name, documentKey(name, key));
    const headers = {
      ...message.headers,
      'Nats-Expected-Last-Subject-Sequence': String(claim),
      'Nats-Expected-Last-Subject-Sequence-Subject': keySubject(this.#bucket.name, positionKey(name)),
    };
    for (let busyCount = 0; ; busyCount += 1) {
      const outcome = await this.#acks.publish(subject, message.body, headers);
      if (outcome.kind === 'ack') return true;
      const code = outcome.kind === 'error' ? outcome.code : undefined;
      if (code === jetStreamCodes.wrongLastSequence) return false;
      const delayMs = busyDelaysMs[busyCount];
      if (code !== jetStreamCodes.writeInProcess || delayMs === undefined) {
        throw errorOfPublish(`write document ${key} of projection ${name}`, outcome);
      }
      await new Promise<void>((resolve) => void this.#clock.setTimer(delayMs, resolve));
    }
  }
}
