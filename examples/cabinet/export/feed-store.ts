import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FatalError } from '../../../src/core/driver-errors.ts';
import { syncFolder, temporaryPrefix, writeFileAtomically, writeSynced } from '../files/atomic-file.ts';
import { withFileFailures } from '../files/file-failure.ts';
import { pathInside } from '../photos/work-folder.ts';
import type { FeedCard } from './csv-row.ts';
import { FeedGenerations } from './feed-generations.ts';

/** The feeds that cards are exported to. */
export interface FeedStore {
  /** Puts a photo beside the feeds. @param read - gives its bytes, asked only when it is not there yet */
  addPhoto(
    photo: { readonly file: string; readonly sizeBytes: number },
    read: () => Promise<Uint8Array>,
  ): Promise<void>;
  /**
   * Adds a card once: it is in both feeds when this resolves, however often and wherever it is called for that card.
   *
   * @throws FatalError `CARD_CONFLICT` when another card has that id
   */
  addCard(card: FeedCard): Promise<void>;
}

/** The feeds of a folder, which any number of processes may share. */
export function createFeedStore(feedDir: string): FeedStore {
  const generations = new FeedGenerations(feedDir);
  // Cards that come while the feeds are written share the next round.
  let running: Promise<void> = Promise.resolve();
  let next: Promise<void> | null = null;
  const settle = (): Promise<void> => {
    if (next === null) {
      const round = running.then(() => {
        next = null;
        return generations.settle();
      });
      next = round;
      // A failed round is its callers' to report; the one after it starts all the same.
      running = round.catch(() => undefined);
    }
    return next;
  };
  return {
    addPhoto: ({ file, sizeBytes }, read) =>
      withFileFailures(`exporting ${file}`, async () => {
        const path = pathInside(join(feedDir, 'photos'), file);
        const stats = await stat(path).catch(() => null);
        if (stats?.size !== sizeBytes) await writeFileAtomically(path, await read());
      }),
    addCard: (card) =>
      withFileFailures(`exporting ${card.cardId}`, async () => {
        await writeCardOnce(join(feedDir, 'cards'), card);
        await settle();
      }),
  };
}

/** Name of a card's file, relative to the feed folder. */
export function cardFileOf(cardId: string): string {
  return `cards/${cardId}.json`;
}

/** The card's file appears whole and is never replaced: a link, unlike a rename, fails when the name is taken. */
async function writeCardOnce(cardsDir: string, card: FeedCard): Promise<void> {
  await mkdir(cardsDir, { recursive: true });
  const path = pathInside(cardsDir, `${card.cardId}.json`);
  const text = JSON.stringify(card);
  const temporary = join(cardsDir, `${temporaryPrefix}${randomUUID()}`);
  try {
    await writeSynced(temporary, text);
    await link(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if ((await readFile(path, 'utf8')) !== text) {
      throw new FatalError(`${card.cardId} was exported with other content`, { code: 'CARD_CONFLICT' });
    }
  } finally {
    await rm(temporary, { force: true });
  }
  await syncFolder(cardsDir);
}
