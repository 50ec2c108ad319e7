import { EngineError } from '../core/errors.ts';
import { contentHash } from '../core/hash.ts';
import { parseJsonValue } from '../core/json.ts';
import { auditStream, auditSubject } from '../core/subjects.ts';
import type {
  AuditAnchor,
  AuditEntry,
  AuditLog,
  AuditPage,
  AuditQuery,
  AuditRecord,
  AuditVerdict,
} from '../ports/audit-log.ts';
import type { Clock } from '../ports/clock.ts';
import type { AckInbox } from '../transport/ack-inbox.ts';
import { ChainWalk, checkAuditQuery, decodeRecord, encodeRecord, firstPreviousHash } from './audit-chain.ts';
import { AuditPageReading } from './audit-page-reading.ts';
import type { BucketApi, StoredMessage } from './bucket-api.ts';
import { ensureStream } from './buckets.ts';
import { messageIdHeader } from './journal-message.ts';
import { jetStreamCodes } from './jetstream-codes.ts';
import { errorOfPublish } from './store-error.ts';

/** How long entries are kept when nothing else is said: 400 days, so that a year can be looked back on. */
export const defaultAuditRetentionMs = 400 * 24 * 3_600_000;
/** Largest record. What an action changed is said in few words; who sends more sends a payload. */
const maximumRecordBytes = 64 * 1024;
const duplicateWindowMs = 120_000;
const nanosPerMilli = 1_000_000;
const expectedLastHeader = 'Nats-Expected-Last-Sequence';
/** How often an append begins anew because another writer was faster. */
const maximumAppendTries = 20;
/** Wait before the next try; it grows by as much with each one. */
const retryStepMs = 5;
/** Messages that are asked for at a time. */
const messagesPerWindow = 200;
/** Entries that one call of `list` looks at; then it gives what it has and where to go on. */
const maximumScannedEntries = 10_000;

/** What {@link ensureAuditStream} asks of the stream. */
export interface AuditStreamOptions {
  readonly namespace: string;
  readonly replicas: number;
  readonly retentionMs?: number | undefined;
}

/**
 * Creates the stream of the audit log if it is missing and checks it: nobody can delete a message of it or purge it.
 *
 * @throws EngineError `STREAM_MISCONFIGURED`, `UNAVAILABLE`, `STORAGE_FULL`, `BUS_FORBIDDEN`
 */
export async function ensureAuditStream(api: BucketApi, options: AuditStreamOptions): Promise<void> {
  const retentionMs = options.retentionMs ?? defaultAuditRetentionMs;
  await ensureStream(api, {
    name: auditStream(options.namespace),
    subjects: [auditSubject(options.namespace)],
    storage: 'file',
    retention: 'limits',
    discard: 'new',
    num_replicas: options.replicas,
    max_bytes: -1,
    max_msgs: -1,
    max_msgs_per_subject: -1,
    max_msg_size: maximumRecordBytes + 1_024,
    max_age: retentionMs * nanosPerMilli,
    // The server takes no window that is longer than the age.
    duplicate_window: Math.min(duplicateWindowMs, retentionMs) * nanosPerMilli,
    deny_delete: true,
    deny_purge: true,
    allow_rollup_hdrs: false,
    allow_direct: false,
  });
}

interface ChainEnd {
  readonly position: number;
  readonly hash: string;
}

/**
 * The audit log in a JetStream stream of its own. A record is appended on the condition that the stream still ends where its hash
 * says: of two writers one is refused and chains its entry behind the other's. All reads are answered by the stream's leader.
 */
export class NatsAuditLog implements AuditLog {
  readonly #api: BucketApi;
  readonly #acks: Pick<AckInbox, 'publish'>;
  readonly #clock: Clock;
  readonly #stream: string;
  readonly #subject: string;
  #end: ChainEnd | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(deps: {
    readonly api: BucketApi;
    readonly acks: Pick<AckInbox, 'publish'>;
    readonly clock: Clock;
    readonly namespace: string;
  }) {
    this.#api = deps.api;
    this.#acks = deps.acks;
    this.#clock = deps.clock;
    this.#stream = auditStream(deps.namespace);
    this.#subject = auditSubject(deps.namespace);
  }

  append(entry: AuditEntry): Promise<AuditRecord> {
    const run = (): Promise<AuditRecord> => this.#append(entry);
    const turn = this.#turn.then(run, run);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async list(query: AuditQuery): Promise<AuditPage> {
    // Before the server is asked of anything.
    checkAuditQuery(query);
    const reading = new AuditPageReading(query, await this.#newest());
    const stopAt = Math.max(0, reading.position - maximumScannedEntries);
    while (reading.position > stopAt && !reading.isFull) {
      const from = Math.max(stopAt + 1, reading.position - messagesPerWindow + 1);
      const window = await this.#readRange(from, reading.position);
      // Nothing is left below: what is older has reached its age.
      if (window.every((message) => message === null)) return reading.page({ isLast: true });
      while (reading.position >= from && !reading.isFull) reading.take(window[reading.position - from]?.body ?? null);
    }
    return reading.page();
  }

  async verify(anchor?: AuditAnchor): Promise<AuditVerdict> {
    const walk = new ChainWalk(anchor);
    const last = await this.#newest();
    const first = await this.#first();
    if (first !== null) {
      for (let from = first.sequence; from <= last; from += messagesPerWindow) {
        const window = await this.#readRange(from, Math.min(last, from + messagesPerWindow - 1));
        for (const [index, message] of window.entries()) {
          const broken = walk.take(from + index, message?.body ?? null);
          if (broken === null) continue;
          // It may have reached its age since the walk began: then begin at what is the first one now.
          const hasAged = message === null && ((await this.#first())?.sequence ?? Infinity) > broken.position;
          return hasAged ? this.verify(anchor) : broken;
        }
      }
    }
    return walk.end();
  }

  async #append(entry: AuditEntry): Promise<AuditRecord> {
    parseJsonValue(entry, 'entry');
    for (let tryCount = 1; ; tryCount += 1) {
      const end = (this.#end ??= await this.#readEnd());
      const { body, hash } = encodeRecord(entry, end.hash);
      if (body.length > maximumRecordBytes) {
        throw new EngineError('PAYLOAD_TOO_LARGE', `an audit entry of ${body.length} bytes is over the limit`, {
          limit: `${maximumRecordBytes} bytes`,
          got: body.length,
        });
      }
      const outcome = await this.#acks.publish(this.#subject, body, {
        [messageIdHeader]: hash,
        [expectedLastHeader]: String(end.position),
      });
      const position = end.position + 1;
      if (outcome.kind === 'ack' && outcome.sequence === position) {
        this.#end = { position, hash };
        return { position, entry, hash };
      }
      this.#end = null;
      // Another writer was faster, or an earlier try of this one was stored and its answer lost: the message in that place tells.
      const isKnown =
        outcome.kind === 'ack' ||
        // A stream that was just made, or changes its leader: nothing was received.
        outcome.kind === 'no-responders' ||
        (outcome.kind === 'error' && retriedCodes.has(outcome.code));
      const stored = await this.#messageAt(position);
      if (stored?.headers.get(messageIdHeader) === hash) return { position, entry, hash };
      if ((!isKnown && stored === null) || tryCount >= maximumAppendTries) {
        if (outcome.kind !== 'ack') throw errorOfPublish('append to the audit log', outcome);
        throw new EngineError('UNAVAILABLE', `others wrote to the audit log ${tryCount} times meanwhile`);
      }
      await new Promise<void>((resolve) => void this.#clock.setTimer(retryStepMs * tryCount, resolve));
    }
  }

  async #newest(): Promise<number> {
    const last = await this.#api.lastMessage(this.#stream, this.#subject);
    return last?.sequence ?? this.#api.lastSequence(this.#stream);
  }

  async #readEnd(): Promise<ChainEnd> {
    const last = await this.#api.lastMessage(this.#stream, this.#subject);
    if (last !== null) return { position: last.sequence, hash: linkTo(last) };
    // When all have reached their age, the chain begins anew behind them.
    return { position: await this.#api.lastSequence(this.#stream), hash: firstPreviousHash };
  }

  #first(): Promise<StoredMessage | null> {
    return this.#api.nextMessage(this.#stream, this.#subject, 1);
  }

  #readRange(from: number, through: number): Promise<readonly (StoredMessage | null)[]> {
    return Promise.all(
      Array.from({ length: Math.max(0, through - from + 1) }, (_, index) => this.#messageAt(from + index)),
    );
  }

  async #messageAt(position: number): Promise<StoredMessage | null> {
    const message = await this.#api.nextMessage(this.#stream, this.#subject, position);
    return message?.sequence === position ? message : null;
  }
}

/** What the next entry builds on. A message that is no record breaks the chain, as `verify` says, but must not stop the log. */
function linkTo({ sequence, body }: StoredMessage): string {
  try {
    return decodeRecord(sequence, body).hash;
  } catch {
    return contentHash(Buffer.from(body).toString('base64'));
  }
}

const retriedCodes: ReadonlySet<number> = new Set([
  jetStreamCodes.wrongLastSequence,
  jetStreamCodes.writeInProcess,
  jetStreamCodes.idInProcess,
]);
