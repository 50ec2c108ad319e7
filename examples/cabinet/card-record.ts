import type { ParsedCard, PhotosResult } from './card.ts';

/** A card as it is published and exported: what the page gave, with the photos that were kept. */
export type CardRecord = Pick<
  ParsedCard,
  'source' | 'title' | 'price' | 'address' | 'coordinates' | 'description' | 'attributes' | 'missing'
> & {
  readonly cardId: string;
  /** Of each photo its renditions by width; the first photo is the card's face. */
  readonly photos: readonly (readonly { readonly width: number; readonly height: number; readonly file: string }[])[];
};

/**
 * The card's record. It is made of recorded results only, so each attempt makes the same bytes: the board compares them
 * under one key.
 */
export function cardRecordOf(cardId: string, parsed: ParsedCard, photos: PhotosResult | undefined): CardRecord {
  const { source, title, price, address, coordinates, description, attributes, missing } = parsed;
  const kept = photos?.kept ?? [];
  return {
    cardId,
    source,
    title,
    price,
    address,
    coordinates,
    description,
    attributes,
    missing,
    photos: kept.map((photo) => photo.renditions.map(({ width, height, file }) => ({ width, height, file }))),
  };
}
