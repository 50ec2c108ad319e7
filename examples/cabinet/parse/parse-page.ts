import { load } from 'cheerio/slim';
import { FatalError } from '../../../src/core/driver-errors.ts';
import { cardFields, fieldOrigins, type CardField, type FieldOrigin, type ParsedCard } from '../card.ts';
import { maximumAttributeLength, maximumAttributeNameLength, maximumAttributes } from './attributes.ts';
import type { FoundFields } from './found-fields.ts';
import { readJsonLd } from './json-ld.ts';
import { readMicrodata } from './microdata.ts';
import { readMetaTags, readOpenGraph, readPlainPage, type MetaTags } from './open-graph.ts';
import { decodePage } from './page-charset.ts';
import { allElementsOf, type PageElement } from './page-element.ts';
import { refuseBinary, refuseOtherText } from './page-kind.ts';
import { refuseComplexPage } from './page-structure.ts';
import { resolvePhotoUrls } from './photo-urls.ts';
import { textOfMarkup, tidyText } from './plain-text.ts';
import { readSchemaListing } from './schema-listing.ts';

/** Longest fields of a card, in characters. */
export const maximumTitleLength = 300;
export const maximumAddressLength = 300;
export const maximumDescriptionLength = 5_000;
/** Most warnings kept of one page, and the longest of them. */
export const maximumWarnings = 20;
export const maximumWarningLength = 300;

/** A page as it was read. */
export interface PageBytes {
  readonly bytes: Uint8Array;
  readonly contentType: string | null;
  /** Where it was in the end, after redirects. */
  readonly source: URL;
  readonly hasFile: (url: URL) => boolean;
}

const forbiddenNames = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * What a listing page says of its card. Each field is taken from the first of JSON-LD, microdata, OpenGraph and plain HTML
 * that gives it; what none gives is missing. Pure but for `hasFile`.
 *
 * @throws FatalError `NOT_HTML`, `PAGE_TOO_COMPLEX`, `NO_LISTING` when the page gives no field at all
 */
export function parsePage(page: PageBytes, source: string): ParsedCard {
  refuseBinary(page.bytes);
  const { text, charset, warning } = decodePage(page.bytes, page.contentType);
  refuseOtherText(text);
  refuseComplexPage(text);
  const elements = allElementsOf(load(text));
  const tags = readMetaTags(elements);
  const own =
    tags.get('og:url')?.[0] ??
    firstHref(elements, ({ name, attribs }) => name === 'link' && attribs['rel'] === 'canonical');
  const language = languageOf(elements, tags);
  const jsonLd = readJsonLd(elements);
  const places: Readonly<Record<FieldOrigin, FoundFields>> = {
    jsonLd: readSchemaListing(jsonLd.nodes, { url: own, language }),
    microdata: readSchemaListing(readMicrodata(elements), { url: own, language }),
    openGraph: readOpenGraph(tags, language),
    meta: readPlainPage(elements, tags),
  };
  const addresses = {
    source: page.source,
    base: firstHref(elements, ({ name }) => name === 'base'),
    own,
    hasFile: page.hasFile,
  };
  const card = new CardMerge(places, addresses).merge();
  if (card.missing.length === cardFields.length) {
    throw new FatalError(`${source} says nothing of a listing`, { code: 'NO_LISTING' });
  }
  const warnings = [...(warning === null ? [] : [warning]), ...jsonLd.warnings, ...card.warnings];
  return {
    source,
    ...card,
    charset,
    warnings: [...new Set(warnings.map((each) => tidyText(each, maximumWarningLength) ?? ''))].slice(
      0,
      maximumWarnings,
    ),
  };
}

/** Takes each field from the first place that gives it, and notes which that was. */
class CardMerge {
  readonly #places: Readonly<Record<FieldOrigin, FoundFields>>;
  readonly #addresses: Parameters<typeof resolvePhotoUrls>[1];
  readonly #foundIn: Partial<Record<CardField, FieldOrigin>> = {};
  readonly #warnings: string[] = [];

  constructor(places: Readonly<Record<FieldOrigin, FoundFields>>, addresses: Parameters<typeof resolvePhotoUrls>[1]) {
    this.#places = places;
    this.#addresses = addresses;
  }

  merge(): Omit<ParsedCard, 'source' | 'charset'> {
    const fields = {
      title: this.#first('title', ({ title }) => tidy(title, maximumTitleLength)),
      price: this.#first('price', ({ price }) => price),
      address: this.#first('address', ({ address }) => tidy(address, maximumAddressLength)),
      coordinates: this.#first('coordinates', ({ coordinates }) => coordinates),
      description: this.#first('description', ({ description }) => tidy(description, maximumDescriptionLength)),
      attributes: this.#attributes(),
      photos: this.#first('photos', ({ photos }) => this.#resolve(photos)) ?? [],
    };
    const missing = cardFields.filter((field) => this.#foundIn[field] === undefined);
    // A warning about a field that another place gave after all would only mislead.
    const ofMissing = fieldOrigins.flatMap((origin) =>
      this.#places[origin].warnings.filter((each) => missing.some((field) => each.startsWith(`${field}:`))),
    );
    return { ...fields, missing, foundIn: this.#foundIn, warnings: [...ofMissing, ...this.#warnings] };
  }

  #first<Value>(field: CardField, read: (found: FoundFields) => Value | null): Value | null {
    for (const origin of fieldOrigins) {
      const value = read(this.#places[origin]);
      if (value === null) continue;
      this.#foundIn[field] = origin;
      return value;
    }
    return null;
  }

  #resolve(photos: readonly string[]): string[] | null {
    const { urls, warnings } = resolvePhotoUrls(photos, this.#addresses);
    this.#warnings.push(...warnings);
    return urls.length === 0 ? null : [...urls];
  }

  /** Attributes are taken one by one, so their origin is that of the best place that gave any. */
  #attributes(): Record<string, string> {
    const merged = new Map<string, string>();
    for (const origin of fieldOrigins) {
      for (const [name, value] of this.#places[origin].attributes) {
        const tidyName = tidy(name, maximumAttributeNameLength);
        const tidyValue = tidy(value, maximumAttributeLength);
        if (tidyName === null || tidyValue === null || forbiddenNames.has(tidyName) || merged.has(tidyName)) continue;
        if (merged.size >= maximumAttributes) continue;
        merged.set(tidyName, tidyValue);
        this.#foundIn.attributes ??= origin;
      }
    }
    return Object.fromEntries(merged);
  }
}

function tidy(value: string | null, maximumLength: number): string | null {
  return value === null ? null : tidyText(textOfMarkup(value), maximumLength);
}

function languageOf(elements: readonly PageElement[], tags: MetaTags): string | null {
  const written = elements.find(({ name }) => name === 'html')?.attribs['lang'] ?? tags.get('og:locale')?.[0];
  const tag = written?.trim().replaceAll('_', '-');
  return tag !== undefined && /^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$/.test(tag) ? tag : null;
}

function firstHref(elements: readonly PageElement[], isWanted: (element: PageElement) => boolean): string | null {
  const href = elements.find((element) => isWanted(element) && 'href' in element.attribs)?.attribs['href']?.trim();
  return href === undefined || href === '' ? null : href;
}
