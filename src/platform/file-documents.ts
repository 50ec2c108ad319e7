import { chmod, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { asError, EngineError } from '../core/errors.ts';
import { parseCommandId } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';
import type { DocumentStore } from '../ports/documents.ts';

const ending = '.json';
/** Only the process's own user may read what is here: token hashes, reasons, task ids. */
const folderMode = 0o700;
const fileMode = 0o600;

/**
 * Documents as files of one folder, each `<key>.json`. A document is written beside its place, synced and renamed over it, and
 * the folder is synced after, so that a power cut leaves the old one or the new one.
 */
export class FileDocumentStore implements DocumentStore {
  readonly #folder: string;
  #isReady: Promise<void> | undefined;
  #writes = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async get(key: string): Promise<JsonValue | null> {
    const path = this.#pathOf(key);
    const text = await this.#use(() => readFile(path, 'utf8').catch(nullWhenMissing));
    if (text === null) return null;
    try {
      return JSON.parse(text) as JsonValue;
    } catch (error) {
      throw new EngineError('RECORD_CORRUPT', `document ${key} is not JSON`, { field: path, cause: asError(error) });
    }
  }

  async put(key: string, document: JsonValue): Promise<void> {
    const path = this.#pathOf(key);
    this.#writes += 1;
    const draft = `${path}.${process.pid}-${this.#writes}`;
    await this.#use(async () => {
      try {
        const file = await open(draft, 'wx', fileMode);
        try {
          await file.writeFile(JSON.stringify(document));
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(draft, path);
      } catch (error) {
        await rm(draft, { force: true });
        throw error;
      }
      await this.#syncFolder();
    });
  }

  async delete(key: string): Promise<void> {
    const path = this.#pathOf(key);
    await this.#use(() => rm(path, { force: true }));
  }

  async keys(prefix: string): Promise<readonly string[]> {
    const names = await this.#use(() => readdir(this.#folder));
    return names
      .filter((name) => name.endsWith(ending) && name.startsWith(prefix))
      .map((name) => name.slice(0, -ending.length))
      .toSorted();
  }

  /** A key is one safe name: its alphabet has no dot and no slash. */
  #pathOf(key: string): string {
    return join(this.#folder, `${parseCommandId(key)}${ending}`);
  }

  async #use<Value>(work: () => Promise<Value>): Promise<Value> {
    try {
      this.#isReady ??= this.#prepare();
      await this.#isReady;
      return await work();
    } catch (error) {
      this.#isReady = undefined;
      throw new EngineError('UNAVAILABLE', `the documents cannot be used: ${asError(error).message}`, {
        field: this.#folder,
        cause: error,
      });
    }
  }

  async #prepare(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: folderMode });
    // The folder may be older than this process, and wider.
    await chmod(this.#folder, folderMode);
  }

  async #syncFolder(): Promise<void> {
    const folder = await open(this.#folder, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}

function nullWhenMissing(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
  throw error;
}
