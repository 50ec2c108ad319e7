import { FatalError } from '../../../src/core/driver-errors.ts';
import type { Driver, StageContext } from '../../../src/ports/driver.ts';
import { cabinetOf } from '../cabinet-ports.ts';
import type { CardInput, ParsedCard, Photo, PhotosResult, RejectedPhoto } from '../card.ts';
import { dropNearDuplicates } from './near-duplicates.ts';
import { makeRenditions } from './photo-renditions.ts';

/** Largest photo file that is read. */
export const maximumPhotoBytes = 25_000_000;

/** What the stages before `photos` gave. */
export interface PhotosOutputs {
  readonly parse: ParsedCard;
}

/** What became of one photo; committed as a checkpoint, so it holds names and sizes but no bytes. */
export type PhotoOutcome =
  { readonly kind: 'kept'; readonly photo: Photo } | { readonly kind: 'rejected'; readonly rejected: RejectedPhoto };

type PhotosContext = StageContext<CardInput, PhotosOutputs>;

/**
 * Reads each photo of the card, makes its renditions in the work folder and drops those that show the same. A photo that is
 * none, or is not there, is listed as rejected; a host that is down fails the attempt, and the finished photos stay.
 */
export const photosDriver: Driver<CardInput, PhotosOutputs, PhotosResult> = {
  async execute(ctx) {
    const outcomes: PhotoOutcome[] = [];
    for (const [index, url] of ctx.outputs.parse.photos.entries()) {
      ctx.signal.throwIfAborted();
      ctx.heartbeat();
      const number = index + 1;
      const outcome = await ctx.checkpoint(`photo-${number}`, () => processPhoto(ctx, number, url));
      if (!(await hasFiles(ctx, outcome))) {
        // The checkpoint outlived its files, as when another machine takes over: the same photo gives the same files.
        await processPhoto(ctx, number, url);
      }
      outcomes.push(outcome);
    }
    const photos = outcomes.flatMap((outcome) => (outcome.kind === 'kept' ? [outcome.photo] : []));
    const rejected = outcomes.flatMap((outcome) => (outcome.kind === 'rejected' ? [outcome.rejected] : []));
    const result = { ...dropNearDuplicates(photos), rejected };
    const { kept, duplicates } = result;
    ctx.log.info({ kept: kept.length, duplicates: duplicates.length, rejected: rejected.length }, 'photos done');
    return result;
  },
};

async function processPhoto(ctx: PhotosContext, number: number, url: string): Promise<PhotoOutcome> {
  const { work } = cabinetOf(ctx);
  const bytes = await readPhoto(ctx, url);
  if (!(bytes instanceof Uint8Array)) return { kind: 'rejected', rejected: { number, url, ...bytes } };
  const made = await makeRenditions(bytes);
  if (made.kind === 'unreadable') {
    return { kind: 'rejected', rejected: { number, url, code: made.code, reason: made.reason } };
  }
  const renditions = [];
  for (const rendition of made.renditions) {
    ctx.signal.throwIfAborted();
    const { width, height } = rendition;
    const file = `${ctx.taskId}/photo-${number}-${width}.webp`;
    await work.write(file, rendition.bytes);
    renditions.push({ width, height, sizeBytes: rendition.bytes.byteLength, file });
  }
  return { kind: 'kept', photo: { number, url, width: made.width, height: made.height, hash: made.hash, renditions } };
}

async function readPhoto(
  ctx: PhotosContext,
  url: string,
): Promise<Uint8Array | Pick<RejectedPhoto, 'code' | 'reason'>> {
  try {
    const request = { url, kind: 'photo', maximumBytes: maximumPhotoBytes, signal: ctx.signal } as const;
    return (await cabinetOf(ctx).resources.read(request)).bytes;
  } catch (error) {
    // What no retry mends is a property of this photo, not a failure of the card.
    if (error instanceof FatalError) return { code: error.code, reason: error.message.slice(0, 200) };
    throw error;
  }
}

async function hasFiles(ctx: PhotosContext, outcome: PhotoOutcome): Promise<boolean> {
  if (outcome.kind === 'rejected') return true;
  const { work } = cabinetOf(ctx);
  for (const { file, sizeBytes } of outcome.photo.renditions) {
    if (!(await work.has(file, sizeBytes))) return false;
  }
  return true;
}
