import type { AccessTokens } from './access-tokens.ts';
import type { Credential, Principal } from './principal.ts';
import type { Sessions } from './sessions.ts';
import type { Tickets } from './tickets.ts';

/** Over TLS the name binds the cookie to this host and to TLS; a browser refuses that prefix on plain HTTP. */
const secureCookieName = '__Host-cabinet-session';
const plainCookieName = 'cabinet-session';
const keyPattern = /^[A-Za-z0-9_-]{43}$/;

/** Tells who asks: by a bearer token, by a session's cookie, or by a ticket. Asked on every request, so a revoked token is out at once. */
export class Authenticator {
  readonly #tokens: AccessTokens;
  readonly #sessions: Sessions;
  readonly #tickets: Tickets;
  readonly #isTls: boolean;

  constructor(deps: {
    readonly tokens: AccessTokens;
    readonly sessions: Sessions;
    readonly tickets: Tickets;
    readonly isTls: boolean;
  }) {
    this.#tokens = deps.tokens;
    this.#sessions = deps.sessions;
    this.#tickets = deps.tickets;
    this.#isTls = deps.isTls;
  }

  /** Who sent the request; null for nobody. A bearer token, good or bad, is looked at alone. */
  identify(headers: Headers): Principal | null {
    const authorization = headers.get('authorization');
    if (authorization !== null) {
      const text = /^Bearer ([!-~]{1,256})$/i.exec(authorization)?.[1];
      const id = text === undefined ? undefined : this.#tokens.verify(text)?.id;
      return id === undefined ? null : this.#principalOf(id, { via: 'bearer' });
    }
    const key = this.sessionKeyOf(headers);
    const session = key === null ? null : this.#sessions.use(key);
    return session === null ? null : this.#principalOf(session.tokenId, { via: 'session', sessionId: session.id });
  }

  /** Who the ticket was given to, if the token and the session that he had it by are still good. */
  redeem(ticket: string): Principal | null {
    const holder = this.#tickets.redeem(ticket);
    return holder === null ? null : this.recheck(holder);
  }

  /** Whether what `principal` came with is still good, and for which role. For connections that last: to ask is no use of a session. */
  recheck(principal: Principal): Principal | null {
    const { tokenId } = principal;
    if (principal.via === 'bearer') return this.#principalOf(tokenId, { via: 'bearer' });
    const { via, sessionId } = principal;
    return this.#sessions.isOn(sessionId) ? this.#principalOf(tokenId, { via, sessionId }) : null;
  }

  /** The key in the request's cookie. */
  sessionKeyOf(headers: Headers): string | null {
    const cookies = (headers.get('cookie') ?? '').split(';').map((part) => part.trim());
    const prefix = `${this.#cookieName}=`;
    const values = cookies.filter((cookie) => cookie.startsWith(prefix)).map((cookie) => cookie.slice(prefix.length));
    // Two cookies of the name: another host has planted one.
    const [key] = values;
    return key !== undefined && values.length === 1 && keyPattern.test(key) ? key : null;
  }

  /** The header that gives the browser a session's key, or takes it back. */
  cookie(session: { readonly key: string; readonly maximumAgeMs: number } | null): string {
    const life = session === null ? 0 : Math.floor(session.maximumAgeMs / 1_000);
    const secure = this.#isTls ? '; Secure' : '';
    return `${this.#cookieName}=${session?.key ?? ''}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${life}${secure}`;
  }

  get #cookieName(): string {
    return this.#isTls ? secureCookieName : plainCookieName;
  }

  #principalOf(tokenId: string, credential: Credential): Principal | null {
    const token = this.#tokens.find(tokenId);
    return token === null ? null : { tokenId: token.id, name: token.name, role: token.role, ...credential };
  }
}
