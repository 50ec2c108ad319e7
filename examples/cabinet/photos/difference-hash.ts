/** Pixels of the picture that is hashed: each row gives one bit less than it has pixels. */
export const hashWidth = 9;
export const hashHeight = 8;
/** Below this span of gray levels a picture is one flat color, and its hash would be that of any other. */
export const leastContrast = 8;

/**
 * Difference hash of a picture: a bit for each pixel that is brighter than its right neighbor. Pictures that show the same,
 * in another size or compression, differ in few bits.
 *
 * @param gray - {@link hashWidth} × {@link hashHeight} gray levels, row by row
 * @returns 64 bits in hex; null for a picture too flat to tell
 * @see Neal Krawetz, "Kind of Like That", The Hacker Factor Blog, 2013 (dHash)
 */
export function differenceHash(gray: Uint8Array): string | null {
  if (Math.max(...gray) - Math.min(...gray) < leastContrast) return null;
  let bits = 0n;
  for (let y = 0; y < hashHeight; y += 1) {
    for (let x = 0; x < hashWidth - 1; x += 1) {
      const index = y * hashWidth + x;
      bits = (bits << 1n) | ((gray[index] ?? 0) > (gray[index + 1] ?? 0) ? 1n : 0n);
    }
  }
  return bits.toString(16).padStart(16, '0');
}

/** Bits in which two hashes differ, 0 to 64. */
export function hammingDistance(one: string, other: string): number {
  let difference = BigInt(`0x${one}`) ^ BigInt(`0x${other}`);
  let count = 0;
  while (difference > 0n) {
    difference &= difference - 1n;
    count += 1;
  }
  return count;
}
