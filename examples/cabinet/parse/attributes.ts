import { firstWords, isNode, nodesOf, valuesOf, wordsOf, type SchemaNode, type SchemaValue } from './schema-node.ts';

/** Most attributes of one card. */
export const maximumAttributes = 64;
/** Longest attribute name and value, in characters. */
export const maximumAttributeNameLength = 80;
export const maximumAttributeLength = 300;

// Properties of schema.org that describe the thing itself and can be said in a word or a number.
const plainProperties = new Set(
  (
    'accommodationCategory bodyType brand category color driveWheelConfiguration floorLevel fuelType gtin gtin13 itemCondition ' +
    'knownVehicleDamages leaseLength material mileageFromOdometer model mpn numberOfAirbags numberOfBathroomsTotal ' +
    'numberOfBedrooms numberOfDoors numberOfFullBathrooms numberOfPreviousOwners numberOfRooms occupancy petsAllowed ' +
    'productionDate serialNumber sku smokingAllowed starRating steeringPosition tourBookingPage vehicleConfiguration ' +
    'vehicleIdentificationNumber vehicleInteriorColor vehicleModelDate vehicleSeatingCapacity vehicleTransmission ' +
    'weight width height depth yearBuilt floorSize lotSize availability datePosted validFrom permittedUsage'
  ).split(' '),
);

// UN/CEFACT codes of the units that listings use, in words.
const unitNames: Readonly<Record<string, string>> = {
  MTK: 'm²',
  FTK: 'sq ft',
  KMT: 'km',
  SMI: 'mi',
  KGM: 'kg',
  CMT: 'cm',
  MTR: 'm',
  ACR: 'acres',
  HAR: 'ha',
};

/** What the nodes of a listing say of the thing beside its price and place, each as a name and words. */
export function readAttributes(nodes: readonly SchemaNode[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const add = (name: string | null, value: string | null) => {
    if (name !== null && value !== null && value.trim() !== '' && !found.has(name)) found.set(name, value);
  };
  for (const node of nodes) {
    for (const property of nodesOf(node, 'additionalProperty')) add(firstWords(property, 'name'), measureOf(property));
    for (const amenity of nodesOf(node, 'amenityFeature'))
      add(firstWords(amenity, 'name'), measureOf(amenity) ?? 'yes');
    for (const [name, values] of node.properties) {
      if (plainProperties.has(name)) add(name, listOf(values));
    }
    const [engine] = nodesOf(node, 'vehicleEngine');
    if (engine !== undefined) add('vehicleEngine', firstWords(engine, 'name', 'engineType') ?? measureOf(engine));
  }
  return found;
}

function listOf(values: readonly SchemaValue[]): string | null {
  const words = values.slice(0, 10).map((value) => (isNode(value) ? measureOf(value) : wordsOf(value)));
  const said = [...new Set(words.filter((each) => each !== null).map((each) => shortTerm(each)))];
  return said.length === 0 ? null : said.join(', ');
}

/** A quantity with its unit, a range of them, or the node's name. */
function measureOf(node: SchemaNode): string | null {
  const [value] = valuesOf(node, 'value');
  const low = firstWords(node, 'minValue');
  const high = firstWords(node, 'maxValue');
  const range = low === null || high === null ? (low ?? high) : `${low}–${high}`;
  const amount = wordsOf(value) ?? range ?? firstWords(node, 'name');
  if (amount === null) return null;
  const code = firstWords(node, 'unitCode');
  const unit = firstWords(node, 'unitText') ?? (code === null ? null : (unitNames[code.toUpperCase()] ?? code));
  if (amount === 'true') return 'yes';
  if (amount === 'false') return 'no';
  return unit === null ? shortTerm(amount) : `${amount} ${unit}`;
}

/** schema.org's terms without their address: `https://schema.org/InStock` is `InStock`. */
function shortTerm(text: string): string {
  if (text === 'true') return 'yes';
  if (text === 'false') return 'no';
  return text.replace(/^https?:\/\/(?:www\.)?schema\.org\//i, '');
}
