import { readAttributes } from './attributes.ts';
import { nothingFound, type FoundFields } from './found-fields.ts';
import { readOfferPrice } from './offer-price.ts';
import { readAddress, readCoordinates } from './place.ts';
import { firstWords, isNode, nodesOf, valuesOf, type SchemaNode } from './schema-node.ts';

// How surely a thing of that type is what the page is about. Things of other types are never a card.
const listingTypes: Readonly<Record<string, number>> = {
  RealEstateListing: 9,
  Product: 8,
  IndividualProduct: 8,
  ProductGroup: 8,
  ProductModel: 8,
  Vehicle: 8,
  Car: 8,
  Motorcycle: 8,
  Apartment: 8,
  House: 8,
  SingleFamilyResidence: 8,
  Residence: 8,
  ApartmentComplex: 8,
  Accommodation: 7,
  Room: 7,
  HotelRoom: 7,
  Suite: 7,
  CampingPitch: 7,
  VacationRental: 7,
  Offer: 6,
  LodgingBusiness: 5,
  Hotel: 5,
  BedAndBreakfast: 5,
  Hostel: 5,
  Place: 4,
  LandmarksOrHistoricalBuildings: 4,
  TouristAttraction: 4,
  Event: 3,
};

/** Where the thing itself may stand below a page, a listing or an offer. */
const aboutProperties = ['mainEntity', 'about', 'itemOffered'] as const;

/**
 * The card's fields as the page's structured data gives them, read off the one thing that the page is about.
 *
 * @param pageUrl - the page's own address, which tells its listing from others that it shows
 */
export function readSchemaListing(
  nodes: readonly SchemaNode[],
  page: { readonly url: string | null; readonly language: string | null },
): FoundFields {
  const main = mainListing(nodes, page.url);
  if (main === null) return nothingFound;
  // What only frames the thing, such as a WebPage, has a name of its own that is not the card's.
  const facets = facetsOf(main).filter((node) => weightOf(node) > 0);
  const places = [
    ...facets,
    ...facets.flatMap((node) => nodesOf(node, 'location', 'availableAtOrFrom', 'contentLocation', 'containedInPlace')),
  ];
  const readings = places.map((node) => readCoordinates(node));
  const found = readings.find((reading) => reading.kind === 'coordinates');
  const unusable = readings.filter((reading) => reading.kind === 'none' && reading.reason !== 'absent');
  const { price, warnings } = readOfferPrice(priceHolders(facets), page.language);
  return {
    title: firstOf(facets, (node) => firstWords(node, 'name', 'headline')),
    price,
    address: firstOf(places, (node) => readAddress(valuesOf(node, 'address')[0])),
    coordinates: found?.coordinates ?? null,
    description: firstOf(facets, (node) => firstWords(node, 'description')),
    attributes: readAttributes([...facets, ...facets.flatMap((node) => nodesOf(node, 'offers'))]),
    photos: photosOf(facets),
    warnings: [
      ...warnings,
      ...(found === undefined && unusable[0]?.kind === 'none' ? [`coordinates: ${unusable[0].reason}`] : []),
    ],
  };
}

function mainListing(nodes: readonly SchemaNode[], pageUrl: string | null): SchemaNode | null {
  let best: SchemaNode | null = null;
  let bestScore = 0;
  for (const root of nodes) {
    // A page, a listing or an offer counts as what it is about, and stays the root: it may say what the thing does not.
    const things = [root, ...nodesOf(root, ...aboutProperties)].filter((node) => weightOf(node) > 0);
    const isOwn = pageUrl !== null && [root, ...things].some((node) => addressesOf(node).includes(pageUrl));
    for (const thing of things) {
      // A richer thing beats a poorer one of its kind; the page's own address beats all.
      const score = weightOf(thing) * 10 + Math.min(thing.properties.size, 9) + (isOwn ? 1_000 : 0);
      if (score > bestScore) [best, bestScore] = [root, score];
    }
  }
  return best;
}

function weightOf(node: SchemaNode): number {
  return Math.max(0, ...node.types.map((type) => listingTypes[type] ?? 0));
}

function addressesOf(node: SchemaNode): readonly (string | null)[] {
  return [node.id, firstWords(node, 'url'), firstWords(node, 'mainEntityOfPage')];
}

/** The listing and the thing that it lists, outermost first: a name may stand on one and an address on the other. */
function facetsOf(main: SchemaNode): readonly SchemaNode[] {
  const facets = [main];
  for (let index = 0; index < facets.length && facets.length < 8; index += 1) {
    const facet = facets[index];
    if (facet === undefined) continue;
    const below = [
      ...nodesOf(facet, ...aboutProperties),
      ...nodesOf(facet, 'offers').flatMap((offer) => nodesOf(offer, 'itemOffered')),
    ];
    facets.push(...below.filter((node) => !facets.includes(node)));
  }
  return facets;
}

function priceHolders(facets: readonly SchemaNode[]): readonly SchemaNode[] {
  // The outermost facet that speaks of a price is the one asked: an inner one may speak of a part.
  const holder = facets.find((node) =>
    ['price', 'lowPrice', 'highPrice', 'priceSpecification', 'offers'].some((name) => node.properties.has(name)),
  );
  return holder === undefined ? [] : [holder];
}

function photosOf(facets: readonly SchemaNode[]): readonly string[] {
  for (const names of [
    ['image', 'photo', 'photos', 'primaryImageOfPage'],
    ['thumbnailUrl', 'thumbnail'],
  ]) {
    const urls = facets.flatMap((node) =>
      names.flatMap((name) => (node.properties.get(name) ?? []).flatMap((value) => photoUrlsOf(value))),
    );
    if (urls.length > 0) return urls;
  }
  return [];
}

function photoUrlsOf(value: string | number | boolean | SchemaNode): readonly string[] {
  if (typeof value === 'string') return [value];
  if (!isNode(value)) return [];
  const url = firstWords(value, 'contentUrl', 'url') ?? value.id;
  // A gallery has its pictures below it.
  const below = nodesOf(value, 'image', 'associatedMedia').flatMap((each) => photoUrlsOf(each));
  return [...(url === null ? [] : [url]), ...below.slice(0, 100)];
}

function firstOf(nodes: readonly SchemaNode[], read: (node: SchemaNode) => string | null): string | null {
  for (const node of nodes) {
    const value = read(node);
    if (value !== null) return value;
  }
  return null;
}
