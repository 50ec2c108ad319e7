import type { ProjectionChange, ProjectionSave, ProjectionStore, StoredProjection } from '../ports/projection-store.ts';
import { decodeDocument, encodeDocuments, parseProjectionName } from './projection-keys.ts';

interface MemoryProjection {
  readonly position: string;
  readonly revision: number;
  readonly documents: Map<string, Uint8Array>;
}

/** Projections in this process's memory, for tests and the embedded engine. A save is atomic. */
export class MemoryProjectionStore implements ProjectionStore {
  readonly maximumDocumentBytes: number;
  readonly #projections = new Map<string, MemoryProjection>();

  constructor(options: { readonly maximumDocumentBytes?: number } = {}) {
    this.maximumDocumentBytes = options.maximumDocumentBytes ?? 1024 * 1024;
  }

  async peek(name: string): Promise<Pick<StoredProjection, 'position' | 'revision'>> {
    const { position, revision } = await this.load(name);
    return { position, revision };
  }

  async load(name: string): Promise<StoredProjection> {
    const stored = this.#projections.get(parseProjectionName(name));
    if (stored === undefined) return { position: null, revision: 0, documents: new Map() };
    // Kept as bytes, so that no reader holds what another one may change.
    const documents = new Map([...stored.documents].map(([key, bytes]) => [key, decodeDocument(bytes)]));
    return { position: stored.position, revision: stored.revision, documents };
  }

  async save(name: string, change: ProjectionChange, expectedRevision: number): Promise<ProjectionSave> {
    const encoded = encodeDocuments(change, this.maximumDocumentBytes);
    const stored = this.#projections.get(parseProjectionName(name));
    if ((stored?.revision ?? 0) !== expectedRevision) return { kind: 'conflict' };
    const documents = new Map([...(stored?.documents ?? []), ...encoded]);
    for (const key of change.deletes) documents.delete(key);
    const revision = expectedRevision + 1;
    this.#projections.set(name, { position: change.position, revision, documents });
    return { kind: 'saved', revision };
  }
}
