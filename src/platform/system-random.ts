import { v7 } from 'uuid';

import type { Random } from '../ports/random.ts';

/** Chance as this machine gives it. Not for secrets: `next` is not a cryptographic generator. */
export class SystemRandom implements Random {
  next(): number {
    return Math.random();
  }

  id(): string {
    return v7();
  }
}
