import { asError, EngineError } from '../../core/errors.ts';
import { anyJson, flag, object, optional, text, variantsOf, type Schema } from '../schema.ts';
import { parseStrictJson } from '../../core/strict-json.ts';
import type { LiveMessage } from './protocol.ts';

/** Longest frame in bytes; the socket itself takes no longer one. */
const maximumFrameBytes = 64 * 1024;
/** Longest name of a subscription in characters. */
const maximumIdLength = 64;

const idField = text({ most: maximumIdLength, pattern: /^[A-Za-z0-9][A-Za-z0-9._:-]*$/ });
const filterField = anyJson('the filter of the topic') as unknown as Schema<Readonly<Record<string, unknown>>>;

const messages = variantsOf('type', {
  subscribe: {
    id: idField,
    topic: text({ most: 256 }),
    filter: optional(filterField),
    resumeFrom: optional(text({ least: 0, most: 64 })),
    allowGap: optional(flag()),
  },
  unsubscribe: { id: idField },
  pong: {},
});
const withId = object({ id: idField });

/** What a client said. @throws EngineError `INVALID_MESSAGE` for what is no message of the protocol */
export function readLiveMessage(source: string): LiveMessage {
  let value: unknown;
  try {
    value = parseStrictJson(Buffer.from(source), maximumFrameBytes);
  } catch (thrown) {
    throw asInvalidMessage('the frame is not JSON: ', thrown);
  }
  try {
    return messages.read(value, 'message') as LiveMessage;
  } catch (thrown) {
    throw asInvalidMessage('', thrown);
  }
}

/** The whole message was not understood, so that is its code; what is at fault is told as it was found. */
function asInvalidMessage(before: string, thrown: unknown): EngineError {
  const error = asError(thrown);
  const { field, limit } = error instanceof EngineError ? error : {};
  return new EngineError('INVALID_MESSAGE', `${before}${error.message}`, { field, limit, cause: error });
}

/** The subscription that a message is about, as far as it says one. */
export function idOfMessage(source: string): string | null {
  try {
    const { id } = JSON.parse(source) as { readonly id?: unknown };
    return withId.read({ id }, 'message').id;
  } catch {
    return null; // The message was not understood, and names nothing that could be answered to.
  }
}
