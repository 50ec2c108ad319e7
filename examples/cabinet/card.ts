import { z } from 'zod';

/** The fields of a card that a page may or may not give. */
export const cardFields = ['title', 'price', 'address', 'coordinates', 'description', 'attributes', 'photos'] as const;

/** Where on a page a field was found, best first: a later place is asked only when the earlier ones say nothing. */
export const fieldOrigins = ['jsonLd', 'microdata', 'openGraph', 'meta'] as const;

/** What a `card` task is given: where the listing page is. */
export const cardInputSchema = z.strictObject({
  /** `https://…`, `http://…`, or `file:` and a path inside the pages folder. */
  source: z
    .string()
    .max(2_048)
    .regex(/^(?:https?:\/\/|file:)\S/, 'must start with https://, http:// or file:'),
});

/** An amount of money. */
export const priceSchema = z.strictObject({
  amount: z.number().positive(),
  /** ISO 4217. */
  currency: z.string().regex(/^[A-Z]{3}$/),
});

/** A place on the globe in degrees, WGS 84. */
export const coordinatesSchema = z.strictObject({
  latitude: z.number().min(-90).max(90),
  longitude: z.number().min(-180).max(180),
});

/** What the `parse` stage read off the page. A field that the page does not give is null or empty, and in `missing`. */
export const parsedCardSchema = z.strictObject({
  source: z.string(),
  title: z.string().nullable(),
  price: priceSchema.nullable(),
  address: z.string().nullable(),
  coordinates: coordinatesSchema.nullable(),
  description: z.string().nullable(),
  attributes: z.record(z.string(), z.string()),
  /** Absolute URLs, or `file:` paths inside the pages folder. */
  photos: z.array(z.string()),
  missing: z.array(z.enum(cardFields)),
  foundIn: z.partialRecord(z.enum(cardFields), z.enum(fieldOrigins)),
  charset: z.strictObject({ name: z.string(), from: z.enum(['bom', 'header', 'meta', 'detected']) }),
  /** What was on the page and could not be used, for the operator. */
  warnings: z.array(z.string()),
});

/** One size of one photo, a WebP file in the work folder. */
export const renditionSchema = z.strictObject({
  width: z.int().positive(),
  height: z.int().positive(),
  sizeBytes: z.int().positive(),
  /** Relative to the work folder. */
  file: z.string(),
});

/** A photo that was read, in all its sizes. */
export const photoSchema = z.strictObject({
  /** Its place among the page's photos, from 1. */
  number: z.int().positive(),
  url: z.string(),
  /** Upright, before resizing. */
  width: z.int().positive(),
  height: z.int().positive(),
  /** 64-bit difference hash in hex; null for a picture too flat to tell from another. */
  hash: z.string().nullable(),
  renditions: z.array(renditionSchema),
});

/** A photo that was left out, and why. */
export const rejectedPhotoSchema = z.strictObject({
  number: z.int().positive(),
  url: z.string(),
  code: z.string(),
  reason: z.string(),
});

/** What the `photos` stage made. */
export const photosResultSchema = z.strictObject({
  kept: z.array(photoSchema),
  duplicates: z.array(
    z.strictObject({
      number: z.int().positive(),
      url: z.string(),
      /** Number of the kept photo that shows the same. */
      sameAs: z.int().positive(),
      /** Bits in which the two hashes differ. */
      distance: z.int().min(0),
    }),
  ),
  rejected: z.array(rejectedPhotoSchema),
});

/** What the board answered, the same on every repeat of one key. */
export const publicationSchema = z.strictObject({
  publicationId: z.string(),
  /** Where the publication is on the board, from its root. */
  path: z.string(),
});

/** Where the card stands in the feeds, relative to the feed folder. */
export const exportResultSchema = z.strictObject({ cardFile: z.string(), photoFiles: z.array(z.string()) });

/** What the `cleanup` stage leaves behind: nothing. */
export const cleanupResultSchema = z.strictObject({ removedFolder: z.string() });

export type CardField = (typeof cardFields)[number];
export type FieldOrigin = (typeof fieldOrigins)[number];
export type CardInput = z.infer<typeof cardInputSchema>;
export type Price = z.infer<typeof priceSchema>;
export type Coordinates = z.infer<typeof coordinatesSchema>;
export type ParsedCard = z.infer<typeof parsedCardSchema>;
export type Rendition = z.infer<typeof renditionSchema>;
export type Photo = z.infer<typeof photoSchema>;
export type RejectedPhoto = z.infer<typeof rejectedPhotoSchema>;
export type PhotosResult = z.infer<typeof photosResultSchema>;
export type Publication = z.infer<typeof publicationSchema>;
export type ExportResult = z.infer<typeof exportResultSchema>;
export type CleanupResult = z.infer<typeof cleanupResultSchema>;
