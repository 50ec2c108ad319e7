import type { Driver } from '../../../src/ports/driver.ts';
import { cabinetOf } from '../cabinet-ports.ts';
import type { CardInput, ParsedCard, PhotosResult, Publication } from '../card.ts';
import { cardRecordOf } from '../card-record.ts';

/** What the stages before `publish` gave. */
export interface PublishOutputs {
  readonly parse: ParsedCard;
  /** None when the page has no photos. */
  readonly photos: PhotosResult | undefined;
}

/**
 * Publishes the card on the board, under the stage's key and fence. When its owner dies in between, the next one asks the
 * board by the key instead of guessing.
 */
export const publishDriver: Driver<CardInput, PublishOutputs, Publication> = {
  async execute(ctx) {
    const { board } = cabinetOf(ctx);
    const { idempotencyKey, fence, signal } = ctx;
    const card = cardRecordOf(ctx.taskId, ctx.outputs.parse, ctx.outputs.photos);
    const publication = await board.publish({ card, idempotencyKey, fence, signal });
    ctx.log.info({ publicationId: publication.publicationId }, 'card published');
    return publication;
  },
  async lookup(ctx) {
    return await cabinetOf(ctx).board.find(ctx.idempotencyKey, ctx.signal);
  },
};
