import { EngineError } from '../core/errors.ts';
import { parseTaskId, type Millis } from '../core/ids.ts';
import type { BlobReference } from '../core/records.ts';
import { blobReuseMs, type BlobCensus, type BlobStore } from '../ports/blobs.ts';
import type { Clock } from '../ports/clock.ts';
import { blobReference, checkBlob } from './blob-reference.ts';
import { SimulatedStorePath, type MemoryStoreOptions } from './store-fault.ts';

/** The operations of {@link MemoryBlobStore} that can be made to fail. */
export type BlobOperation = 'put' | 'get' | 'census' | 'deleteTask';

interface StoredBlob {
  readonly bytes: Uint8Array;
  readonly sequence: number;
  readonly storedAt: Millis;
}

/** Blobs in memory, for tests and simulation. Nodes of one process share one instance. */
export class MemoryBlobStore implements BlobStore {
  readonly #path: SimulatedStorePath<BlobOperation>;
  readonly #clock: Clock;
  readonly #objects = new Map<string, StoredBlob>();
  #lastSequence = 0;

  constructor(options: MemoryStoreOptions<BlobOperation>) {
    this.#path = new SimulatedStorePath(options);
    this.#clock = options.clock;
  }

  async put(taskId: string, name: string, bytes: Uint8Array): Promise<BlobReference> {
    const reference = blobReference(parseTaskId(taskId), name, bytes);
    const copy = Uint8Array.from(bytes);
    return this.#path.write('put', () => {
      const stored = this.#objects.get(reference.key);
      const isFresh = stored !== undefined && this.#clock.now() - stored.storedAt < blobReuseMs;
      if (!isFresh) this.#store(reference.key, copy);
      return reference;
    });
  }

  get(reference: BlobReference): Promise<Uint8Array> {
    return this.#path.read('get', () => {
      const bytes = this.#objects.get(reference.key)?.bytes;
      if (bytes === undefined) {
        throw new EngineError('RECORD_CORRUPT', `blob ${reference.key}: it is missing`, { field: reference.key });
      }
      checkBlob(reference, bytes);
      return Uint8Array.from(bytes);
    });
  }

  census(wanted: (taskId: string) => boolean): Promise<BlobCensus> {
    return this.#path.read('census', () => {
      const newestAt = new Map<string, Millis>();
      for (const [key, { storedAt }] of this.#objects) {
        const taskId = key.slice(0, key.indexOf('/'));
        if (wanted(taskId)) newestAt.set(taskId, Math.max(newestAt.get(taskId) ?? 0, storedAt));
      }
      return { mark: this.#lastSequence, newestAt };
    });
  }

  async deleteTask(taskId: string, mark = Number.POSITIVE_INFINITY): Promise<void> {
    const prefix = `${parseTaskId(taskId)}/`;
    await this.#path.write('deleteTask', () => {
      for (const [key, { sequence }] of this.#objects) {
        if (key.startsWith(prefix) && sequence <= mark) this.#objects.delete(key);
      }
    });
  }

  /** For tests: overwrites what is stored under a key, as a broken disk would. */
  corrupt(key: string, bytes: Uint8Array): void {
    this.#store(key, bytes);
  }

  #store(key: string, bytes: Uint8Array): void {
    this.#lastSequence += 1;
    this.#objects.set(key, { bytes, sequence: this.#lastSequence, storedAt: this.#clock.now() });
  }
}
