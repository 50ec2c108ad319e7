/**
 * A source of numbers in [0, 1) that is the same for the same seed, on any machine.
 *
 * @see A counter with golden steps through the finalizer of Austin Appleby's MurmurHash3 (public domain)
 */
export function seededNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
}
