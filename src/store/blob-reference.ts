import { createHash } from 'node:crypto';
import { EngineError, invalidArgument } from '../core/errors.ts';
import type { TaskId } from '../core/ids.ts';
import type { BlobReference } from '../core/records.ts';

/** Longest name of a blob within its task, in characters. */
export const maximumBlobNameLength = 200;

/** The reference of these bytes: `<taskId>/<name>/<sha256>`. @throws EngineError `INVALID_ARGUMENT` for an empty or long name */
export function blobReference(taskId: TaskId, name: string, bytes: Uint8Array): BlobReference {
  if (name.length === 0 || name.length > maximumBlobNameLength) {
    const limit = `1 to ${maximumBlobNameLength} characters`;
    throw invalidArgument({ field: 'name', message: `the name of a blob has ${limit}`, limit, got: name });
  }
  const sha256 = sha256Of(bytes);
  return { key: `${taskId}/${name}/${sha256}`, sizeBytes: bytes.length, sha256 };
}

/** @throws EngineError `RECORD_CORRUPT` when the bytes are not those that the reference tells of */
export function checkBlob(reference: BlobReference, bytes: Uint8Array): void {
  if (bytes.length !== reference.sizeBytes) {
    throw new EngineError('RECORD_CORRUPT', `blob ${reference.key} has another size`, {
      field: reference.key,
      limit: `${reference.sizeBytes} bytes`,
      got: bytes.length,
    });
  }
  const sha256 = sha256Of(bytes);
  if (sha256 === reference.sha256) return;
  throw new EngineError('RECORD_CORRUPT', `blob ${reference.key} has other contents`, {
    field: reference.key,
    limit: reference.sha256,
    got: sha256,
  });
}

/** The hash as an Object Store writes it: `SHA-256=` and padded URL-safe Base64. */
export function digestOf(reference: BlobReference): string {
  const base64 = Buffer.from(reference.sha256, 'hex').toString('base64');
  return `SHA-256=${base64.replaceAll('+', '-').replaceAll('/', '_')}`;
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
