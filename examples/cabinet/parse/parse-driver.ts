import type { Driver } from '../../../src/ports/driver.ts';
import { cabinetOf } from '../cabinet-ports.ts';
import type { CardInput, ParsedCard } from '../card.ts';
import { parseSource } from '../resources/resource.ts';
import { parsePage } from './parse-page.ts';

/** Largest page that is read. */
export const maximumPageBytes = 5_000_000;

/** Reads a listing page and says what it gives of the card. */
export const parseDriver: Driver<CardInput, unknown, ParsedCard> = {
  async execute(ctx) {
    const { resources } = cabinetOf(ctx);
    const page = await resources.read({
      url: ctx.input.source,
      kind: 'page',
      maximumBytes: maximumPageBytes,
      signal: ctx.signal,
    });
    ctx.heartbeat();
    const card = parsePage(
      {
        bytes: page.bytes,
        contentType: page.contentType,
        source: parseSource(page.url),
        hasFile: (url) => resources.hasFile(url),
      },
      ctx.input.source,
    );
    ctx.log.info({ missing: card.missing, photos: card.photos.length, charset: card.charset.name }, 'page parsed');
    return card;
  },
};
