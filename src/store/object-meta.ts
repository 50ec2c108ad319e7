import { EngineError } from '../core/errors.ts';

/** What an Object Store keeps of an object beside its chunks, by its own names (NATS ADR-20). */
export interface ObjectMeta {
  readonly name: string;
  readonly bucket: string;
  /** The chunks' subject after `$O.<bucket>.C.`. */
  readonly nuid: string;
  readonly size: number;
  readonly chunks: number;
  readonly digest: string;
  readonly mtime: string;
  readonly options: { readonly max_chunk_size: number };
}

/** The meta message's body, JSON. */
export function encodeObjectMeta(meta: ObjectMeta): Uint8Array {
  return Buffer.from(JSON.stringify(meta));
}

/** The meta in a message's body; null for an object that was deleted by hand. @throws EngineError `RECORD_CORRUPT` */
export function decodeObjectMeta(key: string, body: Uint8Array): ObjectMeta | null {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body).toString('utf8'));
  } catch (error) {
    throw new EngineError('RECORD_CORRUPT', `blob ${key}: its meta is not JSON`, { field: key, cause: error });
  }
  const meta = (value ?? {}) as Partial<ObjectMeta> & { readonly deleted?: boolean };
  if (meta.deleted === true) return null;
  const isComplete =
    typeof meta.nuid === 'string' &&
    /^[\w.=-]+$/.test(meta.nuid) &&
    typeof meta.size === 'number' &&
    isCount(meta.chunks);
  if (!isComplete) throw new EngineError('RECORD_CORRUPT', `blob ${key}: its meta cannot be read`, { field: key });
  return value as ObjectMeta;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
