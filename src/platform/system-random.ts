import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

import type { Random } from '../ports/random.ts';

/** Bytes of chance that an id takes. */
const idBytes = 16;
/** Ids whose bytes are fetched at once: a fetch costs several times what an id does. */
const idsPerFetch = 256;

/** Chance as this machine gives it. Not for secrets: `next` is not a cryptographic generator. */
export class SystemRandom implements Random {
  readonly #pool = new Uint8Array(idsPerFetch * idBytes);
  #at = idsPerFetch * idBytes;
  /** Of the last id: ids of one millisecond count on, so that they sort in the order of their creation. */
  #lastMs = -Infinity;
  #lastCount = 0;

  next(): number {
    return Math.random();
  }

  id(): string {
    const random = this.#takeBytes();
    const now = Date.now();
    if (now > this.#lastMs) {
      this.#lastMs = now;
      // Half of the range, so that what follows in the same millisecond has room.
      this.#lastCount = new DataView(random.buffer, random.byteOffset).getUint32(6) & 0x7fff_ffff;
    } else if (this.#lastCount === 0xffff_ffff) {
      this.#lastMs += 1;
      this.#lastCount = 0;
    } else {
      this.#lastCount += 1;
    }
    return v7({ random, msecs: this.#lastMs, seq: this.#lastCount });
  }

  #takeBytes(): Uint8Array {
    if (this.#at === this.#pool.length) {
      randomFillSync(this.#pool);
      this.#at = 0;
    }
    const start = this.#at;
    this.#at += idBytes;
    return this.#pool.subarray(start, this.#at);
  }
}
