import { createHash } from 'node:crypto';
import { canonicalJson } from '../core/json.ts';
import type { Payload } from '../core/records.ts';

/**
 * What an event tells of a payload: how large it is and which, never what is in it.
 *
 * Events go to logs, browsers, search indexes and other teams, and live there under other rules than the journal's; an
 * input may hold a person's data. Whoever may see it asks the task's owner. The hash tells whether two are the same.
 */
export type PayloadSummary =
  /** In the record. Size and SHA-256 are those of its canonical JSON. */
  | { readonly kind: 'inline'; readonly sizeBytes: number; readonly sha256: string }
  /** In the blob store under `key`. Size and SHA-256 are those of the stored bytes. */
  | { readonly kind: 'blob'; readonly key: string; readonly sizeBytes: number; readonly sha256: string };

/** The summary of a payload. */
export function summarizePayload(payload: Payload): PayloadSummary {
  if ('blob' in payload) {
    const { key, sizeBytes, sha256 } = payload.blob;
    return { kind: 'blob', key, sizeBytes, sha256 };
  }
  const text = canonicalJson(payload.json);
  return {
    kind: 'inline',
    sizeBytes: Buffer.byteLength(text),
    sha256: createHash('sha256').update(text).digest('hex'),
  };
}
