import { parseCurrencyCode } from './currency.ts';
import type { FoundFields } from './found-fields.ts';
import { textOf, type PageElement } from './page-element.ts';
import { joinAddress, parseCoordinates, type CoordinatesReading } from './place.ts';
import { maximumMarkupLength } from './plain-text.ts';
import { readPrice } from './price.ts';

/** The page's `<meta>` tags: name in lower case → contents, in order. */
export type MetaTags = ReadonlyMap<string, readonly string[]>;

/** Reads all `<meta>` tags that have a name or property and say something. */
export function readMetaTags(elements: readonly PageElement[]): MetaTags {
  const tags = new Map<string, string[]>();
  for (const { name: element, attribs } of elements) {
    if (element !== 'meta') continue;
    const name = (attribs['property'] ?? attribs['name'] ?? '').trim().toLowerCase();
    const content = attribs['content'] ?? '';
    if (name === '' || content.trim() === '') continue;
    const known = tags.get(name);
    if (known === undefined) tags.set(name, [content]);
    else known.push(content);
  }
  return tags;
}

/** The card's fields as OpenGraph, its commerce and place extensions, and Twitter cards give them. */
export function readOpenGraph(tags: MetaTags, language: string | null): FoundFields {
  const { price, warning } = readTagPrice(tags, language);
  const reading = readTagCoordinates(tags);
  const photos = [...all(tags, 'og:image:secure_url'), ...all(tags, 'og:image'), ...all(tags, 'og:image:url')];
  return {
    title: first(tags, 'og:title', 'twitter:title'),
    price,
    address: joinAddress({
      street: first(tags, 'og:street-address', 'business:contact_data:street_address'),
      postalCode: first(tags, 'og:postal-code', 'business:contact_data:postal_code'),
      locality: first(tags, 'og:locality', 'business:contact_data:locality'),
      region: first(tags, 'og:region', 'business:contact_data:region'),
      country: first(tags, 'og:country-name', 'business:contact_data:country_name'),
    }),
    coordinates: reading.kind === 'coordinates' ? reading.coordinates : null,
    description: first(tags, 'og:description', 'twitter:description'),
    attributes: readTagAttributes(tags),
    photos: photos.length > 0 ? photos : [...all(tags, 'twitter:image'), ...all(tags, 'twitter:image:src')],
    warnings: [
      ...(warning === null ? [] : [warning]),
      ...(reading.kind === 'none' && reading.reason !== 'absent' ? [`coordinates: ${reading.reason}`] : []),
    ],
  };
}

/** What plain HTML says: the last place asked. */
export function readPlainPage(elements: readonly PageElement[], tags: MetaTags): FoundFields {
  const title = firstText(elements, 'title');
  const heading = firstText(elements, 'h1');
  const [latitude = null, longitude = null] = (first(tags, 'geo.position', 'icbm') ?? '').split(/[;,]\s*/);
  const reading = parseCoordinates(latitude === '' ? null : latitude, longitude);
  return {
    title: heading === '' ? (title === '' ? null : title) : heading,
    price: null,
    address: first(tags, 'geo.placename'),
    coordinates: reading.kind === 'coordinates' ? reading.coordinates : null,
    description: first(tags, 'description'),
    attributes: new Map(),
    photos: elements
      .filter(({ name, attribs }) => name === 'link' && attribs['rel'] === 'image_src')
      .map(({ attribs }) => attribs['href'] ?? ''),
    warnings: [],
  };
}

function firstText(elements: readonly PageElement[], name: string): string {
  const element = elements.find((each) => each.name === name);
  return element === undefined ? '' : textOf([element], maximumMarkupLength).trim();
}

function readTagPrice(tags: MetaTags, language: string | null) {
  const amount = first(tags, 'product:sale_price:amount', 'product:price:amount', 'og:price:amount', 'product:price');
  if (amount === null) return { price: null, warning: null };
  const currency = first(tags, 'product:sale_price:currency', 'product:price:currency', 'og:price:currency');
  const reading = readPrice(amount, parseCurrencyCode(currency), language);
  if (reading.kind === 'price') return { price: reading.price, warning: null };
  return { price: null, warning: `price: ${reading.reason}` };
}

function readTagCoordinates(tags: MetaTags): CoordinatesReading {
  return parseCoordinates(
    first(tags, 'place:location:latitude', 'og:latitude'),
    first(tags, 'place:location:longitude', 'og:longitude'),
  );
}

function readTagAttributes(tags: MetaTags): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const name of ['brand', 'condition', 'availability', 'category', 'color', 'material', 'retailer_item_id']) {
    const value = first(tags, `product:${name}`);
    if (value !== null) found.set(name, value);
  }
  for (let index = 1; index <= 4; index += 1) {
    const label = first(tags, `twitter:label${index}`);
    const value = first(tags, `twitter:data${index}`);
    if (label !== null && value !== null && !found.has(label)) found.set(label, value);
  }
  return found;
}

function all(tags: MetaTags, name: string): readonly string[] {
  return tags.get(name) ?? [];
}

function first(tags: MetaTags, ...names: readonly string[]): string | null {
  for (const name of names) {
    const [value] = all(tags, name);
    if (value !== undefined) return value;
  }
  return null;
}
