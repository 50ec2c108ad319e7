import { parseCommandId } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';
import type { DocumentStore } from '../ports/documents.ts';

/** Documents in memory, as text, so that nobody shares an object with the store. */
export class MemoryDocumentStore implements DocumentStore {
  readonly #texts = new Map<string, string>();

  async get(key: string): Promise<JsonValue | null> {
    const text = this.#texts.get(parseCommandId(key));
    return text === undefined ? null : (JSON.parse(text) as JsonValue);
  }

  async put(key: string, document: JsonValue): Promise<void> {
    this.#texts.set(parseCommandId(key), JSON.stringify(document));
  }

  async delete(key: string): Promise<void> {
    this.#texts.delete(parseCommandId(key));
  }

  async keys(prefix: string): Promise<readonly string[]> {
    return [...this.#texts.keys()].filter((key) => key.startsWith(prefix)).toSorted();
  }
}
