import type { Photo, PhotosResult } from '../card.ts';
import { hammingDistance } from './difference-hash.ts';

/** Photos whose hashes differ in no more bits show the same. A photo shown twice does less harm than one that is lost. */
export const nearDuplicateBits = 3;

/**
 * Drops photos that show what another shows, keeping the one with most pixels, and of equals the first. The kept one stands
 * where the first of its group stood: the page's order is its author's choice.
 */
export function dropNearDuplicates(photos: readonly Photo[]): Pick<PhotosResult, 'kept' | 'duplicates'> {
  const groups: { photo: Photo; readonly members: Photo[] }[] = [];
  for (const photo of photos) {
    const group = groups.find(({ members }) =>
      members.some((member) => distanceOf(member, photo) <= nearDuplicateBits),
    );
    if (group === undefined) {
      groups.push({ photo, members: [photo] });
    } else {
      group.members.push(photo);
      if (pixelsOf(photo) > pixelsOf(group.photo)) group.photo = photo;
    }
  }
  const duplicates = groups.flatMap(({ photo, members }) =>
    members
      .filter((member) => member !== photo)
      .map((member) => ({
        number: member.number,
        url: member.url,
        sameAs: photo.number,
        distance: distanceOf(member, photo),
      })),
  );
  return {
    kept: groups.map(({ photo }) => photo),
    duplicates: duplicates.toSorted((one, other) => one.number - other.number),
  };
}

function distanceOf(one: Photo, other: Photo): number {
  // A flat picture has no hash, and is like no other.
  return one.hash === null || other.hash === null ? Number.POSITIVE_INFINITY : hammingDistance(one.hash, other.hash);
}

function pixelsOf(photo: Photo): number {
  return photo.width * photo.height;
}
