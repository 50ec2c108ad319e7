import type { ProjectionChange, ProjectionSave, ProjectionStore, StoredProjection } from '../ports/projection-store.ts';
import { decodeDocument, encodeDocuments, parseProjectionName } from './projection-keys.ts';
import { SimulatedStorePath, type MemoryStoreOptions } from './store-fault.ts';

/** What can be slow or go wrong in a {@link MemoryProjectionStore}. */
export type ProjectionOperation = 'peek' | 'load' | 'save';

interface MemoryProjection {
  readonly position: string;
  readonly revision: number;
  readonly documents: ReadonlyMap<string, Uint8Array>;
}

const defaultDocumentBytes = 1024 * 1024;

/** Projections in this process's memory. A save is atomic. */
export class MemoryProjectionStore implements ProjectionStore {
  readonly maximumDocumentBytes: number;
  readonly #path: SimulatedStorePath<ProjectionOperation>;
  readonly #projections = new Map<string, MemoryProjection>();

  constructor(options: MemoryStoreOptions<ProjectionOperation> & { readonly maximumDocumentBytes?: number }) {
    this.#path = new SimulatedStorePath(options);
    this.maximumDocumentBytes = options.maximumDocumentBytes ?? defaultDocumentBytes;
  }

  async peek(name: string): Promise<Pick<StoredProjection, 'position' | 'revision'>> {
    const key = parseProjectionName(name);
    return this.#path.read('peek', () => {
      const stored = this.#projections.get(key);
      return { position: stored?.position ?? null, revision: stored?.revision ?? 0 };
    });
  }

  async load(name: string): Promise<StoredProjection> {
    const key = parseProjectionName(name);
    return this.#path.read('load', () => {
      const stored = this.#projections.get(key);
      if (stored === undefined) return { position: null, revision: 0, documents: new Map() };
      // Kept as bytes, so that no reader holds what another one may change.
      const documents = new Map([...stored.documents].map(([id, bytes]) => [id, decodeDocument(bytes)]));
      return { position: stored.position, revision: stored.revision, documents };
    });
  }

  async save(name: string, change: ProjectionChange, expectedRevision: number): Promise<ProjectionSave> {
    const key = parseProjectionName(name);
    const encoded = encodeDocuments(change, this.maximumDocumentBytes);
    return this.#path.write('save', (): ProjectionSave => {
      const stored = this.#projections.get(key);
      if ((stored?.revision ?? 0) !== expectedRevision) return { kind: 'conflict' };
      const documents = new Map([...(stored?.documents ?? []), ...encoded]);
      for (const id of change.deletes) documents.delete(id);
      const revision = expectedRevision + 1;
      this.#projections.set(key, { position: change.position, revision, documents });
      return { kind: 'saved', revision };
    });
  }
}
