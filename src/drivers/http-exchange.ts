import { FatalError, RetryableError, UncertainError } from '../core/driver-errors.ts';
import { EngineError } from '../core/errors.ts';
import { excerpt } from './excerpt.ts';

/** One request of the driver. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Headers;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** A complete answer. `body` is cut when the answer is not a success; a success is never cut. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** What {@link exchange} needs. */
export interface HttpExchangeDeps {
  readonly fetch: typeof fetch;
  readonly maximumResponseBytes: number;
  readonly maximumRedirects: number;
  /** Told of each part of an answer's body. */
  readonly onProgress: () => void;
}

/** Bytes that are read of an answer that is no success: enough for its error. */
const maximumErrorBytes = 8 * 1024;

/** Codes by which Node says that no byte of the request has left: its effect cannot have happened. */
const unsentCodes = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']);

/**
 * Sends a request and reads its answer within bounds. Redirects are followed only where they keep the method and lead to the
 * same host, over the same or a safer scheme: the headers hold credentials.
 *
 * @throws the signal's reason after an abort; RetryableError when nothing was sent; UncertainError when the link broke after
 *   that; FatalError for a refused redirect; EngineError `PAYLOAD_TOO_LARGE` for a success over the bound
 */
export async function exchange(request: HttpRequest, deps: HttpExchangeDeps): Promise<HttpAnswer> {
  let url = request.url;
  for (let redirects = 0; ; redirects += 1) {
    const response = await send({ ...request, url }, deps);
    const target = redirectOf(response);
    if (target === null) return read(request, url, response, deps);
    await discard(response);
    const next = parseTarget(target, url);
    if (next === null || !isAllowed(request.method, response.status, url, next)) {
      throw new FatalError(
        `${showRequest(request.method, url)} was redirected (${response.status}) to where it must not go`,
        {
          code: 'REDIRECT_REFUSED',
        },
      );
    }
    if (redirects >= deps.maximumRedirects) {
      throw new FatalError(
        `${showRequest(request.method, url)} was redirected more than ${deps.maximumRedirects} times`,
        {
          code: 'REDIRECT_LIMIT',
        },
      );
    }
    url = next;
  }
}

/** The request as errors name it: without user, password, query and fragment, which may be secrets. */
export function showRequest(method: string, url: URL): string {
  return `${method} ${url.protocol}//${url.host}${url.pathname}`;
}

async function send(request: HttpRequest, deps: HttpExchangeDeps): Promise<Response> {
  const { method, url, headers, body, signal } = request;
  try {
    return await deps.fetch(url, {
      method,
      headers,
      signal,
      redirect: 'manual',
      ...(body === undefined ? {} : { body }),
    });
  } catch (thrown) {
    throw networkError(request, url, thrown);
  }
}

async function read(request: HttpRequest, url: URL, response: Response, deps: HttpExchangeDeps): Promise<HttpAnswer> {
  const isSuccess = response.status >= 200 && response.status < 300;
  const limit = isSuccess ? deps.maximumResponseBytes : maximumErrorBytes;
  try {
    const { bytes, isCut } = await readBody(response, limit, deps.onProgress);
    if (isCut && isSuccess) {
      throw new EngineError('PAYLOAD_TOO_LARGE', `the answer to ${showRequest(request.method, url)} is too large`, {
        field: 'output',
        limit: `${limit} bytes`,
      });
    }
    return { status: response.status, headers: response.headers, body: bytes };
  } catch (thrown) {
    if (thrown instanceof EngineError) throw thrown;
    if (request.signal.aborted) throw request.signal.reason;
    // Of a refusal the status says enough; of a success the output is missing.
    if (!isSuccess) return { status: response.status, headers: response.headers, body: new Uint8Array(0) };
    throw networkError(request, url, thrown);
  }
}

async function readBody(
  response: Response,
  limit: number,
  onProgress: () => void,
): Promise<{ readonly bytes: Uint8Array; readonly isCut: boolean }> {
  const reader = response.body?.getReader() as ReadableStreamDefaultReader<Uint8Array> | undefined;
  if (reader === undefined) return { bytes: new Uint8Array(0), isCut: false };
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { bytes: Buffer.concat(chunks), isCut: false };
    onProgress();
    sizeBytes += value.byteLength;
    chunks.push(value);
    if (sizeBytes > limit) {
      await reader.cancel().catch(() => undefined);
      return { bytes: Buffer.concat(chunks).subarray(0, limit), isCut: true };
    }
  }
}

async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}

function redirectOf(response: Response): string | null {
  return [301, 302, 303, 307, 308].includes(response.status) ? response.headers.get('location') : null;
}

function parseTarget(target: string, base: URL): URL | null {
  try {
    return new URL(target, base);
  } catch {
    return null;
  }
}

function isAllowed(method: string, status: number, from: URL, to: URL): boolean {
  const keepsMethod = method === 'GET' ? status !== 303 : status === 307 || status === 308;
  if (!keepsMethod || to.username !== '' || to.password !== '') return false;
  if (to.origin === from.origin) return true;
  return to.hostname === from.hostname && from.protocol === 'http:' && to.protocol === 'https:';
}

function networkError(request: HttpRequest, url: URL, thrown: unknown): unknown {
  if (request.signal.aborted) return request.signal.reason;
  // Fetch says no more than "fetch failed"; what happened is in its cause.
  const cause: unknown = thrown instanceof Error ? (thrown.cause ?? thrown) : thrown;
  const code = codeOf(cause);
  const words = cause instanceof Error ? excerpt(cause.message) : 'the connection broke';
  const message = `${showRequest(request.method, url)} failed: ${code ?? words}`;
  // Ports that the Fetch standard blocks: a matter of the URL.
  if (words === 'bad port') return new FatalError(message, { code: 'INVALID_URL' });
  const options = { code: code ?? 'NETWORK', cause };
  return code !== undefined && (unsentCodes.has(code) || isCertificateCode(code))
    ? new RetryableError(message, options)
    : new UncertainError(message, options);
}

function codeOf(cause: unknown): string | undefined {
  const code = (cause as { code?: unknown } | null | undefined)?.code;
  if (typeof code === 'string' && code !== '') return code;
  // A name with several addresses fails with one error for each.
  const first: unknown = cause instanceof AggregateError ? cause.errors[0] : undefined;
  return first === undefined ? undefined : codeOf(first);
}

/** A peer whose certificate is refused was sent no request. */
function isCertificateCode(code: string): boolean {
  return code.includes('CERT') || code === 'UNABLE_TO_VERIFY_LEAF_SIGNATURE';
}
