import sharp, { type Sharp } from 'sharp';
import { sceneHeight, sceneOf, sceneWidth, type SceneKind } from './scenes.ts';

/** One photo file of the samples, and how it is made. */
export interface PhotoDrawing {
  readonly file: string;
  readonly scene: readonly [kind: SceneKind, seed: number];
  readonly width: number;
  readonly format: 'jpeg' | 'png' | 'webp' | 'gif' | 'avif';
  /** EXIF orientation: the pixels are stored turned, and a viewer has to turn them back. */
  readonly orientation?: 6 | 3;
  /** Part of the file that is kept, for a download that broke off. */
  readonly keptPart?: number;
}

/** All photo files that are pictures, or were. */
export const photoDrawings: readonly PhotoDrawing[] = [
  { file: 'house-front.jpg', scene: ['house', 3], width: 1_200, format: 'jpeg' },
  { file: 'house-front-small.jpg', scene: ['house', 3], width: 480, format: 'jpeg' },
  { file: 'house-room.jpg', scene: ['room', 5], width: 900, format: 'jpeg' },
  { file: 'house-lake.jpg', scene: ['lake', 8], width: 900, format: 'jpeg' },
  { file: 'flat-tower.jpg', scene: ['tower', 11], width: 1_000, format: 'jpeg' },
  { file: 'flat-room.jpg', scene: ['room', 17], width: 800, format: 'jpeg' },
  { file: 'villa-panorama.jpg', scene: ['lake', 23], width: 2_000, format: 'jpeg' },
  { file: 'car-side.jpg', scene: ['car', 29], width: 1_000, format: 'jpeg' },
  { file: 'car-street.jpg', scene: ['car', 31], width: 640, format: 'jpeg' },
  { file: 'castle.jpg', scene: ['tower', 37], width: 700, format: 'jpeg' },
  { file: 'cabin.png', scene: ['house', 41], width: 400, format: 'png' },
  { file: 'cabin.webp', scene: ['room', 43], width: 600, format: 'webp' },
  { file: 'cabin.gif', scene: ['lake', 47], width: 240, format: 'gif' },
  { file: 'cabin.avif', scene: ['tower', 53], width: 500, format: 'avif' },
  { file: 'sideways.jpg', scene: ['house', 59], width: 1_000, format: 'jpeg', orientation: 6 },
  { file: 'upside-down.jpg', scene: ['car', 61], width: 600, format: 'jpeg', orientation: 3 },
  { file: 'truncated.jpg', scene: ['house', 67], width: 900, format: 'jpeg', keptPart: 0.5 },
];

const turnedBy = { 6: 270, 3: 180 } as const;

/** Draws one photo. The pixels are the same each time; the bytes are for one version of the encoder. */
export async function drawPhoto(drawing: PhotoDrawing): Promise<Uint8Array> {
  const { width, orientation, keptPart = 1 } = drawing;
  const height = Math.round((width * sceneHeight) / sceneWidth);
  const drawn = await sharp(Buffer.from(sceneOf(...drawing.scene)), { density: (72 * width) / sceneWidth })
    .resize(width, height)
    .png()
    .toBuffer();
  let image = sharp(drawn);
  if (orientation !== undefined) {
    // A place and an owner are in the metadata, so that a test can see them gone.
    image = image
      .rotate(turnedBy[orientation])
      .withMetadata({ orientation })
      .withExifMerge({
        IFD0: { Copyright: 'A private person' },
        IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '50/1 5/1 0/1', GPSLongitudeRef: 'E', GPSLongitude: '14/1 25/1 0/1' },
      });
  }
  const bytes = await encoders[drawing.format](image).toBuffer();
  return bytes.subarray(0, Math.round(bytes.length * keptPart));
}

const encoders: Readonly<Record<PhotoDrawing['format'], (image: Sharp) => Sharp>> = {
  jpeg: (image) => image.jpeg({ quality: 72, mozjpeg: true }),
  png: (image) => image.png({ palette: true }),
  webp: (image) => image.webp({ quality: 70 }),
  gif: (image) => image.gif(),
  avif: (image) => image.avif({ quality: 50 }),
};
