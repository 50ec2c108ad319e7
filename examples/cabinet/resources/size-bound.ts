import { FatalError } from '../../../src/core/driver-errors.ts';
import type { ResourceRequest } from './resource.ts';

/** The error of a resource over its bound: `PAGE_TOO_LARGE` or `PHOTO_TOO_LARGE`. */
export function tooLarge(request: ResourceRequest, sizeBytes: number | null): FatalError {
  const size = sizeBytes === null ? 'more' : `${sizeBytes} bytes`;
  return new FatalError(`${request.url.slice(0, 200)} has ${size}, of ${request.maximumBytes} bytes allowed`, {
    code: request.kind === 'page' ? 'PAGE_TOO_LARGE' : 'PHOTO_TOO_LARGE',
  });
}
