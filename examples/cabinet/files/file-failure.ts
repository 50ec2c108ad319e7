import { FatalError, RateLimitedError, RetryableError } from '../../../src/core/driver-errors.ts';
import { networkCodeOf } from '../resources/http-failure.ts';

// A full disk is emptied and a busy file is freed; a missing permission is not granted by waiting.
const lastingCodes = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'ENAMETOOLONG', 'EISDIR', 'ELOOP']);

/** Runs file work and says of its failure whether a later attempt may do better. */
export async function withFileFailures<Value>(what: string, run: () => Promise<Value>): Promise<Value> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof FatalError || error instanceof RetryableError || error instanceof RateLimitedError)
      throw error;
    const code = networkCodeOf(error);
    if (lastingCodes.has(code)) throw new FatalError(`${what}: ${code}`, { code, cause: error });
    throw new RetryableError(`${what}: ${code}`, { code, cause: error });
  }
}
