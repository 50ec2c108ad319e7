import type { BlobReference } from '../core/records.ts';

/** Payloads too large for a journal record. Content-addressed within a task, so that a repeat writes the same object. */
export interface BlobStore {
  /** Stores the bytes under `<taskId>/<name>/<sha256>` and gives the reference. @throws EngineError `UNAVAILABLE`, `STORAGE_FULL` */
  put(taskId: string, name: string, bytes: Uint8Array): Promise<BlobReference>;
  /** The bytes, checked against size and hash. @throws EngineError `RECORD_CORRUPT` when missing or different, `UNAVAILABLE` */
  get(reference: BlobReference): Promise<Uint8Array>;
  /** Removes all objects of a task; a repeat does nothing. @throws EngineError `UNAVAILABLE` */
  deleteTask(taskId: string): Promise<void>;
}
