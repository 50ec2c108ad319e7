import type { CardRecord } from '../card-record.ts';
import type { Publication } from '../card.ts';

/** A line of the feeds: the card and where it was published. */
export type FeedCard = CardRecord & { readonly publication: Publication };

type Cell = string | number | null;

const columns: readonly (readonly [name: string, cell: (card: FeedCard) => Cell])[] = [
  ['cardId', (card) => card.cardId],
  ['title', (card) => card.title],
  ['priceAmount', (card) => card.price?.amount ?? null],
  ['priceCurrency', (card) => card.price?.currency ?? null],
  ['address', (card) => card.address],
  ['latitude', (card) => card.coordinates?.latitude ?? null],
  ['longitude', (card) => card.coordinates?.longitude ?? null],
  ['description', (card) => card.description],
  [
    'attributes',
    (card) =>
      Object.entries(card.attributes)
        .map(([name, value]) => `${name}: ${value}`)
        .join('; '),
  ],
  ['photos', (card) => card.photos.map((renditions) => renditions.at(-1)?.file ?? '').join('; ')],
  ['missing', (card) => card.missing.join('; ')],
  ['publicationId', (card) => card.publication.publicationId],
  ['source', (card) => card.source],
];

/** The first line of the CSV feed. */
export const csvHeader = rowOf(columns.map(([name]) => name));

/** A card as a line of the CSV feed, its end included. */
export function csvRowOf(card: FeedCard): string {
  return rowOf(columns.map(([, cell]) => cell(card)));
}

function rowOf(cells: readonly Cell[]): string {
  return `${cells.map((cell) => csvCell(cell)).join(',')}\r\n`;
}

/**
 * One cell by RFC 4180. Text that a spreadsheet would run as a formula gets an apostrophe before it: pages are strangers'.
 *
 * @see "CSV Injection", OWASP
 */
export function csvCell(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell === 'number') return String(cell);
  const text = /^[\s\u00a0]*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
