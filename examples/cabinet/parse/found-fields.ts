import type { Coordinates, Price } from '../card.ts';

/** What one place of a page says of the card, before tidying; null and empty where it says nothing. */
export interface FoundFields {
  readonly title: string | null;
  readonly price: Price | null;
  readonly address: string | null;
  readonly coordinates: Coordinates | null;
  readonly description: string | null;
  readonly attributes: ReadonlyMap<string, string>;
  /** As written on the page, not yet resolved. */
  readonly photos: readonly string[];
  /** What was there and could not be used. */
  readonly warnings: readonly string[];
}

/** Nothing found. */
export const nothingFound: FoundFields = {
  title: null,
  price: null,
  address: null,
  coordinates: null,
  description: null,
  attributes: new Map(),
  photos: [],
  warnings: [],
};
