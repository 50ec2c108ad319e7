import type { Clock } from '../ports/clock.ts';
import type { Secrets } from '../ports/secrets.ts';
import { hashOf } from './access-tokens.ts';

/** A browser that is logged in. */
export interface Session {
  readonly tokenId: string;
  /** On the monotonic clock. */
  readonly endsAtMs: number;
}

/** How long sessions last, and how many there are. */
export interface SessionLimits {
  readonly maximumAgeMs: number;
  readonly idleMs: number;
  readonly perToken: number;
  readonly total: number;
}

/** Limits when nothing else is said. */
export const sessionDefaults: SessionLimits = {
  maximumAgeMs: 12 * 3_600_000,
  idleMs: 3_600_000,
  perToken: 20,
  total: 1_000,
};

interface KeptSession extends Session {
  usedAtMs: number;
}

const keyBytes = 32;

/**
 * Browser sessions, in memory: a restart of the server ends them all. They are found by the hash of their key, so that neither a
 * memory dump nor the time of a look-up tells a key.
 */
export class Sessions {
  readonly #clock: Clock;
  readonly #secrets: Secrets;
  readonly #limits: SessionLimits;
  /** In the order of their start. */
  readonly #sessions = new Map<string, KeptSession>();

  constructor(deps: { readonly clock: Clock; readonly secrets: Secrets; readonly limits?: SessionLimits | undefined }) {
    this.#clock = deps.clock;
    this.#secrets = deps.secrets;
    this.#limits = deps.limits ?? sessionDefaults;
  }

  /** Sessions that have not ended. */
  get count(): number {
    return this.#sessions.size;
  }

  /** A new session's key. The token's oldest session, or the oldest of all, makes room for it. */
  start(tokenId: string): { readonly key: string; readonly maximumAgeMs: number } {
    this.#dropEnded();
    const { perToken, total, maximumAgeMs } = this.#limits;
    const own = [...this.#sessions].filter(([, session]) => session.tokenId === tokenId);
    if (own.length >= perToken && own[0] !== undefined) this.#sessions.delete(own[0][0]);
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size >= total && oldest !== undefined) this.#sessions.delete(oldest);
    const key = Buffer.from(this.#secrets.bytes(keyBytes)).toString('base64url');
    const nowMs = this.#clock.monotonicMs();
    this.#sessions.set(hashOf(key), { tokenId, endsAtMs: nowMs + maximumAgeMs, usedAtMs: nowMs });
    return { key, maximumAgeMs };
  }

  /** The session of a key that has not ended; it has been used now. */
  use(key: string): Session | null {
    const hash = hashOf(key);
    const session = this.#sessions.get(hash);
    if (session === undefined) return null;
    if (this.#hasEnded(session)) {
      this.#sessions.delete(hash);
      return null;
    }
    session.usedAtMs = this.#clock.monotonicMs();
    return session;
  }

  end(key: string): void {
    this.#sessions.delete(hashOf(key));
  }

  /** Ends all sessions of a token. */
  endAllOf(tokenId: string): void {
    for (const [hash, session] of this.#sessions) {
      if (session.tokenId === tokenId) this.#sessions.delete(hash);
    }
  }

  #dropEnded(): void {
    for (const [hash, session] of this.#sessions) {
      if (this.#hasEnded(session)) this.#sessions.delete(hash);
    }
  }

  #hasEnded({ endsAtMs, usedAtMs }: KeptSession): boolean {
    const nowMs = this.#clock.monotonicMs();
    return nowMs >= endsAtMs || nowMs - usedAtMs >= this.#limits.idleMs;
  }
}
