import { EngineError } from '../core/errors.ts';
import { parseTaskId } from '../core/ids.ts';
import type { BlobReference } from '../core/records.ts';
import type { BlobStore } from '../ports/blobs.ts';
import { blobReference, checkBlob } from './blob-reference.ts';
import { SimulatedStorePath, type MemoryStoreOptions } from './store-fault.ts';

/** The operations of {@link MemoryBlobStore} that can be made to fail. */
export type BlobOperation = 'put' | 'get' | 'deleteTask';

/** Blobs in memory, for tests and simulation. Nodes of one process share one instance. */
export class MemoryBlobStore implements BlobStore {
  readonly #path: SimulatedStorePath<BlobOperation>;
  readonly #objects = new Map<string, Uint8Array>();

  constructor(options: MemoryStoreOptions<BlobOperation>) {
    this.#path = new SimulatedStorePath(options);
  }

  async put(taskId: string, name: string, bytes: Uint8Array): Promise<BlobReference> {
    const reference = blobReference(parseTaskId(taskId), name, bytes);
    const copy = Uint8Array.from(bytes);
    return this.#path.write('put', () => {
      this.#objects.set(reference.key, copy);
      return reference;
    });
  }

  get(reference: BlobReference): Promise<Uint8Array> {
    return this.#path.read('get', () => {
      const bytes = this.#objects.get(reference.key);
      if (bytes === undefined) {
        throw new EngineError('RECORD_CORRUPT', `blob ${reference.key}: it is missing`, { field: reference.key });
      }
      checkBlob(reference, bytes);
      return Uint8Array.from(bytes);
    });
  }

  async deleteTask(taskId: string): Promise<void> {
    const prefix = `${parseTaskId(taskId)}/`;
    await this.#path.write('deleteTask', () => {
      for (const key of this.#objects.keys()) if (key.startsWith(prefix)) this.#objects.delete(key);
    });
  }

  /** For tests: overwrites what is stored under a key, as a broken disk would. */
  corrupt(key: string, bytes: Uint8Array): void {
    this.#objects.set(key, bytes);
  }
}
