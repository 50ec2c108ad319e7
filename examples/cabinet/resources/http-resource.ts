import { FatalError } from '../../../src/core/driver-errors.ts';
import { refusePrivateHost } from './address-guard.ts';
import { failureOfExchange, failureOfStatus } from './http-failure.ts';
import { tooLarge } from './size-bound.ts';
import type { Resource, ResourceRequest } from './resource.ts';

/** Most redirects followed for one resource. */
export const maximumRedirects = 5;

const redirectStatuses = new Set([301, 302, 303, 307, 308]);
const accepted: Record<ResourceRequest['kind'], string> = {
  page: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.1',
  photo: 'image/avif,image/webp,image/png,image/jpeg,image/*;q=0.8',
};

/**
 * What is behind an http(s) URL, read up to the bound and no further.
 *
 * @throws RetryableError for network errors and 5xx, RateLimitedError for 429, FatalError for any other status that is no
 *   success, a redirect without end and a private host
 */
export async function readHttpResource(
  first: URL,
  request: ResourceRequest,
  options: { readonly allowPrivateHosts: boolean },
): Promise<Resource> {
  const what = first.href.slice(0, 200);
  try {
    let url = first;
    for (let hop = 0; hop <= maximumRedirects; hop += 1) {
      // Redirects are followed by hand, because each new host has to pass the guard.
      if (!options.allowPrivateHosts) await refusePrivateHost(url);
      const response = await fetch(url, {
        redirect: 'manual',
        signal: request.signal,
        headers: { accept: accepted[request.kind], 'user-agent': 'cabinet-pipeline-example' },
      });
      const location = response.headers.get('location');
      if (!redirectStatuses.has(response.status) || location === null) return await readAnswer(url, response, request);
      await response.body?.cancel();
      url = nextHop(location, url);
    }
    throw new FatalError(`${what} redirects more than ${maximumRedirects} times`, { code: 'TOO_MANY_REDIRECTS' });
  } catch (error) {
    throw failureOfExchange(what, error, request.signal);
  }
}

async function readAnswer(url: URL, response: Response, request: ResourceRequest): Promise<Resource> {
  if (!response.ok) {
    await response.body?.cancel();
    throw failureOfStatus(url.href.slice(0, 200), {
      status: response.status,
      retryAfter: response.headers.get('retry-after'),
    });
  }
  const bytes = await readBounded(response, request);
  return { bytes, contentType: response.headers.get('content-type'), url: url.href };
}

async function readBounded(response: Response, request: ResourceRequest): Promise<Uint8Array> {
  const announced = Number(response.headers.get('content-length') ?? '0');
  if (announced > request.maximumBytes) {
    await response.body?.cancel();
    throw tooLarge(request, announced);
  }
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  // The bound counts decoded bytes, so that a small compressed answer cannot grow without end.
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > request.maximumBytes) throw tooLarge(request, null);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function nextHop(location: string, from: URL): URL {
  const next = URL.canParse(location, from.href) ? new URL(location, from) : null;
  if (next !== null && (next.protocol === 'http:' || next.protocol === 'https:')) return next;
  throw new FatalError(`${from.href} redirects to '${location.slice(0, 200)}'`, { code: 'SOURCE_NOT_ALLOWED' });
}
