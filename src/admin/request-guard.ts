import { EngineError, invalidArgument } from '../core/errors.ts';
import type { Principal } from './principal.ts';

/** Bounds of a request before anything of it is believed. */
export const maximumUrlLength = 8 * 1024;
export const maximumHeaderCount = 100;
export const maximumHeaderBytes = 16 * 1024;
export const maximumBodyBytes = 64 * 1024;

/** Methods that any route may have. The rest, TRACE and CONNECT too, end at the door. */
const knownMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'DELETE', 'PUT', 'PATCH', 'OPTIONS']);
/** The one spelling of a path: no empty, no dot segment, and no escape, as no address here needs one. */
const pathPattern = /^\/(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*)?$/;

/** A request's head as it stood on the wire. */
export interface RequestHead {
  readonly method: string;
  /** The request target, unchanged. */
  readonly url: string;
  readonly headerCount: number;
  readonly host: string | undefined;
}

/** Which hosts a server answers for. */
export interface HostList {
  /** `host:port` or `host`, in lower case. */
  readonly hosts: ReadonlySet<string>;
}

/**
 * Refuses what no route could want, by the bytes of the request and before a URL parser has made them prettier.
 *
 * @throws EngineError `HOST_REFUSED`, `METHOD_NOT_ALLOWED`, `URL_TOO_LONG`, `HEADERS_TOO_LARGE`, `INVALID_ARGUMENT`
 */
export function checkHead(head: RequestHead, { hosts }: HostList): void {
  const { method, url, headerCount, host } = head;
  if (url.length > maximumUrlLength) {
    throw new EngineError('URL_TOO_LONG', 'the URL is too long', {
      limit: `${maximumUrlLength} characters`,
      got: url.length,
    });
  }
  if (headerCount > maximumHeaderCount) {
    throw new EngineError('HEADERS_TOO_LARGE', 'too many headers', {
      limit: `${maximumHeaderCount}`,
      got: headerCount,
    });
  }
  // A page of a stranger's name that was made to point here (DNS rebinding) sends that name.
  if (host === undefined || !hosts.has(host.toLowerCase())) {
    throw new EngineError('HOST_REFUSED', 'this server does not answer for that host', {
      field: 'Host',
      got: host ?? '',
    });
  }
  if (!knownMethods.has(method)) throw methodRefused(method, []);
  const [path = ''] = url.split('?', 1);
  if (!pathPattern.test(path)) {
    throw invalidArgument({
      field: 'path',
      message: 'the path has an escape, an empty part, a dot part or another character that no address has',
      limit: 'letters, digits and . _ ~ - between single slashes',
      got: path,
    });
  }
}

/** The refusal of a method, with those that are taken. */
export function methodRefused(method: string, allowed: readonly string[]): EngineError {
  const limit = allowed.length === 0 ? 'GET, POST or DELETE' : allowed.join(', ');
  return new EngineError('METHOD_NOT_ALLOWED', 'the address does not take that method', {
    field: 'method',
    limit,
    got: method,
  });
}

/**
 * Refuses what a page of another origin could have sent in the name of a logged-in operator.
 *
 * @param principal - null for a login
 * @see OWASP ASVS 5.0, 3.5 "Browser Origin Separation"
 * @throws EngineError `ORIGIN_REFUSED`, `MEDIA_TYPE_UNSUPPORTED`
 */
export function checkOrigin(
  request: { readonly isMutation: boolean; readonly headers: Headers; readonly isTls: boolean },
  principal: Principal | null,
): void {
  const { headers, isMutation, isTls } = request;
  const site = headers.get('sec-fetch-site');
  if (site !== null && site !== 'same-origin' && (isMutation || site !== 'none')) {
    throw originRefused('Sec-Fetch-Site', site);
  }
  const origin = headers.get('origin');
  if (origin !== null && !isOwnOrigin(origin, headers.get('host') ?? '', isTls)) throw originRefused('Origin', origin);
  if (!isMutation) return;
  if (principal?.via === 'session' && origin === null) throw originRefused('Origin', 'nothing');
  const custom = headers.get('x-cabinet-request');
  if (custom !== '1') throw originRefused('X-Cabinet-Request', custom ?? 'nothing');
  checkMediaType(headers);
}

/** Whether a page of `origin` was served by this server. */
export function isOwnOrigin(origin: string, host: string, isTls: boolean): boolean {
  const own = host.toLowerCase();
  // Behind a proxy that ends TLS the page is https while this server is not.
  return origin === `https://${own}` || (!isTls && origin === `http://${own}`);
}

function checkMediaType(headers: Headers): void {
  const type = headers.get('content-type') ?? 'nothing';
  if (!/^application\/json(?:\s*;\s*charset=utf-8)?$/i.test(type)) {
    throw new EngineError('MEDIA_TYPE_UNSUPPORTED', 'a mutation needs Content-Type: application/json', {
      field: 'Content-Type',
      limit: 'application/json',
      got: type,
    });
  }
  const encoding = headers.get('content-encoding');
  if (encoding !== null && encoding !== 'identity') {
    throw new EngineError('MEDIA_TYPE_UNSUPPORTED', 'compressed bodies are not taken', {
      field: 'Content-Encoding',
      limit: 'identity',
      got: encoding,
    });
  }
}

function originRefused(field: string, got: string): EngineError {
  return new EngineError('ORIGIN_REFUSED', `the request does not come from this server's own page: ${field}`, {
    field,
    got,
    hint: 'programs send a bearer token, Content-Type: application/json and X-Cabinet-Request: 1',
  });
}
