import { EngineError } from '../core/errors.ts';

/** Where to connect and as whom, taken apart so that no credential stays in what is logged. */
export interface NatsAddresses {
  /** `host:port` or `tls://host:port`, without credentials. */
  readonly servers: readonly string[];
  /** The credentials of the first URL that has some. */
  readonly credentials:
    | { readonly kind: 'none' }
    | { readonly kind: 'user'; readonly user: string; readonly pass: string }
    | TokenCredentials;
}

interface TokenCredentials {
  readonly kind: 'token';
  readonly token: string;
}

const schemes: ReadonlySet<string> = new Set(['nats:', 'tls:', 'tcp:']);

/**
 * Server URLs (`nats://user:pass@host:4222`, `tls://host`, `host:4222`; several in a list or with commas between) as
 * addresses and credentials. The client library itself knows no credentials in URLs.
 *
 * @throws EngineError `CONFIG_INVALID` for what is no such URL, without echoing it: it may hold a password
 */
export function parseNatsUrls(urls: string | readonly string[]): NatsAddresses {
  const texts = (typeof urls === 'string' ? [urls] : urls)
    .flatMap((text) => text.split(','))
    .map((text) => text.trim())
    .filter((text) => text !== '');
  if (texts.length === 0) throw invalidUrl('at least one server URL is needed');
  const parsed = texts.map((text, index) => parseUrl(text, index));
  const named = parsed.find((url) => url.username !== '');
  return {
    servers: parsed.map((url) => `${url.protocol === 'tls:' ? 'tls://' : ''}${url.host}`),
    credentials: named === undefined ? { kind: 'none' } : credentialsOf(named),
  };
}

/**
 * The first of the servers as a URL that may be shown: without credentials.
 *
 * @throws EngineError as {@link parseNatsUrls}
 */
export function shownNatsUrl(urls: string | readonly string[]): string {
  const [first = ''] = parseNatsUrls(urls).servers;
  return first.includes('://') ? first : `nats://${first}`;
}

function credentialsOf(url: URL): NatsAddresses['credentials'] {
  const user = decodeURIComponent(url.username);
  return url.password === ''
    ? { kind: 'token', token: user }
    : { kind: 'user', user, pass: decodeURIComponent(url.password) };
}

function parseUrl(text: string, index: number): URL {
  const withScheme = text.includes('://') ? text : `nats://${text}`;
  const url = URL.canParse(withScheme) ? new URL(withScheme) : undefined;
  if (url === undefined || !schemes.has(url.protocol) || url.host === '') {
    throw invalidUrl(`server URL ${index + 1} is not nats://host:port or tls://host:port`);
  }
  return url;
}

function invalidUrl(message: string): EngineError {
  return new EngineError('CONFIG_INVALID', message, { field: 'servers', limit: 'nats://[user:password@]host[:port]' });
}
