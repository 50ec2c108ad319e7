import { Packr } from 'msgpackr';
import { parseReport } from '../core/error-report.ts';
import { asError, EngineError, invalidArgument } from '../core/errors.ts';
import type { ShardCommand } from '../core/messages.ts';
import {
  maximumCommandsPerRequest,
  protocolVersion,
  type ReplyEnvelope,
  type RequestEnvelope,
} from '../core/protocol.ts';
import type { Reply } from '../core/replies.ts';
import { scanMessagePack } from './messagepack-scan.ts';
import { parseCommand, refuseUnknownFields } from './parse-command.ts';

/** Largest request or answer in bytes when the server's `max_payload` is not known: its default of 1 MiB. */
export const maximumMessageBytes = 1024 * 1024;
/** Bytes that an envelope takes beside its commands or replies, at most. */
export const envelopeOverheadBytes = 32;

/** What a request's bytes came to. A bad command is an error in its place and leaves its neighbors alone. */
export type DecodedRequest =
  | { readonly kind: 'commands'; readonly commands: readonly (ShardCommand | EngineError)[] }
  | { readonly kind: 'rejected'; readonly error: EngineError };

// Plain maps that any language reads. What is undefined is left out, as JSON leaves it out.
const options = { useRecords: false, variableMapSize: true, int64AsType: 'number', skipValues: [undefined] } as const;
const packr = new Packr({ ...options });

const envelopeFields: ReadonlySet<string> = new Set(['v', 'commands']);
const commandsHead = envelopeHead('commands');
const repliesHead = envelopeHead('replies');
const mapOfThree = 0x83;

/** One command as MessagePack, encoded once however often it is sent. */
export function encodeCommand(command: ShardCommand): Uint8Array {
  return packr.pack(command);
}

/** A request envelope of commands that are encoded already. */
export function assembleRequest(encodedCommands: readonly Uint8Array[]): Uint8Array {
  return assemble(commandsHead, encodedCommands);
}

/** A request envelope. */
export function encodeRequest(commands: RequestEnvelope['commands']): Uint8Array {
  return assembleRequest(commands.map(encodeCommand));
}

/**
 * The commands in a request, every field checked: inside, nothing is unknown any more. Never throws.
 *
 * @param maximumBytes - checked before anything is read
 */
export function decodeRequest(bytes: Uint8Array, maximumBytes = maximumMessageBytes): DecodedRequest {
  try {
    return { kind: 'commands', commands: decodeEnvelope(bytes, maximumBytes).map(parseCommandOrError) };
  } catch (error) {
    return { kind: 'rejected', error: asEngineError(error) };
  }
}

/**
 * The answer to a request. Replies that do not fit under `maximumBytes` are replaced: one too large by itself by
 * `PAYLOAD_TOO_LARGE`, one for which the others left no room by `UNAVAILABLE`, so that the client asks for it again.
 *
 * @param of - the places of the replies' commands in the request, for one that takes answers in parts; left out: all of them, in order
 */
export function encodeReplies(
  replies: readonly Reply[],
  maximumBytes = maximumMessageBytes,
  of?: readonly number[],
): Uint8Array {
  const envelope: ReplyEnvelope =
    of === undefined ? { v: protocolVersion, replies } : { v: protocolVersion, replies, of };
  const whole: Uint8Array = packr.pack(envelope);
  if (whole.length <= maximumBytes) return whole;
  const places = of === undefined ? new Uint8Array(0) : Buffer.concat([packr.pack('of'), packr.pack(of)]);
  const encoded = replies.map((reply) => packr.pack(reply) as Uint8Array);
  const fitting = replaceOversized(encoded, maximumBytes - places.length);
  const answer = Buffer.concat([assemble(repliesHead, fitting), places]);
  if (of !== undefined) answer[0] = mapOfThree;
  return answer;
}

/** The answer to a request that was rejected as a whole: one error, whatever the number of its commands. */
export function encodeRejection(error: EngineError): Uint8Array {
  return encodeReplies([{ kind: 'error', error: error.toReport() }]);
}

/** What an answer holds. */
export interface DecodedAnswer {
  readonly replies: readonly Reply[];
  /** The places of the replies' commands in the request; null: one for each command, in their order. */
  readonly of: readonly number[] | null;
}

/**
 * The replies of an answer to `count` commands; a rejection of the whole request stands for each of them.
 *
 * @throws EngineError `INVALID_MESSAGE`, `UNSUPPORTED_VERSION` when the bytes are not such an answer
 */
export function decodeReplies(bytes: Uint8Array, count: number): DecodedAnswer {
  const envelope = unpackEnvelope(bytes, 'answer');
  const values = envelope['replies'];
  if (!Array.isArray(values)) throw new EngineError('INVALID_MESSAGE', 'the answer has no list of replies');
  const replies = values.map(parseReply);
  const of = envelope['of'];
  if (of !== undefined) return { replies, of: parsePlaces(of, replies.length, count) };
  const first = replies[0];
  if (replies.length === count) return { replies, of: null };
  if (replies.length === 1 && first?.kind === 'error')
    return { replies: Array.from({ length: count }, () => first), of: null };
  throw new EngineError('INVALID_MESSAGE', `the answer has ${replies.length} replies to ${count} commands`);
}

function parsePlaces(of: unknown, replyCount: number, count: number): readonly number[] {
  const isPlace = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0 && Number(value) < count;
  if (Array.isArray(of) && of.length === replyCount && of.every(isPlace)) return of as readonly number[];
  throw new EngineError('INVALID_MESSAGE', 'the answer has replies to commands that were not sent', { field: 'of' });
}

function decodeEnvelope(bytes: Uint8Array, maximumBytes: number): readonly unknown[] {
  if (bytes.length > maximumBytes) {
    throw new EngineError('PAYLOAD_TOO_LARGE', `the request has ${bytes.length} bytes, allowed are ${maximumBytes}`, {
      limit: `${maximumBytes} bytes`,
      got: bytes.length,
    });
  }
  const envelope = unpackEnvelope(bytes, 'request');
  refuseUnknownFields(envelope, envelopeFields, 'the request');
  const commands = envelope['commands'];
  if (!Array.isArray(commands)) throw new EngineError('INVALID_MESSAGE', 'the request has no list of commands');
  if (commands.length === 0 || commands.length > maximumCommandsPerRequest) {
    throw invalidArgument({
      field: 'commands',
      message: `a request has 1 to ${maximumCommandsPerRequest} commands, got ${commands.length}`,
      limit: `1 to ${maximumCommandsPerRequest}`,
      got: commands.length,
    });
  }
  return commands;
}

function unpackEnvelope(bytes: Uint8Array, what: string): Readonly<Record<string, unknown>> & { readonly v: unknown } {
  scanMessagePack(bytes);
  let value: unknown;
  try {
    value = packr.unpack(bytes);
  } catch (error) {
    throw new EngineError('INVALID_MESSAGE', `the ${what} is not MessagePack`, { cause: error });
  }
  if (typeof value !== 'object' || value === null || !('v' in value)) {
    throw new EngineError('INVALID_MESSAGE', `the ${what} is not an envelope of this protocol`);
  }
  if (value.v !== protocolVersion) {
    throw new EngineError('UNSUPPORTED_VERSION', `the ${what} is of another protocol version`, {
      field: 'v',
      limit: `${protocolVersion} to ${protocolVersion}`,
      got: value.v,
    });
  }
  return value;
}

function parseCommandOrError(value: unknown): ShardCommand | EngineError {
  try {
    return parseCommand(value);
  } catch (error) {
    return asEngineError(error);
  }
}

const replyKinds: ReadonlySet<unknown> = new Set<Reply['kind']>([
  'accepted',
  'existing',
  'done',
  'task',
  'ended',
  'pending',
  'completed',
  'page',
  'error',
]);

/** Replies come from the engine itself, so only what would mislead the client is checked: the kind and an error's code. */
function parseReply(value: unknown): Reply {
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined;
  if (!replyKinds.has(kind)) {
    throw new EngineError('INVALID_MESSAGE', 'the answer holds a reply of no known kind', { field: 'kind', got: kind });
  }
  if (kind !== 'error') return value as Reply;
  return { kind: 'error', error: parseReport((value as { error?: unknown }).error) };
}

function replaceOversized(encoded: readonly Uint8Array[], maximumBytes: number): readonly Uint8Array[] {
  const alone = packError(
    new EngineError('PAYLOAD_TOO_LARGE', 'the answer is over the limit of a message', {
      limit: `${maximumBytes} bytes`,
      hint: 'ask without payloads, or for a smaller page',
    }),
  );
  const crowded = packError(
    new EngineError('UNAVAILABLE', 'the answers together are over the limit of a message: ask for this one again', {
      limit: `${maximumBytes} bytes`,
    }),
  );
  // Room for a replacement of each is set aside first, so that what is put in always fits.
  const reserved = Math.max(alone.length, crowded.length);
  let room = maximumBytes - envelopeOverheadBytes - reserved * encoded.length;
  const mostAlone = maximumBytes - envelopeOverheadBytes - reserved;
  return encoded.map((bytes) => {
    if (bytes.length > mostAlone) return alone;
    const extra = Math.max(0, bytes.length - reserved);
    if (extra > room) return crowded;
    room -= extra;
    return bytes;
  });
}

function packError(error: EngineError): Uint8Array {
  return packr.pack({ kind: 'error', error: error.toReport() } satisfies Reply);
}

/** `{ v, <list>: …` up to the count of the list's elements. */
function envelopeHead(list: 'commands' | 'replies'): Uint8Array {
  return Buffer.concat([Uint8Array.of(0x82), packr.pack('v'), packr.pack(protocolVersion), packr.pack(list)]);
}

function assemble(head: Uint8Array, elements: readonly Uint8Array[]): Uint8Array {
  const count = Buffer.alloc(5);
  count[0] = 0xdd; // array32: one form for every count
  count.writeUInt32BE(elements.length, 1);
  return Buffer.concat([head, count, ...elements]);
}

function asEngineError(thrown: unknown): EngineError {
  if (thrown instanceof EngineError) return thrown;
  return new EngineError('INTERNAL', 'a request could not be read', { cause: asError(thrown) });
}
