import { EngineError, invalidArgument } from '../core/errors.ts';
import { parsePipelineName } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';
import type { ProjectionChange } from '../ports/projection-store.ts';

const keyPattern = /^[A-Za-z0-9_-]{1,128}$/;

/** The key under which a projection's position lies. */
export function positionKey(name: string): string {
  return `${parseProjectionName(name)}.position`;
}

/** The key of a projection's document. */
export function documentKey(name: string, key: string): string {
  return `${parseProjectionName(name)}.document.${parseDocumentKey(key)}`;
}

/** All document keys of a projection, as a filter. */
export function documentFilter(name: string): string {
  return `${parseProjectionName(name)}.document.*`;
}

/** `name` as a projection's name; the alphabet of a pipeline's. @throws EngineError `INVALID_ARGUMENT` */
export function parseProjectionName(name: string): string {
  return parsePipelineName(name, 'projection');
}

function parseDocumentKey(key: string): string {
  if (keyPattern.test(key)) return key;
  throw invalidArgument({
    field: 'key',
    message: 'a document key must be a task id or of its alphabet',
    limit: '1 to 128 characters of A–Z a–z 0–9 _ -',
    got: key,
  });
}

/** The documents of a change as JSON bytes, checked before the first is written. @throws EngineError `INVALID_ARGUMENT`, `PAYLOAD_TOO_LARGE` */
export function encodeDocuments(change: ProjectionChange, maximumBytes: number): ReadonlyMap<string, Uint8Array> {
  for (const key of change.deletes) parseDocumentKey(key);
  return new Map(
    [...change.upserts].map(([key, document]) => {
      const bytes = Buffer.from(JSON.stringify(document));
      if (bytes.length <= maximumBytes) return [parseDocumentKey(key), bytes];
      throw new EngineError('PAYLOAD_TOO_LARGE', `document ${key} has ${bytes.length} bytes`, {
        field: 'document',
        limit: `${maximumBytes} bytes`,
        got: bytes.length,
      });
    }),
  );
}

/** A stored document; null for bytes that are no JSON. */
export function decodeDocument(bytes: Uint8Array): JsonValue {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')) as JsonValue;
  } catch {
    return null; // Told to the projection, which knows whether it can be made anew.
  }
}

/** A position as it is stored: a JSON string, or null while the first save is on its way. */
export function encodePosition(position: string | null): Uint8Array {
  return Buffer.from(JSON.stringify(position));
}

/** A stored position. @throws EngineError `RECORD_CORRUPT` that names the key */
export function decodePosition(key: string, bytes: Uint8Array): string | null {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  if (text === 'null') return null;
  const position: unknown = decodeDocument(bytes);
  if (typeof position === 'string') return position;
  throw new EngineError('RECORD_CORRUPT', `projection key ${key} holds no position`, { field: key, got: text });
}
