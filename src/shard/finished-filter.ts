import { hash32 } from '../core/hash.ts';

/**
 * A Bloom filter over the ids of a shard's finished tasks: "surely not finished" without a look-up, which is the answer for
 * nearly every submit. It never forgets, so an id that was added is always found.
 *
 * @see Burton H. Bloom, "Space/Time Trade-offs in Hash Coding with Allowable Errors", 1970; the k hashes are made of two, after
 *   Kirsch and Mitzenmacher, "Less Hashing, Same Performance", 2006
 */
export class FinishedFilter {
  readonly #words: Uint32Array;
  readonly #bitMask: number;
  #count = 0;

  /** @param bits - size, a power of two; at ten bits an id about one in a hundred unknown ids needs a look-up */
  constructor(bits: number = defaultFilterBits) {
    this.#words = new Uint32Array(bits / 32);
    this.#bitMask = bits - 1;
  }

  /** Ids added, counted with repeats. */
  get count(): number {
    return this.#count;
  }

  add(taskId: string): void {
    this.#count += 1;
    const first = hash32(taskId);
    const second = hash32(`${taskId}#`) | 1;
    for (let index = 0; index < hashCount; index += 1) {
      const bit = (first + Math.imul(index, second)) & this.#bitMask;
      const word = bit >>> 5;
      this.#words[word] = (this.#words[word] ?? 0) | (1 << (bit & 31));
    }
  }

  /** False: the id was never added. True: it was, or looks like it. */
  mayHave(taskId: string): boolean {
    const first = hash32(taskId);
    const second = hash32(`${taskId}#`) | 1;
    for (let index = 0; index < hashCount; index += 1) {
      const bit = (first + Math.imul(index, second)) & this.#bitMask;
      if (((this.#words[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return false;
    }
    return true;
  }
}

/** 512 kB a shard: about 400,000 finished tasks at one false look-up in a hundred. */
export const defaultFilterBits = 2 ** 22;
const hashCount = 7;
