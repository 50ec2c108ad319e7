import type { JsonValue } from '../core/json.ts';

/**
 * A few small JSON documents that outlive the process: what one supervisor must remember and no other needs. One writer at a
 * time. A key has the alphabet of a task id.
 *
 * Every method throws EngineError `UNAVAILABLE` when the store cannot be used, `INVALID_ARGUMENT` for a bad key.
 */
export interface DocumentStore {
  /** The document; null when there is none. @throws EngineError `RECORD_CORRUPT` when its bytes are not JSON */
  get(key: string): Promise<JsonValue | null>;
  /** Replaces the document whole; resolves when it is durable. A crash leaves the old one or the new one. */
  put(key: string, document: JsonValue): Promise<void>;
  /** Removes it; one that is not there is no error. */
  delete(key: string): Promise<void>;
  /** The keys that begin so, sorted. */
  keys(prefix: string): Promise<readonly string[]>;
}
