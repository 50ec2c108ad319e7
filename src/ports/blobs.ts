import type { Millis } from '../core/ids.ts';
import type { BlobReference } from '../core/records.ts';

/** The tasks that have objects, at one moment. */
export interface BlobCensus {
  /** What was stored up to then has a number up to this; whatever is stored later has a higher one. */
  readonly mark: number;
  /** When the task's newest object was stored, by the store's clock. */
  readonly newestAt: ReadonlyMap<string, Millis>;
}

/** An object of the same contents that was stored longer ago is stored anew: the old one may be about to be deleted. */
export const blobReuseMs = 30 * 60_000;

/** Payloads too large for a journal record. Content-addressed within a task, so that a repeat writes the same object. */
export interface BlobStore {
  /** Stores the bytes under `<taskId>/<name>/<sha256>` and gives the reference. @throws EngineError `UNAVAILABLE`, `STORAGE_FULL` */
  put(taskId: string, name: string, bytes: Uint8Array): Promise<BlobReference>;
  /** The bytes, checked against size and hash. @throws EngineError `RECORD_CORRUPT` when missing or different, `UNAVAILABLE` */
  get(reference: BlobReference): Promise<Uint8Array>;
  /** The tasks that have objects, whole or half, of those that `wanted` asks for. @throws EngineError `UNAVAILABLE` */
  census(wanted: (taskId: string) => boolean): Promise<BlobCensus>;
  /**
   * Removes the objects of a task, those up to `mark` when it is given; a repeat does nothing, and so does a late one to what was
   * stored after the mark. @throws EngineError `UNAVAILABLE`
   */
  deleteTask(taskId: string, mark?: number): Promise<void>;
}
