import type { Clock } from '../ports/clock.ts';
import type { Secrets } from '../ports/secrets.ts';
import { hashOf } from './access-tokens.ts';

/** A browser that is logged in. */
export interface Session {
  /** The hash of its key: no secret. */
  readonly id: string;
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
  readonly #onEnded: (() => void) | undefined;
  /** By id, in the order of their start. */
  readonly #sessions = new Map<string, KeptSession>();

  constructor(deps: {
    readonly clock: Clock;
    readonly secrets: Secrets;
    readonly limits?: SessionLimits | undefined;
    /** Sessions were ended before their time. */
    readonly onEnded?: (() => void) | undefined;
  }) {
    this.#onEnded = deps.onEnded;
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
    const own = [...this.#sessions.values()].filter((session) => session.tokenId === tokenId);
    if (own.length >= perToken) this.#end(own.slice(0, 1));
    if (this.#sessions.size >= total) this.#end([...this.#sessions.values()].slice(0, 1));
    const key = Buffer.from(this.#secrets.bytes(keyBytes)).toString('base64url');
    const nowMs = this.#clock.monotonicMs();
    const id = hashOf(key);
    this.#sessions.set(id, { id, tokenId, endsAtMs: nowMs + maximumAgeMs, usedAtMs: nowMs });
    return { key, maximumAgeMs };
  }

  /** The session of a key that has not ended; it has been used now. */
  use(key: string): Session | null {
    const session = this.#sessions.get(hashOf(key));
    if (session === undefined) return null;
    if (this.#hasEnded(session)) {
      this.#sessions.delete(session.id);
      return null;
    }
    session.usedAtMs = this.#clock.monotonicMs();
    return session;
  }

  /** Whether the session of that id has not ended; to ask is no use of it. */
  isOn(id: string): boolean {
    const session = this.#sessions.get(id);
    return session !== undefined && !this.#hasEnded(session);
  }

  end(key: string): void {
    const session = this.#sessions.get(hashOf(key));
    if (session !== undefined) this.#end([session]);
  }

  /** Ends all sessions of a token. */
  endAllOf(tokenId: string): void {
    this.#end([...this.#sessions.values()].filter((session) => session.tokenId === tokenId));
  }

  #end(sessions: readonly Session[]): void {
    for (const { id } of sessions) this.#sessions.delete(id);
    if (sessions.length > 0) this.#onEnded?.();
  }

  #dropEnded(): void {
    for (const session of this.#sessions.values()) {
      if (this.#hasEnded(session)) this.#sessions.delete(session.id);
    }
  }

  #hasEnded({ endsAtMs, usedAtMs }: KeptSession): boolean {
    const nowMs = this.#clock.monotonicMs();
    return nowMs >= endsAtMs || nowMs - usedAtMs >= this.#limits.idleMs;
  }
}
