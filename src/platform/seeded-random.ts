import { assert } from '../core/errors.ts';
import type { Random } from '../ports/random.ts';

/** Draws thrown away after seeding, so that near seeds have parted. */
const warmUpDraws = 20;

/**
 * Chance that a seed reproduces: the same seed gives the same numbers and ids on every machine.
 *
 * The ids have the form of UUID version 7; where those hold a time, these hold a counter, so that they too sort in order of
 * creation. Two instances with one seed give the same ids: use one instance a simulated world.
 *
 * @see sfc32, "Small Fast Counting" generator, 32-bit words, by Chris Doty-Humphrey (PractRand)
 */
export class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  #idsGiven = 0;

  /** @param seed - an integer from 0 to 2^53 − 1; all its bits count */
  constructor(seed: number) {
    assert(Number.isSafeInteger(seed) && seed >= 0, () => `seed: expected an integer from 0 to 2^53 − 1, got ${seed}`);
    this.#a = seed >>> 0;
    this.#b = Math.floor(seed / 2 ** 32) >>> 0;
    this.#c = 0;
    for (let draw = 0; draw < warmUpDraws; draw += 1) this.#word();
  }

  next(): number {
    // 53 random bits are all that a double in [0, 1) can hold.
    const high = this.#word() >>> 5;
    const low = this.#word() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  id(): string {
    this.#idsGiven += 1;
    const time = this.#idsGiven.toString(16).padStart(12, '0');
    const version = `7${hexadecimal(this.#word()).slice(0, 3)}`;
    const variant = (0x8000 | (this.#word() & 0x3fff)).toString(16);
    const tail = `${hexadecimal(this.#word())}${hexadecimal(this.#word()).slice(0, 4)}`;
    return `${time.slice(0, 8)}-${time.slice(8)}-${version}-${variant}-${tail}`;
  }

  #word(): number {
    const word = (this.#a + this.#b + this.#counter) >>> 0;
    this.#counter = (this.#counter + 1) >>> 0;
    this.#a = (this.#b ^ (this.#b >>> 9)) >>> 0;
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + word) >>> 0;
    return word;
  }
}

function hexadecimal(word: number): string {
  return word.toString(16).padStart(8, '0');
}
