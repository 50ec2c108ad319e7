import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RetryableError } from '../../../src/core/driver-errors.ts';
import { syncFolder, temporaryPrefix, writeSynced } from '../files/atomic-file.ts';
import { csvHeader, csvRowOf, type FeedCard } from './csv-row.ts';

/** Finished generations that are kept beside the newest, for readers that still have one open. */
export const keptGenerations = 3;
/** Unfinished files older than this were left by a crash, and are swept. */
export const leftoverAgeMs = 3_600_000;
/** How often one round may lose the race for the next generation before the attempt is given back to the engine. */
export const maximumLostRaces = 100;

/** The feeds as they stand in one generation. */
export interface FeedGeneration {
  readonly number: number;
  readonly cardIds: readonly string[];
  readonly ndjson: string;
  readonly csv: string;
}

const emptyGeneration: FeedGeneration = { number: 0, cardIds: [], ndjson: '', csv: csvHeader };

/**
 * The two feeds of a folder, as generations: `generations/00000012/` holds both, never changes, and the highest number is
 * the feed. A generation is the one before and the cards that are new since.
 *
 * No lock guards this, because a lock has to be broken when its holder is frozen, and then two write. Instead the next
 * generation is a folder that is renamed into place, which fails when it is there already: of any number of writers, in any
 * number of processes, one wins and the others look again. A writer lists the cards after it has seen the newest
 * generation, and cards are never removed, so each generation holds all that the one before held.
 */
export class FeedGenerations {
  readonly #feedDir: string;

  constructor(feedDir: string) {
    this.#feedDir = feedDir;
  }

  /**
   * Returns when all cards whose files are there now are in the feeds.
   *
   * @throws RetryableError `FEED_CONTENDED` after too many lost races
   */
  async settle(): Promise<void> {
    await mkdir(this.#path('generations'), { recursive: true });
    let hasWritten = false;
    for (let lost = 0; lost < maximumLostRaces;) {
      const current = await this.current();
      const known = new Set(current.cardIds);
      const fresh = (await this.#listCards()).filter((id) => !known.has(id));
      if (fresh.length === 0) {
        // Also reached by a writer that was frozen so long that its number was free again: what counts is the highest.
        if (hasWritten) await this.#sweep(current.number);
        await this.#refreshNames(current.number);
        return;
      }
      const isWon = await this.#writeNext(current, fresh);
      if (isWon) hasWritten = true;
      else lost += 1;
    }
    throw new RetryableError('other processes kept writing the feeds', { code: 'FEED_CONTENDED' });
  }

  /** The newest generation; an empty one, number 0, before the first card. */
  async current(): Promise<FeedGeneration> {
    for (;;) {
      const number = await this.#newest();
      if (number === 0) return emptyGeneration;
      try {
        const read = (name: string) => readFile(join(this.#generationPath(number), name), 'utf8');
        const cardIds = (await read('card-ids.txt')).split('\n').slice(0, -1);
        return { number, cardIds, ndjson: await read('cards.ndjson'), csv: await read('cards.csv') };
      } catch (error) {
        // Swept while it was read: then there is a newer one.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || (await this.#newest()) === number) throw error;
      }
    }
  }

  async #writeNext(current: FeedGeneration, fresh: readonly string[]): Promise<boolean> {
    const cards: FeedCard[] = [];
    for (const id of fresh)
      cards.push(JSON.parse(await readFile(this.#path('cards', `${id}.json`), 'utf8')) as FeedCard);
    const unfinished = this.#path('generations', `${temporaryPrefix}${randomUUID()}`);
    await mkdir(unfinished);
    try {
      await writeSynced(
        join(unfinished, 'card-ids.txt'),
        [...current.cardIds, ...fresh].map((id) => `${id}\n`).join(''),
      );
      const lines = cards.map((card) => `${JSON.stringify(card)}\n`);
      await writeSynced(join(unfinished, 'cards.ndjson'), current.ndjson + lines.join(''));
      await writeSynced(join(unfinished, 'cards.csv'), current.csv + cards.map((card) => csvRowOf(card)).join(''));
      await syncFolder(unfinished);
      await rename(unfinished, this.#generationPath(current.number + 1));
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true });
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
      throw error;
    }
    await syncFolder(this.#path('generations'));
    return true;
  }

  /**
   * Gives the newest generation the names `feed.ndjson` and `feed.csv`, for readers that want one name. A writer that froze
   * right here sets an older one for the moment until it looks again; the generations themselves are never wrong.
   */
  async #refreshNames(number: number): Promise<void> {
    for (let newest = number; newest !== 0;) {
      for (const [name, inside] of [
        ['feed.ndjson', 'cards.ndjson'],
        ['feed.csv', 'cards.csv'],
      ] as const) {
        await this.#replaceByLink(join(this.#generationPath(newest), inside), name);
      }
      const after = await this.#newest();
      if (after === newest) return;
      newest = after;
    }
  }

  async #replaceByLink(from: string, name: string): Promise<void> {
    const temporary = this.#path(`${temporaryPrefix}${name}-${randomUUID()}`);
    try {
      await link(from, temporary);
      await rename(temporary, this.#path(name));
    } catch (error) {
      // Swept since: the caller sees the newer generation and does it again.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    } finally {
      // Renaming one name of a file to another of the same file does nothing, and leaves both.
      await rm(temporary, { force: true });
    }
  }

  async #sweep(newest: number): Promise<void> {
    for (const name of await readdir(this.#path('generations'))) {
      const path = this.#path('generations', name);
      const isOld = /^\d+$/.test(name) && Number(name) < newest - keptGenerations;
      if (isOld || (await isLeftover(path, name))) await rm(path, { recursive: true, force: true });
    }
    for (const name of await readdir(this.#path('cards'))) {
      const path = this.#path('cards', name);
      if (await isLeftover(path, name)) await rm(path, { force: true });
    }
  }

  async #newest(): Promise<number> {
    const names = await readdir(this.#path('generations')).catch(() => []);
    return Math.max(0, ...names.filter((name) => /^\d+$/.test(name)).map(Number));
  }

  async #listCards(): Promise<readonly string[]> {
    const names = await readdir(this.#path('cards'));
    const cards = names.filter((name) => name.endsWith('.json') && !name.startsWith(temporaryPrefix));
    return cards.map((name) => name.slice(0, -'.json'.length)).toSorted();
  }

  #generationPath(number: number): string {
    return this.#path('generations', String(number).padStart(8, '0'));
  }

  #path(...names: readonly string[]): string {
    return join(this.#feedDir, ...names);
  }
}

async function isLeftover(path: string, name: string): Promise<boolean> {
  if (!name.startsWith(temporaryPrefix)) return false;
  const stats = await stat(path).catch(() => null);
  return stats !== null && Date.now() - stats.mtimeMs > leftoverAgeMs;
}
