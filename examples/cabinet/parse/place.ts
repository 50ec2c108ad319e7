import type { Coordinates } from '../card.ts';
import { firstWords, isNode, valuesOf, type SchemaNode, type SchemaValue } from './schema-node.ts';

/** A postal address as one line, the smallest part first; null when the node has no part of one. */
export function readAddress(value: SchemaValue | undefined): string | null {
  if (value === undefined) return null;
  if (!isNode(value)) return typeof value === 'string' && value.trim() !== '' ? value : null;
  return joinAddress({
    street: firstWords(value, 'streetAddress'),
    postalCode: firstWords(value, 'postalCode'),
    locality: firstWords(value, 'addressLocality'),
    region: firstWords(value, 'addressRegion'),
    country: firstWords(value, 'addressCountry'),
  });
}

/** Parts of an address. */
export interface AddressParts {
  readonly street: string | null;
  readonly postalCode: string | null;
  readonly locality: string | null;
  readonly region: string | null;
  readonly country: string | null;
}

/** The parts that there are, as one line. */
export function joinAddress({ street, postalCode, locality, region, country }: AddressParts): string | null {
  const town = [postalCode, locality].filter((part) => part !== null).join(' ');
  const parts = [street, town === '' ? null : town, region === locality ? null : region, country];
  const line = parts.filter((part) => part !== null).join(', ');
  return line === '' ? null : line;
}

/** Coordinates, or why there are none. */
export type CoordinatesReading =
  | { readonly kind: 'coordinates'; readonly coordinates: Coordinates }
  | { readonly kind: 'none'; readonly reason: 'absent' | 'unreadable' | 'outOfRange' | 'nullIsland' };

/** The coordinates of a place: its `geo`, or its own latitude and longitude. */
export function readCoordinates(node: SchemaNode): CoordinatesReading {
  const [geo] = valuesOf(node, 'geo');
  const holder = isNode(geo) ? geo : node;
  return parseCoordinates(firstWords(holder, 'latitude'), firstWords(holder, 'longitude'));
}

/** Decimal degrees as coordinates. The comma of a decimal comma is understood; degrees, minutes and seconds are not. */
export function parseCoordinates(latitudeText: string | null, longitudeText: string | null): CoordinatesReading {
  if (latitudeText === null || longitudeText === null) return { kind: 'none', reason: 'absent' };
  const latitude = parseDegrees(latitudeText);
  const longitude = parseDegrees(longitudeText);
  if (latitude === null || longitude === null) return { kind: 'none', reason: 'unreadable' };
  if (Math.abs(latitude) > 90 || Math.abs(longitude) > 180) return { kind: 'none', reason: 'outOfRange' };
  // 0, 0 lies in the ocean: it is what an empty form field becomes.
  if (latitude === 0 && longitude === 0) return { kind: 'none', reason: 'nullIsland' };
  return { kind: 'coordinates', coordinates: { latitude, longitude } };
}

function parseDegrees(text: string): number | null {
  const plain = text.trim().replace(/^([-+]?\d{1,3}),(\d+)$/, '$1.$2');
  if (!/^[-+]?\d{1,3}(?:\.\d+)?$/.test(plain)) return null;
  // `+ 0` turns -0 into 0: JSON cannot keep the sign.
  return Number(plain) + 0;
}
