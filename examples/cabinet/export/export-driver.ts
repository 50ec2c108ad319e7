import type { Driver } from '../../../src/ports/driver.ts';
import { cabinetOf } from '../cabinet-ports.ts';
import type { CardInput, ExportResult, ParsedCard, PhotosResult, Publication } from '../card.ts';
import { cardRecordOf } from '../card-record.ts';
import { cardFileOf } from './feed-store.ts';

/** What the stages before `export` gave. */
export interface ExportOutputs {
  readonly parse: ParsedCard;
  /** None when the page has no photos. */
  readonly photos: PhotosResult | undefined;
  readonly publish: Publication;
}

/** Puts the card and its photos into the feeds, once. */
export const exportDriver: Driver<CardInput, ExportOutputs, ExportResult> = {
  async execute(ctx) {
    const { feed, work } = cabinetOf(ctx);
    const { parse, photos, publish } = ctx.outputs;
    const renditions = (photos?.kept ?? []).flatMap((photo) => photo.renditions);
    // Photos come before the card: a reader of the feed must find all that it names.
    for (const rendition of renditions) {
      ctx.signal.throwIfAborted();
      ctx.heartbeat();
      await feed.addPhoto(rendition, () => work.read(rendition.file));
    }
    await feed.addCard({ ...cardRecordOf(ctx.taskId, parse, photos), publication: publish });
    ctx.log.info({ photos: renditions.length }, 'card exported');
    return { cardFile: cardFileOf(ctx.taskId), photoFiles: renditions.map(({ file }) => `photos/${file}`) };
  },
};
