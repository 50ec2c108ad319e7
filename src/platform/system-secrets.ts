import { randomBytes } from 'node:crypto';

import type { Secrets } from '../ports/secrets.ts';

/** The operating system's cryptographic generator. */
export class SystemSecrets implements Secrets {
  bytes(count: number): Uint8Array {
    return randomBytes(count);
  }
}
