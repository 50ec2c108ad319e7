import type { EngineError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { AckInbox } from '../transport/ack-inbox.ts';
import { bucketStream, keySubject } from './bucket-keys.ts';
import type { BucketCalls } from './bucket-api.ts';
import { errorOfPublish } from './store-error.ts';
import { jetStreamCodes } from './jetstream-codes.ts';

/** A key as the leader has it. A removed key has a revision and no value; one that never was has revision 0. */
export interface KeyEntry {
  readonly revision: number;
  readonly value: Uint8Array | null;
}

/** What a conditional write came to. */
export type SetOutcome =
  | { readonly kind: 'stored'; readonly revision: number }
  /** The key's revision was another one; an earlier try of the same write may be what is there. */
  | { readonly kind: 'conflict' }
  /** Nobody knows whether it landed, or will. */
  | { readonly kind: 'unknown'; readonly error: EngineError };

/** Waits between two tries of a write that another write of the same key is in the way of. */
const busyDelaysMs = [1, 2, 5, 10, 20, 50];
const noBody = new Uint8Array(0);

/** The header by which the server takes a message away. It counts in whole seconds, so the span is rounded up. */
export function ttlHeader(ttlMs: number): Readonly<Record<string, string>> {
  return { 'Nats-TTL': `${Math.max(1, Math.ceil(ttlMs / 1_000))}s` };
}

/** Whether a message of a bucket stands for a key's removal: by delete, purge, or its time to live. */
export function isRemoval(header: (name: string) => string | undefined): boolean {
  const operation = header('KV-Operation');
  return operation === 'DEL' || operation === 'PURGE' || (header('Nats-Marker-Reason') ?? '') !== '';
}

/** Keys of one JetStream KV bucket: conditional writes and reads from the leader. Readable by `nats kv` and `Kvm.open`. */
export class NatsBucket {
  readonly name: string;
  readonly stream: string;
  readonly #api: Pick<BucketCalls, 'lastMessage'>;
  readonly #acks: Pick<AckInbox, 'publish'>;
  readonly #clock: Clock;

  constructor(deps: {
    readonly name: string;
    readonly api: Pick<BucketCalls, 'lastMessage'>;
    readonly acks: Pick<AckInbox, 'publish'>;
    readonly clock: Clock;
  }) {
    this.name = deps.name;
    this.stream = bucketStream(deps.name);
    this.#api = deps.api;
    this.#acks = deps.acks;
    this.#clock = deps.clock;
  }

  /** The key as the leader has it. @throws EngineError `UNAVAILABLE` */
  async get(key: string): Promise<KeyEntry> {
    const message = await this.#api.lastMessage(this.stream, keySubject(this.name, key));
    if (message === null) return { revision: 0, value: null };
    const isRemoved = isRemoval((name) => message.headers.get(name));
    return { revision: message.sequence, value: isRemoved ? null : message.body };
  }

  /** Writes whatever is there, and gives the revision. @throws EngineError `UNAVAILABLE`, `STORAGE_FULL` and as `errorOfPublish` */
  async put(key: string, body: Uint8Array, options: { readonly ttlMs?: number } = {}): Promise<number> {
    const headers = options.ttlMs === undefined ? undefined : ttlHeader(options.ttlMs);
    const outcome = await this.#acks.publish(keySubject(this.name, key), body, headers);
    if (outcome.kind === 'ack') return outcome.sequence;
    throw errorOfPublish(`write key ${key} of ${this.name}`, outcome);
  }

  /** Writes if the key's revision is `expected` (0: never written). Never rejects. */
  set(
    key: string,
    body: Uint8Array,
    options: { readonly expected: number; readonly ttlMs?: number | undefined },
  ): Promise<SetOutcome> {
    const ttl = options.ttlMs === undefined ? {} : ttlHeader(options.ttlMs);
    return this.#conditional(key, body, options.expected, ttl);
  }

  /** Removes if the key's revision is `expected`; what stands for the removal goes away by itself. Never rejects. */
  remove(key: string, options: { readonly expected: number; readonly markerTtlMs: number }): Promise<SetOutcome> {
    const headers = { 'KV-Operation': 'PURGE', 'Nats-Rollup': 'sub', ...ttlHeader(options.markerTtlMs) };
    return this.#conditional(key, noBody, options.expected, headers);
  }

  async #conditional(
    key: string,
    body: Uint8Array,
    expected: number,
    extra: Readonly<Record<string, string>>,
  ): Promise<SetOutcome> {
    const subject = keySubject(this.name, key);
    const headers = { ...extra, 'Nats-Expected-Last-Subject-Sequence': String(expected) };
    for (let busyCount = 0; ; busyCount += 1) {
      const outcome = await this.#acks.publish(subject, body, headers);
      if (outcome.kind === 'ack') return { kind: 'stored', revision: outcome.sequence };
      const code = outcome.kind === 'error' ? outcome.code : undefined;
      if (code === jetStreamCodes.wrongLastSequence) return { kind: 'conflict' };
      const delayMs = busyDelaysMs[busyCount];
      // Busy says that a write of this key is on its way, not whose it is nor that it will be stored.
      if (code !== jetStreamCodes.writeInProcess || delayMs === undefined) {
        return { kind: 'unknown', error: errorOfPublish(`write key ${key} of ${this.name}`, outcome) };
      }
      await new Promise<void>((resolve) => void this.#clock.setTimer(delayMs, resolve));
    }
  }
}
