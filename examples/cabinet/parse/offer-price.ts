import type { Price } from '../card.ts';
import { parseCurrencyCode } from './currency.ts';
import { readPrice, type PriceReading } from './price.ts';
import { firstWords, isNode, nodesOf, valuesOf, wordsOf, type SchemaNode } from './schema-node.ts';

/** Most offers of one listing that are looked at. */
export const maximumOffers = 200;

// The price that was, struck through beside the one that is.
const formerPriceTypes = /ListPrice|StrikethroughPrice|SRP|MSRP|MinimumAdvertisedPrice/i;

/**
 * The one price of a listing. Several offers that name different prices, or a range from low to high, are none: which one
 * would it be?
 */
export function readOfferPrice(
  nodes: readonly SchemaNode[],
  language: string | null,
): { readonly price: Price | null; readonly warnings: readonly string[] } {
  const readings = nodes.flatMap((node) => readingsOf(node, language, 0)).slice(0, maximumOffers);
  const prices = new Map<string, Price>();
  const problems = new Set<string>();
  for (const reading of readings) {
    if (reading.kind === 'price') prices.set(`${reading.price.amount} ${reading.price.currency}`, reading.price);
    else problems.add(reading.reason);
  }
  if (prices.size === 1) return { price: [...prices.values()][0] ?? null, warnings: [] };
  if (prices.size > 1)
    return { price: null, warnings: [`price: severalAmounts (${[...prices.keys()].slice(0, 5).join(', ')})`] };
  return { price: null, warnings: [...problems].map((reason) => `price: ${reason}`) };
}

function readingsOf(node: SchemaNode, language: string | null, depth: number): readonly PriceReading[] {
  if (depth > 4) return [];
  const own = ownReadings(node, language);
  if (own.length > 0) return own;
  const specifications = nodesOf(node, 'priceSpecification').filter(
    (each) => !formerPriceTypes.test(firstWords(each, 'priceType') ?? ''),
  );
  const inner = [...specifications, ...nodesOf(node, 'offers')].slice(0, maximumOffers);
  // An offer inside may leave the currency to the one around it.
  return inner.flatMap((each) => readingsOf(withCurrencyOf(each, node), language, depth + 1));
}

function ownReadings(node: SchemaNode, language: string | null): readonly PriceReading[] {
  const declared = parseCurrencyCode(firstWords(node, 'priceCurrency', 'currency'));
  const single = valuesOf(node, 'price');
  const low = valuesOf(node, 'lowPrice', 'minPrice');
  const high = valuesOf(node, 'highPrice', 'maxPrice');
  // Without its upper end a range is no price: "from 100" says only what it is not.
  if (single.length === 0 && (low.length === 0) !== (high.length === 0))
    return [{ kind: 'none', reason: 'severalAmounts' }];
  const values = single.length > 0 ? single : [...low, ...high];
  return values.flatMap((value): readonly PriceReading[] => {
    if (typeof value === 'number') return [readPrice(value, declared, language)];
    if (isNode(value)) return readingsOf(value, language, 4);
    const words = wordsOf(value);
    return words === null || words.trim() === '' ? [] : [readPrice(words, declared, language)];
  });
}

function withCurrencyOf(node: SchemaNode, outer: SchemaNode): SchemaNode {
  const currency = outer.properties.get('priceCurrency');
  if (currency === undefined || node.properties.has('priceCurrency')) return node;
  return { ...node, properties: new Map([...node.properties, ['priceCurrency', currency]]) };
}
