import { createHash, timingSafeEqual } from 'node:crypto';
import { EngineError, invalidArgument } from '../core/errors.ts';
import type { Millis } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';
import { instant, listOf, membersOf, name, nullable, wordOf } from '../core/shape.ts';
import type { Clock } from '../ports/clock.ts';
import type { DocumentStore } from '../ports/documents.ts';
import type { Secrets } from '../ports/secrets.ts';
import { roles, type Role } from './principal.ts';

/** A token as it is listed: all but the secret. */
export interface AccessToken {
  readonly id: string;
  /** Who uses it; stands as `by` in the journal and in the audit log. */
  readonly name: string;
  readonly role: Role;
  readonly createdAt: Millis;
  readonly expiresAt: Millis | null;
}

interface StoredToken extends AccessToken {
  /** SHA-256 of the token's text, in hexadecimal. */
  readonly hash: string;
}

/** The name of the token that is made at the first start. */
export const firstTokenName = 'first-admin';
/** Most tokens at one time. */
export const maximumTokens = 1_000;

const documentKey = 'access-tokens';
const idBytes = 8;
/** 256 bits: nobody can try them all, however quick the hash is. */
const secretBytes = 32;
const tokenPattern = /^cbt_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;
/** Compared with when the id is unknown, so that an unknown id takes as long as a wrong secret. */
const nobodysHash = hashOf('');

const documentShape = membersOf({
  tokens: listOf(
    membersOf({
      id: name,
      name,
      role: wordOf(roles),
      createdAt: instant,
      expiresAt: nullable(instant),
      hash: name,
    }),
  ),
});

/** What {@link AccessTokens} work with. */
export interface AccessTokensDeps {
  readonly documents: DocumentStore;
  readonly clock: Clock;
  readonly secrets: Secrets;
  /** A token was revoked. */
  readonly onRevoked?: (() => void) | undefined;
}

/**
 * The tokens of the admin API. Only their hashes are kept: a plain SHA-256, as a secret of 256 random bits cannot be guessed and
 * a slow hash would only let strangers burn the server's time.
 */
export class AccessTokens {
  readonly #deps: AccessTokensDeps;
  #tokens: ReadonlyMap<string, StoredToken> = new Map();
  #change: Promise<unknown> = Promise.resolve();

  constructor(deps: AccessTokensDeps) {
    this.#deps = deps;
  }

  /**
   * Reads the tokens; makes the first one, an admin's, when there was never any.
   *
   * @returns the first token's text, the only time that it is to be had; null when there were tokens
   * @throws EngineError `UNAVAILABLE`, `RECORD_CORRUPT`
   */
  async open(): Promise<string | null> {
    const document = await this.#deps.documents.get(documentKey);
    if (document === null) return (await this.create({ name: firstTokenName, role: 'admin' })).text;
    const problem = documentShape(document);
    if (problem !== null) throw new EngineError('RECORD_CORRUPT', `the access tokens${problem}`);
    const { tokens } = document as unknown as { readonly tokens: readonly StoredToken[] };
    this.#tokens = new Map(tokens.map((token) => [token.id, token]));
    return null;
  }

  /** The token of that text, if it is good now. Takes the same time whatever is wrong with it. */
  verify(text: string): AccessToken | null {
    const id = tokenPattern.exec(text)?.[1] ?? '';
    const stored = this.#tokens.get(id);
    const isEqual = timingSafeEqual(Buffer.from(hashOf(text)), Buffer.from(stored?.hash ?? nobodysHash));
    return stored !== undefined && isEqual ? this.find(id) : null;
  }

  /** The token of that id, if it is good now. */
  find(id: string): AccessToken | null {
    const stored = this.#tokens.get(id);
    if (stored === undefined || this.#isOver(stored)) return null;
    return withoutHash(stored);
  }

  /** All tokens, the oldest first, also those that have expired. */
  list(): readonly AccessToken[] {
    return [...this.#tokens.values()].map(withoutHash);
  }

  /**
   * A new token; its text is to be had only here.
   *
   * @throws EngineError `NOT_ALLOWED` when the name is taken or there are {@link maximumTokens}, `UNAVAILABLE`
   */
  create(request: {
    readonly name: string;
    readonly role: Role;
    readonly expiresAt?: Millis | undefined;
  }): Promise<{ readonly text: string; readonly token: AccessToken }> {
    return this.#exclusively(async () => {
      const { clock, secrets } = this.#deps;
      const now = clock.now();
      const { expiresAt = null } = request;
      if (expiresAt !== null && expiresAt <= now) {
        throw invalidArgument({
          field: 'expiresAt',
          message: 'expiresAt is past',
          limit: `after ${now}`,
          got: expiresAt,
        });
      }
      const kept = [...this.#tokens.values()].filter((token) => !this.#isOver(token));
      if (kept.some((token) => token.name === request.name)) {
        throw new EngineError('NOT_ALLOWED', `a token named ${request.name} exists`, {
          field: 'name',
          hint: 'revoke it first, or give another name',
        });
      }
      if (kept.length >= maximumTokens) {
        throw new EngineError('NOT_ALLOWED', 'there are too many tokens', { limit: `${maximumTokens}` });
      }
      const id = Buffer.from(secrets.bytes(idBytes)).toString('hex');
      const text = `cbt_${id}_${Buffer.from(secrets.bytes(secretBytes)).toString('base64url')}`;
      const { name: given, role } = request;
      const token: StoredToken = { id, name: given, role, createdAt: now, expiresAt, hash: hashOf(text) };
      await this.#save([...kept, token]);
      return { text, token: withoutHash(token) };
    });
  }

  /**
   * Ends a token at once.
   *
   * @throws EngineError `NOT_FOUND`; `NOT_ALLOWED` for the last admin token that does not expire: nobody could make another one
   */
  revoke(id: string): Promise<AccessToken> {
    return this.#exclusively(async () => {
      const token = this.#tokens.get(id);
      if (token === undefined)
        throw new EngineError('NOT_FOUND', 'there is no such token', { field: 'tokenId', got: id });
      const rest = [...this.#tokens.values()].filter((one) => one.id !== id);
      const isLast = !rest.some(({ role, expiresAt }) => role === 'admin' && expiresAt === null);
      if (token.role === 'admin' && isLast) {
        throw new EngineError('NOT_ALLOWED', 'this is the last admin token without an end', {
          field: 'tokenId',
          hint: 'make another one first',
        });
      }
      await this.#save(rest);
      this.#deps.onRevoked?.();
      return withoutHash(token);
    });
  }

  #isOver({ expiresAt }: AccessToken): boolean {
    return expiresAt !== null && expiresAt <= this.#deps.clock.now();
  }

  async #save(tokens: readonly StoredToken[]): Promise<void> {
    const document = { format: 1, tokens } as unknown as JsonValue;
    await this.#deps.documents.put(documentKey, document);
    // Only what is durable counts: a token that a crash would forget is never handed out.
    this.#tokens = new Map(tokens.map((token) => [token.id, token]));
  }

  /** One change after the other, so that none is written over. */
  #exclusively<Value>(work: () => Promise<Value>): Promise<Value> {
    const done = this.#change.then(work);
    this.#change = done.catch(() => undefined);
    return done;
  }
}

/** SHA-256 in hexadecimal. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function withoutHash({ hash: _hash, ...token }: StoredToken): AccessToken {
  return token;
}
