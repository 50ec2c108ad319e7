import type { JsonValue } from '../core/json.ts';

/** What a projection has stored. */
export interface StoredProjection {
  /** How far it has read; null: never saved. At most as new as the documents. */
  readonly position: string | null;
  /** The store's number of this state, for the next save; 0: never saved. */
  readonly revision: number;
  /** In no order. Null stands for a document whose bytes cannot be read. */
  readonly documents: ReadonlyMap<string, JsonValue>;
}

/** What a projection's next state changes. */
export interface ProjectionChange {
  readonly position: string;
  /** Documents by key; a key is a task id or of its alphabet. */
  readonly upserts: ReadonlyMap<string, JsonValue>;
  /** Keys to remove; one that is not there is no error. */
  readonly deletes: readonly string[];
}

/** What a save came to. `conflict`: somebody saved, or is saving, since that revision: load again and go on from there. */
export type ProjectionSave = { readonly kind: 'saved'; readonly revision: number } | { readonly kind: 'conflict' };

/**
 * A few documents and one position a projection, where the position never tells more than the documents hold.
 *
 * A save need not be atomic: one that is cut off may leave some of its documents behind, under the old position. So a
 * projection must save *every* document that its span of the journal wrote or removed, also where the net change is none:
 * whoever reads the span again then puts right what was left. What a store must hold is the fence: once a save has begun
 * from a revision, nothing of an older save may land any more.
 */
export interface ProjectionStore {
  /** Largest document in bytes of JSON. */
  readonly maximumDocumentBytes: number;

  /** Position and revision alone, as the store's leader has them. @throws as {@link ProjectionStore.load} */
  peek(name: string): Promise<Pick<StoredProjection, 'position' | 'revision'>>;

  /**
   * The state as the store's leader has it; empty when that name was never saved.
   *
   * @throws EngineError `UNAVAILABLE`, `RECORD_CORRUPT` for a position that no save has written, `INVALID_ARGUMENT` for a
   *   bad name
   */
  load(name: string): Promise<StoredProjection>;

  /**
   * Writes the change if the state still has `expectedRevision`.
   *
   * @throws EngineError `UNAVAILABLE` or `STORAGE_FULL`: what was written is not known, load again; `PAYLOAD_TOO_LARGE` or
   *   `INVALID_ARGUMENT` before anything is written
   */
  save(name: string, change: ProjectionChange, expectedRevision: number): Promise<ProjectionSave>;
}
