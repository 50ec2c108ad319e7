import { FatalError } from '../../../src/core/driver-errors.ts';

/** What to read, and how much of it at most. */
export interface ResourceRequest {
  readonly url: string;
  /** Names the bound that is broken: `PAGE_TOO_LARGE` or `PHOTO_TOO_LARGE`. */
  readonly kind: 'page' | 'photo';
  readonly maximumBytes: number;
  readonly signal: AbortSignal;
}

/** The bytes behind a URL. */
export interface Resource {
  readonly bytes: Uint8Array;
  /** The `Content-Type` header; null for a file. */
  readonly contentType: string | null;
  /** Where it was in the end, after redirects. */
  readonly url: string;
}

/** Reads pages and photos: the cabinet's port to the web and to its pages folder. */
export interface ResourceReader {
  /** @throws FatalError, RetryableError, RateLimitedError; the signal's reason on abort */
  read(request: ResourceRequest): Promise<Resource>;
  /** Whether a `file:` URL names a file inside the pages folder. */
  hasFile(url: URL): boolean;
}

/**
 * A source as a URL. A `file:` URL's path is meant inside the pages folder, so `file:a/b.html` and `file:///a/b.html` are one.
 *
 * @throws FatalError `SOURCE_NOT_ALLOWED` for what is no URL, or of another scheme
 */
export function parseSource(source: string): URL {
  const url = URL.canParse(source) ? new URL(source) : null;
  if (url !== null && ['file:', 'http:', 'https:'].includes(url.protocol)) return url;
  throw new FatalError(`'${source.slice(0, 200)}' is neither an http(s) URL nor a file: path`, {
    code: 'SOURCE_NOT_ALLOWED',
  });
}

/** A URL as it is shown and passed on: `file:` paths without a leading slash, for they are relative to the pages folder. */
export function showSource(url: URL): string {
  return url.protocol === 'file:' ? `file:${url.pathname.replace(/^\/+/, '')}` : url.href;
}
