import type { Msg } from '@nats-io/transport-node';
import type { Sequence } from '../core/ids.ts';
import { shardOfJournalSubject } from '../core/subjects.ts';
import type { JournalEntry } from '../ports/journal.ts';

/** The header that makes an append conditional; the server keeps it with the message. */
export const expectedLastHeader = 'Nats-Expected-Last-Subject-Sequence';
/** The header by which the server sees a repeated append. */
export const messageIdHeader = 'Nats-Msg-Id';

const nanosPerMilli = 1_000_000;

/** A message that a consumer delivered, and its place in that consumer. */
export interface DeliveredEntry {
  readonly entry: JournalEntry;
  /** Counts the consumer's deliveries from 1: a gap in it is a lost message. */
  readonly deliverySequence: number;
}

/**
 * A delivered message, or null for one without delivery data (a status).
 *
 * Its reply subject is `$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<delivery>.<time>.<pending>`, or with
 * `<domain>.<account>.` after `ACK` and a token at the end.
 */
export function parseDelivered(message: Msg): DeliveredEntry | null {
  const tokens = (message.reply ?? '').split('.');
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK' || tokens.length < 9) return null;
  const first = tokens.length === 9 ? 5 : 7;
  const previous = message.headers?.get(expectedLastHeader) ?? '';
  return {
    deliverySequence: Number(tokens[first + 1]),
    entry: {
      shard: shardOfJournalSubject(message.subject),
      sequence: Number(tokens[first]) as Sequence,
      storedAt: Math.floor(Number(tokens[first + 2]) / nanosPerMilli),
      body: message.data,
      ...(previous === '' ? {} : { previous: Number(previous) as Sequence }),
    },
  };
}

/** The message in an answer to `STREAM.MSG.GET`: `{ subject, seq, time, data?, hdrs? }`, bytes in base64. */
export function parseStoredMessage(message: {
  readonly subject: string;
  readonly seq: number;
  readonly time: string;
  readonly data?: string;
  readonly hdrs?: string;
}): JournalEntry {
  const previous = headerOf(message.hdrs, expectedLastHeader);
  return {
    shard: shardOfJournalSubject(message.subject),
    sequence: message.seq as Sequence,
    storedAt: Date.parse(message.time),
    body: Buffer.from(message.data ?? '', 'base64'),
    ...(previous === undefined ? {} : { previous: Number(previous) as Sequence }),
  };
}

function headerOf(encoded: string | undefined, name: string): string | undefined {
  if (encoded === undefined) return undefined;
  const lines = Buffer.from(encoded, 'base64').toString('utf8').split('\r\n');
  const line = lines.find((text) => text.startsWith(`${name}:`));
  return line?.slice(name.length + 1).trim();
}
