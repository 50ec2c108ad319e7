import { nkeys } from '@nats-io/transport-node';

type KeyPair = ReturnType<typeof nkeys.createUser>;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Everything that a server and its users need for authentication by JWT, made for one test. */
export class JwtAuthority {
  readonly #operator = nkeys.createOperator();
  readonly #account = nkeys.createAccount();

  /** Lines of nats-server configuration: an operator, and one account. */
  get serverConfig(): string {
    const operator = jwt(this.#operator, this.#operator, 'operator', 'test operator', {});
    const account = jwt(this.#operator, this.#account, 'account', 'test account', { limits: accountLimits });
    return [
      `operator: ${operator}`,
      'resolver: MEMORY',
      `resolver_preload: { ${this.#account.getPublicKey()}: ${account} }`,
    ].join('\n');
  }

  /** The text of a `.creds` file of a new user. @param expiresAt - seconds since 1970 */
  createCredentials({ expiresAt }: { readonly expiresAt?: number } = {}): string {
    const user = nkeys.createUser();
    const claims = { ...userLimits, issuer_account: this.#account.getPublicKey() };
    const token = jwt(this.#account, user, 'user', 'test user', claims, expiresAt);
    return credentialsText(token, decoder.decode(user.getSeed()));
  }
}

/** A `.creds` file's text. */
export function credentialsText(token: string, seed: string): string {
  return [
    '-----BEGIN NATS USER JWT-----',
    token,
    '------END NATS USER JWT------',
    '',
    '-----BEGIN USER NKEY SEED-----',
    seed,
    '------END USER NKEY SEED------',
    '',
  ].join('\n');
}

const accountLimits = {
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
};
const userLimits = { subs: -1, data: -1, payload: -1 };

/** @see https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt */
function jwt(
  issuer: KeyPair,
  subject: KeyPair,
  type: string,
  name: string,
  claims: object,
  expiresAt?: number,
): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = [
    encode({ typ: 'JWT', alg: 'ed25519-nkey' }),
    encode({
      jti: subject.getPublicKey(),
      iat: Math.floor(Date.now() / 1_000),
      iss: issuer.getPublicKey(),
      sub: subject.getPublicKey(),
      name,
      ...(expiresAt === undefined ? {} : { exp: expiresAt }),
      nats: { ...claims, type, version: 2 },
    }),
  ].join('.');
  return `${signed}.${Buffer.from(issuer.sign(encoder.encode(signed))).toString('base64url')}`;
}
