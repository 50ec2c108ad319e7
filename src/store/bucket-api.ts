import { EngineError } from '../core/errors.ts';
import { errorOfFault } from './store-error.ts';
import type { ApiAnswer, StreamApi } from './stream-api.ts';
import { jetStreamCodes } from './jetstream-codes.ts';

/** A message as its stream's leader has it. */
export interface StoredMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
}

/** The settings of a stream or consumer, by JetStream's own names. */
export type JetStreamSettings = Readonly<Record<string, unknown>>;

/**
 * The calls of the JetStream API that the buckets need, all answered by the stream's leader.
 * Each throws EngineError `UNAVAILABLE`, `STORAGE_FULL` or `BUS_FORBIDDEN` and no other.
 */
export class BucketApi {
  readonly #api: Pick<StreamApi, 'call'>;

  constructor(deps: { readonly api: Pick<StreamApi, 'call'> }) {
    this.#api = deps.api;
  }

  /** The last message of a subject (wildcards allowed), or null when there is none. */
  lastMessage(stream: string, subject: string): Promise<StoredMessage | null> {
    return this.#getMessage(stream, subject, { last_by_subj: subject });
  }

  /** The first message of a subject from that sequence on, or null. */
  nextMessage(stream: string, subject: string, fromSequence: number): Promise<StoredMessage | null> {
    return this.#getMessage(stream, subject, { seq: fromSequence, next_by_subj: subject });
  }

  /** Removes every message whose subject the filter matches; with `through`, those up to that sequence. */
  async purge(stream: string, filter: string, through?: number): Promise<void> {
    // The server's own bound is the first sequence that stays.
    const bound = through === undefined ? {} : { seq: through + 1 };
    await this.#require(`purge ${filter}`, `STREAM.PURGE.${stream}`, { filter, ...bound });
  }

  /** The stream's last sequence, of whatever subject. */
  async lastSequence(stream: string): Promise<number> {
    const info = await this.#require(`read ${stream}`, `STREAM.INFO.${stream}`, {});
    return (info['state'] as { readonly last_seq: number }).last_seq;
  }

  /** Every subject of the stream that the filter matches. The server gives them in pages. */
  async subjects(stream: string, filter: string): Promise<readonly string[]> {
    const found: string[] = [];
    for (;;) {
      const request = { subjects_filter: filter, offset: found.length };
      const info = await this.#require(`list ${filter}`, `STREAM.INFO.${stream}`, request);
      const page = Object.keys((info['state'] as { subjects?: Record<string, number> }).subjects ?? {});
      found.push(...page);
      const total = typeof info['total'] === 'number' ? info['total'] : 0;
      if (page.length === 0 || found.length >= total) return found;
    }
  }

  /** The settings of a stream, or null when there is no such stream. */
  async streamSettings(stream: string): Promise<JetStreamSettings | null> {
    const answer = await this.#api.call(`STREAM.INFO.${stream}`);
    if (answer.kind === 'ok') return answer.value['config'] as JetStreamSettings;
    if (answer.code === jetStreamCodes.streamNotFound) return null;
    throw errorOfFault(`read the settings of ${stream}`, answer);
  }

  /** Creates the stream and gives its settings; null when another one has the name. */
  async createStream(settings: JetStreamSettings & { readonly name: string }): Promise<JetStreamSettings | null> {
    const answer = await this.#api.call(`STREAM.CREATE.${settings.name}`, settings);
    if (answer.kind === 'ok') return answer.value['config'] as JetStreamSettings;
    if (answer.code === jetStreamCodes.streamNameInUse) return null;
    throw errorOfFault(`create stream ${settings.name}`, answer);
  }

  /** Creates a consumer of its own name. */
  async createConsumer(stream: string, config: JetStreamSettings & { readonly name: string }): Promise<void> {
    const request = { stream_name: stream, config, action: 'create' };
    await this.#require(`read ${stream}`, `CONSUMER.CREATE.${stream}.${config.name}`, request);
  }

  /** Removes a consumer; one that is gone already is as good. */
  async deleteConsumer(stream: string, name: string): Promise<void> {
    await this.#api.call(`CONSUMER.DELETE.${stream}.${name}`);
  }

  async #getMessage(stream: string, subject: string, query: object): Promise<StoredMessage | null> {
    const answer = await this.#api.call(`STREAM.MSG.GET.${stream}`, query);
    if (answer.kind === 'ok') return storedMessage(answer.value['message'] as EncodedMessage | undefined, subject);
    if (answer.code === jetStreamCodes.messageNotFound) return null;
    throw errorOfFault(`read ${subject}`, answer);
  }

  async #require(
    action: string,
    operation: string,
    request: object,
  ): Promise<Extract<ApiAnswer, { kind: 'ok' }>['value']> {
    const answer = await this.#api.call(operation, request);
    if (answer.kind === 'ok') return answer.value;
    throw errorOfFault(action, answer);
  }
}

/** The calls that whoever writes and reads single keys needs. */
export type BucketCalls = Pick<BucketApi, 'lastMessage' | 'subjects' | 'purge'>;

interface EncodedMessage {
  readonly subject: string;
  readonly seq: number;
  readonly hdrs?: string;
  readonly data?: string;
}

function storedMessage(message: EncodedMessage | undefined, subject: string): StoredMessage {
  if (message === undefined) throw new EngineError('UNAVAILABLE', `read ${subject}: the answer holds no message`);
  return {
    subject: message.subject,
    sequence: message.seq,
    headers: parseHeaders(message.hdrs === undefined ? '' : Buffer.from(message.hdrs, 'base64').toString('utf8')),
    body: Buffer.from(message.data ?? '', 'base64'),
  };
}

/** The headers of a `NATS/1.0` block; of a repeated name the last value. */
export function parseHeaders(block: string): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const line of block.split('\r\n').slice(1)) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return headers;
}
