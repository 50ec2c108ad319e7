import sharp, { type Sharp } from 'sharp';
import { differenceHash, hashedHeight, hashedWidth } from './difference-hash.ts';
import { photoFormatOf } from './photo-format.ts';

/** Widths of the renditions in pixels; a photo is never enlarged. */
export const renditionWidths = [320, 800, 1_600] as const;
/** Most pixels of a photo that is decoded: a small file may unpack to gigabytes. */
export const maximumPixels = 50_000_000;
/** WebP quality of the renditions. */
export const renditionQuality = 78;

// The engine runs several photos at one time, one thread each; libvips' own threads and cache would only add memory.
sharp.concurrency(1);
sharp.cache(false);

/** A photo that was decoded: upright, without metadata, in its sizes. */
export interface DecodedPhoto {
  readonly kind: 'photo';
  readonly width: number;
  readonly height: number;
  readonly hash: string | null;
  readonly renditions: readonly { readonly width: number; readonly height: number; readonly bytes: Uint8Array }[];
}

/** Bytes that give no photo. */
export interface UnreadablePhoto {
  readonly kind: 'unreadable';
  readonly code: 'NOT_AN_IMAGE' | 'TOO_MANY_PIXELS' | 'DAMAGED_IMAGE';
  readonly reason: string;
}

/**
 * Decodes a photo, turns it upright by its EXIF orientation, drops all metadata (also where it was taken) and makes its
 * renditions. A damaged or truncated photo is unreadable: half of a picture on gray is worse than none.
 */
export async function makeRenditions(bytes: Uint8Array): Promise<DecodedPhoto | UnreadablePhoto> {
  if (photoFormatOf(bytes) === null)
    return { kind: 'unreadable', code: 'NOT_AN_IMAGE', reason: 'no known image format' };
  try {
    const upright = sharp(bytes, { failOn: 'error', limitInputPixels: maximumPixels, pages: 1 }).autoOrient();
    const { autoOrient } = await upright.metadata();
    const { width, height } = autoOrient;
    const renditions = [];
    for (const target of targetWidths(width)) {
      const { data, info } = await upright
        .clone()
        .resize({ width: target, withoutEnlargement: true })
        .webp({ quality: renditionQuality })
        .toBuffer({ resolveWithObject: true });
      renditions.push({ width: info.width, height: info.height, bytes: data });
    }
    return { kind: 'photo', width, height, hash: await hashOf(upright), renditions };
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    const code = /pixel limit/i.test(reason) ? 'TOO_MANY_PIXELS' : 'DAMAGED_IMAGE';
    return { kind: 'unreadable', code, reason: reason.slice(0, 200) };
  }
}

/** The widths that a photo is made in: each of {@link renditionWidths} that it reaches, and its own below the widest. */
export function targetWidths(width: number): readonly number[] {
  return [...new Set(renditionWidths.map((target) => Math.min(target, width)))];
}

async function hashOf(upright: Sharp): Promise<string | null> {
  const gray = await upright
    .clone()
    .flatten({ background: '#ffffff' })
    .greyscale()
    .resize(hashedWidth, hashedHeight, { fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false })
    .raw()
    .toBuffer({ resolveWithObject: true });
  // Some color spaces keep a second channel; the first is the gray level.
  const { channels } = gray.info;
  return differenceHash(gray.data.filter((_, index) => index % channels === 0));
}
