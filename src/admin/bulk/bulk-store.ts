import { EngineError } from '../../core/errors.ts';
import type { JsonValue } from '../../core/json.ts';
import { count, flag, instant, listOf, membersOf, name, nullable, number, text, wordOf } from '../../core/shape.ts';
import type { DocumentStore } from '../../ports/documents.ts';
import { bulkActions, type BulkRun, type SelectedTask } from './bulk-run.ts';

const runPrefix = 'bulk-run-';
const selectionPrefix = 'bulk-sel-';
/** Ended runs that are kept to be looked at. */
const maximumEnded = 100;

const runShape = membersOf({
  id: name,
  action: wordOf(bulkActions),
  filter: membersOf({}),
  reason: nullable(text),
  by: name,
  createdAt: instant,
  isPaused: flag,
  end: nullable(wordOf(['completed', 'stopped', 'aborted'])),
  cursor: nullable(text),
  failures: listOf(membersOf({ taskId: name, code: name, message: text })),
  phase: wordOf(['selecting', 'firstBatch', 'watching', 'rest', 'settling', 'ended']),
  selectedCount: count,
  sentCount: count,
  doneCount: count,
  skippedCount: count,
  failedCount: count,
  lookedAtCount: count,
  watchLeftMs: count,
  failedAgain: listOf(count),
  pace: membersOf({ firstBatch: count, watchMs: count, ratePerSecond: number, stopAtFailurePercent: number }),
});
const selectionShape = listOf(membersOf({ taskId: text, seq: count }));

/** Where bulk runs and their selections are kept over a restart. */
export class BulkStore {
  readonly #documents: DocumentStore;

  constructor(documents: DocumentStore) {
    this.#documents = documents;
  }

  /** @throws EngineError `UNAVAILABLE` */
  async save(run: BulkRun): Promise<void> {
    await this.#documents.put(`${runPrefix}${run.id}`, run as unknown as JsonValue);
  }

  /** All runs. @throws EngineError `UNAVAILABLE`, `RECORD_CORRUPT` */
  async load(): Promise<readonly BulkRun[]> {
    const keys = await this.#documents.keys(runPrefix);
    const runs: BulkRun[] = [];
    for (const key of keys) {
      const document = await this.#documents.get(key);
      if (document !== null) runs.push(this.#check(document, key, runShape) as unknown as BulkRun);
    }
    return runs;
  }

  /** @throws EngineError `UNAVAILABLE` */
  async saveChunk(bulkId: string, chunk: number, tasks: readonly SelectedTask[]): Promise<void> {
    await this.#documents.put(this.#chunkKey(bulkId, chunk), tasks as unknown as JsonValue);
  }

  /** @throws EngineError `UNAVAILABLE`; `RECORD_CORRUPT` also for one that is not there */
  async loadChunk(bulkId: string, chunk: number): Promise<readonly SelectedTask[]> {
    const key = this.#chunkKey(bulkId, chunk);
    return this.#check(await this.#documents.get(key), key, selectionShape) as unknown as readonly SelectedTask[];
  }

  /** Removes the selection of a run that has ended, and the oldest of many ended runs. @throws EngineError `UNAVAILABLE` */
  async tidy(runs: readonly BulkRun[]): Promise<readonly string[]> {
    const ended = runs
      .filter(({ phase }) => phase === 'ended')
      .toSorted((one, other) => other.createdAt - one.createdAt);
    for (const { id } of ended) {
      for (const key of await this.#documents.keys(`${selectionPrefix}${id}-`)) await this.#documents.delete(key);
    }
    const old = ended.slice(maximumEnded).map(({ id }) => id);
    for (const id of old) await this.#documents.delete(`${runPrefix}${id}`);
    return old;
  }

  #chunkKey(bulkId: string, chunk: number): string {
    return `${selectionPrefix}${bulkId}-${chunk}`;
  }

  #check(document: JsonValue | null, key: string, shape: (value: unknown) => string | null): JsonValue {
    const problem = document === null ? ' is missing' : shape(document);
    if (problem === null) return document;
    throw new EngineError('RECORD_CORRUPT', `document ${key}${problem}`, { field: key });
  }
}
