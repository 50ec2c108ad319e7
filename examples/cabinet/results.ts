import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { countDuplicateEffects } from './board/publication-book.ts';
import { readLogEntries } from './board/publication-log.ts';
import type { FeedCard } from './export/csv-row.ts';
import { FeedGenerations } from './export/feed-generations.ts';
import { temporaryPrefix } from './files/atomic-file.ts';

/** What the cards of a run left behind, read off the disk and counted, not believed. */
export interface CabinetResults {
  /** The NDJSON feed, in its order. */
  readonly cards: readonly FeedCard[];
  readonly feed: {
    /** Lines of the NDJSON feed, and rows of the CSV feed without its header. */
    readonly ndjsonLines: number;
    readonly csvRows: number;
    /** Cards that stand in the feed more than once, each counted as often as it is too many. */
    readonly duplicateCards: number;
    /** Photo files that a card names and that are not there. */
    readonly missingPhotos: readonly string[];
  };
  readonly board: {
    readonly applied: number;
    readonly duplicateEffects: number;
    /** Cards of the feed that the board's log does not know. */
    readonly unpublishedCards: readonly string[];
  };
  /** Folders of cards that still have files in the work folder: unfinished, or dead-lettered after their photos. */
  readonly workFolders: readonly string[];
}

/** Reads what a run left behind. The board may run or not: its log is read, not the board asked. */
export async function readCabinetResults(folders: {
  readonly feedDir: string;
  readonly workDir: string;
  readonly boardDataDir: string;
}): Promise<CabinetResults> {
  const generation = await new FeedGenerations(folders.feedDir).current();
  const lines = generation.ndjson.split('\n').slice(0, -1);
  const cards = lines.map((line) => JSON.parse(line) as FeedCard);
  const photos = new Set(await listFiles(join(folders.feedDir, 'photos')));
  const named = cards.flatMap((card) => card.photos.flatMap((renditions) => renditions.map(({ file }) => file)));
  const entries = await readLogEntries(folders.boardDataDir);
  const applied = entries.filter((entry) => entry.type === 'applied');
  const published = new Set(applied.map(({ cardId }) => cardId));
  return {
    cards,
    feed: {
      ndjsonLines: lines.length,
      // No cell holds a line break, for all text is tidied to one line.
      csvRows: generation.csv.split('\r\n').length - 2,
      duplicateCards: cards.length - new Set(cards.map(({ cardId }) => cardId)).size,
      missingPhotos: named.filter((file) => !photos.has(file)),
    },
    board: {
      applied: applied.length,
      duplicateEffects: countDuplicateEffects(entries),
      unpublishedCards: cards.map(({ cardId }) => cardId).filter((cardId) => !published.has(cardId)),
    },
    workFolders: (await readdir(folders.workDir).catch(() => [])).filter((name) => !name.startsWith(temporaryPrefix)),
  };
}

/** All files below a folder, as paths relative to it with `/`. */
async function listFiles(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  return files.map((entry) =>
    join(entry.parentPath, entry.name)
      .slice(directory.length + 1)
      .replaceAll('\\', '/'),
  );
}
