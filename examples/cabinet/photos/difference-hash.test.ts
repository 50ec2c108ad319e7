import { describe, expect, it } from 'vitest';
import type { Photo } from '../card.ts';
import { differenceHash, hammingDistance, hashedHeight, hashedWidth } from './difference-hash.ts';
import { dropNearDuplicates, nearDuplicateBits } from './near-duplicates.ts';

const picture = (levelAt: (x: number, y: number) => number) =>
  Uint8Array.from({ length: hashedWidth * hashedHeight }, (_, index) =>
    levelAt(index % hashedWidth, Math.floor(index / hashedWidth)),
  );

function photo(number: number, hash: string | null, width = 100): Photo {
  return { number, url: `file:${number}.jpg`, width, height: 100, hash, renditions: [] };
}

/** The zero hash with that many bits set. */
function bits(count: number): string {
  return (2n ** BigInt(count) - 1n).toString(16).padStart(16, '0');
}

describe('differenceHash', () => {
  it('has a bit for each cell brighter than its right neighbor', () => {
    expect(differenceHash(picture((x) => x))).toBe('0000000000000000');
    expect(differenceHash(picture((x) => 200 - x))).toBe('ffffffffffffffff');
    expect(differenceHash(picture((x, y) => (y < 8 && x < 8 ? 200 : 50)))).toBe('8000000000000000');
  });

  it('does not see noise below the least step', () => {
    const noisy = picture((x, y) => (x < 36 ? 200 : 50) + ((x * 7 + y * 13) % 5));
    expect(differenceHash(noisy)).toBe(differenceHash(picture((x) => (x < 36 ? 202 : 52))));
  });

  it('is null for a picture too flat to tell', () => {
    expect(differenceHash(picture(() => 200))).toBeNull();
    expect(differenceHash(picture((x) => 200 + x / 12))).toBeNull();
  });

  it('counts differing bits', () => {
    expect(hammingDistance('ffffffffffffffff', '0000000000000000')).toBe(64);
    expect(hammingDistance('8000000000000001', '0000000000000001')).toBe(1);
  });
});

describe('dropNearDuplicates', () => {
  it('keeps the largest, of equals the first, in the place of the group', () => {
    const { kept, duplicates } = dropNearDuplicates([
      photo(1, bits(0)),
      photo(2, bits(40)),
      photo(3, bits(1), 200),
      photo(4, bits(40)),
    ]);
    expect(kept.map(({ number }) => number)).toEqual([3, 2]);
    expect(duplicates).toEqual([
      { number: 1, url: 'file:1.jpg', sameAs: 3, distance: 1 },
      { number: 4, url: 'file:4.jpg', sameAs: 2, distance: 0 },
    ]);
  });

  it('keeps both at one bit more than the bound', () => {
    expect(dropNearDuplicates([photo(1, bits(0)), photo(2, bits(nearDuplicateBits))]).kept).toHaveLength(1);
    expect(dropNearDuplicates([photo(1, bits(0)), photo(2, bits(nearDuplicateBits + 1))]).kept).toHaveLength(2);
  });

  it('takes no flat picture for another', () => {
    expect(dropNearDuplicates([photo(1, null), photo(2, null)]).duplicates).toEqual([]);
  });
});
